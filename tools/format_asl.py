"""Formats the state machine definitions as canonical JSON: two-space indentation, one member a line.

This is the form that Workflow Studio exports, so that a definition survives the round trip and a diff shows one change a line.
Members keep their order.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STATE_MACHINES = Path(__file__).parents[1] / "statemachine"


def formatted(text: str) -> str:
    """Returns a JSON document in canonical form. Raises ValueError if it is not JSON or an object names a member twice."""
    return json.dumps(json.loads(text, object_pairs_hook=_object), indent=2, ensure_ascii=False) + "\n"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"duplicate member {', '.join(duplicates)}")
    return members


def main(arguments: Sequence[str] | None = None) -> int:
    """Formats the files, or only names those that are not formatted. Returns the exit code: 1 if a file needs attention."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is not formatted")
    parser.add_argument("files", nargs="*", type=Path, help="by default every definition in statemachine/")
    options = parser.parse_args(arguments)
    failed = False
    for path in options.files or sorted(STATE_MACHINES.glob("*.asl.json")):
        text = path.read_text(encoding="utf-8")
        try:
            canonical = formatted(text)
        except ValueError as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed = True
            continue
        if text == canonical:
            continue
        if options.check:
            print(f"{path} is not formatted: run make format", file=sys.stderr)
            failed = True
        else:
            path.write_text(canonical, encoding="utf-8")
            print(f"formatted {path}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
