"""Consent by tag."""

from __future__ import annotations

from dataclasses import replace

import pytest

from latchkey import policies
from latchkey.access.record import AccessRecord
from latchkey.onboarding.rules.consent import Withdrawal, needs_resource_consent, withdrawals
from latchkey.onboarding.rules.evidence import ConsentEvidence
from latchkey.tags import ACCESS
from tests.unit.rules.samples import ADOPT, NEWS, OWN, SPORTS, configured, key, record, secret
from tests.unit.samples import KEY_ARN, SECRET_ARN, desired


def test_a_withdrawal_lists_the_statements_that_remain() -> None:
    request = desired()
    evidence = ConsentEvidence(
        key=key({}),
        key_policy=policies.new_document(request.key_statements),
        secret=secret({}),
        secret_policy=None,
    )

    own_sids = tuple(sorted(statement["Sid"] for statement in request.key_statements))
    expected = [
        Withdrawal("key", KEY_ARN, own_sids),
        Withdrawal("secret", SECRET_ARN, ()),
    ]
    assert [*withdrawals(evidence, request.stack)] == expected


def test_the_record_of_a_withdrawal_names_the_resource_and_the_statements() -> None:
    assert str(Withdrawal("key", KEY_ARN, ("LatchkeyOne", "LatchkeyTwo"))) == f"{KEY_ARN}: LatchkeyOne, LatchkeyTwo"
    assert KEY_ARN in str(Withdrawal("key", KEY_ARN, ()))


@pytest.mark.parametrize("tags", [OWN, ADOPT], ids=["ours", "adopted"])
def test_a_key_and_secret_that_are_ours_or_approved_stay_managed(tags: dict[str, str]) -> None:
    assert [*withdrawals(ConsentEvidence(key=key(tags), secret=secret(tags)), "latchkey")] == []
    assert [*withdrawals(ConsentEvidence(), "latchkey")] == []


@pytest.mark.parametrize(
    ("tags", "referred", "recorded", "needed"),
    [
        (OWN | {ACCESS: SPORTS}, True, False, False),
        (OWN | {ACCESS: SPORTS}, False, True, False),
        (OWN | {ACCESS: SPORTS}, False, False, True),
        (OWN | {ACCESS: NEWS}, True, False, True),
        ({}, True, False, True),
        (ADOPT, False, False, True),
    ],
    ids=["created", "recorded", "tag alone", "of another access", "registry alone", "by a person"],
)
def test_a_resource_that_latchkey_created_needs_no_consent(
    tags: dict[str, str], referred: bool, recorded: bool, needed: bool
) -> None:
    present = configured(desired(), tags=tags)
    its_record = replace(record(), resource_arn=present.arn) if recorded else None

    assert needs_resource_consent(desired(), present, SECRET_ARN, its_record, referred=referred) is needed


KEPT = {
    "accessType": "SECRETS_MANAGER_ACCESS_TOKEN",
    "header": "X-Origin-Token",
    "secretArn": SECRET_ARN,
    "secretKey": "MyAccessTokenIdentifier",
}


@pytest.mark.parametrize(
    ("reads", "its_record", "settings", "needed"),
    [
        (SECRET_ARN, record(), KEPT, False),
        (SECRET_ARN, record(), KEPT | {"header": "X-Other"}, True),
        (SECRET_ARN, record(), KEPT | {"baseUrl": "https://other.example.com"}, True),
        (SECRET_ARN, replace(record(), reached="handed-off"), KEPT, True),
        (SECRET_ARN, None, KEPT, True),
        (SECRET_ARN, record(secret_arn="arn:former"), KEPT, True),
        ("arn:former", record(), KEPT | {"secretArn": "arn:former"}, True),
    ],
    ids=["kept", "another header", "another URL", "handed off", "no record", "another recorded secret", "reads another secret"],
)
def test_a_record_proves_consent_to_the_present_settings(
    reads: str, its_record: AccessRecord | None, settings: dict[str, str], needed: bool
) -> None:
    present = configured(desired(), reads, None, **settings)

    assert needs_resource_consent(desired(), present, SECRET_ARN, its_record, referred=False) is needed
