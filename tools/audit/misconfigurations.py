"""Runs checkov over the templates."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tools.audit.findings import Finding, Report
from tools.audit.node import ENVIRONMENT

NAME = "checkov"
TEMPLATES = ("template.yaml", "observability.yaml", "subscriber.yaml", "central.yaml", "stackset.yaml")


def check(root: Path) -> Report:
    """Runs every check of checkov for CloudFormation and SAM. Raises RuntimeError if it does not run."""
    named = [argument for template in TEMPLATES for argument in ("-f", template)]
    options = ["--framework", "cloudformation", "--output", "json", "--skip-download", "--quiet", "--compact", "--soft-fail"]
    command = [str(ENVIRONMENT / "checkov"), *named, *options]
    done = subprocess.run(command, check=False, cwd=root, capture_output=True, text=True, timeout=300)  # noqa: S603  a fixed program
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"checkov: {done.stderr.strip()}")
    [answer] = _listed(json.loads(done.stdout))
    if answer["summary"]["parsing_errors"]:
        raise RuntimeError(f"checkov cannot read one of {', '.join(TEMPLATES)}")
    failed = answer["results"]["failed_checks"]
    findings = [
        Finding(
            NAME,
            one["check_id"],
            one["file_path"].lstrip("/"),
            one["resource"].rpartition(".")[2],
            one["resource"],
            one["check_name"],
        )
        for one in failed
    ]
    rules = sorted({(finding.rule, finding.reason) for finding in findings})
    counts = [[rule, reason, str(sum(finding.rule == rule for finding in findings))] for rule, reason in rules]
    passed = ["passed", "every other check", str(answer["summary"]["passed"])]
    return Report("Misconfigurations, by checkov", ["check", "what it wants", "resources"], [*counts, passed], findings)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
