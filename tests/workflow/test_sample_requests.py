"""Every request in events/requests works on a fresh `make local`, which creates what the requests refer to."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from local_aws.tools.lifecycle import NEXT_COMMANDS
from local_aws.tools.outcomes import Outcomes
from tests.contract.artifacts import ROOT
from tests.contract.sample_requests import ENTRIES, ONBOARDINGS, PLANS

HANDED_OFF, CONFIRMATION = "onboard-mediatailor-handed-off", "confirm-handoff"
# About accesses that other samples onboard, in this order.
ROTATIONS = ("rotate-mediatailor", "confirm-rotation", "rotate-mediapackagev2-emergency")
BULK, DISCOVERY, RECONCILIATION = "bulk-onboard", "discover", "reconcile"
OFFBOARDING, RESTORATION = "offboard-mediatailor", "restore-mediatailor"
# A plan of a request about a recorded access comes right before that request.
PLAN_OF_ROTATION = "plan-rotation-mediatailor"
PLANS_OF_ACCESSES = {"plan-offboarding-mediatailor": OFFBOARDING, "plan-restoration-mediatailor": RESTORATION}


@pytest.fixture(scope="module")
def aws() -> Iterator[Embedded]:
    with Embedded(deploy=True, samples=True, hurried=True) as running:
        yield running


@pytest.fixture(scope="module")
def before(aws: Embedded) -> set[str]:
    """The accesses that `make local` itself made."""
    items = aws.client("dynamodb").get_paginator("scan").paginate(TableName=_table(aws)).build_full_result()["Items"]
    return {item["id"]["S"] for item in items if item["kind"]["S"] == "access"}


@pytest.fixture(scope="module")
def outcomes(aws: Embedded, before: set[str]) -> dict[str, dict[str, Any]]:
    """The outcome of every sample, sent one after another, as `aws events put-events` sends its file."""
    heard, events = Outcomes(aws), aws.client("events")
    found: dict[str, dict[str, Any]] = {}
    first = [name for name in PLANS if name not in (*PLANS_OF_ACCESSES, PLAN_OF_ROTATION)]
    last = [name for pair in PLANS_OF_ACCESSES.items() for name in pair]
    for name in [*first, *ONBOARDINGS, CONFIRMATION, PLAN_OF_ROTATION, *ROTATIONS, *last, BULK, RECONCILIATION, DISCOVERY]:
        if name == CONFIRMATION:
            _carry_out(aws, found[HANDED_OFF]["detail"]["handoff"]["values"])
        [entry] = json.loads((ROOT / f"events/requests/{name}.json").read_text())
        [sent] = events.put_events(Entries=[entry])["Entries"]
        found[name] = heard.wait_for_event(sent["EventId"])
    return found


def _table(aws: Embedded) -> str:
    [stack] = aws.client("cloudformation").describe_stacks(StackName="latchkey")["Stacks"]
    names = (output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == "AccessTableName")
    return str(next(names))


def _carry_out(aws: Embedded, values: dict[str, str]) -> None:
    """The last step of the hand-off, by the role that the request names in managementRoles."""
    session = aws.assume(f"arn:aws:iam::{ACCOUNT}:role/MediaTailorManagement")
    client: Any = session.client("mediatailor", endpoint_url=aws.url)
    token = {"HeaderName": values["HeaderName"], "SecretArn": values["SecretArn"], "SecretStringKey": values["SecretStringKey"]}
    client.create_source_location(
        SourceLocationName=values["SourceLocationName"],
        HttpConfiguration={"BaseUrl": values["BaseUrl"]},
        AccessConfiguration={"AccessType": values["AccessType"], "SecretsManagerAccessTokenConfiguration": token},
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_a_sample_request_succeeds(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    outcome = outcomes[name]

    others = {
        BULK: {"Bulk Onboarding Completed"},
        DISCOVERY: {"Discovery Completed"},
        RECONCILIATION: {"Reconciliation Completed"},
        OFFBOARDING: {"Access Offboarded"},
        **{rotation: {"Token Pending", "Token Rotated"} for rotation in ROTATIONS},
        **{plan: {"Access Planned"} for plan in PLANS},
    }
    expected = others.get(name, {"Access Onboarded", "Access Handed Off"})
    assert outcome["detail-type"] in expected, outcome["detail"]
    assert outcome["detail"]["changed"] is (name not in {*PLANS, DISCOVERY, RECONCILIATION})


def test_no_sample_is_about_an_access_that_exists(before: set[str], outcomes: dict[str, dict[str, Any]]) -> None:
    assert before
    assert not before & {outcome["detail"].get("accessId") for outcome in outcomes.values()}


def test_the_output_is_short_and_ends_with_the_exports(aws: Embedded) -> None:
    lines = aws.log().splitlines()

    assert len(lines) < 12, aws.log()
    assert lines[-1].startswith("export AWS_DEFAULT_REGION=")


def test_the_commands_at_the_end_of_the_output_show_the_outcomes(aws: Embedded, outcomes: dict[str, dict[str, Any]]) -> None:
    exports = [line for line in aws.log().splitlines() if line.startswith("export ")]

    done = subprocess.run(
        ["bash", "-euc", "\n".join([*exports, *NEXT_COMMANDS])], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert outcomes["onboard-mediatailor"]["detail"]["outcomeId"] in done.stdout
