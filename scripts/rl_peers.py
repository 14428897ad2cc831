#!/usr/bin/env python3
"""Measures training speed against stable-baselines3 and SBX: environment steps per CPU second while learning.

Usage: scripts/rl_peers.py [BINARY] [--python PYTHON] [--rounds N] [--rows NAME ...]

Each round runs every contestant once on each row, in turn, each in a process of its own, with one thread and on one
core. Steps before learning starts are not counted on any side; SBX is also not charged for compiling. PYTHON needs
stable-baselines3 2.9.2, and SBX takes part where it can be imported. Without BINARY only the peers run. Prints one JSON
object a row, and a table on stderr.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def falling(start):
    """Linear from `start` to 0 over the run."""
    return lambda remaining: remaining * start


@dataclass
class Row:
    """One workload: the same algorithm, hyper-parameters (rl-zoo3 2.9) and steps on every side."""

    algorithm: str
    env: str
    steps: int
    starts: int = 0
    envs: int = 1
    options: dict = field(default_factory=dict)
    note: str = ""


# Ours runs experiments/benchmarks/speed-NAME.yaml with the same settings.
ROWS = {
    "ppo-cartpole": Row("PPO", "CartPole-v1", steps=50_000, envs=8, options={
        "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98, "gae_lambda": 0.8, "ent_coef": 0.0,
        "learning_rate": falling(1e-3), "clip_range": falling(0.2)}),
    "dqn-cartpole": Row("DQN", "CartPole-v1", steps=50_000, starts=1000, options={
        "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "gamma": 0.99, "train_freq": 256,
        "gradient_steps": 128, "target_update_interval": 10, "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04, "policy_kwargs": {"net_arch": [256, 256]}}),
    "sac-pendulum": Row("SAC", "Pendulum-v1", steps=5100, starts=100, options={"learning_rate": 1e-3}),
    "td3-pendulum": Row("TD3", "Pendulum-v1", steps=6000, starts=1000, note="learning starts at 1000, in the zoo 10000",
                        options={"gamma": 0.98, "buffer_size": 200_000, "train_freq": 1, "gradient_steps": 1,
                                 "learning_rate": 1e-3, "policy_kwargs": {"net_arch": [400, 300]}}),
}
PEERS = {"sb3": "stable_baselines3", "sbx": "sbx"}
PACKAGES = {"sb3": "stable-baselines3", "sbx": "sbx-rl"}
# Steps in which SBX compiles what it runs later, by whether it learns from step 0.
SBX_COMPILES = {True: 5000, False: 500}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1",
              "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "CUDA_VISIBLE_DEVICES": ""}


def train_peer(peer, row, seed):
    """Trains in this process; returns CPU and wall seconds and steps of the part after learning starts."""
    import numpy
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.noise import NormalActionNoise

    torch.set_num_threads(1)
    measured_from = row.starts + (SBX_COMPILES[row.starts == 0] if peer == "sbx" else 0)

    class Mark(BaseCallback):
        """Remembers the clocks at the first step not before `measured_from`."""

        clocks = None

        def _on_training_start(self):
            self._on_step()

        def _on_step(self):
            if self.clocks is None and self.num_timesteps >= measured_from:
                self.clocks = time.process_time(), time.perf_counter(), self.num_timesteps
            return True

    options = dict(row.options)
    if row.starts:
        options["learning_starts"] = row.starts
    if row.algorithm == "TD3":
        options["action_noise"] = NormalActionNoise(numpy.zeros(1), numpy.full(1, 0.1))
    library = __import__(PEERS[peer])
    env = make_vec_env(row.env, n_envs=row.envs, seed=seed)
    model = getattr(library, row.algorithm)("MlpPolicy", env, seed=seed, **options)
    mark = Mark()
    model.learn(row.steps, callback=mark)
    cpu, wall, steps = mark.clocks
    return {"cpu_s_learning": time.process_time() - cpu, "wall_s_learning": time.perf_counter() - wall,
            "steps_learning": model.num_timesteps - steps, "version": version(PACKAGES[peer])}


def run(command, core):
    """Runs one contestant alone on `core`; returns the JSON object of its last line."""
    finished = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    if finished.returncode != 0:
        raise SystemExit(f"rl_peers: {' '.join(map(str, command))} exited {finished.returncode}")
    report = json.loads(finished.stdout.splitlines()[-1])
    # Ours reports a list of seeds, of which there is one.
    report |= (report.get("seeds") or [{}])[0]
    return report


def contestants(options):
    """Name and command, but for the row, of each side that can run here."""
    sides = {}
    if options.binary:
        binary = str(options.binary.resolve())
        sides["tradewind"] = lambda row, seed: [binary, "bench", "rl", "--recipe",
                                                 f"experiments/benchmarks/speed-{row}.yaml", "--first-seed", str(seed), "--json"]
    for peer, module in PEERS.items():
        find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)"
        if subprocess.run([options.python, "-c", find]).returncode == 0:
            sides[peer] = lambda row, seed, peer=peer: [options.python, __file__, "--peer", peer, "--rows", row,
                                                        "--seed", str(seed)]
    return sides


def measure(name, sides, rounds, core):
    """All rounds of one row, sides in turn; returns the object to print."""
    rates = {side: [] for side in sides}
    walls = {side: [] for side in sides}
    versions = {}
    for seed in range(rounds):
        for side, command in sides.items():
            report = run(command(name, seed), core)
            rates[side].append(report["steps_learning"] / report["cpu_s_learning"])
            walls[side].append(report.get("wall_s_learning"))
            versions[side] = report.get("version")
    row = ROWS[name]
    result = {"row": name, "algorithm": row.algorithm, "env": row.env, "envs": row.envs, "steps": row.steps,
              "learning_starts": row.starts, "rounds": rounds, "note": row.note, "versions": versions,
              "steps_per_cpu_s": {side: round(statistics.median(values), 1) for side, values in rates.items()},
              "steps_per_cpu_s_each": {side: [round(value, 1) for value in values] for side, values in rates.items()},
              "wall_s_learning_each": {side: [value and round(value, 2) for value in values]
                                       for side, values in walls.items()},
              "load": round(os.getloadavg()[0], 1)}
    ours = result["steps_per_cpu_s"].get("tradewind")
    if ours:
        result["ratio"] = {side: round(ours / value, 2) for side, value in result["steps_per_cpu_s"].items()
                           if side != "tradewind"}
    return result


def table(results, sides):
    print(f"{'steps per CPU second':22}" + "".join(f"{side:>12}" for side in sides)
          + "".join(f"{'x ' + side:>8}" for side in results[0].get("ratio", {})), file=sys.stderr)
    for result in results:
        ratios = result.get("ratio", {})
        print(f"{result['row']:22}" + "".join(f"{result['steps_per_cpu_s'][side]:12,.1f}" for side in sides)
              + "".join(f"{ratio:8.2f}" for ratio in ratios.values()) + ("  " + result["note"]).rstrip(),
              file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path, nargs="?")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        print(json.dumps(train_peer(options.peer, ROWS[options.rows[0]], options.seed)))
        return
    sides = contestants(options)
    results = []
    for name in options.rows:
        results.append(measure(name, sides, options.rounds, options.core))
        print(json.dumps(results[-1]), flush=True)
    table(results, sides)


if __name__ == "__main__":
    main()
