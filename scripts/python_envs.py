#!/usr/bin/env python3
"""Builds the wheel of the Python module tradewind_envs and runs its tests in .venv/, which it makes.

.venv/ holds what envs/python/requirements.txt pins; it is made again when that list or this file changes. The wheels of
torch that scripts/libtorch.py has in its cache are taken from there. The wheel is left in target/wheels/.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import libtorch

ROOT = libtorch.ROOT
VENV = ROOT / ".venv"
WHEELS = ROOT / "target" / "wheels"
CRATE = ROOT / "envs" / "python"
REQUIREMENTS = CRATE / "requirements.txt"
PYTHON = "3.11"

# torch's CUDA half is linked to these and cannot be left out. On a CPU nothing in them is called.
CUDA_LIBRARIES = (
    "libcublas.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libcufft.so.12", "libcufile.so.0", "libcurand.so.10",
    "libcusparse.so.12", "libcusparseLt.so.0", "libnccl.so.2", "libnvshmem_host.so.3",
)
CUDA_USERS = ("libtorch_cuda.so", "libtorch_nvshmem.so", "libtorch_python.so")
CUDA_FUNCTION = re.compile(r"cublas|cudnn|cufft|cuFile|curand|cusparse|nccl|nvshmem")
STAND_INS = "libcuda_stand_ins.so"


def fail(what, way_out):
    sys.exit(f"python: {what}\n  {way_out}")


def run(*command, **options):
    """Runs a command in the root, and ends here when it fails."""
    command = [str(part) for part in command]
    if subprocess.run(command, cwd=ROOT, **options).returncode != 0:
        fail(f"`{' '.join(command[:4])} …` failed", "see above, then run the same command again")


def stamp():
    """What .venv/ was made from."""
    made_from = [REQUIREMENTS.read_bytes(), Path(__file__).read_bytes(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(made_from)).hexdigest()


def cached_wheels():
    """The wheels that libtorch.py downloaded and that this interpreter takes."""
    cache = libtorch.cache_dir()
    broken = libtorch.broken(cache)
    fits = f"-cp{sys.version_info[0]}{sys.version_info[1]}-"
    return [cache / name for name in libtorch.WHEELS if name not in broken and (fits in name or "-py3-" in name)]


def install():
    """Makes .venv/. The stamp comes last: a broken run is begun anew."""
    shutil.rmtree(VENV, ignore_errors=True)
    print("python: making .venv/", flush=True)
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError:
        fail("this Python makes no virtual environment with pip", "install its venv module, such as python3-venv")
    pip = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    if wheels := cached_wheels():
        run(*pip, *wheels)
    run(*pip, "--requirement", REQUIREMENTS)
    stand_in(next(VENV.glob("lib/python3*/site-packages/torch/lib")))
    (VENV / "made_from").write_text(stamp())


def stand_in(folder):
    """Puts empty libraries in place of CUDA's. A call into them would end the process; a CPU makes none."""
    wanted = set()
    for user in CUDA_USERS:
        nm = ["nm", "-D", "--undefined-only", folder / user]
        table = subprocess.run(nm, capture_output=True, text=True, check=True)
        names = (line.split()[-1].partition("@")[0] for line in table.stdout.splitlines())
        wanted.update(name for name in names if CUDA_FUNCTION.match(name))
    source = "".join(f"void {name}(void) {{ __builtin_trap(); }}\n" for name in sorted(wanted))
    link = ["cc", "-w", "-shared", "-nostdlib", "-Wl,--no-as-needed"]
    run(*link, f"-Wl,-soname,{STAND_INS}", "-o", folder / STAND_INS, "-x", "c", "-", input=source, text=True)
    for name in CUDA_LIBRARIES:
        run(*link, f"-Wl,-soname,{name}", "-Wl,-rpath,$ORIGIN", "-o", folder / name, folder / STAND_INS)


def main():
    if sys.version_info[:2] < (3, 10):
        fail("Python 3.10 or later is needed", f"run this with Python {PYTHON}")
    made_from = VENV / "made_from"
    if not made_from.is_file() or made_from.read_text() != stamp():
        install()
    python = VENV / "bin" / "python"
    shutil.rmtree(WHEELS, ignore_errors=True)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "VIRTUAL_ENV": str(VENV)}
    run(python, "-m", "maturin", "build", "--release", "--locked", "--manifest-path", CRATE / "Cargo.toml",
        "--out", WHEELS, env=environment)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", *WHEELS.glob("*.whl"))
    run(python, "-m", "pytest", "--quiet", CRATE, env=environment)


if __name__ == "__main__":
    main()
