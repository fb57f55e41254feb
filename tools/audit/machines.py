"""Validates the state machine definitions, and evaluates every JSONata expression in them with AWS-compatible tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tools.audit import node
from tools.audit.findings import Finding, Report
from tools.audit.template import whole

NAME = "machines"
WALKS = Path(__file__).with_name("walks.yaml")


def check(root: Path) -> Report:
    """Checks the definitions of the project in this folder."""
    return check_machines(definitions(root), walks())


def check_machines(machines: dict[str, Any], walked: Iterable[dict[str, Any]]) -> Report:
    """Checks these definitions, by file."""
    answer = node.run("machines.mjs", {"machines": machines, "walks": [*walked]})
    findings = [Finding(check=NAME, **finding) for finding in answer["findings"]]
    header = ["states", "expressions", "evaluated", "walks"]
    rows = [[file, *(str(count[name]) for name in header)] for file, count in sorted(answer["counts"].items())]
    return Report("State machines, by asl-validator and jsonata", ["definition", *header], rows, findings)


def definitions(root: Path) -> dict[str, Any]:
    """The definitions with the ARNs that the template substitutes, by file."""
    template = whole(root)
    found = {}
    for name, machine in template.of_type("AWS::StepFunctions::StateMachine").items():
        file = template.source["Resources"][name]["Properties"]["DefinitionUri"]
        text = (root / file).read_text(encoding="utf-8")
        for variable, arn in machine["DefinitionSubstitutions"].items():
            text = text.replace(f"${{{variable}}}", arn)
        found[file] = json.loads(text)
    return found


def walks(path: Path = WALKS) -> list[dict[str, Any]]:
    """The walks through the definitions: an input, the results of the tasks, and what has to follow."""
    read: list[dict[str, Any]] = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return read
