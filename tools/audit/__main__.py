"""Compares the policies, state machines and templates with AWS's own data, by tools that know nothing of Latchkey."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.audit import calls, conditions, machines, misconfigurations, sizes
from tools.audit.findings import SUPPRESSIONS, Report, read_suppressions, review

ROOT = Path(__file__).parents[2]
CHECKS: dict[str, Callable[[Path], Report]] = {
    module.NAME: module.check for module in (conditions, calls, machines, sizes, misconfigurations)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table for each check and every unexplained finding. Returns the exit code: 1 if there is one."""
    parser = argparse.ArgumentParser(prog="python -m tools.audit", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"{', '.join(CHECKS)}; by default all of them")
    parser.add_argument("--root", type=Path, default=ROOT, help="a copy of the project")
    options = parser.parse_args(arguments)
    if unknown := set(options.checks) - set(CHECKS):
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    names = options.checks or [*CHECKS]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    with ThreadPoolExecutor(max_workers=2) as pool:
        # checkov takes longest, so it starts first.
        running = {
            name: pool.submit(CHECKS[name], options.root)
            for name in sorted(names, key=lambda name: name != misconfigurations.NAME)
        }
        reports = {name: running[name].result() for name in names}
    for report in reports.values():
        console.print(f"\n{report.title}", style="bold")
        console.print(_table(report))
    found = [finding for report in reports.values() for finding in report.findings]
    result = review(found, [known for known in read_suppressions() if known.check in names])
    name = SUPPRESSIONS.relative_to(ROOT)
    print(f"\n{len(found)} findings, {result.explained} of them explained in {name}")
    for finding in result.unexplained:
        print(f"FINDING {finding}")
    for suppression in result.unused:
        print(f"UNUSED {name}: remove the entry that covers no finding: {suppression}")
    return int(bool(result.unexplained or result.unused))


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    for at, heading in enumerate(report.header):
        table.add_column(heading, overflow="fold", justify="right" if _is_number(report, at) else "left")
    for row in report.rows:
        table.add_row(*row)
    return table


def _is_number(report: Report, column: int) -> bool:
    return all(row[column][:1].isdigit() for row in report.rows)


if __name__ == "__main__":
    sys.exit(main())
