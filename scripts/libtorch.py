#!/usr/bin/env python3
"""Installs the CPU build of libtorch 2.11.0 into .libtorch/ from the published wheels.

Downloads through pip (so a mirror configured for pip is honoured) into a cache that survives `git clean`, checks each
file's SHA-256, and unpacks only the headers and the five libraries the build links. Nothing happens when it is there.
Set TRADEWIND_CACHE to move the cache, TRADEWIND_LIBTORCH to link an already unpacked tree instead.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".libtorch"
STAMP = "torch 2.11.0 cpu\n"
WHEELS = {
    "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl":
        "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
    "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl":
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl":
        "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
}
REQUIREMENTS = ["torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]
LIBRARIES = {
    "torch/lib/libtorch_cpu.so", "torch/lib/libtorch.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1",
    "torch/lib/libtorch_global_deps.so",
}
CUDA_STUBS = ("libcudart.so.13", "libcupti.so.13")


def fail(what, way_out):
    sys.exit(f"libtorch: {what}\n  {way_out}")


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def cache_dir():
    base = os.environ.get("TRADEWIND_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tradewind" / "libtorch-2.11.0"


def broken(cache):
    return [name for name, digest in WHEELS.items() if not (cache / name).is_file() or sha256(cache / name) != digest]


def download(cache):
    """pip resumes nothing: a half file left by a broken run is removed, then fetched whole."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = broken(cache)
    if not missing:
        return
    for name in missing:
        (cache / name).unlink(missing_ok=True)
    print("libtorch: downloading 540 MB, once", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--python-version", "3.11",
           "--implementation", "cp", "--abi", "cp311", "--platform", "manylinux_2_28_x86_64",
           "--platform", "manylinux_2_25_x86_64", "--platform", "manylinux2014_x86_64",
           "--platform", "manylinux_2_17_x86_64", "--only-binary", ":all:", "--dest", str(cache)]
    if subprocess.run(pip + REQUIREMENTS).returncode != 0:
        fail("pip could not download the wheels", "check the network and pip's index, then run the same command again")
    if still := broken(cache):
        for name in still:
            (cache / name).unlink(missing_ok=True)
        fail(f"checksum mismatch in {', '.join(still)}", "the broken files were removed: run the same command again")


def wanted(name):
    """Where a wheel's member goes below .libtorch, or None."""
    if name.startswith("torch/include/"):
        return name.removeprefix("torch/")
    if name in LIBRARIES:
        return "lib/" + Path(name).name
    if Path(name).name in CUDA_STUBS:
        return "lib/" + Path(name).name
    return None


def unpack(cache):
    fresh = TARGET.with_name(".libtorch.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    members = []
    for wheel in WHEELS:
        archive = zipfile.ZipFile(cache / wheel)
        members += [(archive, info, to) for info in archive.infolist()
                    if not info.is_dir() and (to := wanted(info.filename))]
    total = sum(info.file_size for _, info, _ in members)
    done = 0
    shown = -1
    for archive, info, to in members:
        path = fresh / to
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, path.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 22)
        done += info.file_size
        percent = 100 * done // total
        if percent != shown and sys.stdout.isatty():
            print(f"\rlibtorch: unpacking {percent:3d} % [{'#' * (percent // 4):25}]", end="", flush=True)
            shown = percent
    (fresh / "installed").write_text(STAMP)
    shutil.rmtree(TARGET, ignore_errors=True)
    fresh.rename(TARGET)
    print(f"{chr(13) if sys.stdout.isatty() else ''}libtorch: ready in {TARGET.name}/ ({total >> 20} MB)        ")


def main():
    stamp = TARGET / "installed"
    if stamp.is_file() and stamp.read_text() == STAMP:
        return
    if linked := os.environ.get("TRADEWIND_LIBTORCH"):
        if not (Path(linked) / "lib" / "libtorch_cpu.so").is_file():
            fail(f"TRADEWIND_LIBTORCH={linked} holds no lib/libtorch_cpu.so", "point it at an unpacked libtorch 2.11.0")
        TARGET.symlink_to(Path(linked).resolve())
        return
    if (os.uname().sysname, os.uname().machine) != ("Linux", "x86_64"):
        fail(f"no wheel is pinned for {os.uname().sysname} {os.uname().machine}", "build on Linux x86-64")
    cache = cache_dir()
    try:
        download(cache)
        unpack(cache)
    except OSError as error:
        fail(str(error), "free about 2 GB of disk or set TRADEWIND_CACHE to another folder, then run again")


if __name__ == "__main__":
    main()
