#!/usr/bin/env python3
"""Successive halving against whole trainings, on the same task: what is reached, and for how many epochs.

Usage: scripts/halving.py BINARY [--runs 5]

Runs experiments/halving.yaml as it is, and nearly as many trials by successive halving, each time under another name and so
with other points.
Prints a table and, last, a JSON line. Exits 1 when halving's median best loss is more than 1 % above that of whole
trainings, or costs more than a quarter of their epochs.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data" / "aapl_daily_2013_2023.csv"
TASK = ROOT / "experiments" / "halving.yaml"
# The lowest rung is three epochs of 27: after one, low learning rates have shown nothing yet.
PRUNER = "{ successive_halving: { rungs: 2, factor: 3 } }"
# In one batch: as many as a quarter of the epochs pays for; 27 would cost 25.9 %.
TRIALS = 26


def call(binary, home, *arguments):
    done = subprocess.run([binary, "--home", home, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed: {done.stderr}")
    return done.stdout.splitlines()


def epochs(lines):
    """Epochs that were run: the last step of each trial. Repeated ones, after a hold, are the same epoch."""
    last = {}
    for line in map(json.loads, lines):
        last[line["trial"]] = max(last.get(line["trial"], 0), line["step"])
    return sum(last.values())


def measure(binary, home, run, pruner):
    name = f"{'halving' if pruner else 'whole'}-{run}"
    text = TASK.read_text().replace("name: halving", f"name: {name}")
    if pruner:
        text = text.replace("  trials: 27", f"  trials: {TRIALS}\n  pruner: {pruner}")
        text = text.replace("  batch: 27", f"  batch: {TRIALS}")
    path = Path(home) / f"{name}.yaml"
    path.write_text(text)
    ended = json.loads(call(binary, home, "run", str(path))[-1])
    return {"best": ended["best"]["objective"], "epochs": epochs(call(binary, home, "logs", ended["experiment"]))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    binary = str(arguments.binary.resolve())
    with tempfile.TemporaryDirectory() as home:
        call(binary, home, "data", "import", str(DATA), "--name", "aapl_daily", "--symbol", "AAPL")
        sides = {"whole": [], "halving": []}
        print(f"{'run':>3}  {'':8} {'best loss':>10} {'epochs':>7}")
        for run in range(arguments.runs):
            for side, pruner in [("whole", None), ("halving", PRUNER)]:
                measured = measure(binary, home, run, pruner)
                sides[side].append(measured)
                print(f"{run:>3}  {side:8} {measured['best']:>10.5f} {measured['epochs']:>7}", flush=True)
    best = {side: statistics.median(run["best"] for run in runs) for side, runs in sides.items()}
    cost = {side: sum(run["epochs"] for run in runs) for side, runs in sides.items()}
    excess, share = best["halving"] / best["whole"] - 1, cost["halving"] / cost["whole"]
    print(f"median best {best['whole']:.5f} whole, {best['halving']:.5f} by halving ({excess:+.2%}), {share:.1%} of the epochs")
    passed = excess <= 0.01 and share <= 0.25
    print(json.dumps({"bench": "halving", "runs": sides, "excess": excess, "epochs_share": share, "passed": passed}))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
