"""Grants are listed to the last page, belong to a resource by name and secret, and go only if two looks found them orphaned."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.access.grants import Owner, serves
from latchkey.aws.grants import Grant, list_grants
from latchkey.cleanup.verdict import (
    Assessment,
    Evidence,
    ResourceEvidence,
    SecretEvidence,
    assess,
    decide,
    grantee_kind,
    is_by_secret,
)
from tests.unit.samples import ACCOUNT, EXISTING_ARN, KEY_ARN, PLACE, REGION, SECRET_ARN, role

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
        "the form of 2026",
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
def test_a_grant_serves_by_name_secret_and_operation(grant: Grant, does: bool) -> None:
    assert serves(grant, NAME, SECRET_ARN, RESOURCE_ARN) is does


def listed(**members: Any) -> dict[str, Any]:
    return {"GrantId": "g-1", "Name": NAME, "CreationDate": CREATED, "Operations": ["Decrypt", "RetireGrant"]} | members


def test_short_and_empty_pages_are_not_taken_for_the_last() -> None:
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
def test_both_forms_of_a_grant_are_read_and_absent_members_endured(entry: dict[str, Any], grant: Grant) -> None:
    kms = boto3.client("kms")
    with Stubber(kms) as stubber:
        stubber.add_response("list_grants", {"Grants": [entry], "Truncated": False}, {"KeyId": KEY_ARN, "Limit": 100})
        assert list_grants(kms, KEY_ARN).grants == (grant,)


@pytest.mark.parametrize(
    ("headers", "at"),
    [({"date": "Sun, 22 Nov 2026 10:00:07 GMT"}, datetime(2026, 11, 22, 10, 0, 7, tzinfo=UTC)), ({}, None)],
    ids=["told", "not told"],
)
def test_a_listing_is_dated_by_the_clock_of_kms_if_that_tells_it(headers: dict[str, str], at: datetime | None) -> None:
    kms, before = boto3.client("kms"), datetime.now(UTC).replace(microsecond=0)
    with Stubber(kms) as stubber:
        answer = {"Grants": [], "Truncated": False, "ResponseMetadata": {"HTTPHeaders": headers}}
        stubber.add_response("list_grants", answer, {"KeyId": KEY_ARN, "Limit": 100})
        listed_at = list_grants(kms, KEY_ARN).at
    assert listed_at == at if at else before <= listed_at <= datetime.now(UTC)


def test_two_thousand_grants_of_one_key_are_listed_and_judged() -> None:
    kms, pages, size = boto3.client("kms"), 20, 100
    owners = [Owner(f"{NAME}-{number}", f"{RESOURCE_ARN}-{number}") for number in range(pages * size)]
    with Stubber(kms) as stubber:
        for page in range(pages):
            entries = [
                listed(
                    GrantId=f"g-{number}",
                    Name=owners[number].grant_name,
                    GranteePrincipal="mediatailor.amazonaws.com",
                    Constraints={"EncryptionContextSubset": {"SecretARN": SECRET_ARN}},
                )
                for number in range(page * size, (page + 1) * size)
            ]
            more = {"NextMarker": str(page + 1)} if page + 1 < pages else {}
            asked = {"KeyId": KEY_ARN, "Limit": 100} | ({"Marker": str(page)} if page else {})
            stubber.add_response("list_grants", {"Grants": entries, "Truncated": bool(more)} | more, asked)
        grants = list_grants(kms, KEY_ARN).grants

    sight = replace(GONE, grants=grants)
    orphaned = [grant.grant_id for grant in grants if assess(grant, owners[1], sight, PLACE).verdict == "orphaned"]

    assert len(grants) == pages * size
    assert orphaned == ["g-1"]  # and neither g-10 nor g-1999


OWNER = Owner(NAME, RESOURCE_ARN)
FIRST, GRACE = CREATED + timedelta(hours=1), timedelta(minutes=10)
SECRET = SecretEvidence(True, True, KEY_ARN, "the secret was described", arn=SECRET_ARN)
LIVES = Evidence(FIRST, ResourceEvidence(True, SECRET_ARN, "the location was described"), {SECRET_ARN: SECRET}, (GRANT,))
GONE = replace(LIVES, owner=ResourceEvidence(False, None, "the location was not described"), secrets={})
NEW_KEY = f"{KEY_ARN}0"
NEWER = replace(GRANT, secret_arn=None, source_arn=RESOURCE_ARN)


def names(secret_arn: str | None) -> Evidence:
    """The location lives and names this secret."""
    return replace(LIVES, owner=ResourceEvidence(True, secret_arn, "it was described"), secrets={secret_arn or "": SECRET})


def with_secret(**members: Any) -> Evidence:
    return replace(LIVES, secrets={SECRET_ARN: replace(SECRET, **members)})


def moved(*others: Grant) -> Evidence:
    """The secret is under another key, on which there are these grants."""
    return replace(with_secret(key_arn=NEW_KEY), grants=(GRANT, *(replace(other, key_arn=NEW_KEY) for other in others)))


PARTIAL = names(SECRET_ARN[: -len("-AbCdEf")])
OTHER = replace(names(EXISTING_ARN), secrets={EXISTING_ARN: replace(SECRET, arn=EXISTING_ARN)})

VERDICTS: dict[str, tuple[Grant, Evidence, str, str]] = {
    "in use": (GRANT, LIVES, "in use", "its source location lives and its secret admits the service"),
    "in use in the form of 2026": (NEWER, LIVES, "in use", "its source location lives"),
    "in use by a Regional principal": (
        replace(GRANT, grantee=f"mediatailor.{REGION}.amazonaws.com"),
        LIVES,
        "in use",
        "its source location lives",
    ),
    "secret named without its suffix": (GRANT, PARTIAL, "in use", "its source location lives"),
    "location absent": (GRANT, GONE, "orphaned", "its source location is absent"),
    "location absent, form of 2026": (NEWER, GONE, "orphaned", "its source location is absent"),
    "location without a token": (GRANT, names(None), "orphaned", "its source location sends no token"),
    "location without a token, form of 2026": (NEWER, names(None), "orphaned", "sends no token"),
    "location with another secret": (GRANT, OTHER, "orphaned", "its source location names another secret"),
    "location with another secret, form of 2026": (NEWER, OTHER, "in use", "its source location lives"),
    "location with another secret that is absent": (
        GRANT,
        replace(OTHER, secrets={EXISTING_ARN: SecretEvidence(False, False, None, "it was not described")}),
        "orphaned",
        "its source location names another secret",
    ),
    "secret absent": (GRANT, with_secret(exists=False, admits=False, arn=None), "orphaned", "absent or being deleted"),
    "secret absent, form of 2026": (NEWER, with_secret(exists=False, admits=False), "orphaned", "absent or being deleted"),
    "secret without an Allow": (GRANT, with_secret(admits=False), "orphaned", "its secret admits the service no longer"),
    "secret under another key with its grant": (
        GRANT,
        moved(GRANT),
        "orphaned",
        "its secret is under another key, which has a grant of its own",
    ),
    "secret under another key with a new grant": (NEWER, moved(NEWER), "orphaned", "has a grant of its own"),
    "secret under another key without a grant": (GRANT, moved(), "suspect", "which has no grant yet"),
    "secret under another key with the grant of a longer name": (
        GRANT,
        moved(replace(GRANT, name=f"{NAME}-2")),
        "suspect",
        "which has no grant yet",
    ),
    "secret under another key with the grant of another secret": (
        GRANT,
        moved(replace(GRANT, secret_arn=EXISTING_ARN)),
        "suspect",
        "which has no grant yet",
    ),
    "secret under the default key": (GRANT, with_secret(key_arn=None), "suspect", "which has no grant yet"),
    "secret unreadable": (GRANT, replace(LIVES, secrets={}), "suspect", "its secret could not be read"),
    "secret unreadable and named without its suffix": (
        GRANT,
        replace(PARTIAL, secrets={}),
        "suspect",
        "its secret could not be read",
    ),
    "secret unreadable and another": (
        GRANT,
        replace(OTHER, secrets={}),
        "orphaned",
        "its source location names another secret",
    ),
    "secret unreadable and another, named without its suffix": (
        GRANT,
        replace(names(EXISTING_ARN[: -len("-AbCdEf")]), secrets={}),
        "orphaned",
        "its source location names another secret",
    ),
    "secret unreadable, form of 2026": (NEWER, replace(OTHER, secrets={}), "suspect", "its secret could not be read"),
    "secret under an unreadable key": (
        GRANT,
        replace(moved(), unreadable=frozenset({NEW_KEY})),
        "suspect",
        "its secret is under another key, whose grants could not be read",
    ),
    "of another Region": (
        replace(GRANT, grantee="mediatailor.eu-west-3.amazonaws.com"),
        GONE,
        "suspect",
        "it is of a service in eu-west-3",
    ),
    "secret under another key with the grant of another Region": (
        GRANT,
        moved(replace(GRANT, grantee="mediatailor.eu-west-3.amazonaws.com")),
        "suspect",
        "which has no grant yet",
    ),
    "bound to another location": (
        replace(NEWER, source_arn=f"{RESOURCE_ARN}-2"),
        GONE,
        "suspect",
        f"it is bound to {RESOURCE_ARN}-2",
    ),
    "bound to nothing": (replace(GRANT, secret_arn=None), GONE, "suspect", "it is bound to no secret and no resource"),
    "to nobody": (replace(GRANT, grantee=None), GONE, "suspect", "it is of nobody known"),
    "to something odd": (replace(GRANT, grantee="mediatailor"), GONE, "suspect", "it is of nobody known"),
    "without a name": (replace(GRANT, name=None), GONE, "foreign", "it has another name"),
    "of a longer name": (replace(GRANT, name=f"{NAME}-2"), GONE, "foreign", "it has another name"),
    "of a shorter name": (replace(GRANT, name=NAME[:-1]), GONE, "foreign", "it has another name"),
    "of another case": (replace(GRANT, name=NAME.upper()), GONE, "foreign", "it has another name"),
    "of a person": (replace(GRANT, grantee=role("Backup")), GONE, "suspect", "it is of a person"),
    "of an account": (replace(NEWER, grantee=ACCOUNT), GONE, "suspect", "it is of a person"),
    "of another account": (
        replace(GRANT, grantee=role("Backup").replace(ACCOUNT, "444455556666")),
        LIVES,
        "suspect",
        "it is of another account",
    ),
    "of a deleted role": (replace(GRANT, grantee="AROADBQP57FF2AEXAMPLE"), GONE, "suspect", "it is of a deleted principal"),
    "of a deleted user": (replace(GRANT, grantee="AIDADBQP57FF2AEXAMPLE"), LIVES, "suspect", "it is of a deleted principal"),
    "of a person, bound to nothing": (
        replace(GRANT, grantee=role("Backup"), secret_arn=None),
        GONE,
        "foreign",
        "it is of a person",
    ),
    "of a person, bound to another location": (
        replace(NEWER, grantee=role("Backup"), source_arn=f"{RESOURCE_ARN}-2"),
        GONE,
        "foreign",
        "it is of a person",
    ),
    "secret under another key with a grant to nobody": (
        GRANT,
        moved(replace(GRANT, grantee=None)),
        "suspect",
        "which has no grant yet",
    ),
}


@pytest.mark.parametrize(("grant", "sight", "verdict", "reason"), VERDICTS.values(), ids=VERDICTS)
def test_one_look_judges_a_grant_and_says_why(grant: Grant, sight: Evidence, verdict: str, reason: str) -> None:
    finding = assess(grant, OWNER, sight, PLACE)

    assert finding.verdict == verdict
    assert reason in finding.reason
    assert finding.grant == grant


def test_the_evidence_of_a_finding_is_what_was_read() -> None:
    assert assess(GRANT, OWNER, LIVES, PLACE).evidence == (LIVES.owner.evidence, SECRET.evidence)
    assert assess(GRANT, OWNER, GONE, PLACE).evidence == (GONE.owner.evidence,)
    assert assess(replace(GRANT, name=None), OWNER, LIVES, PLACE).evidence == ()


def test_any_service_counts_as_one() -> None:
    assert grantee_kind(replace(GRANT, grantee="rds.amazonaws.com"), PLACE) == "of a service"
    assert grantee_kind(replace(GRANT, grantee="amazonaws.com.example.org"), PLACE) == "of nobody known"


ORPHANED = Assessment(GRANT, "orphaned", "its source location is absent", ("the first read",))
STILL = replace(ORPHANED, evidence=("the second read",))
AGAIN = FIRST + GRACE


def test_a_grant_goes_if_two_looks_a_grace_period_apart_found_it_orphaned() -> None:
    decision = decide(ORPHANED, FIRST, STILL, AGAIN, GRACE)

    assert (decision.revoke, decision.reason) == (True, "its source location is absent")
    assert decision.evidence == ("the first read", "the second read")


def seen(finding: Assessment, **members: Any) -> Assessment:
    return replace(finding, grant=replace(GRANT, **members))


@pytest.mark.parametrize(
    ("first", "second", "second_at", "reason"),
    [
        (ORPHANED, replace(STILL, verdict="in use", reason="it is back"), AGAIN, "it is back"),
        (ORPHANED, replace(STILL, verdict="suspect", reason="odd"), AGAIN, "odd"),
        (None, STILL, AGAIN, "the first look did not find it orphaned"),
        (replace(ORPHANED, verdict="in use"), STILL, AGAIN, "the first look did not find it orphaned"),
        (replace(ORPHANED, verdict="suspect"), STILL, AGAIN, "the first look did not find it orphaned"),
        (seen(ORPHANED, grant_id="g-2"), STILL, AGAIN, "the first look did not find it orphaned"),
        (ORPHANED, seen(STILL, created=FIRST), AGAIN, "it is not known to be older than the first look"),
        (ORPHANED, seen(STILL, created=AGAIN), AGAIN, "it is not known to be older than the first look"),
        (ORPHANED, seen(STILL, created=None), AGAIN, "it is not known to be older than the first look"),
        (ORPHANED, STILL, AGAIN - timedelta(seconds=1), "the looks are less than the grace period apart"),
        (ORPHANED, STILL, FIRST - GRACE, "the looks are less than the grace period apart"),
    ],
    ids=[
        "in use again",
        "suspect",
        "not seen before",
        "in use before",
        "suspect before",
        "another grant",
        "made at the first look",
        "made since",
        "made nobody knows when",
        "too early",
        "the clock goes back",
    ],
)
def test_anything_less_keeps_the_grant(first: Assessment | None, second: Assessment, second_at: datetime, reason: str) -> None:
    decision = decide(first, FIRST, second, second_at, GRACE)

    assert (decision.revoke, decision.reason) == (False, reason)
    assert second.evidence[0] in decision.evidence


def test_a_grant_made_just_before_the_first_look_is_older() -> None:
    just_before = seen(STILL, created=FIRST - timedelta(seconds=1))
    assert decide(ORPHANED, FIRST, just_before, AGAIN, GRACE).revoke is True


@pytest.mark.parametrize("secret", [replace(SECRET, exists=False), replace(SECRET, admits=False)], ids=["gone", "shut"])
def test_what_a_secret_took_away_is_told_from_what_an_owner_did(secret: SecretEvidence) -> None:
    by_secret = assess(GRANT, OWNER, replace(LIVES, secrets={SECRET_ARN: secret}), PLACE)
    by_owner = assess(GRANT, OWNER, GONE, PLACE)

    assert (by_secret.verdict, is_by_secret(by_secret.reason)) == ("orphaned", True)
    assert (by_owner.verdict, is_by_secret(by_owner.reason)) == ("orphaned", False)
