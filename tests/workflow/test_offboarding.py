"""Offboarding and restoration through the deployed stack, for every system and every choice for the resource."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sampling import each_value
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.onboarding import Onboarding


def is_open(location: dict[str, Any]) -> bool:
    """Whether a source location sends no token. MediaTailor can return an empty configuration."""
    return not location.get("AccessConfiguration")


def statements(policy: dict[str, Any]) -> set[str]:
    return {statement["Sid"] for statement in policy["Statement"]}


def test_offboarded_location_sends_no_token_and_only_the_secret_is_scheduled(onboarding: Onboarding) -> None:
    made = onboarding.onboard(onboarding.detail())
    arns, name = made["resources"], made["accessId"].rsplit("/", 1)[1]
    onboarding.await_old_grants(arns["keyArn"])

    outcome = onboarding.offboard(made["accessId"])

    assert is_open(onboarding.location(name))
    assert onboarding.grants(arns["keyArn"]) == []
    assert [grant["removedBy"] for grant in outcome["removedGrants"]] == ["latchkey"]
    assert outcome["removedGrants"][0]["evidence"]
    assert onboarding.secretsmanager.describe_secret(SecretId=arns["secretArn"])["DeletedDate"]
    assert onboarding.kms.describe_key(KeyId=arns["keyArn"])["KeyMetadata"]["KeyState"] == "Enabled"
    assert statements(onboarding.key_policy(arns["keyArn"])) == {"EnableIAMUserPermissions", "LatchkeyCreation"}
    assert [one["resource"] for one in outcome["scheduled"]] == [arns["secretArn"]]
    assert {one["resource"] for one in outcome["evidence"]} == {arns["secretArn"]}
    assert outcome["left"] == outcome["steps"] == []


def test_restored_access_is_as_before_and_can_be_offboarded_again(fast_onboarding: Onboarding) -> None:
    onboarding = fast_onboarding
    made = onboarding.onboard(onboarding.detail())
    arns, name = made["resources"], made["accessId"].rsplit("/", 1)[1]
    token, policy = onboarding.token(arns["secretArn"]), onboarding.secret_policy(arns["secretArn"])
    onboarding.offboard(made["accessId"])

    restored = onboarding.restore(made["accessId"])

    same = {"keyArn", "secretArn", "resourceArn"}
    assert {part: restored["resources"][part] for part in same} == {part: arns[part] for part in same}
    assert (onboarding.token(arns["secretArn"]), onboarding.secret_policy(arns["secretArn"])) == (token, policy)
    assert not is_open(onboarding.location(name))
    onboarding.offboard(made["accessId"])
    assert is_open(onboarding.location(name))


# The only one of these systems that is detached.
DETACHED = [("mediapackagev2", "restore")]


@pytest.mark.parametrize(("kind", "choice"), dict.fromkeys([*DETACHED, *each_value(CONSUMERS, ["restore", "detach", "leave"])]))
def test_every_system_is_detached_or_named_with_the_steps_that_a_person_takes(
    fast_onboarding: Onboarding, kind: str, choice: str
) -> None:
    onboarding = fast_onboarding
    consumer = CONSUMERS[kind](onboarding.aws)
    before = consumer.settings()
    made = onboarding.onboard(consumer.detail)
    arns, after = made["resources"], consumer.settings()

    outcome = onboarding.offboard(made["accessId"], resource=choice)

    secret = onboarding.secretsmanager.describe_secret(SecretId=arns["secretArn"])
    if kind == "mediapackagev2" and choice != "leave":
        assert (consumer.settings(), outcome["left"], outcome["steps"]) == (before, [], [])
        assert [one["resource"] for one in outcome["scheduled"]] == [arns["secretArn"]]
        assert secret["DeletedDate"]
    else:
        assert (consumer.settings(), outcome["scheduled"]) == (after, [])
        assert outcome["left"]
        assert "DeletedDate" not in secret
