"""Flows of MediaConnect: what an update keeps, when a flow must be stopped, and names with any character."""

from collections.abc import Callable
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.sampling import each_value
from tests.workflow.consumer_resources import CONSENT, CONSUMERS, ConsumerResource, mediaconnect
from tests.workflow.onboarding import Onboarding

PARTS = [name for name in CONSUMERS if name.startswith("mediaconnect")]


@pytest.mark.parametrize(("kind", "omitted"), each_value(PARTS, ["keep", "clear"]))
def test_onboarding_keeps_the_other_settings_of_a_part(
    onboarding: Onboarding, aws: Embedded, assume: Callable[..., Any], kind: str, omitted: str
) -> None:
    assume(omittedOnFlowUpdate=omitted)
    consumer = CONSUMERS[kind](aws)
    before = consumer.settings()

    onboarding.onboard(consumer.detail)

    after = consumer.settings()
    [changed] = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    assert changed in ("Decryption", "Encryption")


def _entitled(aws: Embedded) -> ConsumerResource:
    """The flow of a subscriber, whose source is an entitlement."""
    client, partner = aws.client("mediaconnect"), CONSUMERS["mediaconnect-entitlement"](aws)
    flow = client.describe_flow(FlowArn=partner.resource["flowArn"])["Flow"]
    granted = client.grant_flow_entitlements(
        FlowArn=flow["FlowArn"], Entitlements=[{"Name": "subscriber", "Subscribers": [ACCOUNT]}]
    )["Entitlements"][0]["EntitlementArn"]
    source = {"Name": "contribution", "EntitlementArn": granted}
    subscribed = client.create_flow(Name=f"subscriber-{flow['Name']}", FlowTags=CONSENT, Sources=[source])["Flow"]["FlowArn"]

    def settings() -> dict[str, Any]:
        described: dict[str, Any] = client.describe_flow(FlowArn=subscribed)["Flow"]["Source"]
        return described

    def reads(found: Any) -> tuple[str | None, str | None]:
        present = found.get("Decryption") or {}
        return present.get("SecretArn"), present.get("RoleArn")

    resource = {"flowArn": subscribed, "source": "contribution", "algorithm": "aes256"}
    return ConsumerResource("mediaconnect", f"subscriber-{flow['Name']}", resource, settings, reads)


def test_entitled_source_is_onboarded_only_while_its_flow_is_stopped(onboarding: Onboarding, aws: Embedded) -> None:
    consumer, client = _entitled(aws), aws.client("mediaconnect")
    named = {"FlowArn": consumer.resource["flowArn"]}
    client.start_flow(**named)
    before, all_before = consumer.settings(), onboarding.account_snapshot()

    assert onboarding.rejected_paths(consumer.detail) == {"resource"}
    assert (consumer.settings(), onboarding.account_snapshot()) == (before, all_before)

    client.stop_flow(**named)
    made = onboarding.onboard(consumer.detail)["resources"]
    assert consumer.settings() == before | {"Decryption": consumer.settings()["Decryption"]}
    assert consumer.reads(consumer.settings()) == (made["secretArn"], made["roleArn"])

    # A repeated request updates nothing, so the flow can be active.
    client.start_flow(**named)
    assert onboarding.onboard(consumer.detail)["status"] == "unchanged"


NAMES = {"special characters": " Tor 1/Süd: #2 100% (?)", "long": "/source/" + "x" * 300}


@pytest.mark.parametrize(("part", "form"), each_value(["source", "output", "entitlement"], NAMES))
def test_part_and_flow_with_any_name_are_onboarded(onboarding: Onboarding, aws: Embedded, part: str, form: str) -> None:
    consumer = mediaconnect(part, name_ends=NAMES[form])(aws)

    outcome = onboarding.onboard(consumer.detail)

    made = outcome["resources"]
    assert consumer.reads(consumer.settings()) == (made["secretArn"], made["roleArn"])
    tags = onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["Tags"]
    assert {"Key": "latchkey:access", "Value": outcome["accessId"]} in tags
    assert onboarding.onboard(consumer.detail)["status"] == "unchanged"
