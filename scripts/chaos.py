#!/usr/bin/env python3
"""Disturbs a sweep in every way that can be had of real processes, then compares it with an undisturbed run.

Usage: scripts/chaos.py BINARY [--faults N] [--trials N] [--layout run|separate] [--seed S]

Passes when every trial ended exactly once, when the journal holds no word of an attempt that no longer held its trial, and
when every trial's metrics and bundle equal the undisturbed run's to the last bit. `--layout run` kills the workers and the
embedded scheduler of `tradewind run` and continues with `resume`. `--layout separate` runs `scheduler` and `worker`s as
processes of their own and a network between them, and knows more faults: SIGKILL, processes that stand still for ten
seconds, lost requests and answers, delays, a network that is split for longer than a lease, a second scheduler on the same
home, and a start on a full disk below the journal (where a tmpfs can be mounted; else it says that it left them out).
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from chaos_network import Network

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data" / "aapl_daily_2013_2023.csv"
DEADLINE_S = 5400
STILL_S = 10
SPLIT_S = 12
JOURNAL_DISK = "64m"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--faults", "--kills", type=int, default=10)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1, help="of the choice of victims and moments")
    parser.add_argument("--layout", choices=["run", "separate"], default="run")
    parser.add_argument("--workers", type=int, default=2, help="of the layout `separate`")
    parser.add_argument("--pace", type=float, default=0.9, help="mean seconds from one fault to the next")
    return parser.parse_args()


def write_spec(folder, trials):
    text = (ROOT / "experiments" / "chaos.yaml").read_text()
    text = re.sub(r"trials: \d+", f"trials: {trials}", text)
    text = re.sub(r"batch: \d+", f"batch: {min(8, trials)}", text)
    path = folder / "chaos.yaml"
    path.write_text(text)
    return path


class Site:
    """One home folder, and the processes at work in it."""

    def __init__(self, binary, folder, spec):
        self.binary, self.home, self.spec = binary.resolve(), folder, spec
        self.call("data", "import", str(DATA), "--name", "aapl_daily", "--symbol", "AAPL")

    def command(self, *arguments):
        return [str(self.binary), "--home", str(self.home), *arguments]

    def call(self, *arguments):
        done = subprocess.run(self.command(*arguments, "--json"), capture_output=True, text=True, timeout=DEADLINE_S)
        if done.returncode != 0:
            sys.exit(f"chaos: {' '.join(arguments)} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def start(self, *arguments):
        log = open(self.home.parent / f"{self.home.name}.log", "a")
        return subprocess.Popen(self.command(*arguments), stdout=log, stderr=log, start_new_session=True)

    def experiment(self):
        listed = self.call("ls")["experiments"]
        return listed[0]["experiment"] if listed else None

    def trials(self):
        return self.call("show", self.experiment())["trials"]


def children(pid):
    """Worker processes below `pid`, read from /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Embedded:
    """`tradewind run`: scheduler and engine in one process, workers as its children."""

    def __init__(self, site, options, rng):
        self.site, self.rng = site, rng
        self.faults = {self.kill_worker: 7, self.kill_scheduler: 3}
        self.process = site.start("run", str(site.spec), "--json")

    def finished(self):
        return self.process.poll() is not None

    def kill_scheduler(self):
        kill(self.process.pid)
        self.process.wait()
        experiment = self.site.experiment()
        again = ["resume", experiment] if experiment else ["run", str(self.site.spec)]
        self.process = self.site.start(*again, "--json")
        return True

    def kill_worker(self):
        victims = children(self.process.pid)
        if victims:
            kill(self.rng.choice(victims))
        return bool(victims)

    def attend(self):
        """Its engine restarts workers by itself."""

    def stop(self):
        return self.process.wait()

    def drop(self):
        """Nothing is left over."""


class Disk:
    """A small tmpfs for the journal alone, so that nothing else of the home feels it fill up."""

    def __init__(self, folder, home):
        self.folder, self.ballast = folder, folder / "ballast"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={JOURNAL_DISK}", "tmpfs", str(folder)]
        self.mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
        if self.mounted:
            (home / "journal.db").symlink_to(folder / "journal.db")

    def fill(self):
        with contextlib.suppress(OSError), open(self.ballast, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self):
        self.ballast.unlink(missing_ok=True)

    def drop(self):
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=True)


