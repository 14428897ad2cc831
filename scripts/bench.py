#!/usr/bin/env python3
"""Measures the control plane and prints one JSON object a line.

Usage: scripts/bench.py BINARY [--trials N]
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

from chaos import DATA, children, write_spec


def peak_rss_mb(pid):
    """Peak resident memory of a living process, or 0 once it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def dispatch(binary, home, trials, workers):
    command = [binary, "--home", home, "bench", "scheduler", "--trials", str(trials), "--workers", str(workers)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def training(binary, folder):
    """A real sweep of four trials: how much memory scheduler and one worker take at most."""
    home = str(folder / "training")
    spec = write_spec(folder, 4)
    subprocess.run([binary, "--home", home, "data", "import", DATA, "--name", "aapl_daily", "--symbol", "AAPL"],
                   check=True, capture_output=True)
    began = time.monotonic()
    run = subprocess.Popen([binary, "--home", home, "run", str(spec), "--json"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    scheduler = worker = 0.0
    while run.poll() is None:
        scheduler = max(scheduler, peak_rss_mb(run.pid))
        worker = max([worker, *(peak_rss_mb(pid) for pid in children(run.pid))])
        time.sleep(0.02)
    if run.returncode != 0:
        raise SystemExit(f"bench: the sweep exited {run.returncode}")
    return {"bench": "memory", "scheduler_rss_mb": round(scheduler, 1), "worker_rss_mb": round(worker, 1),
            "trials": 4, "wall_s": round(time.monotonic() - began, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--trials", type=int, default=500)
    options = parser.parse_args()
    binary = str(options.binary.resolve())
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as name:
        folder = Path(name)
        for workers in (1, 2, 8):
            print(json.dumps(dispatch(binary, str(folder / "dispatch"), options.trials, workers)), flush=True)
        print(json.dumps(training(binary, folder)), flush=True)


if __name__ == "__main__":
    main()
