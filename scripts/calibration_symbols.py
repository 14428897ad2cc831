#!/usr/bin/env python3
"""Trains and calibrates one forecaster a symbol on a file of many, and judges them together: calibration error pooled over
all test rows, of the calibrated directions and of those that adapt from bar to bar, and coverage of adaptive intervals
symbol by symbol.

Usage: scripts/calibration_symbols.py BINARY CSV [--symbols N] [--together EPOCHS] [--json FILE]

CSV holds daily bars of 2013-02-08 to 2018-02-07 with a column `symbol`, prices as they are to be used. The file is not
shipped: without it the script says so and exits 0. Each symbol is one run of experiments/calibration.yaml with one seed:
trained to mid-2015, calibrated on a year, judged once on the 19 months that follow. With --together each learns from the
training rows of all symbols, for so many epochs. Exits 1 where a bar is missed: either pooled calibration error above 0.03;
coverage of adaptive intervals outside 88 to 92 % with 1,000 test rows or, with fewer, outside the band in which 99 % of
binomial draws fall, for more symbols than one in a hundred.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPLIT = {"train": "[2013-02-08, 2015-06-30]", "validation": "[2015-07-01, 2016-06-30]", "test": "[2016-07-05, 2018-02-07]"}
ERROR_MAX, ROWS_ENOUGH, COVERED = 0.03, 1000, (0.88, 0.92)


def spec(symbols, epochs):
    """Trades the first of `symbols`."""
    text = (ROOT / "experiments" / "calibration.yaml").read_text()
    changes = {"symbols": f"[{', '.join(symbols)}]", "source": "bars", "seeds": "[1]", **SPLIT}
    if epochs:
        changes |= {"epochs": epochs, "patience": epochs}
    for key, value in changes.items():
        text, count = re.subn(rf"^(\s+{key}:).*$", rf"\1 {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    # Sessions that a symbol lacks are filled, or it would be refused.
    return text.replace("  interval: 1d\n", "  interval: 1d\n  repairs: [gap]\n")


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        raise SystemExit(f"calibration_symbols: {' '.join(command)} exited {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def judged(binary, bars, symbols, epochs):
    """The figures of the first symbol's test split, learned from all of `symbols`."""
    with tempfile.TemporaryDirectory(prefix="tradewind-symbols-") as folder:
        home, path = f"{folder}/home", Path(folder) / "many.yaml"
        path.write_text(spec(symbols, epochs))
        only = ["--symbol", symbols[0]] if len(symbols) == 1 else []
        run([binary, "--home", home, "data", "import", bars, "--name", "bars", *only, "--adjust", "none", "--json"])
        return run([binary, "--home", home, "run", str(path), "--json"])["calibration"]


def pooled(all_bins):
    """Rows of all symbols, and the calibration error over them: their bins are the same fifteenths of [0, 1]."""
    bins = {}
    for each in (each for of_symbol in all_bins for each in of_symbol):
        place = min(int(each["confidence"] * 15), 14)
        count, gap = bins.get(place, (0, 0.0))
        bins[place] = (count + each["count"], gap + each["count"] * (each["confidence"] - each["frequency"]))
    rows = sum(count for count, _ in bins.values())
    return rows, sum(abs(gap) for _, gap in bins.values()) / rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("bars", type=Path)
    parser.add_argument("--symbols", type=int, help="only the first N")
    parser.add_argument("--together", type=int, metavar="EPOCHS", help="learn from all symbols, for so many epochs")
    parser.add_argument("--json", type=Path, help="where each symbol's figures go, a line each")
    options = parser.parse_args()
    if not options.bars.is_file():
        print(f"SKIPPED: {options.bars} is not there, so nothing was judged over many symbols", file=sys.stderr)
        return
    with options.bars.open(newline="") as file:
        symbols = sorted({row["symbol"] for row in csv.DictReader(file)})[: options.symbols]
    figures = {}
    for symbol in symbols:
        learned = [symbol, *(other for other in symbols if options.together and other != symbol)]
        figures[symbol] = found = judged(str(options.binary.resolve()), str(options.bars), learned, options.together)
        adaptive = found["adaptive"]
        print(f"{symbol:6} {found['rows']:5} rows, calibration error {found['after']['ece_debiased']:.3f}, "
              f"of adaptive directions {found.get('followed', found['after'])['ece_debiased']:.3f}, adaptive intervals {adaptive['covered']:.3f} "
              f"in [{adaptive['band'][0]:.3f}, {adaptive['band'][1]:.3f}]", file=sys.stderr, flush=True)
        if options.json:
            with options.json.open("a") as file:
                print(json.dumps({"symbol": symbol, **found}), file=file)
    outside = []
    for symbol, found in figures.items():
        low, high = COVERED if found["rows"] >= ROWS_ENOUGH else found["adaptive"]["band"]
        if not low <= found["adaptive"]["covered"] <= high:
            outside.append(symbol)
    rows, error = pooled([found["reliability"] for found in figures.values()])
    _, followed = pooled([found.get("followed", found)["reliability"] for found in figures.values()])
    covered = sum(found["adaptive"]["covered"] * found["rows"] for found in figures.values()) / rows
    terciles = [sum(found["terciles"][third]["covered"] * found["terciles"][third]["rows"] for found in figures.values())
                / sum(found["terciles"][third]["rows"] for found in figures.values()) for third in range(3)]
    print(json.dumps({"bench": "calibration-symbols", "symbols": len(figures), "rows": rows, "ece": round(error, 4),
                      "ece_followed": round(followed, 4), "adaptive_covered": round(covered, 4),
                      "terciles_covered": [round(share, 4) for share in terciles], "outside": outside}))
    sys.exit(max(error, followed) > ERROR_MAX or len(outside) > max(1, len(figures) // 100))


if __name__ == "__main__":
    main()
