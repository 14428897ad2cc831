#!/usr/bin/env python3
"""Kills a scheduler with SIGKILL right after it acknowledged a submission, and looks for the submission after a restart.

Usage: scripts/ack_kill.py BINARY [--times N] [--spec FILE] [--seed S]

BINARY is `tradewind`, or the example `bare` of `scheduler`, which has the same three commands and needs no libtorch. Each
round starts a scheduler on the same home, submits an experiment that was not there before, waits for the client's exit code
0, kills the scheduler within two milliseconds, and lists what the journal holds: all experiments of all rounds must be
there. Now and then the kill comes while the client still waits: then the experiment may be there or not, and a second
submission must find the same one.

Prints one JSON object: rounds, acknowledged, lost, and the time from kill to the next acknowledgement. Exits 1 when any is
lost. A killed process leaves its pages to the kernel, so this tests the order of acknowledgement and commit, not `fsync`:
that is what `scripts/crash_states.py` is for.
"""

import argparse
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data" / "aapl_daily_2013_2023.csv"
PATIENCE_S = 60


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--spec", type=Path, default=ROOT / "experiments" / "chaos.yaml")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--early", type=float, default=0.1, help="share of kills before the answer")
    return parser.parse_args()


class Site:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.home = binary.resolve(), folder, folder / "home"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def command(self, *arguments):
        return [str(self.binary), "--home", str(self.home), *arguments]

    def call(self, *arguments):
        done = subprocess.run(self.command(*arguments, "--json"), capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode != 0:
            sys.exit(f"ack_kill: {' '.join(arguments)} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def start_scheduler(self):
        """Starts it and waits until it listens."""
        log = open(self.folder / "scheduler.log", "a")
        process = subprocess.Popen(self.command("scheduler", "--listen", self.address), stdout=log, stderr=log)
        host, port = self.address.split(":")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return process
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"ack_kill: the scheduler does not listen, see {self.folder / 'scheduler.log'}")
            time.sleep(0.005)

    def submit(self, spec):
        return subprocess.Popen(self.command("submit", str(spec), "--scheduler", f"http://{self.address}", "--json"),
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def experiments(self):
        return [row["experiment"] for row in self.call("ls")["experiments"]]


def write_spec(template, path, number):
    path.write_text(re.sub(r"^name: .*$", f"name: ack-{number}", template, count=1, flags=re.MULTILINE))
    return path


def main():
    options = parse_arguments()
    rng = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="tradewind-ack-"))
    site = Site(options.binary, folder)
    template = options.spec.read_text()
    if options.binary.name != "bare":
        site.call("data", "import", str(DATA), "--name", "aapl_daily", "--symbol", "AAPL")
    acknowledged, early, problems, gaps = [], 0, [], []
    killed_at = None
    for number in range(options.times):
        scheduler = site.start_scheduler()
        client = site.submit(write_spec(template, folder / "spec.yaml", number))
        if rng.random() < options.early:
            time.sleep(rng.uniform(0, 0.02))
            scheduler.kill()
            scheduler.wait()
            client.kill()
            client.wait()
            early += 1
            scheduler = site.start_scheduler()
            client = site.submit(folder / "spec.yaml")
        said, _ = client.communicate(timeout=PATIENCE_S)
        if killed_at is not None:
            gaps.append(time.monotonic() - killed_at)
        time.sleep(rng.choice([0, 0, rng.uniform(0, 0.002)]))
        scheduler.kill()
        killed_at = time.monotonic()
        scheduler.wait()
        if client.returncode != 0:
            sys.exit(f"ack_kill: submission {number} was refused ({client.returncode})")
        acknowledged.append(json.loads(said.strip().splitlines()[-1])["experiment"])
        there = site.experiments()
        problems += [f"{lost}: acknowledged, and gone after kill {number}" for lost in set(acknowledged) - set(there)]
        if len(there) != len(set(there)):
            problems.append(f"an experiment is there twice after kill {number}")
    gaps.sort()
    print(json.dumps({
        "check": "ack_kill", "rounds": options.times, "acknowledged": len(acknowledged), "killed_early": early,
        "lost": len(problems), "kill_to_acknowledged_p50_s": round(gaps[len(gaps) // 2], 3) if gaps else None,
        "kill_to_acknowledged_max_s": round(gaps[-1], 3) if gaps else None, "seed": options.seed,
        "problems": problems[:20],
    }))
    if problems:
        sys.exit(f"ack_kill: {len(problems)} lost; the home is kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
