"""Adobe Experience Platform: statements taken as its page shows them and in no other form, and what is left to a person."""

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
ONLY = "must hold exactly kms:CreateGrant, kms:Decrypt, kms:DescribeKey, kms:Encrypt, kms:GenerateDataKey*, kms:ReEncrypt*"
ACTIONS = partner_statement(PARTNERS[0])["Action"]

BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "everyone": ({f"{AT}.Principal": {"AWS": "*"}}, f"{AT}.Principal.AWS", "pattern"),
    "everyone without a kind": ({f"{AT}.Principal": "*"}, f"{AT}.Principal", "must be an object"),
    "any account": ({f"{AT}.Principal.AWS": "arn:aws:iam::*:root"}, f"{AT}.Principal.AWS", "pattern"),
    "a role": ({f"{AT}.Principal.AWS": f"arn:aws:iam::{PARTNERS[0]}:role/A"}, f"{AT}.Principal.AWS", "pattern"),
    "two accounts": ({f"{AT}.Principal.AWS": [ROOT, ROOT]}, f"{AT}.Principal.AWS", "must be text"),
    "a service beside it": (
        {f"{AT}.Principal.Service": "s3.amazonaws.com"},
        f"{AT}.Principal.Service",
        "is not a member here",
    ),
    "a misspelt member": ({f"{AT}.condition": {}}, f"{AT}.condition", "did you mean Condition?"),
    "another effect": ({f"{AT}.Effect": "Deny"}, f"{AT}.Effect", "must be 'Allow'"),
    "all actions": ({f"{AT}.Action": ["kms:*"]}, f"{AT}.Action", ONLY),
    "one action": ({f"{AT}.Action": "kms:Decrypt"}, f"{AT}.Action", "must be a list"),
    "an action more": ({f"{AT}.Action": [*ACTIONS, "kms:PutKeyPolicy"]}, f"{AT}.Action", ONLY),
    "an action less": ({f"{AT}.Action": ACTIONS[1:]}, f"{AT}.Action", ONLY),
    "no action": ({f"{AT}.Action": []}, f"{AT}.Action", ONLY),
    "one key": ({f"{AT}.Resource": KEY_ARN}, f"{AT}.Resource", "must be '*'"),
    "no condition": ({f"{AT}.Condition": MISSING}, f"{AT}.Condition", "is missing"),
    "an empty condition": ({f"{AT}.Condition": {}}, f"{AT}.Condition.StringEquals", "is missing"),
    "another operator": (
        {f"{AT}.Condition.StringLike": {"aws:PrincipalAccount": "*"}},
        f"{AT}.Condition.<name>",
        "is not a member here",
    ),
    "another condition": (
        {f"{AT}.Condition.StringEquals.kms:CallerAccount": PARTNERS[0]},
        f"{AT}.Condition.StringEquals.<name>",
        "is not a member here",
    ),
    "any account in the condition": (
        {f"{AT}.Condition.StringEquals.aws:PrincipalAccount": "*"},
        f"{AT}.Condition.StringEquals.aws:PrincipalAccount",
        "pattern",
    ),
    "another account in the condition": (
        {f"{AT}.Condition.StringEquals.aws:PrincipalAccount": ACCOUNT},
        AT,
        "must name the same account in Principal and Condition",
    ),
    "a negated principal": ({f"{AT}.NotPrincipal": {"AWS": ROOT}}, f"{AT}.NotPrincipal", "is not a member here"),
    "a Sid with a bracket": ({f"{AT}.Sid": "Enable (IAM)"}, f"{AT}.Sid", "pattern"),
    "two of one account": (
        {"resource.partnerStatements": [partner_statement(PARTNERS[0]), partner_statement(PARTNERS[0], "Other")]},
        "resource.partnerStatements",
        "must name each account once",
    ),
    "no statement": ({"resource.partnerStatements": []}, "resource.partnerStatements", "at least 1"),
    "a resource to configure": ({"resource.configure": True}, "resource.configure", "must be false"),
    "a Region that is none": ({"resource.instanceRegion": "VA7"}, "resource.instanceRegion", "pattern"),
    "an instance with a slash": ({"resource.instance": "a/b"}, "resource.instance", "pattern"),
    "a secret": ({"secret": {}}, "detail", "must leave out secret: adobe-experience-platform reads none"),
    "managers": (
        {"managementRoles": [f"arn:aws:iam::{ACCOUNT}:role/A"]},
        "detail",
        "must leave out managementRoles: whoever configures adobe-experience-platform needs nothing of key and secret",
    ),
}


@pytest.mark.parametrize(("changes", "place", "rule"), BAD.values(), ids=BAD)
def test_a_statement_in_another_form_is_refused_whole(changes: dict[str, Any], place: str, rule: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_onboarding(detail(changes, KIND))
    [problem] = refused.value.problems
    assert problem.path == place
    assert rule in problem.rule


def test_statements_are_taken_as_the_page_shows_them_and_told_again_in_the_same_words() -> None:
    sent = detail(kind=KIND)
    request = parse_onboarding(sent)
    assert request.wire == sent
    assert [statement.account for statement in request.resource.partner_statements] == [*PARTNERS]


def test_a_statement_needs_no_sid_and_its_actions_no_order() -> None:
    changed = desired({f"{AT}.Sid": MISSING, f"{AT}.Action": ACTIONS[::-1]}, KIND)
    assert changed.key_statements == desired(kind=KIND).key_statements


def test_the_owner_stays_in_charge_though_the_partner_s_sid_is_the_same() -> None:
    page = {"Version": "2012-10-17", "Statement": [policies.delegation(PLACE) | {"Sid": "Enable IAM User Permissions"}]}
    merged = policies.merge(page, desired(kind=KIND).key_statements)
    assert merged["Statement"][0] == page["Statement"][0]
    assert policies.delegates_to_iam(merged, PLACE)
    assert len(merged["Statement"]) == 1 + len(PARTNERS)


@pytest.mark.parametrize(("region", "misplaced"), [("eu-west-1", False), ("us-east-1", True)])
def test_the_key_is_in_the_region_of_its_instance(region: str, misplaced: bool) -> None:
    told = desired({"resource.instanceRegion": region}, KIND).resource.wrong_location(PLACE)
    assert bool(told) is misplaced
    assert set(told) <= {"instanceRegion"}
    assert (
        desired({"resource.instanceRegion": region}, KIND).resource.wrong_location(
            Place(partition="aws", account=ACCOUNT, region=region)
        )
        == {}
    )


@pytest.mark.parametrize(("instance", "name"), [(None, "eu-west-1"), ("stage", "stage")])
def test_an_instance_is_named_by_its_region_unless_there_are_several(instance: str | None, name: str) -> None:
    assert desired({"resource.instance": instance}, KIND).resource.name == name


def test_what_is_left_to_a_person_is_told_with_the_key() -> None:
    told = ADOBE_EXPERIENCE_PLATFORM.handoff(desired(kind=KIND).resource, None, KEY_ARN, PLACE)
    assert told.values == {"KMS key ARN": KEY_ARN, "Region": "eu-west-1"}
    assert told.cloud_formation is None
    assert "Handoff Confirmed" in told.steps[-1]


def test_the_key_serves_one_access_for_good() -> None:
    assert ADOBE_EXPERIENCE_PLATFORM.key_is_exclusive
    assert (ADOBE_EXPERIENCE_PLATFORM.configuration, ADOBE_EXPERIENCE_PLATFORM.granted) == (None, None)
