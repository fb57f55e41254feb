"""Answers of the cleanup stay below 256 KiB, however many grants a key has and however long the policies of others are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from latchkey.access.checks import _listed
from latchkey.access.grants import granted_resource
from latchkey.aws.grants import Grant
from latchkey.cleanup.clean_up_grants import (
    MOST_GRANTS,
    MOST_SETTLED,
    MOST_UNREADABLE,
    CleanedUp,
    GrantSurvey,
    _most_urgent,
)
from latchkey.cleanup.verdict import LONGEST_EVIDENCE, Assessment, Evidence, ResourceEvidence, SecretEvidence, assess
from latchkey.events.outcomes import RemovedGrant
from latchkey.registry.revocations import Revocation
from tests.unit.samples import KEY_ARN, PLACE

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
LIMIT = 256 * 1024
NOW = datetime(2026, 11, 27, tzinfo=UTC)
# The longest name of a secret has 512 characters, and statements of others can have Sids of any number and length.
SECRET = PLACE.arn("secretsmanager", f"secret:{'s' * 505}-AbCdEf")
ACCESS = f"mediatailor/sourceLocation/{'n' * 200}"


def _grant(number: int) -> Grant:
    resource = granted_resource(ACCESS, PLACE)
    return Grant(
        grant_id=f"{number:064d}",
        key_arn=KEY_ARN,
        name=resource.grant_name,
        grantee="mediatailor.amazonaws.com",
        operations=frozenset(["Decrypt"]),
        secret_arn=SECRET,
        source_arn=None,
        created=NOW,
    )


def _assessments(number: int) -> list[Assessment]:
    """The assessments of this many grants after their secret stopped admitting the service."""
    resource, grants = granted_resource(ACCESS, PLACE), [_grant(at) for at in range(number)]
    secret = SecretEvidence(True, False, KEY_ARN, "e" * 100_000, arn=SECRET)
    evidence = Evidence(NOW, ResourceEvidence(True, SECRET, "r" * 100_000), {SECRET: secret}, grants)
    return [assess(grant, resource, evidence, PLACE) for grant in grants]


def _survey(number: int) -> GrantSurvey:
    return GrantSurvey(
        accessId=ACCESS,
        at=NOW,
        ownerEvidence="r" * LONGEST_EVIDENCE,
        grants=_most_urgent(_assessments(number), []),
        settled=("g" * 64,) * MOST_SETTLED,
        unreadable=(KEY_ARN,) * MOST_UNREADABLE,
        graceSeconds=600,
    )


def _cleaned_up(survey: GrantSurvey) -> CleanedUp:
    return CleanedUp(
        removed=tuple(
            RemovedGrant(
                grantId=grant.grant_id,
                keyArn=grant.key_arn,
                removedBy="latchkey",
                reason=grant.reason,
                evidence=(*grant.evidence, *grant.evidence),
                removedAt=NOW,
            )
            for grant in survey.grants
        )
    )


def test_the_input_of_the_report_holds_the_longest_answers_of_both_surveys() -> None:
    survey = _survey(3000)

    assert len(survey.grants) == MOST_GRANTS
    assert len(survey.model_dump_json(by_alias=True)) + len(_cleaned_up(survey).model_dump_json(by_alias=True)) < LIMIT - 8192


def test_orphaned_grants_are_handed_on_before_all_others() -> None:
    orphaned = _assessments(3)
    others = [one.model_copy(update={"verdict": "suspect", "grant_id": f"s{at}"}) for at in range(2000) for one in orphaned[:1]]
    refused = Revocation(ACCESS, orphaned[0].grant_id, KEY_ARN, "it is absent", irrevocable_since=datetime.now(UTC))

    first = _most_urgent([*others, *orphaned], [refused])[:3]

    assert [one.grant_id for one in first] == [orphaned[1].grant_id, orphaned[2].grant_id, orphaned[0].grant_id]


@pytest.mark.parametrize("number", [0, 5, 50_000])
def test_the_evidence_of_a_check_is_bounded(number: int) -> None:
    assert len(_listed([_grant(at) for at in range(number)])) < 2000
