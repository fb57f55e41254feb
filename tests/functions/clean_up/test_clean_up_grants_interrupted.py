"""clean_up_grants: reads that fail, calls that are refused or lost, and owners that come back."""

import json
from typing import Any

import pytest

from latchkey.cleanup.verdict import Reason
from latchkey.errors import AccessDenied, NotYetEffective, TransientAwsError
from latchkey.registry import registry
from tests.functions.account import Account
from tests.functions.clean_up_steps import (
    ACCESS,
    GRANT,
    CleanUpRun,
    SurveyRun,
    delete_location,
    grants,
    put_count,
    restore_location,
)
from tests.functions.fault_injection import ListingLag, answer_with_error, at_call, lose_connection
from tests.functions.onboarding_requests import NAME
from tests.functions.onboarding_steps import Onboarding

SETTINGS = ("SourceLocationName", "HttpConfiguration", "AccessConfiguration")


@pytest.mark.parametrize("operation", ["ListSourceLocations", "DescribeSourceLocation"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_failed_read_of_locations_revokes_nothing(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, operation: str, number: int
) -> None:
    account.mediatailor.add("another")  # a second page of the list
    delete_location(account)
    first = survey()
    at_call("kms", "RevokeGrant", answer_with_error("RevokeGrant"))
    at_call("mediatailor", operation, answer_with_error(operation, "InternalServiceError", 500), number)

    with pytest.raises((TransientAwsError, AccessDenied)) as caught:
        clean_up(first)

    reached = operation == "DescribeSourceLocation" and number == 2  # this read shows whether the resource exists again
    assert caught.type is (AccessDenied if reached else TransientAwsError)
    assert len(grants(account, access.key)) == 1


def test_a_failed_list_of_grants_revokes_nothing(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first = survey()
    at_call("kms", "ListGrants", answer_with_error("ListGrants", "KMSInternalException", 500))

    with pytest.raises(TransientAwsError):
        clean_up(first)

    assert len(grants(account, access.key)) == 1
    assert [removed["removedBy"] for removed in clean_up(first)["removed"]] == ["latchkey"]


def test_a_resource_that_is_listed_and_cannot_be_described_is_read_again(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first = survey()
    restore_location(account, access)
    at_call("kms", "ListGrants", lambda: delete_location(account))

    with pytest.raises(TransientAwsError):
        clean_up(first)

    assert len(grants(account, access.key)) == 1


@pytest.mark.parametrize(
    ("service", "operation", "when"),
    [
        ("kms", "ListGrants", "before-call"),
        ("kms", "RevokeGrant", "before-call"),
        ("kms", "RevokeGrant", "after-call"),
        ("mediatailor", "DescribeSourceLocation", "after-call"),
    ],
)
def test_a_retry_completes_a_crashed_cleanup(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, service: str, operation: str, when: str
) -> None:
    delete_location(account)
    first = survey()
    at_call(service, operation, lose_connection, when=when)
    with pytest.raises(TransientAwsError):
        clean_up(first)

    [removed] = clean_up(first)["removed"]

    # The response was lost, so the removal cannot be attributed.
    assert removed["removedBy"] == ("either" if when == "after-call" and operation == "RevokeGrant" else "latchkey")
    assert (grants(account, access.key), registry().revocations.open()) == ([], [])


def test_a_resource_that_is_recreated_during_the_revocation_is_restored(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first, before = survey(), put_count(account)
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))

    cleaned = clean_up(first)

    assert (cleaned["restored"], put_count(account)) == (True, before + 1)
    assert clean_up(first) == cleaned
    assert put_count(account) == before + 1


@pytest.fixture
def unrenewed(account: Account, access: Onboarding, survey: SurveyRun) -> dict[str, Any]:
    """The first survey of a resource that is recreated during the revocation. Unchanged settings do not renew its grant."""
    delete_location(account)
    first = survey()
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
    account.mediatailor.renews_unchanged = False
    return first


def test_a_grant_that_unchanged_settings_do_not_renew_is_renewed_by_a_change_and_back(
    account: Account, access: Onboarding, clean_up: CleanUpRun, unrenewed: dict[str, Any]
) -> None:
    with pytest.raises(NotYetEffective):
        clean_up(unrenewed)
    former = json.loads(json.dumps(account.mediatailor.locations[NAME]))
    assert grants(account, access.key) == []

    cleaned = clean_up(unrenewed)

    assert (cleaned["restored"], bool(grants(account, access.key)), registry().revocations.open()) == (True, True, [])
    assert account.mediatailor.locations[NAME] == former


@pytest.mark.parametrize("change", [False, True], ids=["alone", "with a change by the owner"])
def test_altered_settings_are_set_back_after_a_crash(
    account: Account, access: Onboarding, clean_up: CleanUpRun, unrenewed: dict[str, Any], change: bool
) -> None:
    with pytest.raises(NotYetEffective):
        clean_up(unrenewed)
    former = json.loads(json.dumps(account.mediatailor.locations[NAME]))
    segments = {"DefaultSegmentDeliveryConfiguration": {"BaseUrl": "https://cdn.example.com"}} if change else {}
    at_call("mediatailor", "UpdateSourceLocation", lose_connection, number=2, when="after-call")
    with pytest.raises(TransientAwsError):
        clean_up(unrenewed)
    assert account.mediatailor.locations[NAME]["AccessConfiguration"] != former["AccessConfiguration"]
    account.mediatailor.locations[NAME] |= segments

    assert clean_up(unrenewed)["restored"]

    assert account.mediatailor.locations[NAME] == former | segments
    assert grants(account, access.key)


def test_altered_settings_are_set_back_although_the_revocation_was_closed(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    clean_up(survey())
    restore_location(account, access)
    account.mediatailor.at_update()
    former = json.loads(json.dumps(account.mediatailor.locations[NAME]))
    [closed] = registry().revocations.revoked_by_us(ACCESS)
    registry().revocations.note_altering(closed, {name: former[name] for name in SETTINGS})
    token = account.mediatailor.locations[NAME]["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    token["HeaderName"] = token["HeaderName"].swapcase()

    again = survey()
    clean_up(again)

    assert again["deprived"]
    assert account.mediatailor.locations[NAME] == former
    assert not survey()["deprived"]


@pytest.mark.parametrize("status", [400, 403])
def test_a_denied_renewal_is_reported_with_its_text(
    account: Account, clean_up: CleanUpRun, unrenewed: dict[str, Any], status: int
) -> None:
    at_call("mediatailor", "UpdateSourceLocation", answer_with_error("UpdateSourceLocation", "BadRequestException", status))

    with pytest.raises(AccessDenied, match=f"UpdateSourceLocation failed with BadRequestException .{status}.: no"):
        clean_up(unrenewed)


def test_settings_that_the_owner_changes_before_a_retry_are_kept(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore must not repeat an update that replaces all settings."""
    delete_location(account)
    first, moved = survey(), {"BaseUrl": "https://moved.example.com/"}
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
    route = account.mediatailor._route

    def owner_moves(method: str, path: str, query: str, body: Any) -> tuple[int, dict[str, Any]]:
        if method == "PUT" and account.mediatailor.locations[NAME]["HttpConfiguration"] != moved:
            account.mediatailor.locations[NAME]["HttpConfiguration"] = moved
            return 503, {"Message": "slow down"}
        return route(method, path, query, body)

    monkeypatch.setattr(account.mediatailor, "_route", owner_moves)
    with pytest.raises(TransientAwsError):
        clean_up(first)

    assert clean_up(first)["restored"]
    assert account.mediatailor.locations[NAME]["HttpConfiguration"] == moved


@pytest.mark.parametrize("number", [2, 3])
def test_a_retry_restores_a_recreated_resource_and_reports_it(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, number: int
) -> None:
    """The second read finds the resource again; the third one is part of its restoration."""
    delete_location(account)
    first, before = survey(), put_count(account)
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
    at_call("mediatailor", "DescribeSourceLocation", lose_connection, number)
    with pytest.raises(TransientAwsError):
        clean_up(first)

    cleaned = clean_up(first)

    assert (cleaned["restored"], put_count(account)) == (True, before + 1)


@pytest.fixture
def lag(monkeypatch: pytest.MonkeyPatch) -> ListingLag:
    return ListingLag(monkeypatch)


def test_a_revoked_grant_is_gone_when_it_is_no_longer_listed(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, lag: ListingLag
) -> None:
    delete_location(account)
    first = survey()
    for _ in range(2):
        with pytest.raises(NotYetEffective):
            clean_up(first)

    lag.settle()

    assert [removed["removedBy"] for removed in clean_up(first)["removed"]] == ["latchkey"]


def test_a_restored_resource_is_reported_while_its_old_grant_is_still_listed(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, lag: ListingLag
) -> None:
    delete_location(account)
    first = survey()
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
    for _ in range(2):
        with pytest.raises(NotYetEffective):
            clean_up(first)

    lag.settle()
    cleaned = clean_up(first)

    assert ([removed["removedBy"] for removed in cleaned["removed"]], cleaned["restored"]) == (["latchkey"], True)


def test_a_resource_that_can_have_been_recreated_during_a_crash_is_restored(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, lag: ListingLag
) -> None:
    """The response of RevokeGrant was lost, and the grant, which is still listed, seems to be in use."""
    delete_location(account)
    first, before = survey(), put_count(account)
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
    at_call("kms", "RevokeGrant", lose_connection, when="after-call")
    with pytest.raises(TransientAwsError):
        clean_up(first)

    cleaned = clean_up(first)

    assert (cleaned["restored"], put_count(account)) == (True, before + 1)


def test_a_denied_revocation_stays_open_until_it_is_allowed(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first = survey()
    at_call("kms", "RevokeGrant", answer_with_error("RevokeGrant"))
    with pytest.raises(AccessDenied):
        clean_up(first)
    [noted] = registry().revocations.open(ACCESS)
    assert (noted.tries, noted.revoked) == (0, False)

    again = survey()

    assert again["orphaned"] is True
    assert [removed["removedBy"] for removed in clean_up(again)["removed"]] == ["latchkey"]


def test_a_resource_that_is_recreated_after_a_denied_revocation_is_not_updated(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first, before = survey(), put_count(account)
    at_call("kms", "RevokeGrant", answer_with_error("RevokeGrant"))
    with pytest.raises(AccessDenied):
        clean_up(first)
    restore_location(account, access)

    cleaned = clean_up(first)

    assert (len(cleaned["kept"]), cleaned["restored"], put_count(account)) == (1, False, before)


def test_a_denied_revocation_does_not_hold_up_another_grant(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    other = account.key()
    account.grant(other, GRANT, access.secret)
    delete_location(account)
    first = survey(other)
    at_call("kms", "RevokeGrant", answer_with_error("RevokeGrant"))

    with pytest.raises(AccessDenied):
        clean_up(first)
    assert len(grants(account, access.key) + grants(account, other)) == 1

    # The retry also reports the grant that the first attempt revoked.
    assert len(clean_up(first)["removed"]) == 2


def drop_policy(account: Account, access: Onboarding) -> str:
    """Removes the service from the resource policy of the secret; returns the former policy."""
    policy: str = account.secretsmanager.get_resource_policy(SecretId=access.secret)["ResourcePolicy"]
    account.secretsmanager.delete_resource_policy(SecretId=access.secret)
    return policy


def admit_again(account: Account, access: Onboarding, policy: str) -> None:
    account.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=json.dumps(json.loads(policy)))


def test_an_access_that_its_secret_revoked_is_not_restored_after_the_revocation_of_another_execution(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    policy = drop_policy(account, access)
    first = survey()
    at_call("kms", "RevokeGrant", lose_connection, when="after-call")
    with pytest.raises(TransientAwsError):
        clean_up(first)

    [removed] = clean_up(survey())["removed"]

    admit_again(account, access, policy)
    assert (removed["removedBy"], removed["reason"]) == ("either", Reason.SERVICE_NOT_ALLOWED.text())
    assert survey()["deprived"] is False


def test_an_access_that_its_secret_revoked_is_not_restored_when_the_grant_is_kept(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, lag: ListingLag
) -> None:
    """The response of RevokeGrant was lost, the grant is still listed, and the secret allows the service again."""
    policy = drop_policy(account, access)
    first = survey()
    at_call("kms", "RevokeGrant", lose_connection, when="after-call")
    with pytest.raises(TransientAwsError):
        clean_up(first)
    admit_again(account, access, policy)
    cleaned = clean_up(first)
    assert (len(cleaned["kept"]), cleaned["removed"]) == (1, [])

    lag.settle()
    for grant in grants(account, access.key):
        account.kms.revoke_grant(KeyId=access.key, GrantId=grant)
        lag.settle_last()

    assert (grants(account, access.key), survey()["deprived"]) == ([], False)


def test_an_irrevocable_grant_on_an_unknown_key_is_revoked_later(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    """The next trail event names no keys."""
    unknown = account.key()
    account.kms.revoke_grant(KeyId=access.key, GrantId=grants(account, access.key)[0])
    account.grant(unknown, GRANT, access.secret)
    delete_location(account)
    at_call("kms", "RevokeGrant", answer_with_error("RevokeGrant"))
    with pytest.raises(AccessDenied):
        clean_up(survey(unknown))

    cleaned = clean_up(survey())

    assert [removed["removedBy"] for removed in cleaned["removed"]] == ["latchkey"]
    assert grants(account, unknown) == []
