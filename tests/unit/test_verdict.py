"""One survey assesses a grant, and two decide about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.access.grants import granted_resource
from latchkey.aws.grants import Grant, list_grants
from latchkey.cleanup.verdict import (
    Assessment,
    Evidence,
    Reason,
    ResourceEvidence,
    SecretEvidence,
    Surveys,
    assess,
    decide,
    grantee_kind,
    is_revoked_by_secret,
)
from tests.unit.samples import ACCOUNT, EXISTING_ARN, KEY_ARN, PLACE, REGION, SECRET_ARN, role
from tests.unit.test_grants import CREATED, GRANT, NAME, RESOURCE_ARN, SERVICE_ROLE, listed

RESOURCE = granted_resource("mediatailor/sourceLocation/sports", PLACE)
FIRST, GRACE = CREATED + timedelta(hours=1), timedelta(minutes=10)
SECRET = SecretEvidence(True, True, KEY_ARN, "the secret was described", arn=SECRET_ARN)
LIVES = Evidence(FIRST, ResourceEvidence(True, SECRET_ARN, "the location was described"), {SECRET_ARN: SECRET}, (GRANT,))
GONE = replace(LIVES, resource=ResourceEvidence(False, None, "the location was not described"), secrets={})
NEW_KEY = f"{KEY_ARN}0"
NEWER = replace(GRANT, secret_arn=None, source_arn=RESOURCE_ARN)


def names(secret_arn: str | None) -> Evidence:
    """The location lives and names this secret."""
    return replace(LIVES, resource=ResourceEvidence(True, secret_arn, "it was described"), secrets={secret_arn or "": SECRET})


def with_secret(**members: Any) -> Evidence:
    return replace(LIVES, secrets={SECRET_ARN: replace(SECRET, **members)})


def moved(*others: Grant) -> Evidence:
    """The secret is under another key, on which there are these grants."""
    return replace(with_secret(key_arn=NEW_KEY), grants=(GRANT, *(replace(other, key_arn=NEW_KEY) for other in others)))


PARTIAL = names(SECRET_ARN[: -len("-AbCdEf")])
OTHER = replace(names(EXISTING_ARN), secrets={EXISTING_ARN: replace(SECRET, arn=EXISTING_ARN)})

VERDICTS: dict[str, tuple[Grant, Evidence, str, Reason]] = {
    "in use": (GRANT, LIVES, "in use", Reason.IN_USE),
    "in use in the form of 2026": (NEWER, LIVES, "in use", Reason.IN_USE),
    "in use by a Regional principal": (
        replace(GRANT, grantee=f"mediatailor.{REGION}.amazonaws.com"),
        LIVES,
        "in use",
        Reason.IN_USE,
    ),
    "secret named without its suffix": (GRANT, PARTIAL, "in use", Reason.IN_USE),
    "location absent": (GRANT, GONE, "orphaned", Reason.RESOURCE_GONE),
    "location absent, form of 2026": (NEWER, GONE, "orphaned", Reason.RESOURCE_GONE),
    "location without a token": (GRANT, names(None), "orphaned", Reason.NO_TOKEN),
    "location without a token, form of 2026": (NEWER, names(None), "orphaned", Reason.NO_TOKEN),
    "location with another secret": (GRANT, OTHER, "orphaned", Reason.OTHER_SECRET),
    "location with another secret, form of 2026": (NEWER, OTHER, "in use", Reason.IN_USE),
    "location with another secret that is absent": (
        GRANT,
        replace(OTHER, secrets={EXISTING_ARN: SecretEvidence(False, False, None, "it was not described")}),
        "orphaned",
        Reason.OTHER_SECRET,
    ),
    "secret absent": (GRANT, with_secret(exists=False, admits=False, arn=None), "orphaned", Reason.SECRET_GONE),
    "secret absent, form of 2026": (NEWER, with_secret(exists=False, admits=False), "orphaned", Reason.SECRET_GONE),
    "secret without an Allow": (GRANT, with_secret(admits=False), "orphaned", Reason.SERVICE_NOT_ALLOWED),
    "secret under another key with its grant": (
        GRANT,
        moved(GRANT),
        "orphaned",
        Reason.MOVED,
    ),
    "secret under another key with a new grant": (NEWER, moved(NEWER), "orphaned", Reason.MOVED),
    "secret under another key without a grant": (GRANT, moved(), "suspect", Reason.KEY_WITHOUT_GRANT),
    "secret under another key with the grant of a longer name": (
        GRANT,
        moved(replace(GRANT, name=f"{NAME}-2")),
        "suspect",
        Reason.KEY_WITHOUT_GRANT,
    ),
    "secret under another key with the grant of another secret": (
        GRANT,
        moved(replace(GRANT, secret_arn=EXISTING_ARN)),
        "suspect",
        Reason.KEY_WITHOUT_GRANT,
    ),
    "secret under the default key": (GRANT, with_secret(key_arn=None), "suspect", Reason.KEY_WITHOUT_GRANT),
    "secret unreadable": (GRANT, replace(LIVES, secrets={}), "suspect", Reason.SECRET_UNREADABLE),
    "secret unreadable and named without its suffix": (
        GRANT,
        replace(PARTIAL, secrets={}),
        "suspect",
        Reason.SECRET_UNREADABLE,
    ),
    "secret unreadable and another": (
        GRANT,
        replace(OTHER, secrets={}),
        "orphaned",
        Reason.OTHER_SECRET,
    ),
    "secret unreadable and another, named without its suffix": (
        GRANT,
        replace(names(EXISTING_ARN[: -len("-AbCdEf")]), secrets={}),
        "orphaned",
        Reason.OTHER_SECRET,
    ),
    "secret unreadable, form of 2026": (NEWER, replace(OTHER, secrets={}), "suspect", Reason.SECRET_UNREADABLE),
    "secret under an unreadable key": (
        GRANT,
        replace(moved(), unreadable=frozenset({NEW_KEY})),
        "suspect",
        Reason.KEY_UNREADABLE,
    ),
    "of another Region": (
        replace(GRANT, grantee="mediatailor.eu-west-3.amazonaws.com"),
        GONE,
        "suspect",
        Reason.OTHER_REGION,
    ),
    "secret under another key with the grant of another Region": (
        GRANT,
        moved(replace(GRANT, grantee="mediatailor.eu-west-3.amazonaws.com")),
        "suspect",
        Reason.KEY_WITHOUT_GRANT,
    ),
    "bound to another location": (
        replace(NEWER, source_arn=f"{RESOURCE_ARN}-2"),
        GONE,
        "suspect",
        Reason.OTHER_RESOURCE,
    ),
    "bound to nothing": (replace(GRANT, secret_arn=None), GONE, "suspect", Reason.UNCONSTRAINED),
    "to nobody": (replace(GRANT, grantee=None), GONE, "suspect", Reason.NOT_A_SERVICE),
    "to something odd": (replace(GRANT, grantee="mediatailor"), GONE, "suspect", Reason.NOT_A_SERVICE),
    "without a name": (replace(GRANT, name=None), GONE, "foreign", Reason.OTHER_NAME),
    "of a longer name": (replace(GRANT, name=f"{NAME}-2"), GONE, "foreign", Reason.OTHER_NAME),
    "of a shorter name": (replace(GRANT, name=NAME[:-1]), GONE, "foreign", Reason.OTHER_NAME),
    "of another case": (replace(GRANT, name=NAME.upper()), GONE, "foreign", Reason.OTHER_NAME),
    "of a person": (replace(GRANT, grantee=role("Backup")), GONE, "suspect", Reason.NOT_A_SERVICE),
    "of an account": (replace(NEWER, grantee=ACCOUNT), GONE, "suspect", Reason.NOT_A_SERVICE),
    "of another account": (
        replace(GRANT, grantee=role("Backup").replace(ACCOUNT, "444455556666")),
        LIVES,
        "suspect",
        Reason.NOT_A_SERVICE,
    ),
    "of a deleted role": (replace(GRANT, grantee="AROADBQP57FF2AEXAMPLE"), GONE, "suspect", Reason.NOT_A_SERVICE),
    "of a deleted user": (replace(GRANT, grantee="AIDADBQP57FF2AEXAMPLE"), LIVES, "suspect", Reason.NOT_A_SERVICE),
    "of a person, bound to nothing": (
        replace(GRANT, grantee=role("Backup"), secret_arn=None),
        GONE,
        "foreign",
        Reason.NOT_A_SERVICE,
    ),
    "of a person, bound to another location": (
        replace(NEWER, grantee=role("Backup"), source_arn=f"{RESOURCE_ARN}-2"),
        GONE,
        "foreign",
        Reason.NOT_A_SERVICE,
    ),
    "secret under another key with a grant to nobody": (
        GRANT,
        moved(replace(GRANT, grantee=None)),
        "suspect",
        Reason.KEY_WITHOUT_GRANT,
    ),
}


DETAILS = {"of another Region": "eu-west-3", "bound to another location": f"{RESOURCE_ARN}-2"}


@pytest.mark.parametrize("case", VERDICTS)
def test_a_survey_assesses_a_grant_with_its_reason(case: str) -> None:
    grant, evidence, verdict, reason = VERDICTS[case]
    assessment = assess(grant, RESOURCE, evidence, PLACE)

    beginning, _, _ = reason.value.partition("{detail}")
    assert (assessment.verdict, assessment.grant_id, assessment.key_arn) == (verdict, grant.grant_id, grant.key_arn)
    assert assessment.secret_arn == grant.secret_arn
    assert assessment.reason.startswith(beginning)
    assert assessment.reason.endswith(DETAILS.get(case, ""))


def test_the_evidence_of_an_assessment_is_what_was_read() -> None:
    assert assess(GRANT, RESOURCE, LIVES, PLACE).evidence == (LIVES.resource.evidence, SECRET.evidence)
    assert assess(GRANT, RESOURCE, GONE, PLACE).evidence == (GONE.resource.evidence,)
    assert assess(replace(GRANT, name=None), RESOURCE, LIVES, PLACE).evidence == ()


@pytest.mark.parametrize(("evidence", "verdict"), [(LIVES, "in use"), (GONE, "orphaned")])
def test_a_grant_to_an_accepted_grantee_is_assessed_as_one_of_the_service(evidence: Evidence, verdict: str) -> None:
    grant = replace(GRANT, grantee=SERVICE_ROLE)
    accepting = replace(RESOURCE, grantees=(SERVICE_ROLE,))

    assert assess(grant, RESOURCE, evidence, PLACE).verdict == "suspect"
    assert SERVICE_ROLE in assess(grant, RESOURCE, evidence, PLACE).reason
    assert assess(grant, accepting, evidence, PLACE).verdict == verdict
    assert assess(replace(grant, secret_arn=None), accepting, evidence, PLACE).verdict == "suspect"
    assert assess(replace(grant, name=f"{NAME}-2"), accepting, evidence, PLACE).verdict == "foreign"


def test_any_aws_service_counts_as_a_service() -> None:
    assert grantee_kind(replace(GRANT, grantee="rds.amazonaws.com"), PLACE, ()) == "of a service"
    assert grantee_kind(replace(GRANT, grantee="amazonaws.com.example.org"), PLACE, ()) == "of nobody known"


ORPHANED = Assessment(
    grantId=GRANT.grant_id,
    keyArn=KEY_ARN,
    verdict="orphaned",
    reason=Reason.RESOURCE_GONE.text(),
    evidence=("the first read",),
)
STILL = ORPHANED.model_copy(update={"evidence": ("the second read",)})
AGAIN = FIRST + GRACE


def but(assessment: Assessment, **members: Any) -> Assessment:
    return assessment.model_copy(update=members)


def test_a_grant_is_revoked_if_two_surveys_a_grace_period_apart_found_it_orphaned() -> None:
    decision = decide(ORPHANED, STILL, CREATED, Surveys(FIRST, AGAIN, GRACE))

    assert (decision.revoke, decision.reason) == (True, Reason.RESOURCE_GONE.text())
    assert decision.evidence == ("the first read", "the second read")


KEPT: dict[str, tuple[Assessment | None, Assessment, datetime | None, datetime, str]] = {
    "in use again": (ORPHANED, but(STILL, verdict="in use", reason="it is back"), CREATED, AGAIN, "it is back"),
    "suspect": (ORPHANED, but(STILL, verdict="suspect", reason="odd"), CREATED, AGAIN, "odd"),
    "not seen before": (None, STILL, CREATED, AGAIN, Reason.NOT_ORPHANED_BEFORE.text()),
    "in use before": (but(ORPHANED, verdict="in use"), STILL, CREATED, AGAIN, Reason.NOT_ORPHANED_BEFORE.text()),
    "suspect before": (but(ORPHANED, verdict="suspect"), STILL, CREATED, AGAIN, Reason.NOT_ORPHANED_BEFORE.text()),
    "another grant": (but(ORPHANED, grant_id="g-2"), STILL, CREATED, AGAIN, Reason.NOT_ORPHANED_BEFORE.text()),
    "created at the first survey": (ORPHANED, STILL, FIRST, AGAIN, Reason.TOO_YOUNG.text()),
    "created since": (ORPHANED, STILL, AGAIN, AGAIN, Reason.TOO_YOUNG.text()),
    "created at an unknown time": (ORPHANED, STILL, None, AGAIN, Reason.TOO_YOUNG.text()),
    "too early": (ORPHANED, STILL, CREATED, AGAIN - timedelta(seconds=1), Reason.WITHIN_GRACE.text()),
    "the clock goes back": (ORPHANED, STILL, CREATED, FIRST - GRACE, Reason.WITHIN_GRACE.text()),
}


@pytest.mark.parametrize("case", KEPT)
def test_anything_less_keeps_the_grant(case: str) -> None:
    first, second, created, second_at, reason = KEPT[case]
    decision = decide(first, second, created, Surveys(FIRST, second_at, GRACE))

    assert (decision.revoke, decision.reason) == (False, reason)
    assert second.evidence[0] in decision.evidence


def test_a_grant_created_just_before_the_first_survey_is_older() -> None:
    surveys = Surveys(FIRST, AGAIN, GRACE)
    assert decide(ORPHANED, STILL, FIRST - timedelta(seconds=1), surveys).revoke is True


@pytest.mark.parametrize("secret", [replace(SECRET, exists=False), replace(SECRET, admits=False)], ids=["gone", "not allowed"])
def test_a_reason_says_whether_the_secret_was_taken_away(secret: SecretEvidence) -> None:
    by_secret = assess(GRANT, RESOURCE, replace(LIVES, secrets={SECRET_ARN: secret}), PLACE)
    by_resource = assess(GRANT, RESOURCE, GONE, PLACE)

    assert (by_secret.verdict, is_revoked_by_secret(by_secret.reason)) == ("orphaned", True)
    assert (by_resource.verdict, is_revoked_by_secret(by_resource.reason)) == ("orphaned", False)


@pytest.mark.parametrize(
    ("reason", "by_secret"),
    [
        ("its secret is absent or being deleted", True),
        ("its secret admits the service no longer", True),
        ("its source location is absent", False),
        ("its source location names another secret", False),
    ],
)
def test_a_reason_that_version_0_1_recorded_is_understood(reason: str, by_secret: bool) -> None:
    assert is_revoked_by_secret(reason) is by_secret


def test_two_thousand_grants_of_one_key_are_listed_and_assessed() -> None:
    kms, pages, size = boto3.client("kms"), 20, 100
    resources = [granted_resource(f"mediatailor/sourceLocation/sports-{number}", PLACE) for number in range(pages * size)]
    with Stubber(kms) as stubber:
        for page in range(pages):
            entries = [
                listed(
                    GrantId=f"g-{number}",
                    Name=resources[number].grant_name,
                    GranteePrincipal="mediatailor.amazonaws.com",
                    Constraints={"EncryptionContextSubset": {"SecretARN": SECRET_ARN}},
                )
                for number in range(page * size, (page + 1) * size)
            ]
            more = {"NextMarker": str(page + 1)} if page + 1 < pages else {}
            asked = {"KeyId": KEY_ARN, "Limit": 100} | ({"Marker": str(page)} if page else {})
            stubber.add_response("list_grants", {"Grants": entries, "Truncated": bool(more)} | more, asked)
        grants = list_grants(kms, KEY_ARN).grants

    evidence = replace(GONE, grants=grants)
    orphaned = [grant.grant_id for grant in grants if assess(grant, resources[1], evidence, PLACE).verdict == "orphaned"]

    assert len(grants) == pages * size
    assert orphaned == ["g-1"]  # and neither g-10 nor g-1999
