"""The environment of every function fits into Lambda, however long the parameters and names of a stack are.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

import re
from typing import Any

import pytest

from tests.contract.artifacts import FUNCTIONS, GLOBALS, TEMPLATE

LIMIT = 4096
# The longest names: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
# A name that CloudFormation creates begins with the name of the stack, which has at most 128 characters.
ROLE = "arn:aws-us-gov:iam::123456789012:role/" + "r" * 64
NAMES = {
    "AccessTable": 128 + len("-AccessTable-") + 13,
    "AuditTable": 128 + len("-AuditTable-") + 13,
    "CleanUpStateMachine": len("arn:aws-us-gov:states:ap-southeast-1:123456789012:stateMachine:") + 80,
    "DataBucket": 63,
    "EndRequestStateMachine": len("arn:aws-us-gov:states:ap-southeast-1:123456789012:stateMachine:") + 80,
    "OffboardStateMachine": len("arn:aws-us-gov:states:ap-southeast-1:123456789012:stateMachine:") + 80,
    "OnboardStateMachine": len("arn:aws-us-gov:states:ap-southeast-1:123456789012:stateMachine:") + 80,
    "ReconcileStateMachine": len("arn:aws-us-gov:states:ap-southeast-1:123456789012:stateMachine:") + 80,
    "RotateStateMachine": len("arn:aws-us-gov:states:ap-southeast-1:123456789012:stateMachine:") + 80,
    "ReaderBoundary": len("arn:aws-us-gov:iam::123456789012:policy/") + 128,
    "RequestBus": 128 + len("-requests"),
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
            assert argument.endswith("Role.Arn")
            return len(ROLE)
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_longest_environment_of_a_function_fits_into_lambda(name: str) -> None:
    own = FUNCTIONS[name]["Environment"]["Variables"]
    variables = {**GLOBALS["Environment"]["Variables"], **own}

    assert sum(len(variable) + longest(value) for variable, value in variables.items()) <= LIMIT


@pytest.mark.parametrize("name", LISTS)
def test_every_list_has_a_maximum_length(name: str) -> None:
    assert PARAMETERS[name]["MaxLength"] > 0
