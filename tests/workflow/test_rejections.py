"""Bad input is rejected: one outcome has every error, nothing is changed, and no value is repeated."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT, REGION
from tests.workflow.onboarding import MEMBER, Onboarding

KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
SECRET_ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:absent-abcdef"


def _resource(**changes: Any) -> Callable[[Onboarding], dict[str, Any]]:
    def change(onboarding: Onboarding) -> dict[str, Any]:
        resource = onboarding.detail()["resource"] | changes
        return {"resource": {name: value for name, value in resource.items() if value is not None}}

    return change


def _members(**changes: Any) -> Callable[[Onboarding], dict[str, Any]]:
    return lambda _: changes


def _key(**made: Any) -> Callable[[Onboarding], dict[str, Any]]:
    return lambda onboarding: {"key": {"arn": onboarding.new_key(**made)}}


def _key_in_state(change: str, **arguments: Any) -> Callable[[Onboarding], dict[str, Any]]:
    def make(onboarding: Onboarding) -> dict[str, Any]:
        arn = onboarding.new_key()
        getattr(onboarding.kms, change)(KeyId=arn, **arguments)
        return {"key": {"arn": arn}}

    return make


def _existing(value: str) -> Callable[[Onboarding], dict[str, Any]]:
    return lambda onboarding: {"secret": {"value": {"existing": {"secretArn": onboarding.new_secret(value)}}}}


def _copied(value: str, key: str | None = None) -> Callable[[Onboarding], dict[str, Any]]:
    def make(onboarding: Onboarding) -> dict[str, Any]:
        source = {"secretArn": onboarding.new_secret(value, consent="import")} | ({"key": key} if key else {})
        return {"secret": {"value": {"copyFrom": source}}}

    return make


def _dying_secret(onboarding: Onboarding) -> dict[str, Any]:
    arn = onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}))
    onboarding.secretsmanager.delete_secret(SecretId=arn)
    return {"secret": {"value": {"existing": {"secretArn": arn}}}}


# Changes to a valid request and the start of the path in the rejection.
CASES = {
    "unknown system": (_members(system="mediatailer"), "system"),
    "system is a number": (_members(system=3), "system"),
    "no system": (_members(system=None), "system"),
    "no resource": (_members(resource=None), "resource"),
    "no source location": (_resource(sourceLocation=None), "resource.sourceLocation"),
    "unknown field": (_members(colour="red"), "colour"),
    "misspelt field": (_resource(baseURL="https://a.example.com"), "resource.baseURL"),
    "wrong type": (_members(managementRoles="role"), "managementRoles"),
    "number as text": (_members(key={"rotationDays": "365"}), "key.rotationDays"),
    "bad location name": (_resource(sourceLocation="a b"), "resource.sourceLocation"),
    "dotted location name": (_resource(sourceLocation="a.b"), "resource.sourceLocation"),
    "Amazon header": (_resource(header="X-Amz-Token"), "resource.header"),
    "other Amazon header": (_resource(header="x-amzn-Token"), "resource.header"),
    "header with a line break": (_resource(header="X-Token\r\nX-Other"), "resource.header"),
    "token of 7": (
        _members(secret={"value": {"generate": {"length": 7}}}),
        "secret.value.generate.length",
    ),
    "token of 129": (
        _members(secret={"value": {"generate": {"length": 129}}}),
        "secret.value.generate.length",
    ),
    "reserved alias": (_members(key={"alias": "alias/aws/mediatailor"}), "key.alias"),
    "secret outside the prefix": (_members(secret={"name": "elsewhere/token"}), "secret.name"),
    "base URL of another scheme": (_resource(baseUrl="ftp://origin.example.com"), "resource.baseUrl"),
    "base URL with a password": (_resource(baseUrl="https://a:b@origin.example.com"), "resource.baseUrl"),
    "base URL with a query": (_resource(baseUrl="https://origin.example.com/?a=b"), "resource.baseUrl"),
    "absent role": (_members(managementRoles=[f"arn:aws:iam::{ACCOUNT}:role/Nobody"]), "managementRoles.0"),
    "untrusted role": (_members(managementRoles=["arn:aws:iam::111122223333:role/A"]), "managementRoles.0"),
    "reserved tag": (_members(tags={"latchkey:consent": "adopt"}), "tags"),
    "key of another Region": (_members(key={"arn": KEY_ARN.replace(REGION, "eu-west-1")}), "key.arn"),
    "absent key": (_members(key={"arn": KEY_ARN}), "key.arn"),
    "asymmetric key": (_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT"), "key.arn"),
    "disabled key": (_key_in_state("disable_key"), "key.arn"),
    "key pending deletion": (_key_in_state("schedule_key_deletion", PendingWindowInDays=7), "key.arn"),
    "absent secret": (
        _members(secret={"value": {"existing": {"secretArn": SECRET_ARN}}}),
        "secret.value.existing",
    ),
    "dying secret": (_dying_secret, "secret.value.existing"),
    "secret that is not JSON": (_existing("plain-text-token"), "secret.value.existing"),
    "secret without the member": (_existing(json.dumps({"other": "0123456789"})), "secret.value.existing"),
    "token in the secret too short": (_existing(json.dumps({MEMBER: "1234567"})), "secret.value.existing"),
    "token in the secret too long": (_existing(json.dumps({MEMBER: "1" * 129})), "secret.value.existing"),
    "source that is not JSON": (_copied("plain-text-token", key="theirs"), "secret.value.copyFrom"),
    "token at the source too long": (_copied("1" * 129), "secret.value.copyFrom"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_rejected_with_its_path_and_changes_nothing(onboarding: Onboarding, case: str) -> None:
    change, place = CASES[case]
    detail = onboarding.detail(**change(onboarding))
    before = onboarding.account_snapshot()

    rules = onboarding.reject(detail)

    found = {at: result for at, result in rules.items() if at.startswith(place)}
    assert len(found) == 1, rules
    assert set(rules) == set(found)
    assert onboarding.account_snapshot() == before


def test_rejection_lists_every_error_of_a_request(onboarding: Onboarding) -> None:
    rules = onboarding.reject(
        onboarding.detail(
            system="unheard",
            secret={"name": 7},
            key={"alias": "alias/aws/x", "rotationDays": 1},
            managementRoles=["nobody"],
            tags={"aws:x": "y"},
            more="than asked",
        )
    )

    assert set(rules) == {"system", "secret.name", "key.alias", "key.rotationDays", "managementRoles.0", "tags", "more"}


def test_unknown_kind_of_request_is_rejected(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.put(detail, "Access Requested")

    event = onboarding.outcomes.wait_for(detail["requestId"])
    assert event["detail-type"] == "Request Rejected"
    assert [error["place"] for error in event["detail"]["errors"]] == ["detail-type"]


def test_rejection_lists_every_error_that_needs_a_read(onboarding: Onboarding) -> None:
    """A value is not read before every rule passed."""
    detail = onboarding.detail(
        key={"arn": KEY_ARN},
        secret={"value": {"existing": {"secretArn": onboarding.new_secret("not JSON at all", consent="adopt")}}},
        managementRoles=[f"arn:aws:iam::{ACCOUNT}:role/Nobody"],
    )

    rules = onboarding.reject(detail)

    assert set(rules) == {"key.arn", "managementRoles.0"}


@pytest.mark.parametrize(
    "place",
    [
        lambda token: {"secret": {"value": token}},
        lambda token: {"secret": {"value": {"generate": {"length": 40}, "plaintext": token}}},
        lambda token: {"secret": {"value": {token: "x"}}},
        lambda token: {"secret": {"token": token}},
        lambda token: {"token": {"deep": [{"er": token}]}},
        lambda token: {"tags": {"token": token}},
        lambda token: {"system": token},
        lambda token: {"requestId": f"{token} with spaces"},
    ],
)
def test_rejection_does_not_repeat_a_token_in_a_request(onboarding: Onboarding, place: Callable[[str], dict[str, Any]]) -> None:
    token = secrets.token_hex(20)
    change = place(token)
    detail = onboarding.detail(**change)

    event_id = onboarding.put(detail)
    request_id = event_id if "requestId" in change else detail["requestId"]
    event = onboarding.outcomes.wait_for(request_id, 60)

    assert event["detail-type"] == "Request Rejected"
    assert token not in json.dumps(event)
    stepfunctions = onboarding.aws.client("stepfunctions")
    history = stepfunctions.get_execution_history(executionArn=event["detail"]["executionArn"], maxResults=1000)
    assert token not in json.dumps(history, default=str)
    if "system" not in change and "requestId" not in change:
        assert event["detail"]["errors"]
