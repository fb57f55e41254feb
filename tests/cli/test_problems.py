"""Everything that goes wrong is said in two lines: what is wrong, and what to do."""

import errno
from typing import Any

import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError

from latchkey.errors import TransientAwsError
from latchkey_cli.problems import FAILED, CliProblem, explained

CASES: dict[str, tuple[Exception, str, str]] = {
    "stopped endpoint": (
        aws.EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/"),
        "Nothing answers at 127.0.0.1:4566",
        "make local",
    ),
    "no network": (
        aws.EndpointConnectionError(endpoint_url="https://dynamodb.eu-nowhere-1.amazonaws.com/"),
        "dynamodb.eu-nowhere-1.amazonaws.com",
        "Check the Region",
    ),
    "slow endpoint": (aws.ReadTimeoutError(endpoint_url="http://localhost:1/"), "Nothing answers at localhost:1", "make local"),
    "no Region": (aws.NoRegionError(), "No Region is set", "--region"),
    "no credentials": (aws.NoCredentialsError(), "no AWS credentials", "aws sso login"),
    "ended session": (aws.UnauthorizedSSOTokenError(), "has ended", "aws sso login"),
    "no such profile": (aws.ProfileNotFound(profile="sports"), "no profile sports", "--profile"),
    "no such Region": (aws.InvalidRegionError(region_name="eu west"), "eu west is no Region", "--region"),
    "other botocore error": (aws.DataNotFoundError(data_path="x"), "failed", "Correct"),
    "full disk": (OSError(errno.ENOSPC, "No space left on device", "plan.json"), "disk is full: the output plan.json", "Free"),
    "no such file": (
        FileNotFoundError(errno.ENOENT, "No such file or directory", "a.json"),
        "The file a.json",
        "Correct the name",
    ),
    "invalid endpoint": (ValueError("Invalid endpoint: htp://x"), "Invalid endpoint", "--endpoint-url"),
    "product": (TransientAwsError("a lease is held"), "a lease is held", "again"),
    "unknown": (KeyError("secret value"), "KeyError", "LATCHKEY_DEBUG"),
}


def of_aws(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "no\nreason"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DescribeStacks")


CASES |= {
    "wrong credentials": (of_aws("InvalidClientTokenId", 403), "rejects the credentials", "--profile"),
    "expired credentials": (of_aws("ExpiredToken", 403), "rejects the credentials", "aws sso login"),
    "denied": (of_aws("AccessDeniedException"), "do not allow DescribeStacks: no reason", "permission"),
    "denied by a service without codes": (of_aws("", 403), "do not allow", "permission"),
    "throttled": (of_aws("ThrottlingException"), "limits the rate", "Wait"),
    "other error": (of_aws("ValidationException"), "ValidationException: no reason", "Correct"),
}


@pytest.mark.parametrize(("error", "what", "remedy"), CASES.values(), ids=CASES)
def test_an_error_says_what_is_wrong_and_what_to_do(error: Exception, what: str, remedy: str) -> None:
    found = explained(error)

    assert what in found.what
    assert remedy in found.remedy
    assert "\n" not in found.what + found.remedy
    assert found.status == FAILED


def test_an_unknown_error_never_shows_a_value() -> None:
    assert "secret value" not in explained(KeyError("secret value")).what


def test_a_long_message_of_aws_is_shortened() -> None:
    assert len(explained(TransientAwsError("x" * 5000)).what) < 400


def test_a_problem_explains_itself() -> None:
    problem = CliProblem("This is wrong.", "Do that.", 2)

    assert explained(problem) is problem
