"""What belongs to another tenant is not used, even if it appears, or changes its tenant, after the request was checked."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import Conflict, TransientAwsError
from latchkey.registry import registry
from tests.functions.account import ADOPT, IMPORT, TABLE, Account
from tests.functions.fault_injection import at_call
from tests.functions.media_services import FLOW
from tests.functions.onboarding_requests import (
    EXECUTION,
    NAME,
    SECRET_KEY,
    Run,
    check_event,
    copied,
    existing,
    onboarding,
    rejection,
)
from tests.functions.onboarding_steps import Onboarding, key_statements, secret_statements

NOT_ALLOWED = "not allowed for this tenant"
ACCESS = f"mediatailor/sourceLocation/{NAME}"
SPORTS = ADOPT | {"latchkey:tenant": "sports"}
VALUE = json.dumps({SECRET_KEY: "v" * 30})


@pytest.fixture(autouse=True)
def any_host(account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    clients.ssm().put_parameter(Name="/latchkey/tenants/sports", Type="String", Value="{}")


def give_secret(account: Account, secret: str) -> None:
    """The owner gives a secret to the tenant sports."""
    account.secretsmanager.tag_resource(SecretId=secret, Tags=[{"Key": "latchkey:tenant", "Value": "sports"}])


# configure_access


def test_a_location_of_another_tenant_that_appears_after_the_check_is_not_configured(run: Run, account: Account) -> None:
    access = Onboarding(run, account).run_through("attach_policies")
    account.mediatailor.add(NAME, None, tags=SPORTS)

    with pytest.raises(Conflict, match=f"^the resource of {ACCESS} is {NOT_ALLOWED}$"):
        access.configure_access()

    assert account.mediatailor.writes == []


@pytest.mark.parametrize("system", ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"])
def test_a_resource_that_is_given_to_another_tenant_after_the_check_is_not_configured(
    run: Run, account: Account, system: str
) -> None:
    account.add_resources()
    access = Onboarding(run, account, system=system).run_through("attach_policies")
    give(account, system)
    before = account.resources()

    with pytest.raises(Conflict, match=f"is {NOT_ALLOWED}$"):
        access.configure_access()

    assert account.resources() == before


def give(account: Account, system: str) -> None:
    """The owner gives a resource to the tenant sports."""
    if system == "mediaconnect":
        account.mediaconnect.tags[FLOW] = SPORTS
    elif system == "mediapackagev2":
        account.mediapackagev2.endpoints["sports/one/hls"]["Tags"] = SPORTS
    elif system == "mediapackage":
        account.mediapackage.resources["live-hls"]["Tags"] = SPORTS
    else:
        account.mediapackage_vod.resources["films"]["Tags"] = SPORTS


def test_a_flow_that_is_given_to_another_tenant_before_the_update_is_not_configured(run: Run, account: Account) -> None:
    account.add_resources()
    access = Onboarding(run, account, system="mediaconnect").run_through("attach_policies")
    at_call("mediaconnect", "DescribeFlow", lambda: give(account, "mediaconnect"), number=2)

    with pytest.raises(TransientAwsError):
        access.configure_access()

    assert account.mediaconnect.updates == []


# The resource of a recorded access


def recreated(account: Account, tags: dict[str, str]) -> None:
    """The owner deletes the location and creates another one with the same name."""
    del account.mediatailor.locations[NAME]
    account.mediatailor.add(NAME, None, tags=tags)


def test_a_recorded_access_does_not_take_a_location_that_its_owner_gave_to_another_tenant(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, None, tags=ADOPT)
    Onboarding(run, account).run_through("record_access")
    recreated(account, SPORTS)

    rules = rejection(run, "check_request", check_event(onboarding(requestId="request-2"), executionArn="arn:two"))

    assert rules == {"resource": NOT_ALLOWED}


def test_a_recorded_access_does_not_configure_a_location_that_its_owner_gives_to_another_tenant(
    run: Run, account: Account
) -> None:
    account.mediatailor.add(NAME, None, tags=ADOPT)
    Onboarding(run, account).run_through("record_access")
    again = Onboarding(run, account, requestId="request-2").run_through("attach_policies")
    recreated(account, SPORTS)

    with pytest.raises(Conflict, match=f"is {NOT_ALLOWED}$"):
        again.configure_access()

    assert not account.mediatailor.locations[NAME].get("AccessConfiguration")


def test_the_flow_of_a_recorded_access_is_not_used_after_it_was_given_to_another_tenant(run: Run, account: Account) -> None:
    """The settings are as the request wants them, so no consent is needed; the tenant is checked all the same."""
    account.add_resources()
    Onboarding(run, account, system="mediaconnect").run_through("record_access")
    give(account, "mediaconnect")

    event = check_event(onboarding("mediaconnect", requestId="request-2"), executionArn="arn:two")
    assert rejection(run, "check_request", event) == {"resource": NOT_ALLOWED}


# create_key


def test_a_key_of_another_tenant_that_gets_the_alias_after_the_check_is_not_used(run: Run, account: Account) -> None:
    access = Onboarding(run, account, key={"alias": "alias/mine"}).run_through("check_request")
    key = account.key(tags=SPORTS, alias="alias/mine")

    with pytest.raises(Conflict, match=f"^alias/mine is {NOT_ALLOWED}$"):
        access.create_key()

    assert "Latchkey" not in json.dumps(key_statements(account, key))


def test_an_adopted_key_that_is_given_to_another_tenant_after_the_check_is_not_used(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    access = Onboarding(run, account, key={"arn": key}).run_through("check_request")
    account.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "latchkey:tenant", "TagValue": "sports"}])

    with pytest.raises(Conflict, match=f"^{key} is {NOT_ALLOWED}$"):
        access.create_key()


# Secrets


def test_an_adopted_secret_that_is_given_to_another_tenant_after_the_check_is_not_changed(run: Run, account: Account) -> None:
    secret = account.secret("theirs/token", VALUE)
    access = Onboarding(run, account, secret=existing(secret)).run_through("create_secret")
    give_secret(account, secret)

    with pytest.raises(Conflict, match=f"^{secret} is {NOT_ALLOWED}$"):
        access.attach_policies()

    assert secret_statements(account, secret) == []


def test_a_source_that_is_given_to_another_tenant_after_the_check_is_not_copied(run: Run, account: Account) -> None:
    source = account.secret("theirs/token", "v" * 30, tags=IMPORT)
    access = Onboarding(run, account, secret=copied(source)).run_through("create_key")
    give_secret(account, source)

    with pytest.raises(Conflict, match=f"^{source} is {NOT_ALLOWED}$"):
        access.create_secret()


@pytest.mark.parametrize(("ask", "tags"), [(existing, ADOPT), (copied, IMPORT)])
def test_the_value_of_a_secret_of_another_tenant_is_not_checked(
    run: Run, account: Account, ask: Callable[..., dict[str, Any]], tags: dict[str, str]
) -> None:
    """A finding would reveal something about the value."""
    secret = account.secret("theirs/token", "v", tags=tags | {"latchkey:tenant": "sports"})

    answer = run("create_secret", {"request": onboarding(secret=ask(secret)), "key": None})

    assert answer == {"findings": [], "unreadable": True, "replacesValue": None}


def test_an_own_secret_that_is_given_to_another_tenant_after_the_check_is_not_used(run: Run, account: Account) -> None:
    first = Onboarding(run, account).run_through("record_access")
    again = Onboarding(run, account, requestId="request-2").run_through("create_key")
    give_secret(account, first.secret)

    with pytest.raises(Conflict, match=f"is {NOT_ALLOWED}$"):
        again.create_secret()


# The tenant of the access


def taken(account: Account) -> dict[str, Any]:
    """Removes the item of the access, and returns it."""
    key = {"kind": {"S": "access"}, "id": {"S": ACCESS}}
    item: dict[str, Any] = account.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
    account.dynamodb.delete_item(TableName=TABLE, Key=key)
    return item


def test_an_access_that_another_tenant_records_before_the_lock_is_not_taken_over(run: Run, account: Account) -> None:
    Onboarding(run, account).run_through("record_access")
    item = taken(account)
    # The default tenant records its access after the first check of this request and before its lock.
    at_call("ssm", "GetParameter", lambda: account.dynamodb.put_item(TableName=TABLE, Item=item), when="after-call")
    request = onboarding(requestId="s1", secret={"name": "latchkey/sports/x", "replacesToken": True})

    rules = rejection(run, "check_request", check_event(request, tenant="sports", executionArn=f"{EXECUTION}-s1"))

    assert rules == {"resource": NOT_ALLOWED}
    assert not registry().locks.is_locked(ACCESS)


# Confirmations


@pytest.mark.parametrize("given", ["key", "secret", "location"])
def test_a_hand_off_whose_parts_were_given_to_another_tenant_is_not_confirmed(run: Run, account: Account, given: str) -> None:
    key, secret = account.key(tags=ADOPT), account.secret("theirs/token", VALUE)
    members = {"key": {"arn": key}, "secret": existing(secret)}
    access = Onboarding(run, account, resource={"configure": False}, **members).run_through("record_access")
    if given == "key":
        account.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "latchkey:tenant", "TagValue": "sports"}])
    elif given == "secret":
        give_secret(account, secret)
    else:
        account.mediatailor.add(NAME, None, tags=SPORTS)
    event = check_event(access.request | {"requestId": "confirm-1"}, executionArn="arn:confirm-1", confirms=True)

    assert rejection(run, "check_request", event) == {"accessId": NOT_ALLOWED}
