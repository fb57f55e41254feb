"""An active access moves to another key: the service reads all the time, and nothing is left on the former key."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.sampling import some
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource, fetch
from tests.workflow.fault_injection import UNDO, WORK, Detail, FaultInjection
from tests.workflow.onboarding import Onboarding


def _moved(detail: Detail, **key: Any) -> Detail:
    """The same request with another key."""
    new = {"alias": f"alias/latchkey/moved-{uuid.uuid4().hex[:8]}", "move": True}
    return detail | {"requestId": f"move-{uuid.uuid4().hex[:12]}", "key": new | key}


class _Reader:
    """The service of an access, which reads its secret."""

    def __init__(self, onboarding: Onboarding, kind: str) -> None:
        self._onboarding = onboarding
        self.consumer: ConsumerResource | None = None if kind == "mediatailor" else CONSUMERS[kind](onboarding.aws)
        self.detail = self.consumer.detail if self.consumer else onboarding.detail()

    def reads(self, secret_arn: str) -> bool:
        """Whether the service can read the secret now."""
        onboarding = self._onboarding
        if self.consumer is None:
            return _sends_token(onboarding, self.detail["resource"]["sourceLocation"])
        value = onboarding.secretsmanager.get_secret_value(SecretId=secret_arn)["SecretString"]
        if not self.consumer.url():
            return self.consumer.reads(self.consumer.settings())[0] == secret_arn
        return fetch(self.consumer.url(), self.consumer.header, self.consumer.token(value)) == 200


def _sends_token(onboarding: Onboarding, location: str) -> bool:
    name = f"vod-{uuid.uuid4().hex[:8]}"
    try:
        onboarding.mediatailor.create_vod_source(
            SourceLocationName=location,
            VodSourceName=name,
            HttpPackageConfigurations=[{"Path": "/master.m3u8", "SourceGroup": "hls", "Type": "HLS"}],
        )
    except onboarding.mediatailor.exceptions.ClientError:
        return False
    onboarding.mediatailor.delete_vod_source(SourceLocationName=location, VodSourceName=name)
    return True


@contextmanager
def _asking(reader: _Reader, secret_arn: str) -> Iterator[list[bool]]:
    """Asks the service continuously while a request runs. The list contains whether each answer was right."""
    answers: list[bool] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(reader.reads(secret_arn))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def _sids(onboarding: Onboarding, key: str) -> list[str]:
    return [s["Sid"] for s in onboarding.key_policy(key)["Statement"] if s["Sid"].startswith("Latchkey")]


def _state(onboarding: Onboarding, key: str) -> str:
    found: str = onboarding.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    return found


@pytest.mark.parametrize("kind", ["mediatailor", *some(CONSUMERS, 2)])
def test_a_service_reads_all_the_time_while_its_access_moves(onboarding: Onboarding, kind: str) -> None:
    reader = _Reader(onboarding, kind)
    before = onboarding.onboard(reader.detail | {"key": reader.detail["key"] | {"allowDeletion": True}})["resources"]
    value = onboarding.secretsmanager.get_secret_value(SecretId=before["secretArn"])

    with _asking(reader, before["secretArn"]) as answers:
        outcome = onboarding.onboard(_moved(reader.detail))

    after = outcome["resources"]
    assert len(answers) > 5
    assert False not in answers
    assert (after["secretArn"], after.get("roleArn")) == (before["secretArn"], before.get("roleArn"))
    assert after["keyArn"] != before["keyArn"]
    assert onboarding.secretsmanager.get_secret_value(SecretId=before["secretArn"])["VersionId"] == value["VersionId"]
    assert (_sids(onboarding, before["keyArn"]), outcome.get("left", [])) == (["LatchkeyCreation"], [])
    assert _state(onboarding, before["keyArn"]) == "PendingDeletion"
    assert reader.reads(before["secretArn"])
    assert onboarding.onboard(_moved(reader.detail, **{"alias": _alias(onboarding, after["keyArn"])}))["status"] == "unchanged"


def _alias(onboarding: Onboarding, key: str) -> str:
    [alias] = onboarding.kms.list_aliases(KeyId=key)["Aliases"]
    return str(alias["AliasName"])


def _shared(onboarding: Onboarding) -> tuple[Detail, Detail, dict[str, Any]]:
    """Two accesses of different systems that read one secret under one key, and the resources of the first."""
    first, other = CONSUMERS["mediapackage"](onboarding.aws), CONSUMERS["mediapackage-vod"](onboarding.aws)
    made = onboarding.onboard(first.detail)["resources"]
    onboarding.consent(made["secretArn"])
    shared = {"key": first.detail["key"], "secret": {"value": {"existing": {"secretArn": made["secretArn"]}}}}
    second = other.detail | shared
    onboarding.onboard(second)
    return first.detail, second, made


def _again(detail: Detail, **members: Any) -> Detail:
    return detail | {"requestId": f"again-{uuid.uuid4().hex[:12]}"} | members


def test_accesses_that_share_a_secret_move_together(onboarding: Onboarding) -> None:
    first, second, before = _shared(onboarding)

    moved = _moved(first)
    after = onboarding.onboard(moved)["resources"]

    assert after["keyArn"] != before["keyArn"]
    key = {"alias": moved["key"]["alias"]}
    assert [onboarding.onboard(_again(one, key=key))["status"] for one in (first, second)] == ["unchanged", "unchanged"]
    assert _sids(onboarding, before["keyArn"]) == ["LatchkeyCreation"]


def test_another_access_of_the_former_key_works_on(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    other = onboarding.detail(key=first["key"])
    before = onboarding.onboard(first)["resources"]
    onboarding.onboard(other)

    outcome = onboarding.onboard(_moved(first | {"key": first["key"] | {"allowDeletion": True}}))

    assert outcome["resources"]["keyArn"] != before["keyArn"]
    assert (len(outcome["left"]), _state(onboarding, before["keyArn"])) == (1, "Enabled")
    assert onboarding.onboard(_again(other))["status"] == "unchanged"


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("kms", "CreateAlias"),
        ("secretsmanager", "UpdateSecret"),
        ("mediatailor", "UpdateSourceLocation"),
        ("mediatailor", "ListAlerts"),
    ],
)
def test_a_move_that_fails_in_the_middle_is_rolled_back(fault_injection: FaultInjection, service: str, operation: str) -> None:
    first = fault_injection.detail()
    before = fault_injection.onboard(first)["resources"]
    moved = _moved(first)
    fault = {"service": service, "operation": operation, "error": "AccessDeniedException", "lasting": True}
    fault_injection.aws.control("POST", "faults", fault | {"request": moved["requestId"], "caller": WORK})

    with _asking_location(fault_injection, first) as answers:
        event = fault_injection.send(moved)

    fault_injection.aws.control("DELETE", "faults")
    assert event["detail-type"] == "Request Failed", event["detail"]
    assert (event["detail"].get("left", []), False in answers) == ([], False)
    assert fault_injection.secretsmanager.describe_secret(SecretId=before["secretArn"])["KmsKeyId"] == before["keyArn"]
    assert fault_injection.onboard(_again(first))["status"] == "unchanged"
    assert fault_injection.onboard(_again(moved))["status"] == "active"


def test_the_sweep_leaves_a_former_key_that_a_failure_kept(fault_injection: FaultInjection) -> None:
    first = fault_injection.detail()
    before = fault_injection.onboard(first)["resources"]
    moved = _moved(first)
    # leave_key has the role of undo_onboarding, and its input does not contain the request.
    fault = {"service": "kms", "operation": "PutKeyPolicy", "error": "AccessDeniedException", "lasting": True, "caller": UNDO}
    fault_injection.aws.control("POST", "faults", fault)
    outcome = fault_injection.onboard(moved)
    fault_injection.aws.control("DELETE", "faults")
    assert len(outcome["left"]) == 1
    assert len(_sids(fault_injection, before["keyArn"])) > 1

    fault_injection.sweep()

    assert _sids(fault_injection, before["keyArn"]) == ["LatchkeyCreation"]


@contextmanager
def _asking_location(onboarding: Onboarding, detail: Detail) -> Iterator[list[bool]]:
    reader = _Reader(onboarding, "mediatailor")
    reader.detail = detail
    with _asking(reader, "") as answers:
        yield answers


def test_the_former_grant_goes_with_evidence(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    first["key"] |= {"allowDeletion": True}
    before = onboarding.onboard(first)["resources"]
    after = onboarding.onboard(_moved(first))["resources"]
    onboarding.await_old_grants(before["keyArn"])

    onboarding.sweep()

    name = first["resource"]["sourceLocation"]
    assert [grant["Name"] for grant in onboarding.grants(before["keyArn"])] == []
    assert [grant["Name"].endswith(name) for grant in onboarding.grants(after["keyArn"])] == [True]
