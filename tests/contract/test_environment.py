"""The environment of every function fits into Lambda, however long the parameters and names of a stack are.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

import json
import re
from typing import Any

import pytest

from tests.contract.artifacts import FUNCTIONS, GLOBALS, TEMPLATE

LIMIT = 4096
# For seven more names of state machines.
ROOM = 800
# The longest names: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html and
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
# A name that CloudFormation creates begins with the name of the stack, which has at most 128 characters.
NAMES = {
    "AccessTable": 128 + len("-AccessTable-") + 13,
    "AuditTable": 128 + len("-AuditTable-") + 13,
    "DataBucket": 63,
    "ReaderBoundary": 128,
    "AWS::AccountId": 12,
    "AWS::NoValue": 0,
    "AWS::Partition": len("aws-us-gov"),
    "AWS::StackName": 128,
}
PARAMETERS: dict[str, dict[str, Any]] = TEMPLATE["Parameters"]
LISTS = ["TrustedPrincipalPatterns", "AllowedPartnerAccounts", "AllowedOriginHosts"]


def longest(value: Any) -> int:
    """The greatest length of the value of a variable."""
    if not isinstance(value, dict):
        return len(str(value))
    [(function, argument)] = value.items()
    match function:
        case "Ref" if argument in PARAMETERS:
            return longest_parameter(argument)
        case "Ref" if argument.endswith("FunctionRole"):
            return 64
        case "Ref":
            return NAMES[argument]
        case "Fn::GetAtt":
            assert argument.endswith("StateMachine.Name")
            return 80
        case "Fn::Select":
            assert argument == [1, {"Fn::Split": ["/", {"Ref": "ReaderBoundary"}]}]
            return NAMES["ReaderBoundary"]
        case "Fn::Sub":
            named = re.findall(r"\$\{([^}]+)\}", argument)
            return len(re.sub(r"\$\{[^}]+\}", "", argument)) + sum(longest({"Ref": name}) for name in named)
        case "Fn::If":
            return max(map(longest, argument[1:]))
        case "Fn::Join":
            return sum(map(longest, argument[1])) + len(argument[0]) * (len(argument[1]) - 1)
    raise AssertionError(f"no length for {function}")


def longest_parameter(name: str) -> int:
    parameter = PARAMETERS[name]
    if parameter["Type"] == "Number":
        return len(str(parameter["MaxValue"]))
    bounded = re.search(r"\{\d+,(\d+)\}\$$", parameter["AllowedPattern"])
    choices = re.fullmatch(r"\^\(([a-z|]+)\)\$", parameter["AllowedPattern"])
    if choices:
        return max(map(len, choices[1].split("|")))
    return int(parameter["MaxLength"] if "MaxLength" in parameter else bounded[1] if bounded else "no maximum")


def size(variables: dict[str, Any]) -> int:
    """The greatest size of variables in bytes."""
    return sum(len(variable) + longest(value) for variable, value in variables.items())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_longest_environment_of_a_function_fits_into_lambda(name: str) -> None:
    own = FUNCTIONS[name]["Environment"]["Variables"]

    assert size({**GLOBALS["Environment"]["Variables"], **own}) <= LIMIT


def test_what_all_functions_share_leaves_room_for_the_functions_of_further_flows() -> None:
    assert size(GLOBALS["Environment"]["Variables"]) <= LIMIT - ROOM


@pytest.mark.parametrize(
    "name", [name for name, one in FUNCTIONS.items() if "StateMachine.Name" in json.dumps(one["Environment"])]
)
def test_a_function_that_starts_executions_has_room_for_further_state_machines(name: str) -> None:
    assert size({**GLOBALS["Environment"]["Variables"], **FUNCTIONS[name]["Environment"]["Variables"]}) <= LIMIT - ROOM


def test_no_variable_contains_the_arn_of_a_role_or_of_a_state_machine() -> None:
    """Their names are enough, and the Region and the partition are not repeated."""
    all_variables = [GLOBALS["Environment"]["Variables"], *(one["Environment"]["Variables"] for one in FUNCTIONS.values())]
    text = json.dumps(all_variables)

    assert "Role.Arn" not in text
    assert "StateMachine.Arn" not in text
    assert not re.search(r'"Ref": "\w+StateMachine"', text)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_has_a_maximum_length(name: str) -> None:
    assert PARAMETERS[name]["MaxLength"] > 0
