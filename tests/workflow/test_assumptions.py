"""Onboarding works under every assumption about undocumented behavior of AWS."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local_aws.emulator.assumptions import values_to_try
from tests.sampling import WHOLE
from tests.workflow.onboarding import MEMBER, Onboarding

# Switches of other services, which have tests of their own. An onboarding for MediaTailor does not meet them.
_OF_OTHERS = {"omittedOnFlowUpdate", "flowRereads", "cdnAuthDelaySeconds"}


def _concerns_mediatailor(values: dict[str, Any]) -> bool:
    return not (values.keys() & _OF_OTHERS or {*values.get("sourceAccountSent", {})} - {"mediatailor"})


# The sample of `make assumptions` that runs with every other test: all other values, and one that combines two switches.
VALUES = [values for values in values_to_try() if WHOLE or _concerns_mediatailor(values)]
VALUES.append({"missingStatus": 400, "emptyPages": True})


@pytest.mark.parametrize("values", VALUES, ids=lambda values: ",".join(f"{k}={v}" for k, v in values.items()))
def test_onboarding_succeeds_under_every_assumption(onboarding: Onboarding, assume: Any, values: dict[str, Any]) -> None:
    assume(**values)
    detail = onboarding.detail()
    name = detail["resource"]["sourceLocation"]

    first = onboarding.onboard(detail)["resources"]
    _assert_served(onboarding, name, "first")

    # The same location with another secret: an update, which must keep the other settings and create a grant for the secret.
    secret_arn = onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(20)}), KmsKeyId=first["keyArn"])
    existing = {"value": {"existing": {"secretArn": secret_arn}}, "replacesToken": True}
    moved = onboarding.onboard(onboarding.detail(name, key=detail["key"], secret=existing))["resources"]

    assert moved["secretArn"] == secret_arn
    assert moved["grantId"] in {grant["GrantId"] for grant in onboarding.grants(first["keyArn"])}
    _assert_served(onboarding, name, "second")


@pytest.mark.parametrize("retires", ["at-once", "never"])
@pytest.mark.parametrize("recreated", ["same-id", "new-id"])
def test_deleted_location_is_onboarded_again(onboarding: Onboarding, assume: Any, retires: str, recreated: str) -> None:
    assume(mediatailorRetires=retires, recreatedGrant=recreated)
    detail = onboarding.detail()
    first = onboarding.onboard(detail)["resources"]
    onboarding.mediatailor.delete_source_location(SourceLocationName=detail["resource"]["sourceLocation"])

    again = onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})

    assert again["changed"] is True
    assert {name: again["resources"][name] for name in ("keyArn", "secretArn")} == {
        name: first[name] for name in ("keyArn", "secretArn")
    }
    _assert_served(onboarding, detail["resource"]["sourceLocation"], "film")


@contextmanager
def _without_accepted_grantees(onboarding: Onboarding) -> Iterator[None]:
    client = onboarding.aws.client("lambda")
    names = [one["FunctionName"] for one in client.list_functions()["Functions"]]
    former = {name: client.get_function_configuration(FunctionName=name)["Environment"] for name in names if "Access" in name}
    for name, environment in former.items():
        variables = environment["Variables"] | {"ACCEPTED_GRANTEES": ""}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    yield
    for name, environment in former.items():
        client.update_function_configuration(FunctionName=name, Environment=environment)


def test_grantee_that_the_stack_does_not_accept_is_in_the_outcome(fast_onboarding: Onboarding) -> None:
    fast_onboarding.aws.control("PUT", "assumptions", {"grantForm": "role"})
    with _without_accepted_grantees(fast_onboarding):
        event = fast_onboarding.send(fast_onboarding.detail())

    assert event["detail-type"] == "Request Failed"
    [failed] = json.loads(event["detail"]["failure"]["message"])["failed"]
    assert failed["check"] == "grant is there"
    assert "role/aws-service-role/mediatailor.amazonaws.com/AWSServiceRoleForMediaTailor" in failed["evidence"]
    assert "AcceptedGrantees" in failed["evidence"]


@pytest.mark.parametrize("renews", [True, False])
def test_grant_that_somebody_revoked_is_renewed_by_the_next_request(onboarding: Onboarding, assume: Any, renews: bool) -> None:
    assume(unchangedUpdateRenews=renews)
    detail = onboarding.detail()
    name, first = detail["resource"]["sourceLocation"], onboarding.onboard(detail)["resources"]
    settings = onboarding.location(name)["AccessConfiguration"]
    onboarding.kms.revoke_grant(KeyId=first["keyArn"], GrantId=first["grantId"])

    again = onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})

    assert again["resources"]["grantId"] in {grant["GrantId"] for grant in onboarding.grants(first["keyArn"])}
    assert onboarding.location(name)["AccessConfiguration"] == settings
    _assert_served(onboarding, name, "film")


def _assert_served(onboarding: Onboarding, name: str, film: str) -> None:
    """Asserts that MediaTailor reads the secret as itself and that the origin accepts the token."""
    package = {"Path": f"/{film}/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
    made = onboarding.mediatailor.create_vod_source(
        SourceLocationName=name, VodSourceName=film, HttpPackageConfigurations=[package]
    )
    requests = [r for r in onboarding.aws.control("GET", "origin") if r["path"] == f"/{name}/{film}/index.m3u8"]
    assert [request["status"] for request in requests] == [200]
    assert onboarding.mediatailor.list_alerts(ResourceArn=made["Arn"])["Items"] == []
