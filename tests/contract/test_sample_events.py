"""The sample events in events/functions: for each function one valid input, one input that it rejects, and named variants."""

import inspect
import json
import re
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel, ValidationError

from latchkey.errors import InvalidRequest
from latchkey.onboarding.receive_request import RequestEvent
from latchkey.onboarding.receive_request import execution_input as received
from local_aws.tools import sample_accesses as samples
from tests.contract.artifacts import FOLDERS, MACHINES, ROOT, logical_id, tasks
from tests.contract.sample_requests import ENTRIES
from tests.functions.lambda_runtime import handler

FILES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "events/functions").glob("*.json"))
}
# Valid inputs: `<function>.json`, and `<function>.<variant>.json`.
VALID = {name: event for name, event in FILES.items() if not name.endswith(".refused")}
# The first valid input of each function, by function.
FIRST = {name: event for name, event in VALID.items() if "." not in name}
# Rejected inputs, by function.
REJECTED = {name.removesuffix(".refused"): event for name, event in FILES.items() if name.endswith(".refused")}
# The rejected inputs of these functions fit the model. The function rejects them because of what it reads.
REJECTED_BY_STATE = {
    "attach_policies", "check_manifest", "check_offboarding", "check_request", "check_rotation", "identify_accesses",
    "list_grants",
    "observe_access", "plan_access", "read_execution", "receive_request", "restore_access", "resume_request",
    "undo_onboarding", "validate_access",
}  # fmt: skip
valid_samples = pytest.mark.parametrize("name", VALID)


def model(name: str) -> type[BaseModel]:
    """The type of the input of the function that a sample is for."""
    found: type[BaseModel] = get_type_hints(inspect.unwrap(handler(name.partition(".")[0])))["event"]
    return found


def test_every_function_has_a_valid_and_a_rejected_sample() -> None:
    assert sorted(FIRST) == sorted(REJECTED) == FOLDERS


@pytest.mark.parametrize("function", REJECTED)
def test_a_rejected_sample_violates_the_model_unless_the_state_decides(function: str) -> None:
    try:
        model(function).model_validate_json(json.dumps(REJECTED[function]))
        violates_model = False
    except (ValidationError, InvalidRequest):
        violates_model = True

    assert violates_model is (function not in REJECTED_BY_STATE)


@valid_samples
def test_a_valid_sample_fits_the_model_of_its_function(name: str) -> None:
    assert model(name).model_validate_json(json.dumps(VALID[name]))


def passed_to(function: str) -> set[str]:
    """The members that each state that invokes a function passes to it. Empty if an expression builds the whole input."""
    resource = f"${{{logical_id(function)}Arn}}"
    inputs = [task["Arguments"] for machine in MACHINES for task in tasks(machine).values() if task["Resource"] == resource]
    members = [set(found) for found in inputs if isinstance(found, dict)]
    return set.intersection(*members) if members else set()


@pytest.mark.parametrize("function", FIRST)
def test_a_sample_has_the_members_that_the_state_machines_pass(function: str) -> None:
    assert passed_to(function) <= set(FIRST[function])


@valid_samples
def test_a_sample_without_its_required_members_does_not_fit_the_model(name: str) -> None:
    required = {"Records", "request", "id", "requestId", "executionArn", "accessId", "accessIds", "keys", "ResponseURL"}
    required |= {"content", "results"}
    incomplete = {member: value for member, value in VALID[name].items() if member not in required}

    with pytest.raises(ValidationError):
        model(name).model_validate_json(json.dumps(incomplete))


@valid_samples
def test_a_sample_names_only_the_account_and_region_of_the_embedded_aws(name: str) -> None:
    text = json.dumps([VALID[name], REJECTED[name.partition(".")[0]]])

    assert set(re.findall(r"arn:aws:(?!iam|sts)[a-z]+:([a-z0-9-]*):", text)) <= {"us-east-1"}
    assert set(re.findall(r":(\d{12})[:\"](?!root)", text)) <= {"000000000000"}


def is_rotation(sample: dict[str, Any]) -> bool:
    """Whether a sample is for a step of a rotation."""
    return "request" in sample and sample["request"]["resource"]["sourceLocation"] in samples.ROTATED


def input_from_receive_request(location: str) -> dict[str, Any]:
    """The execution input that `receive_request` builds from the sample request for a source location."""
    sample = samples.execution_input(location)
    built = received(RequestEvent(id=sample["requestId"], detail=sample["request"]), lambda _: None)
    return built.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize("location", ["film-origin", *samples.KEYS, "song-origin"])
def test_prepared_accesses_have_the_execution_input_that_receive_request_builds(location: str) -> None:
    built = input_from_receive_request(location)

    assert samples.execution_input(location) | {"request": None} == built | {"request": None}
    assert built["request"]["resource"]["sourceLocation"] == location


@pytest.mark.parametrize("function", [name for name, sample in FIRST.items() if is_rotation(sample)])
def test_a_sample_of_a_rotation_contains_the_request_of_its_source_location(function: str) -> None:
    location = FIRST[function]["request"]["resource"]["sourceLocation"]
    recorded = input_from_receive_request(location)["request"]
    sent = samples.rotation_input(location) if function == "check_rotation" else samples.rotation_step(location)

    assert FIRST[function] == FIRST[function] | sent
    assert sent["request"]["resource"] == recorded["resource"]


@pytest.mark.parametrize(
    "function",
    [name for name, one in FIRST.items() if "request" in one and not one.get("asked") and not is_rotation(one)],
)
def test_a_sample_contains_the_request_of_its_source_location(function: str) -> None:
    sample = FIRST[function]
    built = input_from_receive_request(sample["request"]["resource"]["sourceLocation"])

    assert sample == sample | {member: built[member] for member in set(built) & set(sample)}


@pytest.mark.parametrize(
    "function", [name for name, one in FIRST.items() if one.get("asked") and "request" in one and not is_rotation(one)]
)
def test_a_sample_about_a_recorded_access_contains_its_request_under_the_id_of_the_sample(function: str) -> None:
    sample = FIRST[function]
    location = sample["request"]["resource"]["sourceLocation"]
    recorded = input_from_receive_request(location)["request"]

    assert sample["request"] == recorded | {"requestId": sample["asked"]["requestId"]}
    assert sample == sample | samples.offboarding_step(location) | {"request": sample["request"]}


@pytest.mark.parametrize(
    ("name", "request_file"),
    [("receive_request", "onboard-mediatailor"), ("receive_request.confirmation", "confirm-handoff")],
)
def test_an_event_for_receive_request_contains_a_sample_request(name: str, request_file: str) -> None:
    entry, event = ENTRIES[request_file], VALID[name]

    assert (event["source"], event["detail-type"]) == (entry["Source"], entry["DetailType"])
    assert event["detail"] == entry["Detail"]
    assert {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"} == set(event)
