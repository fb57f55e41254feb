"""The page for operators acted out: each fault is found, and mended, with the commands of docs/operate.md alone."""

import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_aws.emulator.account import REGION
from local_aws.tools.embedded_aws import Embedded, until
from tests.sampling import some
from tests.workflow.clean_ups import Access, CleanUps
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.onboarding import MEMBER, ORIGIN, Onboarding

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/operate.md").read_text()


class Operator:
    """A shell in which somebody follows the page. `variables` are what the section "Set up your shell" defines."""

    def __init__(self, aws: Embedded) -> None:
        self._environment = os.environ | {
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_PAGER": "",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        [names] = [re.findall(r"^(\w+)=", block, re.MULTILINE) for block in _blocks("Set up your shell")]
        shown = "; ".join(f'echo "{name}=${name}"' for name in names)
        lines = self.shell(f"{_blocks('Set up your shell')[0]}\n{shown}").splitlines()
        self._environment |= dict(line.split("=", maxsplit=1) for line in lines)

    def follow(self, heading: str, number: int = 0, **placeholders: str) -> str:
        """Runs a block of the section and returns its output. A placeholder is a word in capital letters with hyphens."""
        block = _blocks(heading)[number]
        for name, value in placeholders.items():
            assert name.replace("_", "-") in block
            block = block.replace(name.replace("_", "-"), value)
        return self.shell(block)

    def run(self, commands: list[str]) -> None:
        """Runs what the remedy of a notice says, in its order."""
        for command in commands:
            self.shell(command)

    def send_again(self, notice: dict[str, Any]) -> str:
        """Runs the remedy of a notice, which sends a request, and returns the id of the event."""
        [command] = notice["remedy"]
        event_id: str = json.loads(self.shell(command))["Entries"][0]["EventId"]
        return event_id

    def notices(self, access_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The notices of an access, the oldest first."""
        lines = self.follow("Find the notices of an access", ACCESS_ID=access_id).splitlines()
        found = sorted(line.split("\t", maxsplit=2) for line in lines if line)
        return [(kind, json.loads(detail)) for _, kind, detail in found]

    def shell(self, script: str) -> str:
        """Runs a script and returns its output."""
        done = subprocess.run(
            ["bash", "-ec", script], cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stderr}"
        return done.stdout


def _blocks(heading: str) -> list[str]:
    """The commands in the section with this heading."""
    [section] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    blocks: list[str] = re.findall(r"^```(?:sh)?\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return blocks


@pytest.fixture
def operator(onboarding: Onboarding) -> Operator:
    return Operator(onboarding.aws)


@pytest.fixture
def clean_ups(onboarding: Onboarding) -> CleanUps:
    return CleanUps(onboarding)


def _disable(clean_ups: CleanUps, access: Access) -> None:
    clean_ups.kms.disable_key(KeyId=access.key)


def _schedule(clean_ups: CleanUps, access: Access) -> None:
    clean_ups.kms.schedule_key_deletion(KeyId=access.key, PendingWindowInDays=7)


def _delete_secret(clean_ups: CleanUps, access: Access) -> None:
    clean_ups.secretsmanager.delete_secret(SecretId=access.secret)


def _drop_policy(clean_ups: CleanUps, access: Access) -> None:
    clean_ups.secretsmanager.delete_resource_policy(SecretId=access.secret)


def _revoke_grant(clean_ups: CleanUps, access: Access) -> None:
    clean_ups.kms.revoke_grant(KeyId=access.key, GrantId=access.grant)


def _stop_reading(clean_ups: CleanUps, access: Access) -> None:
    clean_ups.update_location(access, AccessConfiguration={"AccessType": "S3_SIGV4"})


CAUSES: dict[str, tuple[Callable[[CleanUps, Access], None], str, str]] = {
    "disabled key": (_disable, "key is enabled", "DisableKey"),
    "key scheduled for deletion": (_schedule, "key is enabled", "ScheduleKeyDeletion"),
    "deleted secret": (_delete_secret, "secret is not being deleted", "DeleteSecret"),
    "lost policy": (_drop_policy, "secret policy admits the reader", "DeleteResourcePolicy"),
    "revoked grant": (_revoke_grant, "grant is there", "RevokeGrant"),
    "other configuration": (_stop_reading, "resource is configured", "UpdateSourceLocation"),
}


@pytest.mark.parametrize(("act", "check", "call"), CAUSES.values(), ids=CAUSES)
def test_revoked_access_is_found_and_mended(
    operator: Operator, clean_ups: CleanUps, act: Callable[[CleanUps, Access], None], check: str, call: str
) -> None:
    [access] = clean_ups.new_accesses(1)
    act(clean_ups, access)

    def found() -> list[tuple[str, dict[str, Any]]]:
        return [(kind, notice) for kind, notice in operator.notices(access.access_id) if kind == "Access Revoked"]

    [(_, notice)] = until(found, "the notice", 60)
    listed = json.loads(operator.follow("An access was revoked"))
    assert [(name, check in failed) for name, _, failed in listed] == [(access.access_id, True)]
    assert check in [failed["name"] for failed in notice["lost"]]
    hint = notice["hint"]
    assert (hint["eventName"], ":root" in hint["principal"]) == (call, True)
    causes = {(cause["trailEventId"], cause["principal"], cause["since"]) for cause in notice["causes"]}
    assert causes == {(hint["eventId"], hint["principal"], hint["eventTime"])}

    operator.run(notice["remedy"])
    until(lambda: f"{access.access_id}\tactive" in operator.follow("List the accesses"), "the active access", 90)
    operator.follow("Reconciliation")
    assert json.loads(operator.follow("An access was revoked")) == []


def test_access_without_its_reader_role_is_found_and_mended(operator: Operator, onboarding: Onboarding) -> None:
    outcome = onboarding.onboard(CONSUMERS["mediapackagev2"](onboarding.aws).detail)
    access_id, name = outcome["accessId"], outcome["resources"]["roleArn"].rpartition("/")[2]
    iam = onboarding.aws.client("iam")
    iam.delete_role_policy(RoleName=name, PolicyName="ReadOneSecret")
    iam.delete_role(RoleName=name)
    operator.follow("Reconciliation")

    [(kind, notice)] = until(lambda: operator.notices(access_id), "the notice", 60)
    assert (kind, [failed["name"] for failed in notice["lost"]]) == ("Access Revoked", ["role exists"])
    assert [access for access, *_ in json.loads(operator.follow("An access was revoked"))] == [access_id]

    operator.run(notice["remedy"])
    until(lambda: f"{access_id}\tactive" in operator.follow("List the accesses"), "the active access", 90)
    assert iam.get_role(RoleName=name)


def test_failed_request_is_found_and_sent_again(operator: Operator, onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    fault = {"service": "mediatailor", "operation": "CreateSourceLocation", "error": "SomethingInvalid", "status": 409}
    onboarding.aws.control("POST", "faults", fault | {"request": detail["requestId"]})
    assert onboarding.send(detail)["detail-type"] == "Request Failed"

    failed, _, _ = operator.follow("A request was not carried out").partition("\n")
    _, request_id, outcome = failed.split("\t", maxsplit=2)
    assert (request_id, json.loads(outcome)["failure"]["name"]) == (detail["requestId"], "Conflict")
    kind, text, *_ = json.loads(operator.follow("Find the outcome of a request", REQUEST_ID=request_id))
    assert (kind, json.loads(text)) == ("Request Failed", json.loads(outcome))
    by_content = operator.follow("Find the outcome of a request", 1, CONTENT_HASH=json.loads(text)["contentHash"])
    assert by_content.split("\t")[0] == request_id

    assert onboarding.onboard(detail | {"requestId": f"again-{request_id}"})["status"] == "active"


def test_dead_letter_is_found_and_sent_again(operator: Operator, onboarding: Onboarding) -> None:
    fault = {"service": "stepfunctions", "operation": "StartExecution", "error": "AccessDeniedException", "status": 403}
    onboarding.aws.control("POST", "faults", fault | {"times": 100, "when": "before"})
    detail = onboarding.detail()
    del detail["requestId"]
    event_id = onboarding.put(detail)

    def received() -> list[dict[str, Any]]:
        # Version 1 of the AWS CLI sends `aws sqs` to AWS whatever AWS_ENDPOINT_URL says, as the page warns.
        text = operator.shell(f"{_blocks('Dead letters')[0].strip()} --endpoint-url $AWS_ENDPOINT_URL")
        messages: list[dict[str, Any]] = json.loads(text or "{}").get("Messages", [])
        return messages

    [message] = until(received, "the dead letter", 60)
    onboarding.aws.control("DELETE", "faults")
    letter = json.loads(message["Body"])["requestPayload"]
    assert letter["id"] == event_id
    again = json.dumps(letter["detail"] | {"requestId": letter["id"]})
    entry = {"EventBusName": "latchkey-requests", "Source": letter["source"], "DetailType": letter["detail-type"]}
    operator.run([shlex.join(["aws", "events", "put-events", "--entries", json.dumps([entry | {"Detail": again}])])])

    assert onboarding.outcomes.wait_for(event_id, 90)["detail-type"] == "Access Onboarded"


def test_grant_that_cannot_be_revoked_is_found_and_revoked_by_an_administrator(
    operator: Operator, clean_ups: CleanUps, assume: Callable[..., Any]
) -> None:
    assume(trail={"lose": 1}, mediatailorRetires="never")
    [access] = clean_ups.new_accesses(1)
    clean_ups.delete_location(access)
    fault = {"service": "kms", "operation": "RevokeGrant", "caller": "CleanUpGrants", "error": "Odd", "lasting": True}
    clean_ups.aws.control("POST", "faults", fault)
    clean_ups.finish(clean_ups.start(access), "FAILED")

    [[since, access_id, key, grant, failure]] = json.loads(operator.follow("A grant cannot be revoked"))
    [(kind, notice)] = operator.notices(access.access_id)
    assert (access_id, key, grant) == (access.access_id, access.key, access.grant)
    assert (kind, notice["grantId"], json.loads(failure)) == ("Grant Not Revoked", grant, notice["failure"])
    assert since[:10] == notice["since"][:10]

    operator.run(notice["remedy"])
    assert clean_ups.grants(access) == []

    def is_settled() -> bool:
        operator.follow("Reconciliation")
        clean_ups.onboarding.settle()
        return operator.follow("A grant cannot be revoked").strip() == "[]"

    until(is_settled, "the end of the revocation", 60)


def test_request_that_waits_is_found_with_the_one_that_has_the_access(operator: Operator, onboarding: Onboarding) -> None:
    first = onboarding.detail()
    second = first | {"requestId": f"second-{first['requestId']}"}
    onboarding.put_held(first)
    onboarding.put(second)

    line = until(lambda: operator.follow("Find the requests that wait").strip(), "the wait", 60)
    onboarding.aws.control("DELETE", "held")

    request_id, since, ends, reason, execution = line.split("\t")
    assert (request_id, since < ends, execution.startswith("arn:")) == (second["requestId"], True, True)
    assert f"request {first['requestId']} " in reason
    assert onboarding.outcomes.wait_for(request_id, 120)["detail-type"] == "Access Onboarded"
    assert operator.follow("Find the requests that wait").strip() == ""


def test_pending_rotation_is_found_and_ended(operator: Operator, onboarding: Onboarding) -> None:
    access_id = onboarding.onboard(onboarding.detail())["accessId"]
    for block, outcome in ((1, "Token Rotated"), (2, "Rotation Withdrawn")):
        pending = onboarding.ask("Rotation Requested", access_id)["detail"]
        listed, _, request_id, facts = operator.follow("Find the pending rotations").strip().split("\t")
        assert (listed, request_id) == (access_id, pending["requestId"])
        assert json.loads(facts)["version"] == pending["token"]["versionId"]
        answer = operator.follow("Find the pending rotations", block, ACCESS_ID=access_id)
        event = onboarding.outcomes.wait_for(json.loads(answer)["Entries"][0]["EventId"], 60)
        assert event["detail-type"] == outcome
    assert operator.follow("Find the pending rotations").strip() == ""


def test_drift_is_found_and_mended(operator: Operator, clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    policy = clean_ups.onboarding.secret_policy(access.secret)
    kept = [statement for statement in policy["Statement"] if statement["Sid"] != "LatchkeyOriginReaders"]
    text = json.dumps(policy | {"Statement": kept})
    clean_ups.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=text)

    [(kind, notice)] = until(lambda: operator.notices(access.access_id), "the notice", 60)
    [[access_id, status, findings]] = json.loads(operator.follow("An access has drifted"))
    assert (kind, access_id, status) == ("Drift Detected", access.access_id, "active")
    assert findings == ["secret policy admits the origin readers"]

    operator.run(notice["remedy"])
    until(lambda: json.loads(operator.follow("An access has drifted")) == [], "the end of the drift", 90)


class Live:
    """An access of any system: its settings, the secret that they name, and its request."""

    def __init__(self, onboarding: Onboarding, kind: str) -> None:
        self.onboarding, self.consumer = onboarding, CONSUMERS[kind](onboarding.aws) if kind in CONSUMERS else None
        self.detail = self.consumer.detail if self.consumer else onboarding.detail(managementRoles=None)
        self.member = self.consumer.member if self.consumer else MEMBER

    def settings(self) -> dict[str, Any]:
        """Everything that the API of the resource returns."""
        if self.consumer is not None:
            return self.consumer.settings()
        found = self.onboarding.location(self.detail["resource"]["sourceLocation"])
        return {name: value for name, value in found.items() if name != "ResponseMetadata"}

    def imported(self) -> str:
        """A secret with a token of this system that can be imported, and that becomes the source of the request."""
        token = uuid.uuid4().hex * 2 if not self.member else str(uuid.uuid4())
        if self.detail["resource"].get("keyType") == "srt-password":
            token = "Aa1-" + token[:40]
        source = self.onboarding.new_secret(json.dumps({self.member: token}) if self.member else token, "import")
        value = {"copyFrom": {"secretArn": source} | ({"key": self.member} if self.member else {})}
        self.detail["secret"] = {"originReaders": [ORIGIN], "value": value}
        self.detail.pop("takesEffectNow", None)
        return source


@pytest.mark.parametrize("kind", ["mediatailor", *some(CONSUMERS, 3)])
def test_drift_of_an_imported_token_is_mended_without_importing_it_again(
    operator: Operator, onboarding: Onboarding, kind: str
) -> None:
    live = Live(onboarding, kind)
    source = live.imported()
    made = onboarding.onboard(live.detail)
    secretsmanager, access_id = onboarding.secretsmanager, made["accessId"]
    secret, value = made["resources"]["secretArn"], secretsmanager.get_secret_value
    before, settings = value(SecretId=secret)["SecretString"], live.settings()
    # The owner of the source has replaced its token, and its form.
    secretsmanager.put_secret_value(SecretId=source, SecretString="short")
    kept = [one for one in onboarding.secret_policy(secret)["Statement"] if one["Sid"] != "LatchkeyOriginReaders"]
    if kept:
        text = json.dumps({"Version": "2012-10-17", "Statement": kept})
        secretsmanager.put_resource_policy(SecretId=secret, ResourcePolicy=text)
    else:
        secretsmanager.delete_resource_policy(SecretId=secret)

    [(found, notice)] = until(lambda: operator.notices(access_id), "the notice", 60)
    outcome = onboarding.outcomes.wait_for(operator.send_again(notice), 90)

    assert (found, outcome["detail-type"]) == ("Drift Detected", "Access Onboarded"), outcome["detail"]
    assert (value(SecretId=secret)["SecretString"], live.settings()) == (before, settings)
    until(lambda: json.loads(operator.follow("An access has drifted")) == [], "the end of the drift", 90)


@pytest.mark.parametrize("kind", ["mediatailor", *some(CONSUMERS, 3, begin=1)])
def test_access_whose_secret_is_lost_for_good_waits_until_the_new_token_is_confirmed(
    operator: Operator, onboarding: Onboarding, kind: str
) -> None:
    live = Live(onboarding, kind)
    made = onboarding.onboard(live.detail)
    access_id, lost = made["accessId"], made["resources"]["secretArn"]
    onboarding.secretsmanager.delete_secret(SecretId=lost, ForceDeleteWithoutRecovery=True)
    settings = live.settings()

    def revoked() -> list[dict[str, Any]]:
        return [notice for kind, notice in operator.notices(access_id) if kind == "Access Revoked"]

    [notice] = until(revoked, "the notice", 60)
    handed_off = onboarding.outcomes.wait_for(operator.send_again(notice), 120)

    assert handed_off["detail-type"] == "Access Handed Off", json.dumps(handed_off["detail"], indent=2)
    assert live.settings() == settings
    new = handed_off["detail"]["resources"]["secretArn"]
    assert (new == lost, handed_off["detail"]["handoff"]["values"]["secretArn"]) == (False, new)
    operator.follow("Reconciliation")
    onboarding.settle()
    assert [one for one, *_ in json.loads(operator.follow("An access was revoked"))] == [access_id]

    [sample] = json.loads((ROOT / "events/requests/confirm-handoff.json").read_text())
    entry = sample | {"Detail": json.dumps({"accessId": access_id})}
    answer = operator.shell(shlex.join(["aws", "events", "put-events", "--entries", json.dumps([entry])]))
    confirmed = onboarding.outcomes.wait_for(json.loads(answer)["Entries"][0]["EventId"], 90)

    assert confirmed["detail-type"] == "Access Onboarded", confirmed["detail"]
    assert new in json.dumps(live.settings(), default=str)
    operator.follow("Reconciliation")
    onboarding.settle()
    assert json.loads(operator.follow("An access was revoked")) == []
