"""Adobe Experience Platform: the accepted partner statements, and the handoff."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey import policies
from latchkey.errors import InvalidRequest
from latchkey.place import Place
from latchkey.requests.parsing import parse_onboarding
from latchkey.systems.adobe_experience_platform import ADOBE_EXPERIENCE_PLATFORM
from tests.unit.samples import ACCOUNT, KEY_ARN, MISSING, PARTNERS, PLACE, desired, detail, partner_statement

KIND = "adobe-experience-platform"
AT = "resource.partnerStatements.0"
ROOT = f"arn:aws:iam::{PARTNERS[0]}:root"
ACTIONS = partner_statement(PARTNERS[0])["Action"]

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "everyone": ({f"{AT}.Principal": {"AWS": "*"}}, f"{AT}.Principal.AWS"),
    "everyone without a kind": ({f"{AT}.Principal": "*"}, f"{AT}.Principal"),
    "any account": ({f"{AT}.Principal.AWS": "arn:aws:iam::*:root"}, f"{AT}.Principal.AWS"),
    "a role": ({f"{AT}.Principal.AWS": f"arn:aws:iam::{PARTNERS[0]}:role/A"}, f"{AT}.Principal.AWS"),
    "two accounts": ({f"{AT}.Principal.AWS": [ROOT, ROOT]}, f"{AT}.Principal.AWS"),
    "an additional service": ({f"{AT}.Principal.Service": "s3.amazonaws.com"}, f"{AT}.Principal.Service"),
    "a misspelled member": ({f"{AT}.condition": {}}, f"{AT}.condition"),
    "another effect": ({f"{AT}.Effect": "Deny"}, f"{AT}.Effect"),
    "all actions": ({f"{AT}.Action": ["kms:*"]}, f"{AT}.Action"),
    "one action": ({f"{AT}.Action": "kms:Decrypt"}, f"{AT}.Action"),
    "an additional action": ({f"{AT}.Action": [*ACTIONS, "kms:PutKeyPolicy"]}, f"{AT}.Action"),
    "a missing action": ({f"{AT}.Action": ACTIONS[1:]}, f"{AT}.Action"),
    "no action": ({f"{AT}.Action": []}, f"{AT}.Action"),
    "one key": ({f"{AT}.Resource": KEY_ARN}, f"{AT}.Resource"),
    "no condition": ({f"{AT}.Condition": MISSING}, f"{AT}.Condition"),
    "an empty condition": ({f"{AT}.Condition": {}}, f"{AT}.Condition.StringEquals"),
    "another operator": ({f"{AT}.Condition.StringLike": {"aws:PrincipalAccount": "*"}}, f"{AT}.Condition.<name>"),
    "another condition": (
        {f"{AT}.Condition.StringEquals.kms:CallerAccount": PARTNERS[0]},
        f"{AT}.Condition.StringEquals.<name>",
    ),
    "any account in the condition": (
        {f"{AT}.Condition.StringEquals.aws:PrincipalAccount": "*"},
        f"{AT}.Condition.StringEquals.aws:PrincipalAccount",
    ),
    "another account in the condition": ({f"{AT}.Condition.StringEquals.aws:PrincipalAccount": ACCOUNT}, AT),
    "a negated principal": ({f"{AT}.NotPrincipal": {"AWS": ROOT}}, f"{AT}.NotPrincipal"),
    "a Sid with a bracket": ({f"{AT}.Sid": "Enable (IAM)"}, f"{AT}.Sid"),
    "two of one account": (
        {"resource.partnerStatements": [partner_statement(PARTNERS[0]), partner_statement(PARTNERS[0], "Other")]},
        "resource.partnerStatements",
    ),
    "no statement": ({"resource.partnerStatements": []}, "resource.partnerStatements"),
    "a resource to configure": ({"resource.configure": True}, "resource.configure"),
    "an invalid Region": ({"resource.instanceRegion": "VA7"}, "resource.instanceRegion"),
    "an instance with a slash": ({"resource.instance": "a/b"}, "resource.instance"),
    "a secret": ({"secret": {}}, "detail"),
    "managers": ({"managementRoles": [f"arn:aws:iam::{ACCOUNT}:role/A"]}, "detail"),
}


@pytest.mark.parametrize(("changes", "path"), BAD.values(), ids=BAD)
def test_a_different_statement_is_rejected(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_onboarding(detail(changes, KIND))
    [problem] = refused.value.problems
    assert problem.path == path


def test_the_documented_statements_are_accepted_and_kept() -> None:
    sent = detail(kind=KIND)
    request = parse_onboarding(sent)
    assert request.wire == sent
    assert [statement.account for statement in request.resource.partner_statements] == [*PARTNERS]


def test_a_statement_needs_no_sid_and_its_actions_no_order() -> None:
    changed = desired({f"{AT}.Sid": MISSING, f"{AT}.Action": ACTIONS[::-1]}, KIND)
    assert changed.key_statements == desired(kind=KIND).key_statements


def test_the_root_statement_stays_when_the_partner_uses_its_sid() -> None:
    page = {"Version": "2012-10-17", "Statement": [policies.delegation(PLACE) | {"Sid": "Enable IAM User Permissions"}]}
    merged = policies.merge(page, desired(kind=KIND).key_statements)
    assert merged["Statement"][0] == page["Statement"][0]
    assert policies.delegates_to_iam(merged, PLACE)
    assert len(merged["Statement"]) == 1 + len(PARTNERS)


@pytest.mark.parametrize(("region", "wrong"), [("eu-west-1", False), ("us-east-1", True)])
def test_the_key_must_be_in_the_region_of_the_instance(region: str, wrong: bool) -> None:
    rules = desired({"resource.instanceRegion": region}, KIND).resource.wrong_location(PLACE)
    assert [*rules] == (["instanceRegion"] if wrong else [])
    assert (
        desired({"resource.instanceRegion": region}, KIND).resource.wrong_location(
            Place(partition="aws", account=ACCOUNT, region=region)
        )
        == {}
    )


@pytest.mark.parametrize(("instance", "name"), [(None, "eu-west-1"), ("stage", "stage")])
def test_the_name_of_an_instance_is_its_region_by_default(instance: str | None, name: str) -> None:
    assert desired({"resource.instance": instance}, KIND).resource.name == name


def test_the_handoff_contains_the_key() -> None:
    handoff = ADOBE_EXPERIENCE_PLATFORM.handoff(desired(kind=KIND).resource, None, KEY_ARN, PLACE)
    assert handoff.values == {"KMS key ARN": KEY_ARN, "Region": "eu-west-1"}
    assert handoff.cloud_formation is None
    assert "Handoff Confirmed" in handoff.steps[-1]


def test_the_key_serves_one_access_permanently() -> None:
    assert ADOBE_EXPERIENCE_PLATFORM.key_is_exclusive
    assert (ADOBE_EXPERIENCE_PLATFORM.configuration, ADOBE_EXPERIENCE_PLATFORM.granted) == (None, None)
