"""What is wrong with our statements in a policy. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from latchkey import policies
from latchkey.access.findings.finding import finding
from latchkey.events.findings import Finding, FindingKind, Severity
from latchkey.policies import Document, Statement


@dataclass(frozen=True)
class StatementKinds:
    """The kinds of findings about our statements in one policy. `lost` are the checks without which the service cannot read."""

    missing: FindingKind
    altered: FindingKind
    lost: Collection[str] = ()


def statement_findings(
    document: Document | None, by_check: Mapping[str, Sequence[Statement]], kinds: StatementKinds
) -> Iterator[Finding]:
    """One finding for each statement of ours that is missing or altered, whatever number of checks fail for it."""
    lacking: dict[str, list[tuple[str, Statement]]] = {}
    for name, statements in by_check.items():
        for statement in statements:
            if policies.missing_from(document, [statement]):
                lacking.setdefault(statement["Sid"], []).append((name, statement))
    for sid, failed in lacking.items():
        present = [statement for statement in policies.own_statements(document) if statement["Sid"] == sid]
        names = [*dict.fromkeys(name for name, _ in failed)]
        critical: Severity | None = "critical" if {*names} & {*kinds.lost} else "high"
        wanted = [statement for _, statement in failed]
        if not present:
            nothing = "" if document else "there is no policy: "
            yield finding(kinds.missing, f"{nothing}{sid} is missing{_for(names)}", name=names[0], severity=critical)
            continue
        deleted = policies.deleted_in_own(document, [sid])
        texts = [*_differences(present, wanted), *([f"names the deleted principals {', '.join(deleted)}"] if deleted else [])]
        # A Deny of somebody with our Sid cannot be merged.
        denies = any(statement.get("Effect") != "Allow" for statement in present)
        yield finding(
            kinds.altered,
            f"{sid}: {'; '.join(texts)}{_for(names)}",
            name=names[0],
            severity=critical,
            remediation="tell" if denies else None,
        )


def _differences(present: Sequence[Statement], wanted: Iterable[Statement]) -> list[str]:
    """The differences of the present statement that is most like the wanted ones. A Sid can occur twice."""
    needed = policies.union([[*wanted]])
    return min((policies.differences(one, statement) for one in present for statement in needed), key=len)


def _for(names: Sequence[str]) -> str:
    return f" (fails: {', '.join(names)})" if len(names) > 1 else ""
