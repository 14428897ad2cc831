#!/usr/bin/env python3
"""Plants one bug at a time in the scheduler and counts the worlds its simulation needs to find it.

Usage: scripts/planted.py [--only SUBSTRING ...] [--seeds N] [--list]

All bugs of `planted_rules.py` are built into a copy of the sources below target/planted/, each behind a switch; where two
change the same words there is more than one copy. Then the tests of the simulation alone, which know of none of this,
run once without a bug and once with each. A bug is *found* when a world does not hold; nothing else counts.

One line a bug goes to stderr, one JSON object to stdout. Exits 0 when all are found. `--list` builds nothing: it prints
the bugs and checks that each finds its place in the sources.
"""

import argparse
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from planted_rules import RULES

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "target" / "planted"
TREE = WORK / "tree"
SWITCH = """

/// Whether the bug of this number is planted.
pub(crate) fn planted(number: u32) -> bool {
    static NUMBER: std::sync::LazyLock<Option<u32>> =
        std::sync::LazyLock::new(|| std::env::var("PLANTED").ok().and_then(|text| text.parse().ok()));
    *NUMBER == Some(number)
}
"""
TEST = "simulation::tests::worlds_of_many_seeds_keep_every_promise"
FOUND = re.compile(r"seed (\d+): (.*)")
# A run without an end has found nothing that could be told.
SECONDS_MAX = 600


@dataclass(frozen=True)
class Bug:
    number: int
    name: str
    file: str
    before: str
    after: str

    def planted(self):
        """What stands in the sources' place: their words and the wrong ones, or the latter with a switch of their own."""
        if "{n}" in self.after:
            return self.after.replace("{n}", str(self.number))
        comma = "," if self.before.endswith(",") else ""
        wrong, right = self.after.removesuffix(","), self.before.removesuffix(",")
        return f"(if crate::planted({self.number}) {{ {wrong} }} else {{ {right} }}){comma}"


def all_bugs():
    flat = [(file, *rule) for file, rules in RULES for rule in rules]
    return [Bug(number, name, file, before, after) for number, (file, name, before, after) in enumerate(flat, 1)]


def misplaced(bugs):
    problems = []
    for bug in bugs:
        found = (ROOT / bug.file).read_text(encoding="utf-8").count(bug.before)
        if found != 1:
            problems.append(f"{bug.name}: `{bug.before}` stands {found} times in {bug.file}, not once")
    return problems


def copies(bugs):
    """The bugs by copy of the sources: in none do two change the same words."""
    packed = []
    for bug in bugs:
        text = (ROOT / bug.file).read_text(encoding="utf-8")
        start = text.index(bug.before)
        span = range(start, start + len(bug.before))
        for copy in packed:
            if all(file != bug.file or span.stop <= other.start or other.stop <= span.start for file, other, _ in copy):
                copy.append((bug.file, span, bug))
                break
        else:
            packed.append([(bug.file, span, bug)])
    return packed


def mirror():
    """Brings the copy of the sources up to date. What did not change keeps its time, so that cargo builds it once."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
                            cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, listed):
        source, copy = ROOT / name, TREE / name
        if source.is_file() and not (copy.is_file() and filecmp.cmp(source, copy, shallow=False)):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def build(index, copy):
    """Builds the tests of one copy; returns their program."""
    mirror()
    tree = TREE
    for file, span, bug in sorted(copy, key=lambda entry: -entry[1].start):
        text = (tree / file).read_text(encoding="utf-8")
        (tree / file).write_text(text[:span.start] + bug.planted() + text[span.stop:], encoding="utf-8")
    library = tree / "scheduler" / "src" / "lib.rs"
    library.write_text(library.read_text(encoding="utf-8") + SWITCH, encoding="utf-8")
    env = os.environ | {"CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(WORK / "build"))}
    # It is built often and run for seconds.
    command = ["cargo", "test", "--release", "--locked", "--config", "profile.release.package.scheduler.opt-level=1",
               "--package", "scheduler", "--lib", "--no-run", "--message-format", "json"]
    done = subprocess.run(command, cwd=tree, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    programs = [word["executable"] for word in said if word.get("executable")]
    if done.returncode != 0 or not programs:
        errors = [word["message"]["rendered"] for word in said if word.get("message", {}).get("level") == "error"]
        sys.exit("\n".join([*errors, done.stderr[-1000:], f"planted: copy {index} does not build"]))
    kept = WORK / f"tests-{index}"
    shutil.copy2(programs[-1], kept)
    return kept


def simulate(program, number, seeds):
    """Runs the worlds; returns the seed and the words of the first that does not hold."""
    env = os.environ | {"PLANTED": str(number), "SIMULATION_SEEDS": str(seeds), "RUST_LOG": "off"}
    try:
        done = subprocess.run([program, "--exact", TEST, "--nocapture"], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None, f"it did not end within {SECONDS_MAX} s"
    if done.returncode == 0:
        return None, "every world holds"
    found = FOUND.search(done.stdout)
    return (int(found[1]), found[2]) if found else (None, "it ended without a seed: " + done.stdout[-300:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="SUBSTRING", help="of a name or a file; may be repeated")
    parser.add_argument("--seeds", type=int, default=10_000, help="worlds within which a bug must be found")
    parser.add_argument("--list", action="store_true", help="print the bugs and check their places")
    parser.add_argument("--build-only", action="store_true", help="build the copies and run nothing")
    parser.add_argument("--run-only", action="store_true", help="run what was built before")
    options = parser.parse_args()
    wanted = options.only or [""]
    bugs = all_bugs()
    problems = misplaced(bugs)
    if problems:
        sys.exit("\n  ".join([f"planted: {len(problems)} problems of the list", *problems]))
    chosen = {bug for bug in bugs if any(part in bug.name or part in bug.file for part in wanted)}
    if options.list:
        print("\n".join(f"{bug.file}: {bug.name}" for bug in bugs if bug in chosen))
        return
    WORK.mkdir(parents=True, exist_ok=True)
    packed = copies(bugs)
    programs = [WORK / f"tests-{i}" if options.run_only else build(i, copy) for i, copy in enumerate(packed)]
    if options.build_only:
        return
    seed, words = simulate(programs[0], 0, min(options.seeds, 1_000))
    if words != "every world holds":
        sys.exit(f"planted: seed {seed} fails without any bug: {words}")
    found, missed = {}, []
    for program, copy in zip(programs, packed):
        for _, _, bug in copy:
            if bug not in chosen:
                continue
            began = time.monotonic()
            seed, words = simulate(program, bug.number, options.seeds)
            if seed is None:
                missed.append(bug.name)
            else:
                found[bug.name] = seed + 1
            verdict = "MISSED" if seed is None else f"world {seed + 1}"
            print(f"{verdict:>12}  {bug.name}: {words} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)
    print(json.dumps({"bench": "planted", "bugs": len(chosen), "found": len(found), "seeds": options.seeds,
                      "missed": missed, "worlds": found}))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
