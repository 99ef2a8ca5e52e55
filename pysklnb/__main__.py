"""The command line: ``python -m pysklnb describe FILE`` and ``python -m pysklnb validate FILE``."""

from __future__ import annotations

import argparse
import io
import sys
from typing import Any

from . import layouts
from .cards import catalog
from .dataset import load
from .validation import UNOPENED, validate


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, 1 if the file has errors, or 2 if it cannot be opened."""
    parser = argparse.ArgumentParser(
        prog="python -m pysklnb", description="Look at skeleton files without running them."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    of_files = argparse.ArgumentParser(add_help=False)
    of_files.add_argument("file", help="a skeleton pickle, or a folder of one-video pickles or kpfiles")
    commands.add_parser("describe", parents=[of_files], help="say in words what a file is")
    check = commands.add_parser(
        "validate",
        parents=[of_files],
        help="say everything that is wrong with a file",
        epilog="Exit status: 0 without errors (there may be warnings and notes), 1 with errors, 2 if the file cannot "
        "be opened.",
    )
    check.add_argument(
        "--dataset", choices=list(catalog), metavar="NAME", help=f"what it is meant to be: {', '.join(catalog)}"
    )
    check.add_argument(
        "--layout",
        choices=layouts.names(),
        metavar="NAME",
        help=f"the layout the joints are meant to have: {', '.join(layouts.names())}",
    )
    check.add_argument("--num-classes", type=int, metavar="K", help="how many classes there are: labels are 0 to K - 1")
    check.add_argument(
        "--kpfiles",
        dest="store",
        metavar="FOLDER",
        help="where the skeletons of a Kinetics index are: look at them too",
    )
    options = vars(parser.parse_args(arguments))
    return _describe(options["file"]) if options.pop("command") == "describe" else _validate(**options)


def _describe(file: str) -> int:
    try:
        ds = load(file)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(ds.describe())
    return 0


def _validate(file: str, **options: Any) -> int:
    try:
        report = validate(file, **options)
    except FileNotFoundError as error:  # of the kpfiles; the file's own is in the report
        print(error, file=sys.stderr)
        return 2
    if not report.clips and UNOPENED & report.counts.keys():
        print(report.findings[0].message, file=sys.stderr)
        return 2
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    # Ids can have characters that the terminal, or the file that is written to, does not know.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
