"""create_secret for a reconciliation: the value of each version of a secret is checked once, and only the verdict leaves."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.registry import registry
from tests.functions.account import Account
from tests.functions.clean_up_steps import ACCESS, onboarded
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding
from tests.functions.test_inventory import inventory
from tests.functions.test_reconciliation import RUN

TOKEN = "not-a-json-object-but-a-token"
KIND = "secret-wrong-shape"


@pytest.fixture(autouse=True)
def bus(account: Account, stack: Callable[..., None]) -> None:
    account.open_bus()
    stack(ALLOWED_ORIGIN_HOSTS="*")
    clients.s3().create_bucket(Bucket="latchkey-data")


def checked(run: Run, *access_ids: str) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = run("create_secret", {"checkedAccesses": [*access_ids]})["values"]
    return values


def reconcile(run: Run) -> tuple[list[str], list[str]]:
    """The accesses whose values are checked, and the published events, as the state machine does it."""
    lines = inventory(run)
    unchecked = [line["accessId"] for line in lines if line.get("checksValue")]
    values = checked(run, *unchecked) if unchecked else []
    answer = run("reconcile_access", {"items": lines, "executionArn": RUN, "values": values})
    return unchecked, answer["published"]


def store(account: Account, access: Onboarding, value: str) -> None:
    account.secretsmanager.put_secret_value(SecretId=access.secret, SecretString=value)


def test_a_value_in_another_form_is_found_with_its_reason(run: Run, account: Account, log: io.StringIO) -> None:
    access = onboarded(run, account)
    sound = account.value(access.secret)
    assert reconcile(run) == ([ACCESS], [])
    assert reconcile(run) == ([], []), "a version is read once"

    store(account, access, TOKEN)

    assert reconcile(run) == ([ACCESS], ["Drift Detected"])
    [event] = account.published()
    [one] = event["detail"]["findings"]
    assert (one["kind"], one["severity"], one["remediation"]) == (KIND, "critical", "tell")
    assert "is plain text: store a JSON object" in one["evidence"]
    # A cleanup, which cannot read the value, still knows the verdict.
    [same] = run("observe_access", {"accessId": ACCESS})["findings"]
    assert (same["kind"], same["evidence"]) == (KIND, one["evidence"])
    assert reconcile(run) == ([], [])
    everything = json.dumps([account.table(), event]) + log.getvalue()
    assert TOKEN not in everything
    store(account, access, sound)
    assert reconcile(run) == ([ACCESS], ["Drift Resolved"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[1]", "is JSON, but not an object"),
        (json.dumps({"other": "t" * 20}), "is a JSON object without that member"),
        (json.dumps({"MyAccessTokenIdentifier": "short"}), "is too short"),
    ],
)
def test_the_verdict_says_what_to_store_and_not_what_is_stored(run: Run, account: Account, value: str, reason: str) -> None:
    access = onboarded(run, account)
    store(account, access, value)

    [verdict] = checked(run, ACCESS)

    assert reason in verdict["problem"]
    assert value not in json.dumps(verdict)
    assert verdict["version"] == account.secretsmanager.get_secret_value(SecretId=access.secret)["VersionId"]


def test_a_binary_value_is_found(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    account.secretsmanager.put_secret_value(SecretId=access.secret, SecretBinary=b"binary")

    [verdict] = checked(run, ACCESS)

    assert "is binary" in verdict["problem"]


def test_a_verdict_says_nothing_about_a_later_version(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    store(account, access, TOKEN)
    values = checked(run, ACCESS)
    store(account, access, json.dumps({"MyAccessTokenIdentifier": "t" * 20}))

    answer = run("reconcile_access", {"items": [{"accessId": ACCESS}], "executionArn": RUN, "values": values})

    assert answer == {"published": [], "unread": []}


def test_the_value_of_a_secret_that_nobody_approved_is_not_read(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    account.secretsmanager.untag_resource(SecretId=access.secret, TagKeys=["latchkey:managed-by"])
    at_call("secretsmanager", "GetSecretValue", lambda: pytest.fail("the value was read"))

    assert checked(run, ACCESS) == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure", "ThrottlingException", "Odd"])
def test_a_value_that_cannot_be_read_has_no_verdict_and_holds_up_no_other_one(run: Run, account: Account, code: str) -> None:
    onboarded(run, account)
    account.add_resources()
    other = Onboarding(run, account, requestId="request-2", system="mediapackage").run_through("record_access")
    at_call("secretsmanager", "GetSecretValue", answer_with_error("GetSecretValue", code=code))

    values = checked(run, ACCESS, other.checked["accessId"], "mediatailor/sourceLocation/unknown")

    assert [one["accessId"] for one in values] == [other.checked["accessId"]]
    assert registry().findings.value(ACCESS) is None


def test_a_key_without_a_secret_has_no_value(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_PARTNER_ACCOUNTS="111122223333,767397686373,730335345392,891377157113", ALLOWED_ORIGIN_HOSTS="*")
    access = Onboarding(run, account, system="adobe-experience-platform").run_through("record_access")

    assert reconcile(run) == ([], [])
    assert checked(run, access.checked["accessId"]) == []
