"""The results as assumptions.json and as a Markdown report for an issue. Account ids are masked in both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore

from live_check import unsettled
from live_check.answers import Finding, Value
from live_check.evidence import masked
from live_check.names import Run


@dataclass(frozen=True)
class Result:
    """A run that has ended. Times are in UTC. `left` lists what could not be removed."""

    run: Run
    started: str
    ended: str
    findings: Sequence[Finding]
    left: Sequence[str]


def switches(findings: Sequence[Finding]) -> dict[str, Any]:
    """Returns the found values in the format of PUT /_local/assumptions of the embedded AWS.

    If two points settle one switch, the first decides. A switch like `sourceAccountSent.mediapackage` becomes a nested member.
    """
    found: dict[str, Any] = {}
    for finding in findings:
        if finding.switch is None or finding.answer is None:
            continue
        name, _, member = finding.switch.partition(".")
        if member:
            found.setdefault(name, {}).setdefault(member, finding.answer.value)
        else:
            found.setdefault(name, finding.answer.value)
    return found


def as_json(result: Result) -> dict[str, Any]:
    points = [
        {
            "point": finding.point,
            "register": finding.register,
            "switch": finding.switch,
            "question": finding.question,
            "source": finding.source,
            "settled": finding.answer is not None,
            **({"value": finding.answer.value, "seen": finding.answer.seen} if finding.answer else {"reason": finding.reason}),
            "seconds": finding.seconds,
            "evidence": finding.evidence.as_json(),
        }
        for finding in result.findings
    ]
    document = {
        "run": result.run.id,
        "region": result.run.region,
        "partition": result.run.partition,
        "started": result.started,
        "ended": result.ended,
        "botocore": botocore.__version__,
        "switches": switches(result.findings),
        "points": points,
        "notAsked": [{"register": number, "reason": reason} for number, reason in unsettled.POINTS.items()],
        "left": list(result.left),
    }
    found: dict[str, Any] = masked(document, result.run.account)
    return found


def as_markdown(result: Result) -> str:
    settled = [finding for finding in result.findings if finding.answer]
    lines = [
        "# Live check of Latchkey's assumptions",
        "",
        f"Region {result.run.region}, partition {result.run.partition}, {result.started} to {result.ended}, "
        f"botocore {botocore.__version__}. {len(settled)} of {len(result.findings)} points are settled.",
        "",
        "| Register | Point | Switch | Value | Seen |",
        "|---|---|---|---|---|",
        *(_row(finding) for finding in result.findings),
        "",
        "## Questions",
        "",
        *(f"- {finding.register}, `{finding.point}`: {finding.question} <{finding.source}>" for finding in result.findings),
        "",
        "## Not asked",
        "",
        *(f"- {number}: {reason}" for number, reason in unsettled.POINTS.items()),
        "",
        "Attach `assumptions.json`, which has every call with its time, status, error code and request id.",
        "",
    ]
    if result.left:
        lines += ["## Not removed", "", *(f"- {item}" for item in result.left), ""]
    return str(masked("\n".join(lines), result.run.account))


def _row(finding: Finding) -> str:
    if finding.answer is None:
        value, seen = "not settled", finding.reason
    else:
        value, seen = f"`{shown(finding.answer.value)}`", finding.answer.seen
    seen = seen.replace("|", "\\|").replace("\n", " ")
    return f"| {finding.register} | `{finding.point}` | {f'`{finding.switch}`' if finding.switch else ''} | {value} | {seen} |"


def shown(value: Value) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def write(result: Result, folder: Path) -> tuple[Path, Path]:
    """Writes both files and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, report = folder / "assumptions.json", folder / "live-check.md"
    data.write_text(json.dumps(as_json(result), indent=2) + "\n")
    report.write_text(as_markdown(result))
    return data, report
