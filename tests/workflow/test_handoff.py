"""A resource of a template is not configured: the outcome has the values, and the owner confirms the configuration."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded
from tests.workflow.clean_ups import CleanUps
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource
from tests.workflow.fault_injection import Detail
from tests.workflow.onboarding import MANAGER, Onboarding


@pytest.fixture(params=["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect-output"])
def consumer(aws: Embedded, request: pytest.FixtureRequest) -> ConsumerResource:
    return CONSUMERS[request.param](aws)


def _handed_off(onboarding: Onboarding, detail: Detail) -> Detail:
    event = onboarding.send(detail)
    assert event["detail-type"] == "Access Handed Off", json.dumps(event["detail"], indent=2)
    outcome: Detail = event["detail"]
    assert [check["name"] for check in outcome["checks"] if not check["passed"]] == []
    return outcome


def _owned_by_a_template(consumer: ConsumerResource) -> Detail:
    return consumer.detail | {"resource": consumer.resource | {"configure": False}}


def _confirm(onboarding: Onboarding, access_id: str) -> Detail:
    request_id = f"confirm-{uuid.uuid4().hex[:12]}"
    onboarding.put({"requestId": request_id, "accessId": access_id}, "Handoff Confirmed")
    event: Detail = onboarding.outcomes.wait_for(request_id, 60)
    return event


def _configure_as_handed_off(aws: Embedded, consumer: ConsumerResource, result: Detail) -> None:
    """Configures the resource as the CloudFormation fragment of the outcome says."""
    [piece] = result["handoff"]["cloudFormation"].values()
    properties, client = dict(piece["Properties"]), aws.client(consumer.system)
    calls: dict[str, Any] = {
        "AWS::MediaPackage::OriginEndpoint": lambda: client.update_origin_endpoint(**properties),
        "AWS::MediaPackage::PackagingGroup": lambda: client.update_packaging_group(**properties),
        "AWS::MediaPackageV2::OriginEndpointPolicy": lambda: client.put_origin_endpoint_policy(
            **(properties | {"Policy": json.dumps(properties["Policy"])})
        ),
        "AWS::MediaConnect::FlowOutput": lambda: client.update_flow_output(
            FlowArn=properties["FlowArn"],
            OutputArn=consumer.settings()["OutputArn"],
            Encryption=properties["Encryption"],
        ),
    }
    calls[piece["Type"]]()


def test_handoff_creates_everything_except_the_resource_settings(onboarding: Onboarding, consumer: ConsumerResource) -> None:
    before = consumer.settings()
    result = _handed_off(onboarding, _owned_by_a_template(consumer))

    assert (result["status"], result["changed"]) == ("handed-off", True)
    assert consumer.settings() == before
    values = result["handoff"]["values"].values()
    assert {result["resources"]["secretArn"], result["resources"]["roleArn"]} <= set(values)
    again = _handed_off(onboarding, _owned_by_a_template(consumer))
    assert (again["status"], again["changed"]) == ("unchanged", False)


def test_access_configured_as_handed_off_and_confirmed_is_active(
    onboarding: Onboarding, aws: Embedded, consumer: ConsumerResource
) -> None:
    result = _handed_off(onboarding, _owned_by_a_template(consumer))
    _configure_as_handed_off(aws, consumer, result)

    confirmed = _confirm(onboarding, result["accessId"])

    assert confirmed["detail-type"] == "Access Onboarded", confirmed
    assert (confirmed["detail"]["status"], confirmed["detail"]["changed"]) == ("active", True)
    assert confirmed["detail"]["resources"] == result["resources"] | {
        "resourceArn": confirmed["detail"]["resources"]["resourceArn"]
    }
    again = _confirm(onboarding, result["accessId"])["detail"]
    assert (again["status"], again["changed"]) == ("unchanged", False)
    repeated = _handed_off(onboarding, _owned_by_a_template(consumer))
    assert (repeated["status"], repeated["changed"]) == ("unchanged", False)


def test_confirmation_before_the_configuration_fails_and_undoes_nothing(
    onboarding: Onboarding, consumer: ConsumerResource
) -> None:
    result = _handed_off(onboarding, _owned_by_a_template(consumer))
    everything = onboarding.account_snapshot()

    failed = _confirm(onboarding, result["accessId"])

    assert failed["detail-type"] == "Request Failed"
    assert failed["detail"]["failure"]["name"] == "AccessNotEffective"
    assert (failed["detail"]["changed"], failed["detail"]["undone"]) == (False, [])
    assert onboarding.account_snapshot() == everything
    again = _handed_off(onboarding, _owned_by_a_template(consumer))
    assert again["resources"] == result["resources"]


def test_source_location_of_a_template_gets_its_grant_through_the_templates_role(onboarding: Onboarding, aws: Embedded) -> None:
    detail = onboarding.detail(managementRoles=[MANAGER])
    detail["resource"]["configure"] = False
    result = _handed_off(onboarding, detail)
    [piece] = result["handoff"]["cloudFormation"].values()
    assert onboarding.grants(result["resources"]["keyArn"]) == []

    manager = aws.assume(MANAGER).client("mediatailor", endpoint_url=aws.url)
    manager.create_source_location(**piece["Properties"])
    confirmed = _confirm(onboarding, result["accessId"])

    assert confirmed["detail-type"] == "Access Onboarded", confirmed
    [grant] = onboarding.grants(result["resources"]["keyArn"])
    assert confirmed["detail"]["resources"]["grantId"] == grant["GrantId"]


def test_confirmation_of_an_unknown_access_is_rejected(onboarding: Onboarding) -> None:
    event = _confirm(onboarding, "mediapackage/originEndpoint/never-seen")

    assert event["detail-type"] == "Request Rejected"
    assert [error["place"] for error in event["detail"]["errors"]] == ["accessId"]


@pytest.mark.parametrize("wrong", [{"accessId": 7}, {"accessId": "a", "token": "x"}, {}, "no object"])
def test_malformed_confirmation_is_rejected(onboarding: Onboarding, wrong: Any) -> None:
    request_id = f"confirm-{uuid.uuid4().hex[:12]}"
    detail = {"requestId": request_id} | wrong if isinstance(wrong, dict) else json.dumps(wrong)
    event_id = onboarding.put(detail, "Handoff Confirmed")

    event = onboarding.outcomes.wait_for(request_id if isinstance(wrong, dict) else event_id, 60)

    assert event["detail-type"] == "Request Rejected"


def test_handoff_of_a_live_access_leaves_it_observed(onboarding: Onboarding, assume: Callable[..., Any]) -> None:
    assume(trail={"lose": 1}, mediatailorRetires="never")
    clean_ups = CleanUps(onboarding)
    [access] = clean_ups.new_accesses(1)
    elsewhere = access.detail["resource"] | {"configure": False, "baseUrl": f"{access.detail['resource']['baseUrl']}/other"}

    _handed_off(onboarding, access.detail | {"requestId": f"again-{access.name}", "resource": elsewhere})
    clean_ups.update_location(access, AccessConfiguration={"AccessType": "S3_SIGV4"})
    [events] = clean_ups.run(access)

    assert events["Access Revoked"]["status"] == "detached"


def test_confirmation_after_consent_was_withdrawn_is_rejected(onboarding: Onboarding, aws: Embedded) -> None:
    key = onboarding.new_key()
    consumer = CONSUMERS["mediapackage"](aws)
    detail = _owned_by_a_template(consumer) | {"key": {"arn": key}}
    result = _handed_off(onboarding, detail)
    _configure_as_handed_off(aws, consumer, result)
    onboarding.kms.untag_resource(KeyId=key, TagKeys=["latchkey:consent"])

    first = _confirm(onboarding, result["accessId"])
    onboarding.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "latchkey:consent", "TagValue": "adopt"}])
    second = _confirm(onboarding, result["accessId"])

    assert (first["detail-type"], second["detail-type"]) == ("Request Rejected", "Request Rejected")
    assert [{error["place"] for error in event["detail"]["errors"]} for event in (first, second)] == [{"key"}, {"accessId"}]
    _handed_off(onboarding, detail | {"requestId": f"again-{uuid.uuid4().hex[:12]}"})
    assert _confirm(onboarding, result["accessId"])["detail-type"] == "Access Onboarded"
