"""guard_prefixes: a change of the prefixes is refused while an access needs the former ones, and CloudFormation is answered."""

import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import TransientAwsError
from tests.functions.account import ACCOUNT, ADOPT, REGION, TABLE, Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import Run, existing
from tests.functions.onboarding_steps import Onboarding

URL = "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/one?X-Amz-Signature=canary"
STACK_ID = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/latchkey/6d1f7a30-cb3e-11f0-9c2b-0affd2f0a1c3"
FORMER = {"SecretPrefix": "latchkey/", "AdoptedSecretPrefix": "MediaPackage"}
OTHER = {"SecretPrefix": "other/", "AdoptedSecretPrefix": "MediaPackage"}
LIVE = "mediapackage/originEndpoint/live-hls"


class CloudFormation:
    """The presigned URL, and the stack that CloudFormation describes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[dict[str, Any]] = []
        self.failures: list[Exception] = []
        self.status = "UPDATE_IN_PROGRESS"
        monkeypatch.setattr(urllib.request, "urlopen", self._put)
        client: Any = clients.cloudformation()
        client.meta.events.register_first("before-call.cloudformation.DescribeStacks", self._describe)

    def _put(self, request: urllib.request.Request, timeout: float) -> io.BytesIO:
        assert (request.full_url, request.get_method(), request.get_header("Content-type")) == (URL, "PUT", "")
        if self.failures:
            raise self.failures.pop()
        assert isinstance(request.data, bytes)
        assert len(request.data) <= 4096
        self.answers.append(json.loads(request.data))
        return io.BytesIO()

    def _describe(self, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        assert params["body"]["StackName"] == STACK_ID
        if not self.status:
            answer_with_error("DescribeStacks")()
        found = {"StackName": "latchkey", "StackStatus": self.status}
        return type("Response", (), {"status_code": 200}), {"Stacks": [found]}


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch, account: Account) -> CloudFormation:
    account.add_resources()
    return CloudFormation(monkeypatch)


def event(kind: str, wanted: dict[str, str], former: dict[str, str] | None = None) -> dict[str, Any]:
    asked = {
        "RequestType": kind,
        "RequestId": "request-1",
        "StackId": STACK_ID,
        "ResponseURL": URL,
        "ResourceType": "Custom::SecretPrefixes",
        "LogicalResourceId": "SecretPrefixes",
        "ResourceProperties": {"ServiceToken": "arn", "ServiceTimeout": "300", **wanted},
    }
    later = {} if kind == "Create" else {"PhysicalResourceId": "SecretPrefixes"}
    return asked | later | ({"OldResourceProperties": {"ServiceToken": "arn", **former}} if former else {})


def update(run: Run, wanted: dict[str, str], former: dict[str, str] = FORMER) -> dict[str, Any]:
    return run("guard_prefixes", event("Update", wanted, former))


@pytest.fixture
def live(run: Run, account: Account, cloudformation: CloudFormation) -> Onboarding:
    """An access of MediaPackage, which reads through a role."""
    return Onboarding(run, account, system="mediapackage").run_through("record_access")


def test_a_change_that_an_access_needs_is_refused_with_its_name(
    run: Run, cloudformation: CloudFormation, live: Onboarding
) -> None:
    answered = update(run, OTHER)

    assert (answered["Status"], LIVE in answered["Reason"]) == ("FAILED", True)
    assert [*FORMER.values(), *OTHER.values()] == [
        value for value in (*FORMER.values(), *OTHER.values()) if value in answered["Reason"]
    ]
    echoed = {"StackId": STACK_ID, "RequestId": "request-1", "LogicalResourceId": "SecretPrefixes"}
    assert cloudformation.answers == [answered | echoed]


def test_an_adopted_secret_that_a_role_reads_is_needed(run: Run, account: Account, cloudformation: CloudFormation) -> None:
    secret = account.secret(
        "MediaPackage/live", json.dumps({"MediaPackageCDNIdentifier": "a" * 36}), ADOPT, key=account.key(ADOPT)
    )
    key = account.secretsmanager.describe_secret(SecretId=secret)["KmsKeyId"]
    Onboarding(run, account, system="mediapackage", key={"arn": key}, secret=existing(secret)).run_through("record_access")

    assert update(run, OTHER)["Status"] == "SUCCESS"
    assert update(run, FORMER | {"AdoptedSecretPrefix": "Other"})["Status"] == "FAILED"


def test_a_secret_that_a_request_is_creating_is_needed(run: Run, account: Account, cloudformation: CloudFormation) -> None:
    Onboarding(run, account, system="mediapackage").run_through("check_request")

    assert update(run, OTHER)["Status"] == "FAILED"


def test_a_change_is_accepted_if_no_access_exists(run: Run, cloudformation: CloudFormation) -> None:
    assert update(run, OTHER) == {"Status": "SUCCESS", "Reason": "", "PhysicalResourceId": "SecretPrefixes"}


def test_adobe_needs_no_prefix(run: Run, account: Account, cloudformation: CloudFormation, stack: Callable[..., None]) -> None:
    stack(ALLOWED_PARTNER_ACCOUNTS="111122223333")
    Onboarding(run, account, system="adobe-experience-platform").run_through("record_access")

    assert update(run, OTHER)["Status"] == "SUCCESS"


@pytest.mark.parametrize("status", ["gone", "detached"])
def test_an_access_that_was_removed_needs_no_prefix(
    run: Run, account: Account, cloudformation: CloudFormation, live: Onboarding, status: str
) -> None:
    account.note("access", LIVE, status=status)

    assert update(run, OTHER)["Status"] == "SUCCESS"


def test_shorter_prefixes_are_accepted(run: Run, cloudformation: CloudFormation, live: Onboarding) -> None:
    assert update(run, {"SecretPrefix": "latch", "AdoptedSecretPrefix": "Media"})["Status"] == "SUCCESS"


def test_a_rollback_is_accepted(run: Run, cloudformation: CloudFormation, live: Onboarding) -> None:
    cloudformation.status = "UPDATE_ROLLBACK_IN_PROGRESS"

    assert update(run, OTHER, FORMER)["Status"] == "SUCCESS"


@pytest.mark.parametrize("kind", ["Create", "Delete"])
def test_creation_and_deletion_succeed_without_a_registry(
    run: Run, account: Account, cloudformation: CloudFormation, kind: str
) -> None:
    account.dynamodb.delete_table(TableName=TABLE)

    assert run("guard_prefixes", event(kind, OTHER))["Status"] == "SUCCESS"
    assert cloudformation.answers[0]["PhysicalResourceId"] == "SecretPrefixes"


@pytest.mark.parametrize("operation", ["Query", "DescribeStacks"])
def test_an_error_of_aws_is_answered_as_a_failure(
    run: Run, cloudformation: CloudFormation, live: Onboarding, operation: str
) -> None:
    if operation == "Query":
        at_call("dynamodb", operation, answer_with_error(operation))
    else:
        cloudformation.status = ""

    answered = update(run, OTHER)

    assert (answered["Status"], operation in answered["Reason"]) == ("FAILED", True)
    assert len(cloudformation.answers) == 1


def test_an_unexpected_error_is_answered_as_a_failure(run: Run, cloudformation: CloudFormation) -> None:
    answered = run("guard_prefixes", event("Update", {}, FORMER))

    assert (answered["Status"], "KeyError" in answered["Reason"]) == ("FAILED", True)


def failure(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError(URL, code, URL, Message(), None)


def test_an_answer_that_is_lost_is_sent_again(run: Run, cloudformation: CloudFormation) -> None:
    cloudformation.failures = [failure(503), TimeoutError(URL)]

    assert update(run, OTHER)["Status"] == "SUCCESS"
    assert len(cloudformation.answers) == 1


def test_an_answer_that_cannot_be_sent_fails_the_invocation_without_the_url(
    run: Run, cloudformation: CloudFormation, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    cloudformation.failures = [failure(403) for _ in range(3)]

    with pytest.raises(TransientAwsError) as caught:
        update(run, OTHER)

    assert "403" in str(caught.value)
    assert "canary" not in str(caught.value) + log.getvalue() + "".join(capsys.readouterr())
    assert caught.value.__cause__ is None
