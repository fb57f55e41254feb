"""A resource that a template owns is left to it: all else is made, the values are told, and its owner confirms."""

import json
import uuid
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded
from tests.workflow.conftest import MANAGER, Onboarding
from tests.workflow.consumers import CONSUMERS, Consumer
from tests.workflow.striking import Detail


@pytest.fixture(params=["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect-output"])
def consumer(aws: Embedded, request: pytest.FixtureRequest) -> Consumer:
    return CONSUMERS[request.param](aws)


def _handed_off(onboarding: Onboarding, detail: Detail) -> Detail:
    event = onboarding.send(detail)
    assert event["detail-type"] == "Access Handed Off", json.dumps(event["detail"], indent=2)
    outcome: Detail = event["detail"]
    assert [check["name"] for check in outcome["checks"] if not check["passed"]] == []
    return outcome


def _owned_by_a_template(consumer: Consumer) -> Detail:
    return consumer.detail | {"resource": consumer.resource | {"configure": False}}


def _confirm(onboarding: Onboarding, access_id: str) -> Detail:
    request_id = f"confirm-{uuid.uuid4().hex[:12]}"
    onboarding.put({"requestId": request_id, "accessId": access_id}, "Handoff Confirmed")
    event: Detail = onboarding.outcomes.wait_for(request_id, 60)
    return event


def _set_as_told(aws: Embedded, consumer: Consumer, told: Detail) -> None:
    """What the owner's template does with the piece that the outcome tells."""
    [piece] = told["handoff"]["cloudFormation"].values()
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


def test_all_is_made_but_the_settings_of_the_resource(onboarding: Onboarding, consumer: Consumer) -> None:
    before = consumer.settings()
    told = _handed_off(onboarding, _owned_by_a_template(consumer))

    assert (told["status"], told["changed"]) == ("handed-off", True)
    assert consumer.settings() == before
    values = told["handoff"]["values"].values()
    assert {told["resources"]["secretArn"], told["resources"]["roleArn"]} <= set(values)
    again = _handed_off(onboarding, _owned_by_a_template(consumer))
    assert (again["status"], again["changed"]) == ("unchanged", False)


def test_what_is_set_as_told_and_confirmed_is_active(onboarding: Onboarding, aws: Embedded, consumer: Consumer) -> None:
    told = _handed_off(onboarding, _owned_by_a_template(consumer))
    _set_as_told(aws, consumer, told)

    confirmed = _confirm(onboarding, told["accessId"])

    assert confirmed["detail-type"] == "Access Onboarded", confirmed
    assert (confirmed["detail"]["status"], confirmed["detail"]["changed"]) == ("active", True)
    assert confirmed["detail"]["resources"] == told["resources"] | {
        "resourceArn": confirmed["detail"]["resources"]["resourceArn"]
    }
    again = _confirm(onboarding, told["accessId"])["detail"]
    assert (again["status"], again["changed"]) == ("unchanged", False)
    repeated = _handed_off(onboarding, _owned_by_a_template(consumer))
    assert (repeated["status"], repeated["changed"]) == ("unchanged", False)


def test_a_confirmation_of_what_is_not_set_fails_and_takes_nothing_back(onboarding: Onboarding, consumer: Consumer) -> None:
    told = _handed_off(onboarding, _owned_by_a_template(consumer))
    everything = onboarding.everything()

    failed = _confirm(onboarding, told["accessId"])

    assert failed["detail-type"] == "Request Failed"
    assert "resource is configured" in failed["detail"]["failure"]["message"]
    assert (failed["detail"]["changed"], failed["detail"]["undone"]) == (False, [])
    assert onboarding.everything() == everything
    again = _handed_off(onboarding, _owned_by_a_template(consumer))
    assert again["resources"] == told["resources"]


def test_a_source_location_of_a_template_gets_its_grant_from_its_own_role(onboarding: Onboarding, aws: Embedded) -> None:
    detail = onboarding.detail(managementRoles=[MANAGER])
    detail["resource"]["configure"] = False
    told = _handed_off(onboarding, detail)
    [piece] = told["handoff"]["cloudFormation"].values()
    assert onboarding.grants(told["resources"]["keyArn"]) == []

    manager = aws.assume(MANAGER).client("mediatailor", endpoint_url=aws.url)
    manager.create_source_location(**piece["Properties"])
    confirmed = _confirm(onboarding, told["accessId"])

    assert confirmed["detail-type"] == "Access Onboarded", confirmed
    [grant] = onboarding.grants(told["resources"]["keyArn"])
    assert confirmed["detail"]["resources"]["grantId"] == grant["GrantId"]


def test_a_confirmation_of_what_was_never_handed_off_is_rejected(onboarding: Onboarding) -> None:
    event = _confirm(onboarding, "mediapackage/originEndpoint/never-seen")

    assert event["detail-type"] == "Request Rejected"
    [error] = event["detail"]["errors"]
    assert error["place"] == "accessId"


@pytest.mark.parametrize("wrong", [{"accessId": 7}, {"accessId": "a", "token": "x"}, {}, "no object"])
def test_a_confirmation_that_cannot_be_read_is_rejected(onboarding: Onboarding, wrong: Any) -> None:
    request_id = f"confirm-{uuid.uuid4().hex[:12]}"
    detail = {"requestId": request_id} | wrong if isinstance(wrong, dict) else json.dumps(wrong)
    event_id = onboarding.put(detail, "Handoff Confirmed")

    event = onboarding.outcomes.wait_for(request_id if isinstance(wrong, dict) else event_id, 60)

    assert event["detail-type"] == "Request Rejected"
