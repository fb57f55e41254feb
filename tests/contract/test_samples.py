"""events/functions: inputs of the functions, which their models take; the first of each are all of the same request."""

import inspect
import json
import re
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel, ValidationError

from latchkey.receiving import RequestEvent, execution_input
from tests.contract.artefacts import FOLDERS, ROOT
from tests.contract.sent import SENT
from tests.functions.invoking import handler

FOLDER = ROOT / "events/functions"
SAMPLES: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
# Other inputs of a function are `<function>.<what they are>.json`.
FIRST = {name: sample for name, sample in SAMPLES.items() if "." not in name}
samples = pytest.mark.parametrize("function", SAMPLES)


def model(sample: str) -> type[BaseModel]:
    """The type of the handler's input."""
    found: type[BaseModel] = get_type_hints(inspect.unwrap(handler(sample.partition(".")[0])))["event"]
    return found


def test_every_function_has_its_sample() -> None:
    assert sorted(FIRST) == FOLDERS


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
    text = json.dumps(SAMPLES[function])

    assert set(re.findall(r"arn:aws:(?!iam|sts)[a-z]+:([a-z0-9-]*):", text)) <= {"us-east-1"}
    assert set(re.findall(r":(\d{12})[:\"](?!root)", text)) <= {"000000000000"}


def test_the_first_samples_are_of_one_request() -> None:
    first = execution_input(RequestEvent(**SAMPLES["receive_request"]), lambda _: None)

    assert {"request", "contentHash"} <= set(first)
    for function, sample in FIRST.items():
        for member in set(first) & set(sample):
            assert sample[member] == first[member], f"{function}: {member}"


@pytest.mark.parametrize(
    ("sample", "request_file"),
    [("receive_request", "onboard-mediatailor"), ("receive_request.confirmation", "confirm-handoff")],
)
def test_a_sample_event_carries_a_sample_request(sample: str, request_file: str) -> None:
    entry, event = SENT[request_file], SAMPLES[sample]

    assert (event["source"], event["detail-type"]) == (entry["Source"], entry["DetailType"])
    assert event["detail"] == entry["Detail"]
    assert {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"} == set(event)
