"""Consent by tag."""

from __future__ import annotations

import pytest

from latchkey import policies
from latchkey.onboarding.rules.consent import Withdrawal, needs_resource_consent, withdrawals
from latchkey.onboarding.rules.evidence import ConsentEvidence
from latchkey.systems.system import Configuration
from latchkey.tags import ACCESS
from tests.unit.rules.samples import ADOPT, OWN, configured, key, record, secret
from tests.unit.samples import KEY_ARN, SECRET_ARN, desired

ENDPOINT = "mediapackage/originEndpoint/sports-hls"


def configuration(kind: str) -> Configuration:
    found = desired(kind=kind).system.configuration
    assert found
    return found


def test_a_withdrawal_lists_the_statements_that_remain() -> None:
    request = desired()
    evidence = ConsentEvidence(
        key=key({}),
        key_policy=policies.new_document(request.key_statements),
        secret=secret({}),
        secret_policy=None,
    )

    own_sids = tuple(sorted(statement["Sid"] for statement in request.key_statements))
    assert [*withdrawals(evidence)] == [Withdrawal("key", KEY_ARN, own_sids), Withdrawal("secret", SECRET_ARN, ())]


def test_the_record_of_a_withdrawal_names_the_resource_and_the_statements() -> None:
    assert str(Withdrawal("key", KEY_ARN, ("LatchkeyOne", "LatchkeyTwo"))) == f"{KEY_ARN}: LatchkeyOne, LatchkeyTwo"
    assert KEY_ARN in str(Withdrawal("key", KEY_ARN, ()))


@pytest.mark.parametrize("tags", [OWN, ADOPT], ids=["ours", "adopted"])
def test_a_key_and_secret_that_are_ours_or_approved_stay_managed(tags: dict[str, str]) -> None:
    assert [*withdrawals(ConsentEvidence(key=key(tags), secret=secret(tags)))] == []
    assert [*withdrawals(ConsentEvidence())] == []


def test_a_resource_that_latchkey_can_create_needs_no_consent_of_this_kind() -> None:
    assert not needs_resource_consent(desired(), configuration("mediatailor"), configured(desired()), None, None)


@pytest.mark.parametrize(
    ("reads", "recorded", "own", "needed"),
    [
        (None, False, False, True),
        (SECRET_ARN, False, False, True),
        (SECRET_ARN, True, False, False),
        (SECRET_ARN, False, True, False),
        ("arn:other", True, True, True),
    ],
)
def test_a_resource_that_reads_the_secret_of_its_access_needs_no_new_consent(
    reads: str | None, recorded: bool, own: bool, needed: bool
) -> None:
    request = desired(kind="mediapackage")
    present = configured(request, secret_arn=reads)
    its_record = record(access_id=ENDPOINT) if recorded else None
    its_secret = secret(OWN | {ACCESS: ENDPOINT}) if own else None

    assert needs_resource_consent(request, configuration("mediapackage"), present, its_record, its_secret) is needed
