"""Compares every policy with AWS's service authorization data: actions, resource types, condition keys, and operators."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tools.audit import node
from tools.audit.findings import Finding, Report
from tools.audit.policies import Policy, policies

NAME = "conditions"


def check(root: Path) -> Report:
    """Compares the policies of the project in this folder."""
    return check_policies(policies(root))


def check_policies(documents: list[Policy]) -> Report:
    """Compares these policies."""
    answer = node.run("conditions.mjs", [asdict(policy) for policy in documents])
    findings = [Finding(check=NAME, **finding) for finding in answer["findings"]]
    kinds = Counter(f"{policy.file.partition('/')[0]}: {policy.kind}" for policy in documents)
    rows = [[kind, str(count)] for kind, count in sorted(kinds.items())]
    total = [
        ["statements", str(answer["statements"])],
        ["actions", str(answer["actions"])],
        ["conditions", str(answer["conditions"])],
    ]
    return Report(
        "Policies, compared with AWS's service authorization data", ["documents", "number"], [*rows, *total], findings
    )
