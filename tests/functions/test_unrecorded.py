"""take_inventory: resources with our tag that no record names, and records of which nothing exists, are reported once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from moto.kms.models import kms_backends

from latchkey.aws import clients
from latchkey.errors import TransientAwsError
from latchkey.registry import registry
from tests.contract.schemas import validator
from tests.functions.account import ACCOUNT, OURS, REGION, Account
from tests.functions.clean_up_steps import ACCESS, delete_location, onboarded
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import EXECUTION, Run
from tests.functions.onboarding_steps import Onboarding
from tests.functions.test_reconciliation import RUN, event, scheduled

STACK = OURS | {"latchkey:stack": "latchkey"}
type Inventoried = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def bus(account: Account, stack: Callable[..., None]) -> None:
    account.open_bus()
    stack(ALLOWED_ORIGIN_HOSTS="*")
    clients.s3().create_bucket(Bucket="latchkey-data")


@pytest.fixture
def inventory(run: Run, account: Account) -> Inventoried:
    """Takes an inventory and returns the events that it publishes."""

    def take(asked: dict[str, Any] | None = None, execution: str = RUN) -> list[dict[str, Any]]:
        run("take_inventory", (asked or scheduled()) | {"executionArn": execution})
        return account.published()

    return take


def a_key(account: Account) -> str:
    return account.key(tags=STACK)


def a_secret(account: Account) -> str:
    return account.secret("latchkey/theirs", "value", tags=STACK)


def a_role(account: Account) -> str:
    return account.role(f"latchkey_{REGION}_theirs", tags=STACK)


def untag(account: Account, arn: str) -> None:
    name = "latchkey:managed-by"
    match arn.split(":")[2]:
        case "kms":
            account.kms.untag_resource(KeyId=arn, TagKeys=[name])
        case "secretsmanager":
            account.secretsmanager.untag_resource(SecretId=arn, TagKeys=[name])
        case _:
            account.iam.untag_role(RoleName=arn.rpartition("/")[2], TagKeys=[name])


@pytest.mark.parametrize("make", [a_key, a_secret, a_role])
def test_a_resource_with_our_tag_that_no_record_names_is_reported_until_it_has_none(
    run: Run, account: Account, inventory: Inventoried, make: Callable[[Account], str]
) -> None:
    onboarded(run, account)
    account.add_resources()
    Onboarding(run, account, requestId="request-2", system="mediapackage").run_through("record_access")
    assert inventory() == []

    arn = make(account)

    [detected] = inventory(execution=f"{RUN}-2")
    detail = detected["detail"]
    validator("drift-detected").validate(detail)
    [one] = detail["findings"]
    assert (detected["detail-type"], detected["resources"], detail["accessId"]) == ("Drift Detected", [arn], arn)
    assert (detail["system"], detail["status"], one["kind"]) == ("none", "unrecorded", "resource-unrecorded")
    assert arn in one["evidence"]
    assert inventory(execution=f"{RUN}-3") == []
    untag(account, arn)
    [resolved] = inventory(execution=f"{RUN}-4")
    assert (resolved["detail-type"], resolved["detail"]["accessId"]) == ("Drift Resolved", arn)
    assert inventory(execution=f"{RUN}-5") == []


@pytest.mark.parametrize(
    ("make", "service", "operation"),
    [
        (a_key, "kms", "ListKeys"),
        (a_key, "kms", "ListAliases"),
        (a_key, "kms", "ListResourceTags"),
        (a_secret, "secretsmanager", "ListSecrets"),
        (a_role, "iam", "ListRoles"),
        (a_role, "iam", "GetRole"),
    ],
)
def test_nothing_is_concluded_from_what_was_not_read(
    account: Account, inventory: Inventoried, make: Callable[[Account], str], service: str, operation: str
) -> None:
    arn = make(account)
    assert len(inventory()) == 1
    untag(account, arn)

    at_call(service, operation, answer_with_error(operation, code="ThrottlingException"))
    assert inventory(execution=f"{RUN}-2") == []

    [resolved] = inventory(execution=f"{RUN}-3")
    assert resolved["detail-type"] == "Drift Resolved"


@pytest.mark.parametrize(("service", "operation"), [("secretsmanager", "DescribeSecret"), ("kms", "DescribeKey")])
def test_a_resource_that_cannot_be_read_again_is_not_reported(
    account: Account, inventory: Inventoried, service: str, operation: str
) -> None:
    make = a_key if service == "kms" else a_secret
    make(account)
    at_call(service, operation, answer_with_error(operation, code="ThrottlingException"))

    assert inventory() == []
    assert len(inventory(execution=f"{RUN}-2")) == 1


def test_a_resource_that_is_being_deleted_is_not_reported(account: Account, inventory: Inventoried) -> None:
    account.kms.schedule_key_deletion(KeyId=a_key(account).rpartition("/")[2])
    account.secretsmanager.delete_secret(SecretId=a_secret(account))

    assert inventory() == []


def test_nothing_is_reported_that_a_running_request_can_have_created(account: Account, inventory: Inventoried) -> None:
    """The request notes the ARN of a key after the call that creates it."""
    a_key(account)
    account.role(f"latchkey_{REGION}_new", tags=STACK | {"latchkey:access": ACCESS})
    registry().locks.lock(ACCESS, EXECUTION)

    assert inventory() == []

    registry().locks.unlock(ACCESS, EXECUTION)
    assert len(inventory(execution=f"{RUN}-2")) == 2


def test_a_reconciliation_of_a_part_reports_nothing_unrecorded(run: Run, account: Account, inventory: Inventoried) -> None:
    onboarded(run, account)
    a_key(account)

    assert inventory(event(system="mediatailor")) == []
    assert inventory(event("reconcile-2", accessId=ACCESS)) == []
    assert inventory(event("reconcile-3") | {"tenant": "news"}) == []
    assert len(inventory(event("reconcile-4"))) == 1


def test_a_record_of_which_nothing_exists_is_reported(run: Run, account: Account, inventory: Inventoried) -> None:
    access = onboarded(run, account)
    delete_location(account)
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    record = registry().accesses.get(ACCESS)
    assert record
    registry().accesses.record_status(record, "gone", ())
    assert inventory() == [], "the key exists"

    del kms_backends[ACCOUNT][REGION].keys[access.key.rpartition("/")[2]]
    at_call("kms", "DescribeKey", answer_with_error("DescribeKey", code="ThrottlingException"))
    assert inventory(execution=f"{RUN}-2") == []

    [detected] = inventory(execution=f"{RUN}-3")
    [one] = detected["detail"]["findings"]
    assert (detected["detail"]["accessId"], detected["detail"]["status"]) == (ACCESS, "gone")
    assert (one["kind"], access.secret in one["evidence"]) == ("record-without-resource", True)
    assert inventory(execution=f"{RUN}-4") == []


def test_a_crash_before_the_event_is_published_loses_and_repeats_nothing(
    run: Run, account: Account, inventory: Inventoried
) -> None:
    a_key(account)
    at_call("events", "PutEvents", answer_with_error("PutEvents", code="ThrottlingException"))
    with pytest.raises(TransientAwsError):
        run("take_inventory", scheduled())

    first, again = inventory(), inventory()

    assert ([one["detail-type"] for one in first], again) == (["Drift Detected"], [])
