#!/usr/bin/env python3
"""Finds an S3 server for the tests (moto), or installs it into target/s3/, and prints its folder.

Usage: export TRADEWIND_S3_SERVER=$(scripts/s3.py)
       scripts/s3.py serve    prints the address of a server with a bucket `tradewind`, and ends with its stdin
"""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = ROOT / "target" / "s3"
PACKAGES = ("moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5")
BUCKET = "tradewind"


def found():
    places = [Path(named)] if (named := os.environ.get("TRADEWIND_S3_SERVER")) else [INSTALLED]
    return next((place for place in places if (place / "moto" / "server.py").is_file()), None)


def install():
    print("no S3 server here: installing one into target/s3/", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(INSTALLED), *PACKAGES]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return INSTALLED


def serve(folder):
    sys.path.insert(0, str(folder))
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT")).close()
    print(url, flush=True)
    sys.stdin.read()


def main():
    folder = found()
    if sys.argv[1:] == ["serve"]:
        if folder is None:
            sys.exit("no S3 server: `python3 scripts/s3.py` installs one")
        serve(folder)
    else:
        print(folder or install())


if __name__ == "__main__":
    main()
