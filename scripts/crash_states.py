#!/usr/bin/env python3
"""Builds the states that a crash may leave of a workload's files, and asks whether each recovers.

Usage: scripts/crash_states.py PROGRAM [--states N] [--seed S] [--faults]

PROGRAM is the example `store_crash` of `artifacts` (store and registry) or `journal_crash` of `scheduler`:
`cargo build --release -p artifacts --example store_crash`. It works under `strace`, which records what it asks of the file
system. Then, for prefixes of that record, everything that was not synced is lost, kept or torn: content by blocks of 512
bytes, and the entries of a directory one by one, whatever their order. Synced is what `fsync` or `fdatasync` asked for: a
file's content by its own, its name by that of its directory (Pillai et al., OSDI 2014). PROGRAM judges each state: what was
acknowledged must be there, and everything else as before or as after.

`--faults` makes calls of the workload fail instead, each kind at one place after the other, as on a full or a broken disk,
and judges what is left. Of a program of one thread no file is left out; of one with several (`store_crash`) those are whose
names are others each time. Prints one JSON object; exits 1 when a state is broken.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = 512
TRACED = ("openat,creat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
          "link,linkat,close")
CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)\)\s*=\s*(-?\d+)(?:<(.*?)>)?")
PATH = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")
# Rebuilt from the log whenever a database is opened: no state of a crash needs it.
FORGOTTEN = ("-shm", ".lock")


@dataclass
class Op:
    """`kind` is write, truncate, sync, enter, remove, sync-folder or acknowledged."""

    kind: str
    file: int = 0
    path: str = ""
    offset: int = 0
    data: bytes = b""
    number: int = 0


def text(quoted):
    return bytes.fromhex(quoted.replace("\\x", "")).decode()


def unhex(quoted):
    return bytes.fromhex(quoted.replace("\\x", ""))


def whole_lines(trace):
    """Calls that another thread's interrupted are put together again."""
    pending = {}
    for line in trace.splitlines():
        pid = line.split(None, 1)[0]
        if line.endswith("<unfinished ...>"):
            pending[pid] = line.removesuffix("<unfinished ...>").rstrip()
        elif "resumed>" in line:
            yield pending.pop(pid, "") + line.split("resumed>", 1)[1].lstrip(" ")
        else:
            yield line


class Recorder:
    """Turns a trace into operations on numbered files and on the entries of folders."""

    def __init__(self, root):
        self.root, self.ops, self.names, self.files = str(root), [], {}, 0
        self.positions = {}

    def inside(self, path):
        return path.startswith(self.root) and not path.endswith(FORGOTTEN)

    def number(self, path):
        if path not in self.names:
            self.files += 1
            self.names[path] = self.files
        return self.names[path]

    def enter(self, path, file):
        self.ops.append(Op("enter", file=file, path=path))

    def take(self, line):
        call = CALL.match(line)
        if not call or int(call[4]) < 0:
            return
        name, words, result, opened = call[2], call[3], int(call[4]), call[5]
        paths = [text(found) for found in PATH.findall(words)] if name not in ("write", "pwrite64") else []
        descriptor = DESCRIPTOR.match(words)
        at = bytes(descriptor[2], "latin1").decode("unicode_escape") if descriptor else ""
        at = at.removesuffix(" (deleted)")
        if name == "openat":
            path = paths[0]
            if self.inside(path) and "O_CREAT" in words and path not in self.names:
                self.enter(path, self.number(path))
            elif self.inside(path) and "O_TRUNC" in words and path in self.names:
                self.ops.append(Op("truncate", file=self.names[path]))
            self.positions[result] = 0
        elif name in ("write", "pwrite64"):
            data = unhex(PATH.search(words)[1])[:result]
            if descriptor[1] == "1":
                if said := re.search(rb"acknowledged (\d+)", data):
                    self.ops.append(Op("acknowledged", number=int(said[1])))
            elif self.inside(at):
                where = int(words.rsplit(",", 1)[1]) if name == "pwrite64" else self.positions.get(int(descriptor[1]), 0)
                self.ops.append(Op("write", file=self.number(at), offset=where, data=data))
                if name == "write":
                    self.positions[int(descriptor[1])] = where + len(data)
        elif name in ("fsync", "fdatasync") and (self.inside(at) or self.root.startswith(at + "/")):
            known = at in self.names
            self.ops.append(Op("sync", file=self.names[at]) if known else Op("sync-folder", path=at))
        elif name == "ftruncate" and self.inside(at):
            self.ops.append(Op("truncate", file=self.number(at), offset=int(words.rsplit(",", 1)[1])))
        elif name.startswith("rename") and self.inside(paths[-1]):
            file = self.names.pop(paths[0])
            self.names[paths[-1]] = file
            self.ops.append(Op("remove", path=paths[0], file=-file))
            self.enter(paths[-1], file)
        elif name.startswith("link") and self.inside(paths[-1]):
            self.names[paths[-1]] = self.names[paths[0]]
            self.enter(paths[-1], self.names[paths[0]])
        elif name.startswith("unlink") and self.inside(paths[0]):
            self.names.pop(paths[0], None)
            self.ops.append(Op("remove", path=paths[0]))
        elif name.startswith("mkdir") and self.inside(paths[0]):
            self.enter(paths[0], 0)


