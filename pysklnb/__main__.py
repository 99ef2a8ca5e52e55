"""The command line: ``python -m pysklnb describe FILE``."""

from __future__ import annotations

import argparse
import sys

from .dataset import load


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 2 if the file cannot be opened."""
    parser = argparse.ArgumentParser(
        prog="python -m pysklnb", description="Look at skeleton files without running them."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    describe = commands.add_parser("describe", help="say in words what a file is")
    describe.add_argument("file", help="a skeleton pickle, or a folder of one-video pickles")
    options = parser.parse_args(arguments)
    try:
        ds = load(options.file)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(ds.describe())
    return 0


if __name__ == "__main__":
    sys.exit(main())
