#!/usr/bin/env python3
"""Finds a PostgreSQL server for the tests, or installs one into target/postgres/, and prints the folder of its programs.

Usage: export TRADEWIND_POSTGRES_BIN=$(scripts/postgres.py)
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = ROOT / "target" / "postgres"
PACKAGE = "pgserver==0.1.4"


def places():
    named = os.environ.get("TRADEWIND_POSTGRES_BIN")
    if named:
        yield Path(named)
    found = shutil.which("initdb")
    if found:
        yield Path(found).parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    yield from INSTALLED.glob("pgserver/pginstall/bin")


def main():
    found = next((place for place in places() if (place / "initdb").is_file()), None)
    if found is None:
        print("no PostgreSQL server here: installing one into target/postgres/", file=sys.stderr)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(INSTALLED), PACKAGE]
        subprocess.run(install, check=True, stdout=sys.stderr)
        found = next((place for place in places() if (place / "initdb").is_file()), None)
    if found is None:
        sys.exit("no PostgreSQL server could be installed: install your system's package, then run this again")
    print(found)


if __name__ == "__main__":
    main()