def record(program, root):
    """The operations of the workload, from the making of its folder on."""
    trace = root.parent / f"{root.name}.strace"
    command = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={TRACED}", "-o", str(trace),
               str(program), "write", str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    recorder = Recorder(root)
    for line in whole_lines(trace.read_text()):
        recorder.take(line)
    return recorder.ops


@dataclass
class State:
    """What a prefix leaves: what is on the disk for sure, and what may be."""

    durable: list = field(default_factory=list)
    pending: list = field(default_factory=list)


def split(ops):
    """Which operations are synced at the end of `ops`, and which are not; both in order."""
    synced = [False] * len(ops)
    files, folders = set(), set()
    for index in range(len(ops) - 1, -1, -1):
        op = ops[index]
        if op.kind == "sync":
            files.add(op.file)
        elif op.kind == "sync-folder":
            folders.add(op.path)
        elif op.kind in ("write", "truncate"):
            synced[index] = op.file in files
        elif op.kind in ("enter", "remove"):
            synced[index] = os.path.dirname(op.path) in folders
    changes = ("write", "truncate", "enter", "remove")
    return [i for i, op in enumerate(ops) if op.kind in changes and synced[i]], [
        i for i, op in enumerate(ops) if op.kind in changes and not synced[i]]


def variants(ops, pending, rng, most):
    """Choices of what of the pending operations reached the disk: index to `True`, or to the blocks that did."""
    yield {}
    yield {index: True for index in pending}
    shuffled = pending[:]
    rng.shuffle(shuffled)
    for index in shuffled[:most]:
        yield {other: True for other in pending if other != index}
        yield {index: True}
        if ops[index].kind == "write" and len(ops[index].data) > BLOCK:
            blocks = range(-(-len(ops[index].data) // BLOCK))
            torn = frozenset(block for block in blocks if rng.random() < 0.5)
            yield {other: True for other in pending if other != index} | {index: torn}
    for _ in range(most):
        chosen = {}
        for index in pending:
            draw = rng.random()
            if draw < 0.45:
                chosen[index] = True
            elif draw < 0.6 and ops[index].kind == "write":
                blocks = range(-(-len(ops[index].data) // BLOCK))
                chosen[index] = frozenset(block for block in blocks if rng.random() < 0.5)
        yield chosen


def content(ops, chosen):
    """Files by path, folders included as `None`."""
    files, entries = {}, {}
    for index in sorted(chosen):
        op, part = ops[index], chosen[index]
        if op.kind == "enter":
            entries[op.path] = op.file
        elif op.kind == "remove":
            entries.pop(op.path, None)
        elif op.kind == "truncate":
            data = files.setdefault(op.file, bytearray())
            del data[op.offset:]
            data.extend(bytes(op.offset - len(data)))
        else:
            data = files.setdefault(op.file, bytearray())
            end = op.offset + len(op.data)
            data.extend(bytes(max(0, end - len(data))))
            for block in range(-(-len(op.data) // BLOCK)):
                if part is True or block in part:
                    piece = op.data[block * BLOCK:(block + 1) * BLOCK]
                    data[op.offset + block * BLOCK:op.offset + block * BLOCK + len(piece)] = piece
    return {path: None if file == 0 else bytes(files.get(file, b"")) for path, file in entries.items()}


def lay_out(tree, root, folder):
    """Writes a state to `folder`; what lies in a folder that is not there is not there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted(tree, key=lambda path: path.count("/")):
        place = folder / os.path.relpath(path, root) if path != str(root) else folder
        if not place.parent.is_dir():
            continue
        if tree[path] is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(tree[path])


def fingerprint(tree, acknowledged):
    hashed = hashlib.sha256(str(acknowledged).encode())
    for path in sorted(tree):
        hashed.update(path.encode() + b"\0" + (tree[path] if tree[path] is not None else b"/") + b"\0")
    return hashed.digest()


class Judge:
    """The program, answering for one folder after the other."""

    def __init__(self, program):
        self.process = subprocess.Popen([str(program), "check"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.program = program

    def ask(self, folder, acknowledged):
        self.process.stdin.write(f"{folder} {acknowledged}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            self.__init__(self.program)
            return "broken the program ended: a panic"
        return answer


def crash(program, room, options):
    rng = random.Random(options.seed)
    root = room / "home"
    root.mkdir()
    ops = record(program, root)
    judge, seen, verdicts, broken = Judge(program), set(), Counter(), []
    ends = list(range(1, len(ops) + 1))
    most = max(1, options.states // (len(ends) * 3))
    for end in ends:
        prefix = ops[:end]
        acknowledged = max((op.number for op in prefix if op.kind == "acknowledged"), default=0)
        durable, pending = split(prefix)
        for variant in variants(prefix, pending, rng, most):
            tree = content(prefix, {index: True for index in durable} | variant)
            mark = fingerprint(tree, acknowledged)
            if mark in seen or len(seen) >= options.states:
                continue
            seen.add(mark)
            lay_out(tree, root, room / "state")
            answer = judge.ask(room / "state", acknowledged)
            verdicts[answer.split()[0]] += 1
            if not answer.startswith("whole"):
                broken.append(f"after {end} of {len(ops)} operations: {answer}")
    return {"operations": len(ops), "acknowledged": max(op.number for op in ops), "states": len(seen),
            "verdicts": dict(verdicts), "broken": broken[:20]}


def afresh(root):
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()


def thinned(places):
    """Every one at first, then fewer: a workload makes thousands of each."""
    index = 0
    while index < len(places):
        yield places[index]
        index += 1 + index // 40


def places(program, root, call):
    """The calls of a kind that touch the workload's own files, by their place among all of that kind; file by file. `None` for
    a program of several threads: who makes which call is another matter each time."""
    afresh(root)
    trace = root.parent / "places.strace"
    command = ["strace", "-f", "-qq", "-y", "-s", "0", "-e", f"trace={call},clone,clone3", "-o", str(trace), str(program),
               "write", str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found, place = {}, 0
    for line in whole_lines(trace.read_text()):
        if made := CALL.match(line):
            if made[2] != call:
                return None
            place += 1
            names = [name for name in re.findall(r'[<"]([^<>"]*)[>"]', made[3]) if name.startswith(str(root))]
            if names and not names[-1].endswith(FORGOTTEN):
                found.setdefault(names[-1], []).append(place)
    return [when for of_file in found.values() for when in thinned(of_file)]


def faults(program, room):
    """Each kind of call fails at one place after the other."""
    judge, verdicts, broken = Judge(program), Counter(), []
    root = room / "faulty"
    afresh(root)
    # Only calls that touch the workload's own files fail: not those by which its threads wake each other.
    ops = record(program, root)
    files = [word for path in sorted({op.path for op in ops if op.path}) for word in ("-P", path)]
    for call, errors in {"write": ["ENOSPC"], "pwrite64": ["ENOSPC", "EIO"], "fsync": ["EIO"], "fdatasync": ["EIO"],
                         "rename": ["EIO"], "mkdir": ["ENOSPC"]}.items():
        known = places(program, root, call)
        for error in errors:
            for when in thinned(range(1, sys.maxsize)) if known is None else known:
                afresh(root)
                hit = room / "faulty.strace"
                command = ["strace", "-f", "-qq", *(files if known is None else []), "-e", f"trace={call}", "-o", str(hit),
                           "-e", f"inject={call}:error={error}:when={when}", str(program), "write", str(root)]
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
                if "INJECTED" not in hit.read_text():
                    if known is not None:
                        broken.append(f"{call} {when} {error}: it was made once and not again")
                    break
                said = re.findall(r"acknowledged (\d+)", done.stdout)
                answer = judge.ask(root, int(said[-1]) if said else 0)
                ended = "went on" if done.returncode == 0 else "ended" if done.returncode == 1 else "died"
                verdicts[f"{call} {error}: {answer.split()[0]}, {ended}"] += 1
                if not answer.startswith("whole") or ended == "died":
                    broken.append(f"{call} {when} {error}: {answer}, {ended}")
    return {"faults": sum(verdicts.values()), "verdicts": dict(verdicts), "broken": broken[:20]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--states", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", action="store_true", help="make calls fail instead of crashing")
    options = parser.parse_args()
    if not shutil.which("strace"):
        sys.exit("crash_states: strace is not installed")
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="crash-", dir=memory if memory.is_dir() else None) as folder:
        program = options.program.resolve()
        found = faults(program, Path(folder)) if options.faults else crash(program, Path(folder), options)
    print(json.dumps({"check": "crash_states", "seed": options.seed} | found))
    sys.exit(bool(found["broken"]))


if __name__ == "__main__":
    main()
