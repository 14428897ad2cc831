#!/usr/bin/env python3
"""Measures the forecaster's speed against PyTorch on the same network: samples per CPU second, and latencies.

Usage: scripts/forecaster_peers.py BINARY [--python PYTHON] [--rounds N] [--seconds S] [--peers eager script compile]

The network sees 60 bars of 16 features: two convolutions of 64 channels, two LSTM layers of 128 units with dropout 0.2
between them and behind an additive attention pooling, a head of three classes and one of a number; 264 thousand weights,
f32 on both sides, one thread; in the row `train-mixed` bfloat16 on both, where PyTorch's autocast and our mixed precision
take it. In each round every contestant runs once on each row, in turn and in a process of its own,
so that whatever else the machine does falls on all alike. PYTHON needs torch. Prints one JSON object a row, and a table on
stderr.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

BATCH, WINDOW, FEATURES, CHANNELS, HIDDEN, DROPOUT, PASSES = 256, 60, 16, 64, 128, 0.2, 32
MODES = ["train", "train-mixed", "infer", "latency", "mc"]
CALLS_BEFORE = 3


def network():
    import torch
    from torch import nn

    class Forecaster(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolutions = nn.Sequential(
                nn.Conv1d(FEATURES, CHANNELS, 3, padding="same"), nn.ReLU(),
                nn.Conv1d(CHANNELS, CHANNELS, 3, padding="same"), nn.ReLU())
            self.lstm = nn.LSTM(CHANNELS, HIDDEN, num_layers=2, batch_first=True, dropout=DROPOUT)
            self.keys, self.context = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 1)
            self.dropout = nn.Dropout(DROPOUT)
            self.direction, self.value = nn.Linear(HIDDEN, 3), nn.Linear(HIDDEN, 1)

        def forward(self, windows):
            steps = self.convolutions(windows.transpose(1, 2)).transpose(1, 2)
            states = self.lstm(steps)[0]
            shares = torch.softmax(self.context(torch.tanh(self.keys(states))), dim=1)
            pooled = self.dropout((shares * states).sum(dim=1))
            return self.direction(pooled), self.value(pooled).squeeze(-1)

    return Forecaster()


def measured(call, seconds, samples):
    """Repeats a call for some seconds; the median call's figures."""
    for _ in range(CALLS_BEFORE):
        call()
    walls, cpus, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(walls) < 3:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    walls.sort()
    cpu = statistics.median(cpus)
    return {"samples_per_cpu_s": samples / cpu, "p50_us": 1e6 * walls[len(walls) // 2],
            "p95_us": 1e6 * walls[min(len(walls) - 1, int(0.95 * len(walls)))], "cpu_p50_us": 1e6 * cpu}


def peer(kind, mode, seconds):
    """One contestant on one row, in this process."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    torch.manual_seed(1)
    net = network()
    forward = {"eager": lambda: net, "script": lambda: torch.jit.script(net), "compile": lambda: torch.compile(net)}[kind]()
    windows = torch.randn(BATCH, WINDOW, FEATURES)
    if mode in ("train", "train-mixed"):
        classes, returns = torch.randint(0, 3, (BATCH,)), torch.randn(BATCH)
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)

        def step():
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode == "train-mixed"):
                logits, values = forward(windows)
                loss = F.cross_entropy(logits, classes) + F.smooth_l1_loss(values, returns)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()

        return measured(step, seconds, BATCH)
    row = windows[:1]
    with torch.no_grad():
        if mode == "mc":
            net.train()
            return measured(lambda: forward(row.expand(PASSES, -1, -1)), seconds, PASSES)
        net.eval()
        asked, samples = (windows, BATCH) if mode == "infer" else (row, 1)
        return measured(lambda: forward(asked), seconds, samples)


def run(command):
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("binary", nargs="?")
    options.add_argument("--python", default=sys.executable)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--seconds", type=float, default=6.0)
    options.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    options.add_argument("--peers", nargs="+", choices=["eager", "script", "compile"], default=["eager", "script"])
    options.add_argument("--peer", nargs=2, metavar=("KIND", "MODE"), help="run one peer here and print its figures")
    arguments = options.parse_args()
    if arguments.peer:
        print(json.dumps(peer(*arguments.peer, arguments.seconds)))
        return
    if not arguments.binary:
        options.error("the program to measure is missing")
    seconds = str(arguments.seconds)
    for mode in arguments.modes:
        commands = {"tradewind": [arguments.binary, "--json", "bench", "forecaster", "--mode", mode, "--seconds", seconds]}
        for kind in arguments.peers:
            commands[kind] = [arguments.python, __file__, "--seconds", seconds, "--peer", kind, mode]
        rounds = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                rounds[name].append(run(command))
        row = {"row": mode, "rounds": arguments.rounds, "load": os.getloadavg()[0]}
        for name, runs in rounds.items():
            keys = ["samples_per_cpu_s", "p50_us", "p95_us", "cpu_p50_us"]
            row[name] = {key: round(statistics.median(each[key] for each in runs), 1) for key in keys}
            row[name]["each"] = [round(each["samples_per_cpu_s"], 1) for each in runs]
        row["tradewind"] |= {key: rounds["tradewind"][-1][key] for key in ["gflops", "gemm_peak_gflops", "parameters", "vectors"]}
        print(json.dumps(row), flush=True)
        ours = row["tradewind"]
        for name in arguments.peers:
            ratio = ours["samples_per_cpu_s"] / row[name]["samples_per_cpu_s"]
            print(f"{mode:11} {ours['samples_per_cpu_s']:10.0f} samples per CPU second, {name} {row[name]['samples_per_cpu_s']:10.0f}: "
                  f"{ratio:.2f}x; p50 {ours['p50_us']:.0f} us against {row[name]['p50_us']:.0f} us", file=sys.stderr)


if __name__ == "__main__":
    main()
