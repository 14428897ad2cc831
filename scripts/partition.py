#!/usr/bin/env python3
"""Splits a network of two hosts while a sweep runs on both, then compares it with an undisturbed run.

Usage: scripts/partition.py BINARY [--splits N] [--trials N] [--seed S]

The hosts are network namespaces of this machine, joined by a pair of virtual links, so this needs root and `ip`. One holds
a scheduler that speaks TLS, and a worker; the other a worker that joined by invitation. Again and again the road between
them is cut for longer than a lease: both ways, or one way alone, so that requests arrive whose answers do not, or the other
way round. The far worker goes on with what it has, its attempt is leased again on the near side, and what it then says with
its old token must count for nothing. Passes as `scripts/chaos.py` does: every trial ended once, no word of a fenced attempt
in the journal, metrics and bundles equal to the last bit.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from chaos import Site, audit, compare, kill, write_spec

NEAR, FAR = "tradewind-near", "tradewind-far"
NEAR_ADDRESS, FAR_ADDRESS = "10.213.77.1", "10.213.77.2"
# A lease lasts ten seconds.
CUT_S = 14
DEADLINE_S = 3600


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Hosts:
    """Two namespaces and the road between them."""

    def __enter__(self):
        self.__exit__()
        for name in (NEAR, FAR):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", "near0", "netns", NEAR, "type", "veth", "peer", "name", "far0", "netns", FAR)
        for name, link, address in ((NEAR, "near0", NEAR_ADDRESS), (FAR, "far0", FAR_ADDRESS)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
        return self

    def __exit__(self, *_):
        for name in (NEAR, FAR):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    @staticmethod
    def lose(name, address):
        """What `name` sends to `address` is lost without a word, in one direction only."""
        ip("-n", name, "route", "add", "blackhole", f"{address}/32")

    @staticmethod
    def find(name, address):
        ip("-n", name, "route", "delete", "blackhole", f"{address}/32")


CUTS = {
    "both_ways": [(NEAR, FAR_ADDRESS), (FAR, NEAR_ADDRESS)],
    "answers_lost": [(NEAR, FAR_ADDRESS)],
    "requests_lost": [(FAR, NEAR_ADDRESS)],
}


def inside(name, command, log):
    return subprocess.Popen(["ip", "netns", "exec", name, *command], stdout=log, stderr=log, start_new_session=True)


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"partition: {what} did not happen within {seconds} s")
        time.sleep(0.1)


def disturb(options, client, rng):
    cuts = Counter()
    deadline = time.monotonic() + DEADLINE_S
    while client.poll() is None and time.monotonic() < deadline:
        time.sleep(rng.uniform(2, 5))
        if cuts.total() >= options.splits or client.poll() is not None:
            continue
        kind = rng.choice(list(CUTS))
        for name, address in CUTS[kind]:
            Hosts.lose(name, address)
        time.sleep(CUT_S)
        for name, address in CUTS[kind]:
            Hosts.find(name, address)
        cuts[kind] += 1
    if client.poll() is None:
        sys.exit("partition: the sweep did not finish in time")
    return dict(cuts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--splits", type=int, default=6)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="of the kinds and moments of the cuts")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("ip") is None:
        sys.exit("partition: this needs root and the program `ip` (iproute2): nothing was checked")
    rng = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="tradewind-partition-"))
    spec = write_spec(folder, options.trials)
    calm = Site(options.binary, folder / "calm", spec)
    calm.call("run", str(spec))

    site = Site(options.binary, folder / "near", spec)
    far_home = folder / "far"
    url = f"https://{NEAR_ADDRESS}:7070"
    with Hosts(), open(folder / "processes.log", "w") as log:
        started = [inside(NEAR, site.command("scheduler", "--tls", "--listen", f"{NEAR_ADDRESS}:7070"), log)]
        wait_for((site.home / "keys").exists, "the scheduler's keys")
        time.sleep(2)
        invitation = folder / "far.join"
        made = subprocess.run(
            ["ip", "netns", "exec", NEAR,
             *site.command("token", "create", "--role", "worker", "--name", "far", "--url", url, "--out", str(invitation))],
            capture_output=True, text=True)
        if made.returncode != 0:
            sys.exit(f"partition: no invitation: {made.stderr}")
        far = [str(options.binary.resolve()), "--home", str(far_home)]
        joined = subprocess.run(["ip", "netns", "exec", FAR, *far, "join", str(invitation)], capture_output=True, text=True)
        if joined.returncode != 0:
            sys.exit(f"partition: the far worker cannot join: {joined.stderr}")
        for name in ("store", "data"):
            shutil.rmtree(far_home / name, ignore_errors=True)
            (far_home / name).symlink_to(site.home / name)
        started.append(inside(NEAR, site.command("worker"), log))
        started.append(inside(FAR, [*far, "worker"], log))
        client = inside(NEAR, site.command("run", str(spec), "--scheduler", url, "--json"), log)
        began = time.monotonic()
        cuts = disturb(options, client, rng)
        took = time.monotonic() - began
        for process in started:
            kill(process.pid)
            process.wait()
    problems = compare(calm.trials(), site.trials(), options.trials)
    lost, found = audit(site.home, options.trials)
    problems += found
    if client.returncode != 0:
        problems.append(f"the client exited {client.returncode}")
    if sum(cuts.values()) < options.splits:
        problems.append(f"only {sum(cuts.values())} of {options.splits} cuts hit before the sweep was over")
    late = (folder / "processes.log").read_text(errors="replace").count("attempt had ended for the scheduler")
    print(json.dumps({
        "check": "partition", "trials": options.trials, "cuts": cuts, "lost_attempts": lost,
        "late_reports_refused": late, "seconds": round(took, 1), "seed": options.seed, "problems": problems[:20],
    }))
    if problems:
        sys.exit(f"partition: {len(problems)} problems; homes and logs are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
