"""A rollback removes what its own request created, and nothing of another request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from latchkey.access.desired import Desired
from latchkey.aws.clients import Clients
from latchkey.onboarding.undo_onboarding import Undone, UndoOnboardingInput, undo_onboarding
from latchkey.registry import Registry
from latchkey.registry.journal import RESOURCE
from tests.unit.samples import EXECUTION_ARN, SETTINGS, desired, text

RUNNING = desired({"tags": {"team": "sports"}})
WAITING = desired({"requestId": "request-2"})
OTHER = desired({"requestId": "request-3", "resource.sourceLocation": "news-origin"})
LOCATION = {"SourceLocationName": "sports-origin", "HttpConfiguration": {"BaseUrl": "https://origin.example.com/vod"}}


@pytest.fixture
def mediatailor() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("mediatailor")


class Undo:
    """Calls undo_onboarding with clients of moto."""

    def __init__(self, registry: Registry, mediatailor: Any) -> None:
        self.registry, self.mediatailor = registry, mediatailor
        self.kms, self.secretsmanager, self.iam = (boto3.client("kms"), boto3.client("secretsmanager"), boto3.client("iam"))
        self.kms.meta.events.register("provide-client-params.kms.ScheduleKeyDeletion", _by_id)

    def __call__(self, desired: Desired, execution_arn: str) -> Undone:
        event = UndoOnboardingInput(request=desired.request, executionArn=execution_arn)
        clients = Clients(self.kms, self.secretsmanager, self.iam, lambda _: self.mediatailor)
        return undo_onboarding(event, SETTINGS, self.registry, clients)


@pytest.fixture
def undo(registry: Registry, mediatailor: Any) -> Undo:
    return Undo(registry, mediatailor)


def _by_id(params: dict[str, Any], **_: Any) -> None:
    """moto accepts only a key ID for a deletion; KMS also accepts an ARN."""
    params["KeyId"] = params["KeyId"].rsplit("/", 1)[-1]


def test_a_request_without_the_lock_rolls_back_nothing(undo: Undo, registry: Registry, mediatailor: Any) -> None:
    # The request with the lock has configured the resource and uses the secret; the other request waited until it failed.
    registry.locks.lock(RUNNING.access_id, EXECUTION_ARN)
    registry.resources.refer(RUNNING.secret_resource, RUNNING.access_id)
    journal = registry.journal.of(EXECUTION_ARN, RUNNING.access_id, RUNNING.tenant)
    journal.intend(RESOURCE, {}, found=LOCATION | {"AccessConfiguration": {}})
    secret = undo.secretsmanager.create_secret(
        Name=RUNNING.secret_name,
        SecretString="{}",
        Tags=[{"Key": key, "Value": value} for key, value in RUNNING.tags().items()],
    )["ARN"]
    with Stubber(mediatailor):  # the stub has no response: there is no call
        assert undo(WAITING, f"{EXECUTION_ARN}-waiting").undone == ()
    assert undo.secretsmanager.describe_secret(SecretId=secret)["ARN"] == secret
    assert registry.resources.others(RUNNING.secret_resource, OTHER.access_id) == {RUNNING.access_id}


def test_a_request_that_failed_before_its_secret_existed_releases_it(undo: Undo, registry: Registry) -> None:
    registry.locks.lock(RUNNING.access_id, EXECUTION_ARN)
    registry.resources.refer(RUNNING.secret_resource, RUNNING.access_id)
    for _ in range(2):
        assert undo(RUNNING, EXECUTION_ARN).undone == ()
    assert registry.resources.others(RUNNING.secret_resource, OTHER.access_id) == frozenset()


def test_a_created_key_is_scheduled_for_deletion_and_its_alias_deleted(undo: Undo, registry: Registry) -> None:
    registry.locks.lock(RUNNING.access_id, EXECUTION_ARN)
    key = _made_key(undo, registry)
    for _ in range(2):
        [step] = undo(RUNNING, EXECUTION_ARN).undone
        assert key in step
    assert undo.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert [one for one in undo.kms.list_aliases()["Aliases"] if one["AliasName"] == RUNNING.alias] == []


def test_a_key_of_another_access_stays(undo: Undo, registry: Registry) -> None:
    registry.locks.lock(RUNNING.access_id, EXECUTION_ARN)
    key = _made_key(undo, registry)
    registry.resources.refer(key, OTHER.access_id)
    registry.locks.lock(OTHER.access_id, f"{EXECUTION_ARN}-2")
    for _ in range(2):
        [step] = undo(RUNNING, EXECUTION_ARN).undone
        assert key in step
    assert undo.kms.describe_key(KeyId=RUNNING.alias or "")["KeyMetadata"]["KeyState"] == "Enabled"
    assert registry.resources.others(key, RUNNING.access_id) == {OTHER.access_id}


def test_a_key_whose_deletion_was_canceled_can_be_used_again(undo: Undo, registry: Registry) -> None:
    registry.locks.lock(RUNNING.access_id, EXECUTION_ARN)
    key = _made_key(undo, registry)
    undo(RUNNING, EXECUTION_ARN)
    undo.kms.cancel_key_deletion(KeyId=key.rsplit("/", 1)[-1])
    undo.kms.enable_key(KeyId=key.rsplit("/", 1)[-1])
    registry.resources.refer(key, OTHER.access_id)


def _made_key(undo: Undo, registry: Registry) -> str:
    """A key as a request creates it."""
    tags: list[Any] = [{"TagKey": key, "TagValue": value} for key, value in RUNNING.tags(shared=True).items()]
    key = undo.kms.create_key(Tags=tags)["KeyMetadata"]["Arn"]
    undo.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=text(RUNNING.new_key_policy))
    registry.resources.begin_key(RUNNING.alias or "", RUNNING.request.request_id)
    registry.resources.note_key(RUNNING.alias or "", key)
    undo.kms.create_alias(AliasName=RUNNING.alias or "", TargetKeyId=key)
    registry.resources.refer(key, RUNNING.access_id)
    return key
