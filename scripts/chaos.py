#!/usr/bin/env python3
"""Kills workers and schedulers with SIGKILL while a sweep runs, then compares it with an undisturbed run.

Passes when every trial ended exactly once and every trial's metrics and bundle equal the undisturbed run's to the last
bit. `--layout run` kills the embedded scheduler and continues with `resume`; `--layout separate` runs `scheduler` and
`worker` as processes of their own, restarts whichever was killed, and lets the others reconnect.
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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data" / "aapl_daily_2013_2023.csv"
DEADLINE_S = 900


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1, help="of the choice of victims and moments")
    parser.add_argument("--layout", choices=["run", "separate"], default="run")
    parser.add_argument("--scheduler-share", type=float, default=0.3, help="share of kills that hit the scheduler")
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

    def __init__(self, site):
        self.site = site
        self.process = site.start("run", str(site.spec), "--json")

    def finished(self):
        return self.process.poll() is not None

    def kill_scheduler(self):
        kill(self.process.pid)
        self.process.wait()
        experiment = self.site.experiment()
        again = ["resume", experiment] if experiment else ["run", str(self.site.spec)]
        self.process = self.site.start(*again, "--json")

    def kill_worker(self, rng):
        victims = children(self.process.pid)
        if victims:
            kill(rng.choice(victims))
        return bool(victims)

    def stop(self):
        return self.process.wait()


class Separate:
    """`scheduler`, two `worker`s and a waiting client as processes of their own."""

    def __init__(self, site):
        self.site = site
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.scheduler = self.start_scheduler()
        self.workers = [self.start_worker() for _ in range(2)]
        self.client = site.start("run", str(site.spec), "--scheduler", self.url(), "--json")

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start_scheduler(self):
        return self.site.start("scheduler", "--listen", f"127.0.0.1:{self.port}")

    def start_worker(self):
        return self.site.start("worker", "--scheduler", self.url())

    def finished(self):
        return self.client.poll() is not None

    def kill_scheduler(self):
        kill(self.scheduler.pid)
        self.scheduler.wait()
        self.scheduler = self.start_scheduler()

    def kill_worker(self, rng):
        index = rng.randrange(len(self.workers))
        kill(self.workers[index].pid)
        self.workers[index].wait()
        self.workers[index] = self.start_worker()
        return True

    def stop(self):
        code = self.client.wait()
        for process in [*self.workers, self.scheduler]:
            kill(process.pid)
            process.wait()
        return code


def disturb(layout, kills, scheduler_share, rng):
    """Kills until the budget is spent or the sweep is over; returns what was killed."""
    killed = {"scheduler": 0, "worker": 0}
    deadline = time.monotonic() + DEADLINE_S
    while sum(killed.values()) < kills and not layout.finished() and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.2, 1.6))
        if layout.finished():
            break
        if rng.random() < scheduler_share:
            layout.kill_scheduler()
            killed["scheduler"] += 1
        elif layout.kill_worker(rng):
            killed["worker"] += 1
    while not layout.finished():
        if time.monotonic() > deadline:
            sys.exit("chaos: the disturbed sweep did not finish in time")
        time.sleep(0.1)
    return killed


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
    layout = {"run": Embedded, "separate": Separate}[options.layout](site)
    killed = disturb(layout, options.kills, options.scheduler_share, rng)
    code = layout.stop()
    disturbed_s = time.monotonic() - began

    trials = site.trials()
    problems = compare(calm_site.trials(), trials, options.trials)
    if code != 0:
        problems.append(f"the last command exited {code}")
    if sum(killed.values()) < options.kills:
        problems.append(f"only {sum(killed.values())} of {options.kills} kills hit before the sweep was over")
    print(json.dumps({
        "check": "chaos", "layout": options.layout, "trials": len(trials), "killed": killed,
        "attempts": sum(t["attempts"] for t in trials), "calm_s": round(calm_s, 1),
        "disturbed_s": round(disturbed_s, 1), "seed": options.seed, "problems": problems,
    }))
    if problems:
        sys.exit(f"chaos: {len(problems)} problems; homes and logs are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
