"""`python -m live_check`. See docs/live-check.md."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import boto3

from live_check import run
from live_check.points import POINTS
from live_check.stack import RefusedError


def main(arguments: Sequence[str] | None = None) -> int:
    about = "Tries what AWS does not document in an AWS account."
    parser = argparse.ArgumentParser(prog="python -m live_check", description=about)
    parser.add_argument("--clean", action="store_true", help="remove what earlier runs left, and try nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--points", default="", help="comma-separated names of the points to try (default: all)")
    parser.add_argument("--output", type=Path, default=Path(".live-check"), help="folder of the results")
    parser.add_argument("--origin", default="", help="base URL of the source locations (default: an AWS host)")
    parser.add_argument("--hurry", type=float, default=1, help="shorten all waits by this factor, for the embedded AWS")
    asked = parser.parse_args(arguments)
    names = set(filter(None, asked.points.split(",")))
    if unknown := names - {point.name for point in POINTS}:
        parser.error(f"unknown points: {', '.join(sorted(unknown))}")
    points = [point for point in POINTS if not names or point.name in names]
    session = boto3.Session()
    try:
        if asked.clean:
            return run.clean(session, _confirm("Remove what has the tag? [y/N] ", asked.yes))
        options = run.Options(points, asked.output, asked.origin, asked.hurry)
        return run.start(session, options, _confirm("Create these resources in this account? [y/N] ", asked.yes))
    except RefusedError as error:
        print(f"live-check: {error}", file=sys.stderr)
        return run.REFUSED
    except KeyboardInterrupt:
        print("live-check: interrupted; make live-check-clean removes what is left", file=sys.stderr)
        return run.INTERRUPTED


def _confirm(question: str, is_given: bool) -> Callable[[], bool]:
    """Returns a question to the person. Without a terminal and without --yes, the answer is no."""

    def ask() -> bool:
        if is_given:
            return True
        try:
            return input(question).strip().casefold() in ("y", "yes")
        except EOFError:
            return False

    return ask


if __name__ == "__main__":
    sys.exit(main())
