"""`make audit` fails on a planted mistake, names it, and accepts a mistake only with a reason."""

from pathlib import Path

import pytest

from tests.audit.conftest import ROOT, Plant
from tools.audit.__main__ import main
from tools.audit.findings import Finding, Suppression, read_suppressions, review

FOUND = Finding("conditions", "key", "template.yaml", "Shared statement 1", "aws:Nothing", "no such condition key")


def test_a_planted_mistake_fails_the_command_and_is_named(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    copy = plant("template.yaml", "secretsmanager:RecoveryWindowInDays", "secretsmanager:Window")

    assert main(["conditions", "--root", str(copy)]) == 1
    [finding] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FINDING")]
    assert all(
        part in finding
        for part in ("template.yaml", "DeleteSecretFunctionRole statement", "secretsmanager:Window", "conditions/key")
    )


def test_an_unknown_check_is_an_error() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["spelling"])

    assert ended.value.code == 2


def test_a_suppression_covers_the_findings_that_it_names() -> None:
    assert review([FOUND], [Suppression("conditions", "key", "a reason", subject="aws:*")]).unexplained == []


@pytest.mark.parametrize(
    "known",
    [
        Suppression("conditions", "action", "a reason"),
        Suppression("calls", "key", "a reason"),
        Suppression("conditions", "key", "a reason", file="docs/*"),
        Suppression("conditions", "key", "a reason", where="Shared statement 2"),
        Suppression("conditions", "key", "a reason", subject="aws:Something"),
    ],
    ids=["rule", "check", "file", "where", "subject"],
)
def test_a_suppression_covers_no_other_finding(known: Suppression) -> None:
    result = review([FOUND], [known])

    assert (result.unexplained, result.unused) == ([FOUND], [known])


def test_a_suppression_without_a_reason_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "suppressions.yaml"
    file.write_text("- {check: checkov, rule: CKV_AWS_115, reason: ' '}\n")

    with pytest.raises(ValueError, match="CKV_AWS_115"):
        read_suppressions(file)


def test_the_lock_file_of_npm_contains_no_address_of_a_registry() -> None:
    assert '"resolved"' not in (ROOT / "tools/audit/package-lock.json").read_text()
