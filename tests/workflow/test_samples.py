"""The sample events in events/functions, sent to the deployed functions: the containers of `make sam-local` run the same."""

import json
from collections.abc import Iterator

import pytest

from local_aws.tools.embedded_aws import STACK, Embedded
from local_aws.tools.outcomes import Outcomes
from tests.contract.artifacts import FOLDERS, logical_id
from tests.sam_local.effects import ANSWERED, EFFECTS, RAISED
from tests.sam_local.invoking import FOLDER, Answer

# The samples for these functions name a state machine that their roles do not allow. Containers run them without a role.
_OTHERS = [function for function in FOLDERS if function not in ("read_execution", "resume_request")]
# These functions would change what other events refer to.
_LAST = ("report_clean_up", "sweep_grants")


@pytest.fixture(scope="module")
def aws() -> Iterator[Embedded]:
    with Embedded(deploy=True, samples=True) as running:
        running.control("PUT", "assumptions", {"trail": {"lose": 1}})
        yield running


@pytest.fixture(scope="module")
def outcomes(aws: Embedded) -> Outcomes:
    return Outcomes(aws)


@pytest.fixture(scope="module")
def answers(aws: Embedded, outcomes: Outcomes) -> dict[str, Answer]:
    """The response of the function by event. `outcomes` is created before the first event."""
    client, stack = aws.client("lambda"), aws.client("cloudformation")
    found = {}
    for function in [*(name for name in _OTHERS if name not in _LAST), *_LAST]:
        resource = stack.describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id(function))
        name = resource["StackResourceDetail"]["PhysicalResourceId"]
        for event in (f"{function}.refused", function):
            payload = (FOLDER / f"{event}.json").read_text().replace("http://localhost:4566", aws.url)
            answered = client.invoke(FunctionName=name, Payload=payload)
            found[event] = json.load(answered["Payload"])
    return found


@pytest.mark.parametrize("function", _OTHERS)
def test_deployed_function_has_its_effect(aws: Embedded, outcomes: Outcomes, answers: dict[str, Answer], function: str) -> None:
    assert "errorType" not in answers[function], answers[function]

    EFFECTS[function](aws, outcomes, answers[function])


@pytest.mark.parametrize("function", sorted(set(RAISED) & set(_OTHERS)))
def test_rejected_sample_raises_its_error(answers: dict[str, Answer], function: str) -> None:
    error = answers[f"{function}.refused"]

    assert error["errorType"] == RAISED[function][0]
    assert RAISED[function][1] in error["errorMessage"]


@pytest.mark.parametrize("function", ANSWERED)
def test_sample_of_a_missing_resource_has_a_regular_response(answers: dict[str, Answer], function: str) -> None:
    assert ANSWERED[function] in json.dumps(answers[f"{function}.refused"])