class Separate:
    """`scheduler`, `worker`s and a waiting client as processes of their own."""

    def __init__(self, site, options, rng):
        self.site, self.rng = site, rng
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.disk = Disk(site.home.parent / "disk", site.home)
        self.network = Network(self.port, rng)
        self.scheduler = self.start_scheduler()
        self.workers = [self.start_worker() for _ in range(options.workers)]
        self.client = site.start("run", str(site.spec), "--scheduler", f"http://127.0.0.1:{self.port}", "--json")
        # Who submits while the scheduler is killed is told so, and no sweep begins: faults begin with the sweep.
        while site.experiment() is None and self.client.poll() is None:
            time.sleep(0.2)
        self.still = {}
        self.faults = {
            self.kill_worker: 30,
            self.kill_scheduler: 8,
            self.hold_worker: 6,
            self.hold_scheduler: 1,
            self.lose_request: 16,
            self.lose_answer: 16,
            self.delay: 16,
            self.split: 2,
            self.rival: 3,
        }
        if self.disk.mounted:
            self.faults[self.fill_disk] = 2
        else:
            print("chaos: no tmpfs can be mounted here: no disk gets full in this run", file=sys.stderr)

    def start_scheduler(self):
        return self.site.start("scheduler", "--listen", f"127.0.0.1:{self.port}")

    def start_worker(self):
        return self.site.start("worker", "--scheduler", f"http://127.0.0.1:{self.network.port}")

    def finished(self):
        return self.client.poll() is not None

    def attend(self):
        """Restarts what ended by itself, as a service manager does."""
        if self.scheduler.poll() is not None:
            self.scheduler = self.start_scheduler()
        for index, worker in enumerate(self.workers):
            if worker.poll() is not None:
                self.workers[index] = self.start_worker()

    def kill_scheduler(self):
        kill(self.scheduler.pid)
        self.scheduler.wait()
        self.scheduler = self.start_scheduler()
        return True

    def kill_worker(self):
        index = self.rng.randrange(len(self.workers))
        kill(self.workers[index].pid)
        self.workers[index].wait()
        self.workers[index] = self.start_worker()
        return True

    def hold(self, process):
        """Nothing in it moves for a while; then it goes on as if nothing had been."""
        if process.poll() is not None or self.still.get(process.pid, 0) > time.monotonic():
            return False
        self.still[process.pid] = time.monotonic() + STILL_S
        process.send_signal(signal.SIGSTOP)
        threading.Timer(STILL_S, process.send_signal, [signal.SIGCONT]).start()
        return True

    def hold_worker(self):
        return self.hold(self.rng.choice(self.workers))

    def hold_scheduler(self):
        return self.hold(self.scheduler)

    def lose_request(self):
        self.network.lose = "request"
        return True

    def lose_answer(self):
        self.network.lose = "answer"
        return True

    def delay(self):
        self.network.delay(self.rng.uniform(0.2, 2.0))
        return True

    def split(self):
        self.network.split(SPLIT_S)
        return True

    def rival(self):
        """A second scheduler must be refused, whatever the first is doing; one that is down has no second."""
        if self.scheduler.poll() is not None:
            return False
        command = self.site.command("scheduler", "--listen", "127.0.0.1:0")
        second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said, _ = second.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            kill(second.pid)
            said, _ = second.communicate()
        if "in use by another scheduler" not in said and self.scheduler.poll() is None:
            sys.exit(f"chaos: a second scheduler was not refused: {said}")
        return True

    def fill_disk(self):
        """A scheduler that comes up on a full disk ends with a clear word, and the next goes on when there is room again. One
        that runs would write on where its log has room, for longer than a sweep can wait: it is stopped in good order first."""
        if self.scheduler.poll() is not None:
            return False
        self.scheduler.terminate()
        self.scheduler.wait()
        self.disk.fill()
        self.scheduler = self.start_scheduler()
        deadline = time.monotonic() + 8
        while self.scheduler.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        ended = self.scheduler.poll() is not None
        self.disk.free()
        self.attend()
        return ended

    def stop(self):
        code = self.client.wait()
        for process in [*self.workers, self.scheduler]:
            kill(process.pid)
            process.wait()
        return code

    def drop(self):
        self.disk.drop()


