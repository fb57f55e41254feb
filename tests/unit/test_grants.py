"""Grants are listed completely, and serve a resource by name, constraint and grantee."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.access.grants import ExpectedGrant, serves
from latchkey.aws.grants import Grant, list_grants
from tests.unit.samples import ACCOUNT, EXISTING_ARN, KEY_ARN, PLACE, REGION, SECRET_ARN

NAME = f"MediaTailor-SourceLocation-{ACCOUNT}-sports"
RESOURCE_ARN = PLACE.arn("mediatailor", "sourceLocation/sports")
CREATED = datetime(2026, 11, 22, tzinfo=UTC)
GRANT = Grant(
    grant_id="g-1",
    key_arn=KEY_ARN,
    name=NAME,
    grantee="mediatailor.amazonaws.com",
    operations=frozenset({"Decrypt", "RetireGrant"}),
    secret_arn=SECRET_ARN,
    source_arn=None,
    created=CREATED,
)


EXPECTED = ExpectedGrant(NAME, SECRET_ARN, RESOURCE_ARN)


@pytest.mark.parametrize(
    ("grant", "does"),
    [
        (GRANT, True),
        (replace(GRANT, secret_arn=None, source_arn=RESOURCE_ARN), True),
        (replace(GRANT, grantee=None), True),
        (replace(GRANT, grantee=f"mediatailor.{REGION}.amazonaws.com"), True),
        (replace(GRANT, grantee="mediatailor.eu-west-3.amazonaws.com"), False),
        (replace(GRANT, name=f"{NAME}-2"), False),
        (replace(GRANT, name=NAME[:-1]), False),
        (replace(GRANT, name=None), False),
        (replace(GRANT, secret_arn=EXISTING_ARN), False),
        (replace(GRANT, secret_arn=None, source_arn=f"{RESOURCE_ARN}-2"), False),
        (replace(GRANT, secret_arn=None), False),
        (replace(GRANT, operations=frozenset({"RetireGrant"})), False),
        (replace(GRANT, grantee=PLACE.arn("iam", "role/Person", region="")), False),
    ],
    ids=[
        "the grant",
        "constrained by SourceArn",
        "unknown grantee",
        "Regional grantee",
        "grantee of another Region",
        "longer name",
        "shorter name",
        "no name",
        "other secret",
        "other resource",
        "bound to nothing",
        "no decryption",
        "a person's",
    ],
)
def test_a_grant_serves_a_resource_by_name_constraint_and_operation(grant: Grant, does: bool) -> None:
    assert serves(grant, EXPECTED) is does


SERVICE_ROLE = PLACE.arn("iam", "role/aws-service-role/mediatailor.amazonaws.com/AWSServiceRoleForMediaTailor", region="")
SERVICE_ACCOUNT = "arn:aws:iam::999900001111:root"


@pytest.mark.parametrize("grantee", [SERVICE_ROLE, SERVICE_ACCOUNT])
def test_an_accepted_grantee_serves_a_resource_only_with_its_name_and_constraint(grantee: str) -> None:
    grant, accepting = replace(GRANT, grantee=grantee), replace(EXPECTED, grantees=(SERVICE_ROLE, SERVICE_ACCOUNT))

    assert not serves(grant, EXPECTED)
    assert serves(grant, accepting)
    assert not serves(replace(grant, grantee=f"{grantee}2"), accepting)
    assert not serves(replace(grant, name=f"{NAME}-2"), accepting)
    assert not serves(replace(grant, secret_arn=None), accepting)
    assert not serves(replace(grant, secret_arn=EXISTING_ARN), accepting)


def listed(**members: Any) -> dict[str, Any]:
    return {"GrantId": "g-1", "Name": NAME, "CreationDate": CREATED, "Operations": ["Decrypt", "RetireGrant"]} | members


def test_short_and_empty_pages_do_not_end_a_listing() -> None:
    kms = boto3.client("kms")
    with Stubber(kms) as stubber:
        answers: list[dict[str, Any]] = [
            {"Grants": [listed(GrantId="g-1")], "Truncated": True, "NextMarker": "1"},
            {"Grants": [], "Truncated": True, "NextMarker": "2"},
            {"Truncated": True, "NextMarker": "3"},
            {"Grants": [listed(GrantId="g-2"), listed(GrantId="g-3")], "Truncated": False},
        ]
        for marker, answer in zip((None, "1", "2", "3"), answers, strict=True):
            stubber.add_response(
                "list_grants", answer, {"KeyId": KEY_ARN, "Limit": 100} | ({"Marker": marker} if marker else {})
            )
        assert [grant.grant_id for grant in list_grants(kms, KEY_ARN).grants] == ["g-1", "g-2", "g-3"]


@pytest.mark.parametrize(
    ("entry", "grant"),
    [
        (
            listed(
                GranteePrincipal="mediatailor.amazonaws.com",
                Constraints={"EncryptionContextSubset": {"SecretARN": SECRET_ARN}},
            ),
            GRANT,
        ),
        (
            listed(
                GranteeServicePrincipal="mediatailor.amazonaws.com",
                Constraints={"EncryptionContextEquals": {"SecretARN": SECRET_ARN}},
            ),
            GRANT,
        ),
        (
            listed(GranteeServicePrincipal="mediatailor.amazonaws.com", Constraints={"SourceArn": RESOURCE_ARN}),
            replace(GRANT, secret_arn=None, source_arn=RESOURCE_ARN),
        ),
        ({"GrantId": "g-2"}, Grant("g-2", KEY_ARN, None, None, frozenset(), None, None, None)),
    ],
    ids=["principal", "equals", "service principal", "only an id"],
)
def test_both_constraints_and_missing_members_are_read(entry: dict[str, Any], grant: Grant) -> None:
    kms = boto3.client("kms")
    with Stubber(kms) as stubber:
        stubber.add_response("list_grants", {"Grants": [entry], "Truncated": False}, {"KeyId": KEY_ARN, "Limit": 100})
        assert list_grants(kms, KEY_ARN).grants == (grant,)


@pytest.mark.parametrize(
    ("headers", "at"),
    [({"date": "Sun, 22 Nov 2026 10:00:07 GMT"}, datetime(2026, 11, 22, 10, 0, 7, tzinfo=UTC)), ({}, None)],
    ids=["known", "unknown"],
)
def test_a_listing_has_the_time_of_kms_if_it_is_known(headers: dict[str, str], at: datetime | None) -> None:
    kms, before = boto3.client("kms"), datetime.now(UTC).replace(microsecond=0)
    with Stubber(kms) as stubber:
        answer = {"Grants": [], "Truncated": False, "ResponseMetadata": {"HTTPHeaders": headers}}
        stubber.add_response("list_grants", answer, {"KeyId": KEY_ARN, "Limit": 100})
        listed_at = list_grants(kms, KEY_ARN).at
    assert listed_at == at if at else before <= listed_at <= datetime.now(UTC)
