"""The kinds of findings in docs/findings.md are those of the catalog."""

from collections.abc import Callable
from pathlib import Path

from latchkey.access.findings import CATALOG, Finding
from tests.contract.artifacts import ROOT

PAGE = ROOT / "docs/findings.md"


def _yes(*, blocks: bool) -> str:
    return "yes" if blocks else "no"


def test_the_page_lists_every_kind(agrees_in: Callable[[Path, str, str], None]) -> None:
    rows = [
        f"| `{kind.value}` | {facts.meaning} | {facts.severity} | {facts.remediation} | {_yes(blocks=facts.blocks_repair)} |"
        for kind, facts in CATALOG.items()
    ]
    head = ["| Kind | Meaning | Severity | Remediation | Blocks repairs |", "|---|---|---|---|---|"]

    agrees_in(PAGE, "kinds", "\n".join([*head, *rows, ""]))


def test_the_page_explains_every_member() -> None:
    text = PAGE.read_text()
    members = {field.alias or name for name, field in Finding.model_fields.items()} - {"passed", "result"}

    assert not [member for member in members if f"`{member}`" not in text]
