"""Runs the workflow tests under each value of each switch of the embedded AWS, and prints a table of the results.

    python tools/try_assumptions.py [--only SWITCH[=VALUE]] [arguments of pytest]

The values come from the declaration of the switches. The defaults are left out: `make test` runs under them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_aws.emulator.assumptions import BASE_VARIABLE, values_to_try

_ALL_TESTS = ("tests/workflow", "-n", "3", "--dist", "loadscope")


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 if a test failed under a value, 2 if no value was selected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="a switch, or a switch and its value as JSON or text")
    options, for_pytest = parser.parse_known_args(arguments)
    selected = [values for values in values_to_try() if not options.only or any(_matches(values, one) for one in options.only)]
    if not selected:
        print(f"no switch has the value {' or '.join(options.only)}", file=sys.stderr)
        return 2
    rows = [(name_of(values), *_run(values, for_pytest or list(_ALL_TESTS))) for values in selected]
    width = max(len(name) for name, *_ in rows)
    for name, status, counts in rows:
        print(f"{name:<{width}}  {'passed' if status == 0 else 'FAILED'}  {counts}")
    return int(any(status for _, status, _ in rows))


def name_of(values: Mapping[str, Any]) -> str:
    """The switch and its value, such as `grantForm=role`."""
    return ", ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items())


def _matches(values: Mapping[str, Any], wanted: str) -> bool:
    switch, _, value = wanted.partition("=")
    return switch in values and (not value or name_of(values) == wanted)


def _run(values: Mapping[str, Any], arguments: list[str]) -> tuple[int, str]:
    """The exit status of pytest under these values, and the numbers of tests by result."""
    print(f"--- {name_of(values)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", *arguments, f"--junitxml={report}"]
        done = subprocess.run(command, env=os.environ | {BASE_VARIABLE: json.dumps(values)}, check=False)  # noqa: S603  a fixed program without a shell
        [suite] = ET.parse(report).getroot() if report.exists() else [ET.Element("testsuite")]  # noqa: S314  pytest wrote it
    counts = [f"{suite.get(name, '0')} {name}" for name in ("tests", "failures", "errors", "skipped")]
    return done.returncode, ", ".join(counts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