def disturb(layout, options, rng):
    """Faults until the budget is spent or the sweep is over; returns how often each hit."""
    hits = Counter()
    deadline = time.monotonic() + DEADLINE_S
    faults, weights = list(layout.faults), list(layout.faults.values())
    while hits.total() < options.faults and not layout.finished() and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.2, 1.8) * options.pace)
        if layout.finished():
            break
        fault = rng.choices(faults, weights)[0]
        hits[fault.__name__] += fault()
        layout.attend()
        if hits.total() % 50 == 0:
            print(f"chaos: {hits.total()} faults", file=sys.stderr)
    while not layout.finished():
        if time.monotonic() > deadline:
            sys.exit("chaos: the disturbed sweep did not finish in time")
        layout.attend()
        time.sleep(0.1)
    return dict(hits)


def audit(home, trials):
    """Reads the journal with other eyes than the scheduler's: who held each trial when a word about it was taken in?"""
    holder, ends, problems, lost = {}, Counter(), [], 0
    database = sqlite3.connect((home / "journal.db").resolve())
    for sequence, body in database.execute("SELECT sequence, body FROM events ORDER BY sequence"):
        event = json.loads(body)
        if "trial" not in event:
            continue
        trial, change = event["trial"]["trial"], event["trial"]["change"]
        if isinstance(change, str):
            continue
        (kind, said), = change.items()
        if kind == "lease":
            if trial in holder:
                problems.append(f"record {sequence}: {trial} is leased to two")
            holder[trial] = said["attempt"]
        elif "attempt" in said and holder.get(trial) != said["attempt"]:
            problems.append(f"record {sequence}: {kind} of {trial} by {said['attempt']}, held by {holder.get(trial)}")
        if kind in ("succeed", "fail", "lose", "release", "pause"):
            holder.pop(trial, None)
        ends[trial] += kind == "succeed"
        lost += kind == "lose"
    database.close()
    problems += [f"{trial} ended {count} times" for trial, count in ends.items() if count != 1]
    if len(ends) != trials:
        problems.append(f"the journal tells of {len(ends)} trials")
    return lost, problems


def compare(calm, disturbed, trials):
    problems = []
    if sorted(t["trial"] for t in disturbed) != sorted(t["trial"] for t in calm) or len(disturbed) != trials:
        problems.append(f"{len(disturbed)} trials ended, {trials} were asked")
    twin = {t["trial"]: t for t in calm}
    for trial in disturbed:
        if trial["state"] != "succeeded":
            problems.append(f"{trial['trial']} ended as {trial['state']}")
        for key in ("metrics", "bundle", "params", "seed"):
            if trial[key] != twin.get(trial["trial"], {}).get(key):
                problems.append(f"{trial['trial']}: {key} differs from the undisturbed run")
    return problems


def main():
    options = parse_arguments()
    rng = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="tradewind-chaos-"))
    spec = write_spec(folder, options.trials)

    calm_site = Site(options.binary, folder / "calm", spec)
    began = time.monotonic()
    calm_site.call("run", str(spec))
    calm_s = time.monotonic() - began

    site = Site(options.binary, folder / "disturbed", spec)
    began = time.monotonic()
    layout = {"run": Embedded, "separate": Separate}[options.layout](site, options, rng)
    hits = disturb(layout, options, rng)
    code = layout.stop()
    disturbed_s = time.monotonic() - began

    trials = site.trials()
    problems = compare(calm_site.trials(), trials, options.trials)
    lost, found = audit(site.home, options.trials)
    problems += found
    if code != 0:
        problems.append(f"the last command exited {code}")
    if sum(hits.values()) < options.faults:
        problems.append(f"only {sum(hits.values())} of {options.faults} faults hit before the sweep was over")
    layout.drop()
    log = (folder / "disturbed.log").read_text(errors="replace")
    print(json.dumps({
        "check": "chaos", "layout": options.layout, "trials": len(trials), "faults": hits,
        "attempts": sum(t["attempts"] for t in trials), "lost_attempts": lost,
        "late_reports_refused": log.count("attempt had ended for the scheduler"), "calm_s": round(calm_s, 1),
        "disturbed_s": round(disturbed_s, 1), "seed": options.seed, "problems": problems[:20],
    }))
    if problems:
        sys.exit(f"chaos: {len(problems)} problems; homes and logs are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
