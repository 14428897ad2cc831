#!/usr/bin/env python3
"""Measures what a trial costs above its own work, beside Optuna and Ray: no-op trials, and sweeps of one-millisecond trials.

Usage: scripts/sweep_peers.py BINARY [--python PYTHON] [--rounds N] [--rows NAME ...]

Each round runs every contestant of a row once, in turn and in a process of its own; medians count. PYTHON needs Optuna,
and Ray takes part where it can be imported. What is compared is not equally safe: ours syncs each result to disk before
it counts, Optuna does so on SQLite alone, Ray's tasks keep nothing. Prints one JSON object a row, and a table on stderr.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

QUIET = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
         "RAY_CHDIR_TO_TRIAL_DIR": "0", "PYTHONWARNINGS": "ignore"}
NAP = 0.001


@dataclass(frozen=True)
class Row:
    """One workload. `ours` follows `bench`; each peer is a function of this file and what it is called with."""

    ours: list
    peers: dict


def sweep(sampler, parallel, trials):
    return ["sweep", "--sampler", sampler, "--workers", str(parallel), "--batch", str(parallel), "--trials", str(trials)]


def optuna_sides(sampler, parallel, trials):
    return {f"optuna, {storage}": ["optuna", sampler, storage, str(parallel), str(trials)] for storage in ("memory", "sqlite")}


ROWS = {
    "no-op": Row(["scheduler", "--workers", "64", "--trials", "20000"], {"ray tasks": ["tasks", "10000"]}),
    "random-1": Row(sweep("random", 1, 500), optuna_sides("random", 1, 200) | {"ray tune": ["tune", "1", "100"]}),
    "random-8": Row(sweep("random", 8, 2000), optuna_sides("random", 8, 200) | {"ray tune": ["tune", "8", "100"]}),
    "tpe-1": Row(sweep("tpe", 1, 200), optuna_sides("tpe", 1, 200)),
    "tpe-8": Row(sweep("tpe", 8, 200), optuna_sides("tpe", 8, 200)),
}


def optuna_peer(sampler, storage, parallel, trials):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parallel, trials = int(parallel), int(trials)

    def objective(trial):
        rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        width = trial.suggest_int("width", 16, 512)
        kind = trial.suggest_categorical("kind", ["relu", "tanh", "gelu"])
        dropout = trial.suggest_float("dropout", 0.0, 0.5)
        time.sleep(NAP)
        return (rate - 0.01) ** 2 + (width / 512 - 0.5) ** 2 + dropout + (kind == "tanh")

    with tempfile.TemporaryDirectory() as folder:
        where = None if storage == "memory" else f"sqlite:///{folder}/study.db"
        made = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}[sampler](seed=1)
        study = optuna.create_study(storage=where, sampler=made)
        began = time.perf_counter()
        study.optimize(objective, n_trials=trials, n_jobs=parallel)
        seconds = time.perf_counter() - began
    return seconds, trials, parallel, version("optuna")


def tasks_peer(count):
    import ray

    count = int(count)
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    nothing = ray.remote(lambda: None)
    ray.get([nothing.remote() for _ in range(200)])
    began = time.perf_counter()
    ray.get([nothing.remote() for _ in range(count)])
    return time.perf_counter() - began, count, None, version("ray")


def tune_peer(parallel, trials):
    import ray
    from ray import tune

    parallel, trials = int(parallel), int(trials)
    ray.init(num_cpus=parallel, include_dashboard=False, logging_level="ERROR", log_to_driver=False)

    def objective(point):
        time.sleep(NAP)
        return {"loss": (point["rate"] - 0.01) ** 2 + (point["width"] / 512 - 0.5) ** 2 + point["dropout"]}

    space = {"rate": tune.loguniform(1e-5, 1e-1), "width": tune.randint(16, 513), "kind": tune.choice(["relu", "tanh", "gelu"]),
             "dropout": tune.uniform(0.0, 0.5)}

    def fit(number, folder):
        settings = tune.TuneConfig(num_samples=number, metric="loss", mode="min", max_concurrent_trials=parallel, reuse_actors=True)
        tuner = tune.Tuner(objective, param_space=space, tune_config=settings,
                           run_config=tune.RunConfig(storage_path=folder, verbose=0))
        began = time.perf_counter()
        tuner.fit()
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        fit(2 * parallel, folder)  # starts the actors
        return fit(trials, folder), trials, parallel, version("ray")


def nap_length(naps=200):
    """What a nap takes by itself, longer than it was asked to: that is no overhead of whoever runs the trial."""
    began = time.perf_counter()
    for _ in range(naps):
        time.sleep(NAP)
    return (time.perf_counter() - began) / naps


PEERS = {"optuna": optuna_peer, "tasks": tasks_peer, "tune": tune_peer}


def run(command):
    done = subprocess.run(command, env=os.environ | QUIET, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"sweep_peers: {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(name, row, options, missing):
    sides = {"tradewind": lambda home: [options.binary, "--home", home, "bench", *row.ours]}
    for side, call in row.peers.items():
        if side.split()[0].strip(",") not in missing:
            sides[side] = lambda _, call=call: [options.python, __file__, "--peer", *call]
    each, versions = {side: [] for side in sides}, {}
    for _ in range(options.rounds):
        for side, command in sides.items():
            with tempfile.TemporaryDirectory(prefix="tradewind-peers-") as home:
                report = run(command(home))
            each[side].append(round(report["overhead_ms_per_trial"], 3))
            versions[side] = report.get("version")
    return {"row": name, "rounds": options.rounds, "versions": versions, "overhead_ms_per_trial_each": each,
            "overhead_ms_per_trial": {side: statistics.median(values) for side, values in each.items()},
            "load": round(os.getloadavg()[0], 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", nargs="?")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--peer", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        seconds, trials, parallel, release = PEERS[options.peer[0]](*options.peer[1:])
        work = nap_length() / parallel if parallel else 0.0
        print(json.dumps({"overhead_ms_per_trial": 1e3 * (seconds / trials - work), "version": release}))
        return
    if not options.binary:
        parser.error("the program to measure is missing")
    options.binary = str(Path(options.binary).resolve())
    missing = set()
    for module in ("optuna", "ray"):
        find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)"
        if subprocess.run([options.python, "-c", find]).returncode != 0:
            print(f"sweep_peers: {options.python} has no {module}: it takes no part", file=sys.stderr)
            missing.add(module)
    for name in options.rows:
        result = measure(name, ROWS[name], options, missing)
        print(json.dumps(result), flush=True)
        ours = result["overhead_ms_per_trial"]["tradewind"]
        for side, value in result["overhead_ms_per_trial"].items():
            print(f"{name:10} {side:16} {value:9.3f} ms a trial" + (f"  {value / ours:8.1f}x" if side != "tradewind" else ""),
                  file=sys.stderr)


if __name__ == "__main__":
    main()
