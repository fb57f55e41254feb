"""What exceeds a limit of AWS is found, and so is a misconfiguration in a template."""

from pathlib import Path

import pytest

from tests.audit.conftest import Plant
from tools.audit import misconfigurations, sizes


def limits(folder: Path) -> set[str]:
    return {finding.subject for finding in sizes.check(folder).findings if finding.rule == "limit"}


@pytest.mark.parametrize(
    ("kind", "file", "text", "by"),
    [
        (
            "managed policy",
            "template.yaml",
            "- kms:CreateAlias\n",
            "- kms:CreateAlias\n" + "              - kms:CreateAlias\n" * 300,
        ),
        (
            "inline policies of a role",
            "template.yaml",
            "dynamodb:LeadingKeys: [access, request, resource]",
            f"dynamodb:LeadingKeys: [{'a' * 10_000}]",
        ),
        ("trust policy", "tests/policies/systems/mediapackage/role.json", '"TheServiceForThisAccount"', f'"{"A" * 2_000}"'),
        ("bus policy", "docs/security.md", "SportsSendsRequests", "S" * 9_700),
        (
            "environment of a function",
            "template.yaml",
            "STACK_NAME: !Ref AWS::StackName",
            f"STACK_NAME: {'n' * 4_000}",
        ),
        ("template, in S3", "observability.yaml", "Resources:\n", f"# {'x' * 1_100_000}\nResources:\n"),
        ("template, in the request", "samconfig.toml", "resolve_s3 = true", "resolve_s3 = false"),
        ("state machine definition", "statemachine/end-request.asl.json", '"Comment": "', f'"Comment": "{"x" * 300_000}'),
    ],
    ids=lambda value: value if len(value) < 40 and "." not in value and ":" not in value else "",
)
def test_what_is_too_large_is_found(plant: Plant, kind: str, file: str, text: str, by: str) -> None:
    assert kind in limits(plant(file, text, by))


def test_a_list_of_any_length_in_the_environment_is_found(plant: Plant) -> None:
    copy = plant("template.yaml", "    MaxLength: 580\n", "")

    assert [finding.where for finding in sizes.check(copy).findings if finding.rule == "unbounded"] == ["AllowedOriginHosts"]


def test_the_largest_request_fits_only_just() -> None:
    """With names of 64 characters and full lists. If this key policy grows, requests that fit today are rejected."""
    budgets = {budget.kind: budget for budget in sizes.measure(Path(__file__).parents[2])}

    assert budgets["key policy"].used <= budgets["key policy"].limit


def test_a_misconfiguration_is_found(plant: Plant) -> None:
    copy = plant("template.yaml", "PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false")

    assert ("CKV_AWS_28", "AccessTable") in {
        (finding.rule, finding.where) for finding in misconfigurations.check(copy).findings
    }
