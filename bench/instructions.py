#!/usr/bin/env python3
"""Counts the instructions that answering a query takes, with callgrind.

The count is the same on a busy machine and on a quiet one, so it tells whether a change made an answer
cheaper or dearer where times can't. Printed are instructions by query of each kind: the difference between
runs with many queries and with few, divided by the number of queries between them.

Needs: Debian's valgrind.
Usage: bench/instructions.py [--services 2000]
"""

import argparse
import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = ["A", "SRV", "NXDOMAIN"]
FEW, MANY = 1000, 11000


def build():
    """Builds the benchmark; returns the path of its program."""
    out = subprocess.run(
        ["cargo", "bench", "--bench", "respond", "--no-run"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ROOT / re.search(r"\((target/\S+respond-\w+)\)", out.stderr)[1]


def instructions(program, kind, services, queries):
    with tempfile.TemporaryDirectory() as directory:
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out",
            program, str(services), str(queries), kind,
        ]
        # The program stands at the same addresses in every run; what chance is left is in the seeds of maps.
        run = subprocess.run(
            ["setarch", "-R", *map(str, command)], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
        )
        found = re.search(r"Collected : (\d+)", run.stderr)
        if run.returncode != 0 or not found:
            raise SystemExit(run.stderr)
        return int(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--services", type=int, default=2000)
    args = parser.parse_args()
    program = build()
    print("| query | instructions |")
    print("|---|---|")
    for kind in KINDS:
        few, many = (instructions(program, kind, args.services, queries) for queries in (FEW, MANY))
        print(f"| {kind} | {(many - few) / (MANY - FEW):,.0f} |")


if __name__ == "__main__":
    main()
