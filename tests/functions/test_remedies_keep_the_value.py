"""What a notice offers to send again keeps the value of the secret, or waits for a confirmation: no client is cut off."""

import copy
import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import Conflict
from latchkey.registry import registry
from tests.functions.account import IMPORT, Account
from tests.functions.onboarding_requests import Run, check_event, copied, rejected_paths, rejection
from tests.functions.onboarding_steps import Onboarding, policy, secret_statements

SYSTEMS = ["mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"]
TOKENS = {"mediapackagev2": "123e4567-e89b-42d3-a456-426614174000", "mediaconnect": "ab" * 32}
KEEPS = {"keepsValue": True}
NOT_NOW = (False, True)
READER = "arn:aws:iam::123456789012:role/Origin"


@pytest.fixture(autouse=True)
def resources(account: Account, stack: Callable[..., None]) -> None:
    """Creates the resources that the requests name, and allows their hosts and their reader."""
    account.add_resources()
    account.iam.create_role(RoleName="Origin", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    stack(ALLOWED_ORIGIN_HOSTS="origin.example.com", TRUSTED_PRINCIPAL_PATTERNS=READER)


def source_of(account: Account, system: str) -> str:
    return account.secret("theirs/token", TOKENS.get(system, "v" * 40), tags=IMPORT)


def remedy_of(run: Run, access: Onboarding, request_id: str = "request-2") -> dict[str, Any]:
    """The request that the remedy of the access sends."""
    commands = run("observe_access", {"accessId": access.checked["accessId"]})["remedy"]
    [entry] = json.loads(shlex.split(commands[-1])[-1])
    return {"requestId": request_id, **json.loads(entry["Detail"])}


def again(run: Run, account: Account, access: Onboarding, request_id: str = "request-2") -> Onboarding:
    """The remedy of the access as a request of its own."""
    repeated = Onboarding(run, account)
    repeated.request = remedy_of(run, access, request_id)
    repeated.execution = f"{access.execution}-{request_id}"
    return repeated


def lose_statement(account: Account, access: Onboarding) -> None:
    """Takes the statement for the reader of the origin out of the policy of the secret, which is a drift."""
    kept = [one for one in secret_statements(account, access.secret) if one["Sid"] != "LatchkeyOriginReaders"]
    if kept:
        account.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=policy(*kept))
    else:
        account.secretsmanager.delete_resource_policy(SecretId=access.secret)


def settings_of(account: Account) -> dict[str, Any]:
    return account.resources() | {"locations": copy.deepcopy(account.mediatailor.locations)}


def value_of(account: Account, access: Onboarding) -> str:
    return str(account.secretsmanager.get_secret_value(SecretId=access.secret)["SecretString"])


@pytest.fixture
def imported(run: Run, account: Account, request: pytest.FixtureRequest) -> Onboarding:
    """An access of a system with an imported token, whose source has another value since."""
    source = source_of(account, request.param)
    access = Onboarding(run, account, system=request.param, secret=copied(source, originReaders=[READER])).run_through(
        "record_access"
    )
    account.secretsmanager.put_secret_value(SecretId=source, SecretString=TOKENS.get(request.param, "n" * 40)[::-1])
    return access


every_imported = pytest.mark.parametrize("imported", SYSTEMS, indirect=True)


@every_imported
def test_the_remedy_of_a_drift_imports_no_changed_source(run: Run, account: Account, imported: Onboarding) -> None:
    lose_statement(account, imported)
    before, settings = value_of(account, imported), settings_of(account)

    repeated = again(run, account, imported).run_through("record_access")

    assert (repeated.secret, value_of(account, imported)) == (imported.secret, before)
    assert settings_of(account) == settings
    assert repeated.checked["hasResource"]


@every_imported
def test_the_remedy_of_a_drift_needs_no_source(run: Run, account: Account, imported: Onboarding) -> None:
    """The owner of the source has deleted it since, and the token is still in use."""
    lose_statement(account, imported)
    source = imported.request["secret"]["value"]["copyFrom"]["secretArn"]
    account.secretsmanager.delete_secret(SecretId=source, ForceDeleteWithoutRecovery=True)
    before = value_of(account, imported)

    repeated = again(run, account, imported)
    found = run("create_secret", {"request": repeated.request})
    repeated.run_through("record_access")

    assert found == {"findings": [], "unreadable": False, "replacesValue": None}
    assert value_of(account, imported) == before


