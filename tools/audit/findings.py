"""What a check reports, and the suppressions of findings that are right as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from ruamel.yaml import YAML

SUPPRESSIONS = Path(__file__).with_name("suppressions.yaml")


@dataclass(frozen=True)
class Finding:
    """One thing that a check objects to."""

    check: str
    rule: str
    file: str
    where: str  # the statement, state, or resource
    subject: str  # what in it: an action, a key, an expression
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.subject}: {self.reason} [{self.check}/{self.rule}]"


@dataclass(frozen=True)
class Report:
    """The table of a check and its findings."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Suppression:
    """Findings that are right as they are, with the reason. `*` in a member matches any characters."""

    check: str
    rule: str
    reason: str
    file: str = "*"
    where: str = "*"
    subject: str = "*"

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one of these."""
        return (
            finding.check == self.check
            and finding.rule == self.rule
            and fnmatchcase(finding.file, self.file)
            and fnmatchcase(finding.where, self.where)
            and fnmatchcase(finding.subject, self.subject)
        )

    def __str__(self) -> str:
        return f"{self.check}/{self.rule}: {self.file}: {self.where}: {self.subject}"


@dataclass(frozen=True)
class Review:
    """The findings that no suppression covers, and the suppressions that cover no finding."""

    unexplained: list[Finding] = field(default_factory=list)
    unused: list[Suppression] = field(default_factory=list)
    explained: int = 0


def read_suppressions(path: Path = SUPPRESSIONS) -> list[Suppression]:
    """The suppressions of a file. Raises ValueError if one has no reason."""
    read = [Suppression(**entry) for entry in YAML(typ="safe").load(path.read_text(encoding="utf-8"))]
    without = [str(suppression) for suppression in read if not suppression.reason.strip()]
    if without:
        raise ValueError(f"{path.name}: add a reason to {'; '.join(without)}")
    return read


def review(findings: Iterable[Finding], suppressions: Iterable[Suppression]) -> Review:
    """Compares the findings of checks with the suppressions for these checks."""
    found, known = [*findings], [*suppressions]
    unexplained = [finding for finding in found if not any(s.covers(finding) for s in known)]
    unused = [suppression for suppression in known if not any(suppression.covers(finding) for finding in found)]
    return Review(unexplained, unused, len(found) - len(unexplained))
