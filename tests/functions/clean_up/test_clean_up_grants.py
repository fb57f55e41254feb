"""clean_up_grants: the first survey changes nothing, and the second revokes orphaned grants once."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from latchkey.cleanup.verdict import Reason
from latchkey.registry import grant_keys, registry
from tests.functions.account import ACCOUNT, Account
from tests.functions.clean_up_steps import (
    ACCESS,
    GRANT,
    CleanUpRun,
    SurveyRun,
    delete_location,
    grants,
    onboarded,
    restore_location,
    token_configuration,
)
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import EXECUTION, NAME, Run, existing
from tests.functions.onboarding_steps import Onboarding

READING = {"Effect": "Allow", "Principal": {"Service": "mediatailor.amazonaws.com"}, "Action": "secretsmanager:GetSecretValue"}


def verdicts(first: dict[str, Any]) -> list[tuple[str, str]]:
    return [(grant["verdict"], grant["reason"]) for grant in first["grants"]]


def test_a_grant_in_use_is_reported_and_kept(account: Account, access: Onboarding, survey: SurveyRun) -> None:
    before = account.snapshot()

    first = survey()

    assert verdicts(first) == [("in use", Reason.IN_USE.text())]
    assert (first["orphaned"], first["ownerExists"], first["graceSeconds"]) == (False, True, 0)
    assert account.snapshot() == before


@pytest.mark.parametrize("status", [404, 400])
def test_the_grant_of_a_deleted_source_location_is_revoked_with_the_evidence_of_both_surveys(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, status: int
) -> None:
    account.mediatailor.missing_status = status
    [grant] = grants(account, access.key)
    delete_location(account)

    first = survey()
    assert grants(account, access.key) == [grant]
    cleaned = clean_up(first)

    assert grants(account, access.key) == []
    [removed] = cleaned["removed"]
    assert (removed["grantId"], removed["keyArn"], removed["removedBy"]) == (grant, access.key, "latchkey")
    assert removed["reason"] == Reason.RESOURCE_GONE.text()
    assert len(removed["evidence"]) == 2
    assert all("is not in the complete list of" in text for text in removed["evidence"])
    assert (cleaned["kept"], cleaned["restored"], registry().revocations.open()) == ([], False, [])


def test_a_repeated_second_survey_changes_nothing(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first = survey()
    once = clean_up(first)
    before = account.snapshot()

    assert clean_up(first) == once
    assert account.snapshot() == before


def test_a_grant_that_the_service_retired_is_reported_as_removed_by_the_service(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first = survey()
    account.kms.revoke_grant(KeyId=access.key, GrantId=grants(account, access.key)[0])

    [removed] = clean_up(first)["removed"]

    assert removed["removedBy"] == "service"


def drop_policy(account: Account, access: Onboarding) -> None:
    account.secretsmanager.delete_resource_policy(SecretId=access.secret)


def delete_secret(account: Account, access: Onboarding) -> None:
    account.secretsmanager.delete_secret(SecretId=access.secret)


def destroy_secret(account: Account, access: Onboarding) -> None:
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)


def send_no_token(account: Account, _access: Onboarding) -> None:
    account.mediatailor.add(NAME, {"AccessType": "S3_SIGV4"})


def send_nothing(account: Account, _access: Onboarding) -> None:
    account.mediatailor.add(NAME)


def send_another(account: Account, access: Onboarding) -> None:
    account.mediatailor.add(NAME, token_configuration(account.secret("theirs/token", "{}", key=access.key)))


ORPHANING = {
    drop_policy: Reason.SERVICE_NOT_ALLOWED.text(),
    delete_secret: Reason.SECRET_GONE.text(),
    destroy_secret: Reason.SECRET_GONE.text(),
    send_no_token: Reason.NO_TOKEN.text(),
    send_nothing: Reason.NO_TOKEN.text(),
    send_another: Reason.OTHER_SECRET.text(),
}


@pytest.mark.parametrize(("orphan", "reason"), ORPHANING.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_grant_that_lost_its_secret_is_revoked(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, orphan: Callable[..., None], reason: str
) -> None:
    orphan(account, access)

    cleaned = clean_up(survey())

    assert [(removed["reason"], removed["removedBy"]) for removed in cleaned["removed"]] == [(reason, "latchkey")]
    assert grants(account, access.key) == []


def deny(account: Account, access: Onboarding) -> None:
    denial = READING | {"Effect": "Deny", "Principal": "*", "Resource": "*"}
    allow = READING | {"Resource": access.secret}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow, denial]})
    account.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=policy)


def disable_key(account: Account, access: Onboarding) -> None:
    account.kms.disable_key(KeyId=access.key.rpartition("/")[2])


def schedule_key(account: Account, access: Onboarding) -> None:
    account.kms.schedule_key_deletion(KeyId=access.key.rpartition("/")[2])


def name_without_suffix(account: Account, access: Onboarding) -> None:
    account.mediatailor.add(NAME, token_configuration(access.secret[: -len("-abcdef")]))


@pytest.mark.parametrize("act", [deny, disable_key, schedule_key, name_without_suffix])
def test_a_deny_a_disabled_key_and_a_short_secret_arn_do_not_orphan_a_grant(
    account: Account, access: Onboarding, survey: SurveyRun, act: Callable[..., None]
) -> None:
    act(account, access)

    first = survey()

    assert first["orphaned"] is False
    assert [verdict for verdict, _ in verdicts(first)] == ["in use"]


@pytest.mark.parametrize("act", [disable_key, schedule_key])
def test_an_orphaned_grant_is_revoked_on_a_disabled_key(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, act: Callable[..., None]
) -> None:
    act(account, access)
    delete_location(account)

    clean_up(survey())

    assert grants(account, access.key) == []


def test_foreign_grants_are_kept(account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun) -> None:
    longer = account.grant(access.key, f"{GRANT}-2", access.secret)
    shorter = account.grant(access.key, GRANT[:-1], access.secret)
    person = account.kms.create_grant(
        KeyId=access.key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/Backup", Name=GRANT, Operations=["Decrypt"]
    )["GrantId"]
    unbound = account.kms.create_grant(
        KeyId=access.key, GranteePrincipal="mediatailor.amazonaws.com", Name=GRANT, Operations=["Decrypt"]
    )["GrantId"]
    delete_location(account)

    first = survey()
    clean_up(first)

    assert sorted(verdict for verdict, _ in verdicts(first)) == ["foreign", "orphaned", "suspect"]
    assert set(grants(account, access.key)) == {longer, shorter, person, unbound}


def test_the_other_location_of_a_secret_keeps_its_grant(
    run: Run, account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    account.secretsmanager.tag_resource(SecretId=access.secret, Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])
    other = {"requestId": "request-2", "resource": {"sourceLocation": f"{NAME}-2"}, "secret": existing(access.secret)}
    [first_grant] = grants(account, access.key)
    onboarded(run, account, **other)
    [kept] = {*grants(account, access.key)} - {first_grant}
    delete_location(account)

    clean_up(survey())

    assert grants(account, access.key) == [kept]


def move_secret(account: Account, access: Onboarding) -> str:
    """Moves the secret to another key, on which the service has no grant yet."""
    other = account.key()
    account.secretsmanager.update_secret(SecretId=access.secret, KmsKeyId=other)
    return other


def test_the_grant_on_the_former_key_is_revoked_only_after_a_grant_on_the_new_key_exists(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    other = move_secret(account, access)
    waiting = survey()
    assert verdicts(waiting) == [("suspect", Reason.KEY_WITHOUT_GRANT.text())]

    new = account.grant(other, GRANT, access.secret)
    clean_up(survey())

    assert (grants(account, access.key), grants(account, other)) == ([], [new])


def test_a_former_key_without_grants_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    former = account.key()
    registry().locks.lock(ACCESS, EXECUTION)
    registry().granted.note(ACCESS, former)
    clean_up(survey())
    assert registry().granted.of(ACCESS) == {access.key, former}  # the running request can get a grant on it

    registry().locks.unlock(ACCESS, EXECUTION)
    clean_up(survey())
    assert registry().granted.of(ACCESS) == {access.key, former}  # KMS can list a new grant late

    monkeypatch.setattr(grant_keys, "UNLISTED", timedelta(seconds=-5))
    clean_up(survey())
    assert registry().granted.of(ACCESS) == {access.key}


def test_a_key_that_a_sweep_names_is_surveyed(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    unknown = account.key()
    account.grant(unknown, GRANT, "arn:aws:secretsmanager:us-east-1:123456789012:secret:another-abcdef")

    clean_up(survey(unknown))

    assert (len(grants(account, unknown)), len(grants(account, access.key))) == (0, 1)


def test_an_access_that_was_never_onboarded_needs_no_cleanup(survey: SurveyRun, clean_up: CleanUpRun) -> None:
    first = survey()

    assert (first["grants"], first["orphaned"]) == ([], False)
    assert clean_up(first) == {"removed": [], "kept": [], "restored": False}


def test_a_deleted_key_has_no_grants(access: Onboarding, survey: SurveyRun) -> None:
    at_call("kms", "ListGrants", answer_with_error("ListGrants", "NotFoundException"))

    assert survey()["grants"] == []


def test_a_grant_that_is_used_again_at_the_second_survey_is_kept(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first = survey()
    restore_location(account, access)

    cleaned = clean_up(first)

    assert [kept["reason"] for kept in cleaned["kept"]] == [Reason.IN_USE.text()]
    assert (cleaned["removed"], cleaned["restored"], len(grants(account, access.key))) == ([], False, 1)
    assert clean_up(first) == cleaned
    assert registry().revocations.open() == []


def test_surveys_within_the_grace_period_keep_the_grant(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, stack: Callable[..., None]
) -> None:
    delete_location(account)
    first, later = survey(), survey()
    stack(GRACE_SECONDS="600")
    assert [kept["reason"] for kept in clean_up(first)["kept"]] == [Reason.WITHIN_GRACE.text()]

    stack(GRACE_SECONDS="0")

    assert [removed["removedBy"] for removed in clean_up(later)["removed"]] == ["latchkey"]
