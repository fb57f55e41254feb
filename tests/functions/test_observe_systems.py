"""observe_access: the status of an access with a role, a handed-off access, and a partner access."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.registry import registry
from tests.functions.account import ACCOUNT, ROOT, Account
from tests.functions.onboarding_requests import PARTNER, Run, role_name_of
from tests.functions.onboarding_steps import Onboarding

ADOBE = "adobe-experience-platform"
WHOLE = {"Sid": "Whole", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ROLE = "mediapackage"
CLEAN_UP = f"arn:aws:states:us-east-1:{ACCOUNT}:execution:clean-up-grants:one"


@pytest.fixture(autouse=True)
def there(account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_PARTNER_ACCOUNTS=PARTNER, ALLOWED_ORIGIN_HOSTS="*")
    account.add_resources()
    account.open_bus()


def observe(run: Run, access: Onboarding) -> tuple[str | None, list[str]]:
    """The status and the lost checks; observing changes nothing."""
    account, event = access.account, {"accessId": access.checked["accessId"]}
    before = account.snapshot()
    observation = run("observe_access", event)
    assert run("observe_access", event) == observation
    assert account.snapshot() == before
    return observation["status"], [check["name"] for check in observation["lost"]]


def report(run: Run, access: Onboarding) -> None:
    """Observes the access and records its status."""
    access_id = access.checked["accessId"]
    observed = run("observe_access", {"accessId": access_id})
    run("report_clean_up", {"accessId": access_id, "executionArn": CLEAN_UP, "observed": observed})
    record = registry().accesses.get(access_id)
    assert record
    assert record.status == observed["status"]


def recorded(run: Run, account: Account, system: str, *, configure: bool = True) -> Onboarding:
    resource = {} if configure else {"configure": False}
    return Onboarding(run, account, system=system, resource=resource).run_through("record_access")


def _delete_role(account: Account, name: str) -> None:
    account.iam.delete_role_policy(RoleName=name, PolicyName="ReadOneSecret")
    account.iam.delete_role(RoleName=name)


def _trust_another(account: Account, name: str) -> None:
    account.iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(TRUST))


def _refuse_decrypting(account: Account, _name: str) -> None:
    account.simulator.refused = {"kms:Decrypt"}


def _deny_reading(account: Account, _name: str) -> None:
    account.simulator.denied = {"secretsmanager:GetSecretValue"}


@pytest.mark.parametrize(
    ("act", "lost"),
    [
        (_delete_role, ["role exists"]),
        (_trust_another, ["role trusts the service"]),
        (_refuse_decrypting, ["role may read the secret"]),
        (_deny_reading, ["role may read the secret"]),
    ],
)
@pytest.mark.parametrize("configure", [True, False])
def test_an_access_is_revoked_when_its_role_cannot_read(
    run: Run, account: Account, configure: bool, act: Callable[[Account, str], None], lost: list[str]
) -> None:
    access = recorded(run, account, ROLE, configure=configure)
    assert observe(run, access) == ("active" if configure else "handed-off", [])

    act(account, role_name_of(ROLE))

    assert observe(run, access) == ("revoked", lost)


def test_the_permissions_of_the_role_are_simulated_with_the_context_of_its_service(run: Run, account: Account) -> None:
    access = recorded(run, account, ROLE)
    account.simulator.asked.clear()

    observe(run, access)

    asked = {
        (action, *question["ResourceArns"]): {e["ContextKeyName"]: e["ContextKeyValues"] for e in question["ContextEntries"]}
        for question in account.simulator.asked
        for action in question["ActionNames"]
    }
    assert {question["PolicySourceArn"] for question in account.simulator.asked} == {
        f"arn:aws:iam::{ACCOUNT}:role/{role_name_of(ROLE)}"
    }
    assert ("secretsmanager:GetSecretValue", access.secret) in asked
    assert asked["kms:Decrypt", access.key] == {
        "kms:ViaService": ["secretsmanager.us-east-1.amazonaws.com"],
        "kms:EncryptionContext:SecretARN": [access.secret],
    }


@pytest.mark.parametrize("system", ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"])
def test_a_missing_resource_is_gone_unless_its_owner_has_not_created_it(run: Run, account: Account, system: str) -> None:
    active = recorded(run, account, system)
    assert observe(run, active) == ("active", [])

    account.delete_resources()

    assert observe(run, active) == ("gone", ["resource is configured"])
    report(run, active)
    handed_off = Onboarding(run, account, requestId="request-2", system=system, resource={"configure": False})
    assert observe(run, handed_off.run_through("record_access")) == ("handed-off", [])


@pytest.mark.parametrize("system", ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"])
def test_a_resource_that_went_unnoticed_before_a_handoff_is_gone(run: Run, account: Account, system: str) -> None:
    active = recorded(run, account, system)
    account.delete_resources()

    Onboarding(run, account, requestId="request-2", system=system, resource={"configure": False}).run_through("record_access")

    assert observe(run, active) == ("gone", ["resource is configured"])
    report(run, active)
    pending = registry().accesses.to_confirm(active.checked["accessId"])
    assert pending
    assert (pending.is_pending, pending.request.request_id) == (True, "request-2")


def test_a_resource_that_reads_another_secret_is_detached(run: Run, account: Account) -> None:
    access = recorded(run, account, ROLE)
    account.mediapackage.resources["live-hls"]["Authorization"]["CdnIdentifierSecret"] = account.secret("theirs/token", "{}")

    assert observe(run, access) == ("detached", ["resource is configured"])


def _disable(account: Account, key: str) -> None:
    account.kms.disable_key(KeyId=key.rpartition("/")[2])


def _schedule(account: Account, key: str) -> None:
    account.kms.schedule_key_deletion(KeyId=key.rpartition("/")[2])


def _strip(account: Account, key: str) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": [WHOLE]})
    account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)


@pytest.mark.parametrize(
    ("act", "lost"),
    [(_disable, "key is enabled"), (_schedule, "key is enabled"), (_strip, "key policy admits the roles")],
)
@pytest.mark.parametrize("status", ["handed-off", "active"])
def test_a_partner_access_is_revoked_with_its_key(
    run: Run, account: Account, status: Any, act: Callable[[Account, str], None], lost: str
) -> None:
    access = recorded(run, account, ADOBE)
    if status == "active":
        resources = {"keyArn": access.key}
        run("record_access", {"request": access.request | {"requestId": "request-2"}, "resources": resources, "status": status})
    assert observe(run, access) == (status, [])

    act(account, access.key)

    assert observe(run, access) == ("revoked", [lost])
    assert run("observe_access", {"accessId": access.checked["accessId"]})["unsettled"] is False


def test_a_partner_access_returns_to_its_status_when_its_key_is_enabled(run: Run, account: Account) -> None:
    access = recorded(run, account, ADOBE)
    _disable(account, access.key)
    observe(run, access)
    account.kms.enable_key(KeyId=access.key.rpartition("/")[2])

    assert observe(run, access) == ("handed-off", [])
    record = registry().accesses.get(access.checked["accessId"])
    assert record
    assert record.reached == "handed-off"
