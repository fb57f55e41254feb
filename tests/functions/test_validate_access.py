"""validate_access and record_access: the checks of a finished access, and its record."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latchkey.aws.clients import kms
from latchkey.errors import AccessNotEffective, LatchkeyError, NotYetEffective, PolicyOverwritten
from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import ACCOUNT, REGION, Account
from tests.functions.fault_injection import set_version_keys
from tests.functions.onboarding_requests import NAME, SECRET_KEY, SECRET_NAME, Run, onboarding

GRANT = f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}"
LOCATION = f"arn:aws:mediatailor:{REGION}:{ACCOUNT}:sourceLocation/{NAME}"


@pytest.fixture
def event(run: Run, account: Account) -> dict[str, Any]:
    """The input after all earlier steps, before MediaTailor creates its grant."""
    request = {"request": onboarding()}
    key = run("create_key", request)
    secret = run("create_secret", request | {"key": key})
    run("attach_policies", request | {"key": key, "secretArn": secret["arn"]})
    run("configure_access", request | {"key": key, "secretArn": secret["arn"]})
    return request | {"keyArn": key["arn"], "secretArn": secret["arn"]}


def granted(account: Account, event: dict[str, Any]) -> str:
    return account.grant(event["keyArn"], GRANT, event["secretArn"])


def failed(run: Run, event: dict[str, Any]) -> tuple[type[LatchkeyError], set[str]]:
    """The class of a validation error, and the failed checks."""
    with pytest.raises(LatchkeyError) as caught:
        run("validate_access", event)
    return type(caught.value), {check["check"] for check in json.loads(str(caught.value))["failed"]}


def test_a_working_access_passes_every_check(run: Run, account: Account, event: dict[str, Any]) -> None:
    grant = granted(account, event)

    validated = run("validate_access", event)

    assert validated["resources"] == {
        "keyArn": event["keyArn"],
        "secretArn": event["secretArn"],
        "roleArn": None,
        "resourceArn": LOCATION,
        "grantId": grant,
    }
    assert [check["name"] for check in validated["checks"] if not check["passed"]] == []
    assert {"key rotates", "secret policy admits the reader", "grant is there"} <= {c["name"] for c in validated["checks"]}


def test_a_grant_to_another_grantee_serves_only_if_the_stack_accepts_it(
    run: Run, account: Account, event: dict[str, Any], stack: Callable[..., None]
) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/mediatailor.amazonaws.com/AWSServiceRoleForMediaTailor"
    grant = account.grant(event["keyArn"], GRANT, event["secretArn"], role)

    with pytest.raises(NotYetEffective) as caught:
        run("validate_access", event)

    [check] = json.loads(str(caught.value))["failed"]
    assert check["check"] == "grant is there"
    assert {role, "AcceptedGrantees"} <= {*check["evidence"].replace(",", " ").replace(";", " ").split()}
    stack(ACCEPTED_GRANTEES=role)
    assert run("validate_access", event)["resources"]["grantId"] == grant


def test_a_source_location_that_is_not_visible_yet_is_checked_again(run: Run, account: Account, event: dict[str, Any]) -> None:
    granted(account, event)
    account.mediatailor.unseen.add(NAME)

    assert failed(run, event) == (NotYetEffective, {"resource is configured"})

    account.mediatailor.unseen.clear()
    assert run("validate_access", event)["status"] == "active"


def test_an_access_whose_current_version_is_under_its_key_passes(run: Run, account: Account, event: dict[str, Any]) -> None:
    granted(account, event)
    set_version_keys("alias/another", event["keyArn"])

    assert [check["name"] for check in run("validate_access", event)["checks"] if not check["passed"]] == []


def test_validating_twice_changes_nothing(run: Run, account: Account, event: dict[str, Any]) -> None:
    granted(account, event)
    before = account.snapshot()

    assert run("validate_access", event) == run("validate_access", event)
    assert account.snapshot() == before


def test_an_access_without_its_grant_is_not_yet_effective(run: Run, event: dict[str, Any]) -> None:
    assert failed(run, event) == (NotYetEffective, {"grant is there"})


@pytest.mark.parametrize("member", ["name", "secret"])
def test_a_grant_for_another_source_location_or_secret_does_not_count(
    run: Run, account: Account, event: dict[str, Any], member: str
) -> None:
    name = f"{GRANT}-2" if member == "name" else GRANT
    account.grant(event["keyArn"], name, "another" if member == "secret" else event["secretArn"])

    assert failed(run, event) == (NotYetEffective, {"grant is there"})


def test_an_alert_of_the_service_is_not_yet_effective(run: Run, account: Account, event: dict[str, Any]) -> None:
    granted(account, event)
    account.mediatailor.alerts = ["SECRET_ACCESS_FAILED"]

    assert failed(run, event) == (NotYetEffective, {"service raises no alert"})


def _disable_key(account: Account, event: dict[str, Any]) -> None:
    account.kms.disable_key(KeyId=event["keyArn"].rpartition("/")[2])


def _stop_rotation(account: Account, event: dict[str, Any]) -> None:
    account.kms.disable_key_rotation(KeyId=event["keyArn"])


def _reset_key_policy(account: Account, event: dict[str, Any]) -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    account.kms.put_key_policy(KeyId=event["keyArn"], PolicyName="default", Policy=json.dumps(policy))


def _move_secret(account: Account, event: dict[str, Any]) -> None:
    account.secretsmanager.update_secret(SecretId=event["secretArn"], KmsKeyId=account.key())


def _delete_resource_policy(account: Account, event: dict[str, Any]) -> None:
    account.secretsmanager.delete_resource_policy(SecretId=event["secretArn"])


def _admit_everyone(account: Account, event: dict[str, Any]) -> None:
    _add_statement(account, event, {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"})


def _deny_everyone(account: Account, event: dict[str, Any]) -> None:
    _add_statement(account, event, {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"})


def _add_statement(account: Account, event: dict[str, Any], statement: dict[str, Any]) -> None:
    policy = json.loads(account.secretsmanager.get_resource_policy(SecretId=event["secretArn"])["ResourcePolicy"])
    policy["Statement"].append(statement)
    account.secretsmanager.put_resource_policy(SecretId=event["secretArn"], ResourcePolicy=json.dumps(policy))


def _configure_otherwise(account: Account, event: dict[str, Any]) -> None:
    account.mediatailor.locations[NAME]["HttpConfiguration"] = {"BaseUrl": "https://other.example.com"}


def _leave_current_version(account: Account, event: dict[str, Any]) -> None:
    """Lets the current version stay under its former key, as after a move without permission to decrypt it."""
    set_version_keys("DefaultEncryptionKey")


FLAWS: list[tuple[Callable[[Account, dict[str, Any]], None], set[str]]] = [
    (_disable_key, {"key is enabled"}),
    (_stop_rotation, {"key rotates"}),
    (_move_secret, {"secret is under the key"}),
    (_leave_current_version, {"secret is under the key"}),
    (_admit_everyone, {"secret policy is not public"}),
    (_deny_everyone, {"secret policy admits the reader"}),
    (_configure_otherwise, {"resource is configured"}),
]


@pytest.mark.parametrize(("break_it", "checks"), FLAWS, ids=[flaw.__name__ for flaw, _ in FLAWS])
def test_a_permanent_flaw_is_not_effective(
    run: Run, account: Account, event: dict[str, Any], break_it: Callable[..., None], checks: set[str]
) -> None:
    granted(account, event)
    break_it(account, event)

    assert failed(run, event) == (AccessNotEffective, checks)


@pytest.mark.parametrize(
    ("break_it", "checks"),
    [
        (_reset_key_policy, {"key policy admits the roles"}),
        (_delete_resource_policy, {"secret policy holds our statements", "secret policy admits the reader"}),
    ],
)
def test_a_policy_without_our_statements_was_overwritten(
    run: Run, account: Account, event: dict[str, Any], break_it: Callable[..., None], checks: set[str]
) -> None:
    granted(account, event)
    break_it(account, event)

    assert failed(run, event) == (PolicyOverwritten, checks)
    run(
        "attach_policies",
        {"request": event["request"], "key": {"arn": event["keyArn"], "changed": False}, "secretArn": event["secretArn"]},
    )
    run("validate_access", event)


def test_a_permanent_flaw_and_a_missing_grant_are_not_effective(run: Run, account: Account, event: dict[str, Any]) -> None:
    _disable_key(account, event)

    assert failed(run, event) == (AccessNotEffective, {"key is enabled", "grant is there"})


GONE = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize("code", ["NotFoundException", "AccessDeniedException"])
def test_a_deleted_or_unreadable_former_key_is_ignored(run: Run, account: Account, event: dict[str, Any], code: str) -> None:
    former = {"keyArn": GONE, "secretArn": event["secretArn"]}
    run("record_access", {"request": onboarding(requestId="request-0"), "resources": former, "status": "active"})
    granted(account, event)

    def answer_with_error(params: dict[str, Any], **_: object) -> None:
        if GONE in str(params["body"]):
            raise ClientError({"Error": {"Code": code}}, "ListGrants")

    kms().meta.events.register("before-call.kms.ListGrants", answer_with_error)

    assert run("validate_access", event)["resources"]["keyArn"] == event["keyArn"]


def test_an_access_whose_secret_is_scheduled_for_deletion_is_not_effective(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    granted(account, event)
    account.secretsmanager.delete_secret(SecretId=SECRET_NAME)

    kind, checks = failed(run, event)

    assert kind is AccessNotEffective
    assert "secret is not being deleted" in checks


def test_an_access_whose_secret_was_deleted_is_not_effective(run: Run, account: Account, event: dict[str, Any]) -> None:
    account.secretsmanager.delete_secret(SecretId=SECRET_NAME, ForceDeleteWithoutRecovery=True)

    with pytest.raises(LatchkeyError, match="does not exist"):
        run("validate_access", event)


@pytest.fixture
def proven(run: Run, account: Account, event: dict[str, Any]) -> dict[str, Any]:
    """The input of record_access after a successful validation."""
    granted(account, event)
    validated = run("validate_access", event)
    return {"request": event["request"], "resources": validated["resources"], "status": validated["status"]}


def test_a_valid_access_is_recorded_with_its_request(
    run: Run, account: Account, event: dict[str, Any], proven: dict[str, Any]
) -> None:
    recorded = run("record_access", proven)

    assert recorded == {"accessId": f"mediatailor/sourceLocation/{NAME}", "version": 1}
    [item] = account.items("access")
    assert {item[member]["S"] for member in ("keyArn", "secretArn", "resourceArn")} == {
        event["keyArn"],
        event["secretArn"],
        LOCATION,
    }
    assert {item[member]["S"] for member in ("status", "reached")} == {"active"}
    assert item["requestId"]["S"] == "request-1"
    assert parse_onboarding(json.loads(item["wanted"]["S"])) == parse_onboarding(event["request"])


def test_recording_twice_changes_nothing(run: Run, account: Account, proven: dict[str, Any]) -> None:
    first = run("record_access", proven)
    before = account.snapshot()

    assert run("record_access", proven) == first
    assert account.snapshot() == before


def test_another_request_for_the_same_access_creates_the_next_version(run: Run, proven: dict[str, Any]) -> None:
    run("record_access", proven)

    assert run("record_access", proven | {"request": onboarding(requestId="request-2")})["version"] == 2


def test_a_resource_with_another_secret_key_is_not_effective(run: Run, account: Account, event: dict[str, Any]) -> None:
    granted(account, event)
    other = event | {"request": onboarding(resource={"secretKey": f"{SECRET_KEY}2"})}

    with pytest.raises(AccessNotEffective):
        run("validate_access", other)
