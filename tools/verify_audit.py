"""Verifies an export of audit records: finds records that were changed, removed, inserted or moved, and ends that were cut off.

    PYTHONPATH=layers/latchkey python -m tools.verify_audit 2026-11-28T00-47-03.771400Z.jsonl [--earlier EARLIER.heads.json]

The heads of the chains are next to the records, in `….heads.json`. With `--earlier`, every chain must continue the one of an
earlier export, so that a history that was written again is found as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from latchkey.access.audit_record import ChainedRecord, ChainHead
from latchkey.audit.chain import Problem, continuation_problems, heads_of, problems_of
from latchkey.audit.ocsf import event_of, record_of
from latchkey.place import Place


def problems_in(lines: Iterable[str], heads: dict[str, ChainHead], earlier: dict[str, ChainHead]) -> list[Problem]:
    """Everything that is wrong with an export. A chain is verified in the order of its lines."""
    chains: dict[str, list[ChainedRecord]] = {name: [] for name in (*heads, *earlier)}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            record = record_of(event)
            access_id = str(json.loads(record.text)["accessId"])
            place = Place(partition="aws", account=event["cloud"]["account"]["uid"], region=event["cloud"]["region"])
            is_as_exported = event_of(record, place) == event
        except (ValueError, KeyError, TypeError):
            problems.append(Problem("", number, f"line {number} contains no audit record"))
            continue
        if not is_as_exported:
            problems.append(Problem(access_id, record.number, "was changed: the members of the event do not fit its record"))
        chains.setdefault(access_id, []).append(record)
    for access_id, records in chains.items():
        problems += problems_of(access_id, records, heads.get(access_id))
        problems += continuation_problems(access_id, records, earlier[access_id]) if access_id in earlier else []
    return problems


def main(arguments: Sequence[str]) -> int:
    """Prints each problem and returns 1, or returns 0 if there is none."""
    parser = argparse.ArgumentParser(prog="python -m tools.verify_audit", description="Verifies an export of audit records.")
    parser.add_argument("file", type=Path, help="the records, audit/….jsonl")
    parser.add_argument("--heads", type=Path, help="the heads of the chains; by default, ….heads.json next to the records")
    parser.add_argument("--earlier", type=Path, help="the heads of an earlier export")
    given = parser.parse_args(arguments)
    heads = given.heads or given.file.with_suffix(".heads.json")
    with given.file.open() as lines:
        earlier = heads_of(given.earlier.read_bytes()) if given.earlier else {}
        problems = problems_in(lines, heads_of(heads.read_bytes()), earlier)
    for one in problems:
        print(f"{one.access_id or given.file} {one.number}: {one.problem}")
    print(f"{len(problems)} problems" if problems else "every chain is complete and unchanged")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