@every_imported
def test_a_request_without_the_member_imports_the_changed_source(run: Run, account: Account, imported: Onboarding) -> None:
    before = value_of(account, imported)

    Onboarding(run, account, **_members(imported), requestId="request-2").run_through("record_access")

    assert value_of(account, imported) != before


def _members(access: Onboarding) -> dict[str, Any]:
    return {name: value for name, value in access.request.items() if name not in ("requestId", "resource")}


@pytest.mark.parametrize("imports", [False, True], ids=["generated", "imported"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_remedy_of_a_lost_secret_leaves_the_resource_until_it_is_confirmed(
    run: Run, account: Account, stack: Callable[..., None], system: str, imports: bool
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="origin.example.com" if imports else "")
    secret = {"secret": copied(source_of(account, system))} if imports else {}
    access = Onboarding(run, account, system=system, **secret).run_through("record_access")
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    settings = settings_of(account)

    repeated = again(run, account, access).run_through("record_access")

    assert (repeated.checked["hasResource"], repeated.checked["staged"]) == NOT_NOW
    assert repeated.secret != access.secret
    assert settings_of(account) == settings
    # The access in service stays recorded, so that notices and alarms go on.
    record = registry().accesses.get(access.checked["accessId"])
    assert record
    assert (record.secret_arn, record.reached) == (access.secret, "active")

    # The same command can be run again.
    third = again(run, account, access, "request-3").run_through("record_access")
    assert (third.secret, third.checked["hasResource"], third.checked["staged"]) == (repeated.secret, *NOT_NOW)

    confirmed = Onboarding(run, account)
    confirmed.request, confirmed.execution = third.request | {"requestId": "confirm-1"}, f"{access.execution}-confirm-1"
    event = check_event(confirmed.request, confirms=True, executionArn=confirmed.execution, contentHash="d" * 64)
    checked = run("check_request", event)
    assert (checked["confirms"], checked["hasResource"], checked["secretArn"]) == (True, True, repeated.secret)
    step = {"request": confirmed.request, "key": {"arn": checked["keyArn"], "changed": False}, "confirms": True}
    run("configure_access", step | {"secretArn": checked["secretArn"]})
    assert repeated.secret in json.dumps(settings_of(account), default=str)


def test_a_confirmation_does_not_replace_what_was_configured_instead_of_a_lost_secret(run: Run, account: Account) -> None:
    access = Onboarding(run, account, system="mediapackage").run_through("record_access")
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    repeated = again(run, account, access).run_through("record_access")
    held = account.mediapackage.resources["live-hls"]["Authorization"]
    held["CdnIdentifierSecret"] = account.secret("theirs/other", "{}")

    event = check_event(
        repeated.request | {"requestId": "confirm-1"}, confirms=True, executionArn="arn:c", contentHash="d" * 64
    )

    assert set(rejection(run, "check_request", event)) == {"secret.replacesToken"}


def test_a_secret_that_is_lost_after_the_check_is_not_replaced(run: Run, account: Account) -> None:
    access = Onboarding(run, account, secret={"originReaders": [READER]}).run_through("record_access")
    lose_statement(account, access)
    repeated = again(run, account, access)
    repeated.check_request()
    repeated.create_key()
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)

    with pytest.raises(Conflict):
        repeated.create_secret()


def test_a_kept_value_is_that_of_the_access(run: Run, account: Account) -> None:
    Onboarding(run, account).run_through("record_access")

    another = {"name": "latchkey/another", "replacesToken": True} | KEEPS
    assert rejected_paths(run, requestId="request-2", secret=another) == {"secret.keepsValue"}


def test_a_kept_value_has_the_source_that_the_request_names(run: Run, account: Account) -> None:
    """Otherwise, a later request could copy from the named source to the hosts of this access."""
    Onboarding(run, account).run_through("record_access")

    secret = copied(source_of(account, "mediatailor")) | KEEPS
    assert "secret.keepsValue" in rejected_paths(run, requestId="request-2", secret=secret)
