"""events/functions: for each function an input that its model takes, one that shows its refusal, and others by name."""

import inspect
import json
import re
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel, ValidationError

from latchkey.errors import InvalidRequest
from latchkey.onboarding.receive_request import RequestEvent, execution_input
from local_aws.tools import sample_accesses as furnished
from tests.contract.artefacts import FOLDERS, ROOT
from tests.contract.sent import SENT
from tests.functions.invoking import handler

FOLDER = ROOT / "events/functions"
FILES: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
SAMPLES = {name: event for name, event in FILES.items() if not name.endswith(".refused")}
# Other inputs of a function are `<function>.<what they are>.json`.
FIRST = {name: event for name, event in SAMPLES.items() if "." not in name}
REFUSED = {name.removesuffix(".refused"): event for name, event in FILES.items() if name.endswith(".refused")}
# These are of the right form; what they are about is what is refused.
REFUSED_FOR_WHAT_IS_THERE = {
    "attach_policies", "check_request", "identify_accesses", "list_grants", "observe_access", "read_execution",
    "receive_request", "undo_onboarding", "validate_access",
}  # fmt: skip
samples = pytest.mark.parametrize("function", SAMPLES)


def model(sample: str) -> type[BaseModel]:
    """The type of the handler's input."""
    found: type[BaseModel] = get_type_hints(inspect.unwrap(handler(sample.partition(".")[0])))["event"]
    return found


def test_every_function_has_its_sample_and_its_refusal() -> None:
    assert sorted(FIRST) == sorted(REFUSED) == FOLDERS


@pytest.mark.parametrize("function", REFUSED)
def test_a_refusal_is_by_form_or_by_what_is_there(function: str) -> None:
    try:
        model(function).model_validate_json(json.dumps(REFUSED[function]))
        by_form = False
    except (ValidationError, InvalidRequest):
        by_form = True

    assert by_form is (function not in REFUSED_FOR_WHAT_IS_THERE)


@samples
def test_a_sample_is_an_input_of_its_function(function: str) -> None:
    assert model(function).model_validate_json(json.dumps(SAMPLES[function]))


@samples
def test_a_sample_of_another_form_is_none(function: str) -> None:
    needed = {"Records", "request", "id", "requestId", "executionArn", "accessId", "keys"}
    sample = {name: value for name, value in SAMPLES[function].items() if name not in needed}

    with pytest.raises(ValidationError):
        model(function).model_validate_json(json.dumps(sample))


@samples
def test_a_sample_is_of_the_embedded_account_and_region(function: str) -> None:
    text = json.dumps([SAMPLES[function], REFUSED[function.partition(".")[0]]])

    assert set(re.findall(r"arn:aws:(?!iam|sts)[a-z]+:([a-z0-9-]*):", text)) <= {"us-east-1"}
    assert set(re.findall(r":(\d{12})[:\"](?!root)", text)) <= {"000000000000"}


def asked(name: str) -> dict[str, Any]:
    """What the gate makes of the request of a furnished location."""
    given = furnished.execution_input(name)
    made = execution_input(RequestEvent(id=given["requestId"], detail=given["request"]), lambda _: None)
    return made.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize("name", ["film-origin", *furnished.KEYS, "song-origin"])
def test_what_is_furnished_is_what_the_gate_would_let_in(name: str) -> None:
    given = furnished.execution_input(name)

    assert given | {"request": None} == asked(name) | {"request": None}
    assert asked(name)["request"]["resource"]["sourceLocation"] == name


@pytest.mark.parametrize("function", FIRST)
def test_a_sample_is_of_the_request_of_its_location(function: str) -> None:
    sample = FIRST[function]
    if "request" not in sample:
        return
    whole = asked(sample["request"]["resource"]["sourceLocation"])

    assert sample == sample | {member: whole[member] for member in set(whole) & set(sample)}


@pytest.mark.parametrize(
    ("sample", "request_file"),
    [("receive_request", "onboard-mediatailor"), ("receive_request.confirmation", "confirm-handoff")],
)
def test_a_sample_event_carries_a_sample_request(sample: str, request_file: str) -> None:
    entry, event = SENT[request_file], SAMPLES[sample]

    assert (event["source"], event["detail-type"]) == (entry["Source"], entry["DetailType"])
    assert event["detail"] == entry["Detail"]
    assert {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"} == set(event)
