"""clean_up_grants: concurrent executions, and resources that are recreated while their grants are revoked."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.cleanup.survey import Surveyor
from latchkey.cleanup.sweep_grants import Sweep, SweepGrantsInput
from latchkey.cleanup.verdict import Reason
from latchkey.errors import NotYetEffective, TransientAwsError
from latchkey.registry import registry
from latchkey.registry import revocations as revocation_registry
from latchkey.settings import settings
from tests.functions.account import Account
from tests.functions.clean_up_steps import (
    ACCESS,
    CleanUpRun,
    SurveyRun,
    delete_location,
    grants,
    put_count,
    restore_location,
    token_configuration,
)
from tests.functions.fault_injection import ListingLag, at_call, lose_connection
from tests.functions.onboarding_requests import NAME
from tests.functions.onboarding_steps import Onboarding


class Machines:
    """The executions that a sweep starts."""

    class exceptions:
        class ExecutionAlreadyExists(Exception): ...

    def __init__(self) -> None:
        self.accesses: list[str] = []

    def start_execution(self, **asked: str) -> None:
        self.accesses.append(json.loads(asked["input"])["accessId"])


def swept() -> list[str]:
    """The accesses for which a sweep starts a cleanup."""
    machines: Any = Machines()
    looking = Surveyor(clients.kms(), clients.secretsmanager(), clients.client_for)
    known = settings()
    arns = (known.clean_up_state_machine_arn, known.end_request_state_machine_arn, "")
    Sweep(known, registry(), looking, machines, *arns)(SweepGrantsInput(id="event-1"))
    accesses: list[str] = machines.accesses
    return accesses


@pytest.fixture
def lag(monkeypatch: pytest.MonkeyPatch) -> ListingLag:
    return ListingLag(monkeypatch)


def test_one_of_two_concurrent_executions_reports_the_removal(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first, second = survey(), survey()
    others: list[dict[str, Any]] = []
    at_call("mediatailor", "ListSourceLocations", lambda: others.append(clean_up(second)))

    cleaned = clean_up(first)

    assert [removed["removedBy"] for removed in others[0]["removed"]] == ["latchkey"]
    assert cleaned["removed"] == []


def test_a_late_execution_does_not_report_the_removal_again(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first, second = survey(), survey()
    assert [removed["removedBy"] for removed in clean_up(first)["removed"]] == ["latchkey"]

    assert clean_up(second) == {"removed": [], "kept": [], "restored": False}


def test_an_execution_that_finds_the_grant_gone_while_another_revokes_does_not_name_the_service(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first, second = survey(), survey()
    others: list[dict[str, Any]] = []
    at_call("kms", "RevokeGrant", lambda: others.append(clean_up(second)), when="after-call")

    clean_up(first)

    assert [removed["removedBy"] for removed in others[0]["removed"]] == ["either"]


def test_a_concurrent_execution_restores_the_resource_of_a_crashed_one(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    """The other execution read the open revocations before the grant was revoked."""
    delete_location(account)
    first, second = survey(), survey()
    before = put_count(account)

    def revoke_and_crash() -> None:
        at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
        at_call("mediatailor", "DescribeSourceLocation", lose_connection, 2)
        with pytest.raises(TransientAwsError):
            clean_up(first)

    at_call("mediatailor", "ListSourceLocations", revoke_and_crash)

    cleaned = clean_up(second)

    assert (cleaned["restored"], put_count(account), registry().revocations.open()) == (True, before + 1, [])


def test_a_retry_that_finds_the_resource_restored_reports_it(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, lag: ListingLag
) -> None:
    delete_location(account)
    first, before = survey(), put_count(account)
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
    with pytest.raises(NotYetEffective):
        clean_up(first)
    lag.settle()

    cleaned = clean_up(first)

    assert (cleaned["restored"], put_count(account)) == (True, before + 1)


def test_a_resource_that_is_restored_after_the_revocation_was_closed_is_reported(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first, second, before = survey(), survey(), put_count(account)
    reached, go = threading.Event(), threading.Event()
    reports: list[dict[str, Any]] = []
    other = threading.Thread(target=lambda: reports.append(clean_up(second)))

    def wait_in_the_other() -> None:
        reached.set()
        assert go.wait(20)

    def let_the_other_end() -> None:
        go.set()
        other.join(20)
        restore_location(account, access)

    at_call("mediatailor", "ListSourceLocations", wait_in_the_other)
    at_call("kms", "RevokeGrant", let_the_other_end, when="after-call")
    other.start()
    assert reached.wait(20)

    cleaned = clean_up(first)

    assert [one["restored"] for one in reports] == [False]
    assert (cleaned["restored"], cleaned["removed"], put_count(account)) == (True, [], before + 1)


def make_again(account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun) -> None:
    """MediaTailor received the id of the revoked grant, and returned the source location only after the last survey."""
    delete_location(account)
    assert [removed["removedBy"] for removed in clean_up(survey())["removed"]] == ["latchkey"]
    restore_location(account, access)


def test_a_resource_that_was_created_during_the_revocation_is_restored(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    make_again(account, access, survey, clean_up)
    before = put_count(account)

    first = survey()
    cleaned = clean_up(first)

    assert (first["orphaned"], first["deprived"], cleaned["restored"], put_count(account)) == (False, True, True, before + 1)
    assert survey()["deprived"] is False
    assert (clean_up(first), put_count(account)) == (cleaned, before + 1)


def test_a_restored_resource_waits_for_its_new_grant(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    make_again(account, access, survey, clean_up)
    first, serve = survey(), account.mediatailor.at_update
    account.mediatailor.at_update = lambda: None
    with pytest.raises(NotYetEffective):
        clean_up(first)

    account.mediatailor.at_update = serve

    assert clean_up(first)["restored"] is True


def test_a_revocation_stays_open_until_the_resource_has_another_grant(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    delete_location(account)
    first, serve = survey(), account.mediatailor.at_update
    account.mediatailor.at_update = lambda: None
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
    with pytest.raises(NotYetEffective):
        clean_up(first)
    assert len(registry().revocations.open()) == 1

    account.mediatailor.at_update = serve
    cleaned = clean_up(first)

    assert (len(cleaned["removed"]), cleaned["restored"], registry().revocations.open()) == (1, True, [])


def name_another_secret(account: Account, access: Onboarding) -> None:
    """The source location names another secret under the same key, and has no grant for it."""
    other = account.secret("another", "{}", key=access.key)
    policy = account.secretsmanager.get_resource_policy(SecretId=access.secret)["ResourcePolicy"]
    account.secretsmanager.put_resource_policy(SecretId=other, ResourcePolicy=policy.replace(access.secret, other))
    account.mediatailor.add(NAME, token_configuration(other))


def send_no_token(account: Account, _: Onboarding) -> None:
    account.mediatailor.add(NAME, {"AccessType": "S3_SIGV4"})


def lose_location(account: Account, _: Onboarding) -> None:
    delete_location(account)


@pytest.mark.parametrize("change", [send_no_token, name_another_secret, lose_location], ids=lambda change: change.__name__)
def test_a_resource_that_changed_after_the_survey_is_not_restored(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, change: Callable[[Account, Onboarding], None]
) -> None:
    delete_location(account)
    first, before = survey(), put_count(account)
    at_call("kms", "RevokeGrant", lambda: restore_location(account, access))
    at_call("mediatailor", "DescribeSourceLocation", lambda: change(account, access), 2, "after-call")
    with pytest.raises(NotYetEffective):
        clean_up(first)

    cleaned = clean_up(first)

    assert ([removed["removedBy"] for removed in cleaned["removed"]], put_count(account)) == (["latchkey"], before)
    assert registry().revocations.open() == []


@pytest.mark.parametrize("noted", [False, True], ids=["never noted", "noted as orphaned"])
def test_a_grant_that_another_principal_revoked_is_not_restored(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, noted: bool
) -> None:
    [grant] = grants(account, access.key)
    if noted:
        delete_location(account)
    first = survey()
    account.kms.revoke_grant(KeyId=access.key, GrantId=grant)
    clean_up(first)
    restore_location(account, access)

    assert survey()["deprived"] is False


def test_a_later_loss_of_a_restored_grant_is_not_attributed_to_latchkey(
    monkeypatch: pytest.MonkeyPatch, account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    make_again(account, access, survey, clean_up)
    clean_up(survey())
    monkeypatch.setattr(revocation_registry, "LISTED_STILL", timedelta(seconds=-5))
    clean_up(survey())

    [grant] = grants(account, access.key)
    account.kms.revoke_grant(KeyId=access.key, GrantId=grant)

    assert survey()["deprived"] is False


def test_the_sweep_finds_a_resource_whose_grant_latchkey_revoked(
    monkeypatch: pytest.MonkeyPatch, account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    make_again(account, access, survey, clean_up)
    assert swept() == [ACCESS]

    clean_up(survey())
    assert swept() == []

    # The sweep starts one more cleanup, for when KMS no longer lists the former grant.
    monkeypatch.setattr(revocation_registry, "LISTED_STILL", timedelta(seconds=-5))
    assert swept() == [ACCESS]
    clean_up(survey())
    assert swept() == []


def test_the_grant_of_a_former_secret_is_not_restored(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    name_another_secret(account, access)
    before = put_count(account)

    cleaned = clean_up(survey())

    assert [removed["reason"] for removed in cleaned["removed"]] == [Reason.OTHER_SECRET.text()]
    assert (cleaned["restored"], put_count(account), grants(account, access.key)) == (False, before, [])


def test_a_revocation_is_settled_when_the_resource_names_another_secret(
    monkeypatch: pytest.MonkeyPatch, account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    make_again(account, access, survey, clean_up)
    name_another_secret(account, access)
    record = registry().accesses.get(ACCESS)
    assert record is not None
    registry().accesses.record_status(record, "detached", [])
    first = survey()
    assert (first["deprived"], first["settled"]) == (False, [])

    monkeypatch.setattr(revocation_registry, "LISTED_STILL", timedelta(seconds=-5))
    assert swept() == [ACCESS]
    clean_up(survey())

    assert registry().revocations.revoked_by_us() == []


def test_a_survey_does_not_change_recorded_revocations(
    monkeypatch: pytest.MonkeyPatch, account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    make_again(account, access, survey, clean_up)
    clean_up(survey())
    monkeypatch.setattr(revocation_registry, "LISTED_STILL", timedelta(seconds=-5))
    before = account.snapshot()

    assert len(survey()["settled"]) == 1

    assert account.snapshot() == before
