"""AWS errors become Latchkey errors that contain no secret value."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from latchkey.aws import clients
from latchkey.aws.errors import aws_errors, is_missing, settling, translate
from latchkey.errors import AccessDenied, Conflict, LatchkeyError, NotYetEffective, TransientAwsError
from tests.unit.samples import TOKEN


def aws_error(code: str, status: int = 400, operation: str = "DescribeKey", message: str = "details") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aws_error("ThrottlingException"), TransientAwsError),
        (aws_error("TooManyRequestsException", 429), TransientAwsError),
        (aws_error("UnknownCode", 429), TransientAwsError),
        (aws_error("InternalFailure", 500), TransientAwsError),
        (aws_error("ServiceUnavailable", 503), TransientAwsError),
        (aws_error("KMSInternalException"), TransientAwsError),
        (aws_error("DependencyTimeoutException"), TransientAwsError),
        (aws_error("ProvisionedThroughputExceededException"), TransientAwsError),
        (aws_error("AccessDeniedException"), AccessDenied),
        (aws_error("AccessDenied", 403), AccessDenied),
        (aws_error("UnknownCode", 403), AccessDenied),
        (aws_error("ResourceExistsException"), Conflict),
        (aws_error("AlreadyExistsException"), Conflict),
        (aws_error("ConflictException", 409), Conflict),
        (aws_error("UnknownCode", 409), Conflict),
        (aws_error("MalformedPolicyDocumentException"), LatchkeyError),
        (aws_error("MalformedPolicyDocument"), LatchkeyError),
        (aws_error("LimitExceededException"), LatchkeyError),
        (aws_error("LimitExceeded", 409), LatchkeyError),
        (aws_error("ServiceQuotaExceededException", 402), LatchkeyError),
        (aws_error("ConcurrentModification", 409), TransientAwsError),
        (aws_error("NotFoundException", 404), LatchkeyError),
        (ClientError({}, "DescribeKey"), LatchkeyError),
        (EndpointConnectionError(endpoint_url="https://kms"), TransientAwsError),
        (ConnectTimeoutError(endpoint_url="https://kms"), TransientAwsError),
        (NoCredentialsError(), TransientAwsError),
        (ParamValidationError(report="x"), LatchkeyError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:60],
)
def test_an_aws_error_becomes_the_error_class_of_its_row(error: ClientError | BotoCoreError, kind: type) -> None:
    assert type(translate(error)) is kind


def test_an_error_names_operation_code_status_and_message() -> None:
    message = str(translate(aws_error("NotFoundException", 404, message="Alias is not found")))
    assert message == "DescribeKey failed with NotFoundException (404): Alias is not found"


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue", "UpdateSecret", "GetSecretValue"])
def test_the_message_of_a_call_with_a_secret_value_is_omitted(operation: str) -> None:
    message = str(translate(aws_error("InvalidParameterException", operation=operation, message=f"{TOKEN} is too short")))
    assert message == f"{operation} failed with InvalidParameterException (400)"


def test_a_parameter_that_botocore_rejects_is_not_in_the_message() -> None:
    secretsmanager = boto3.client("secretsmanager")
    with pytest.raises(LatchkeyError) as raised, aws_errors():
        secretsmanager.create_secret(Name="a", SecretString=[TOKEN])  # type: ignore[arg-type]
    assert type(raised.value) is LatchkeyError
    # The Lambda runtime logs the traceback.
    assert TOKEN not in "".join(traceback.format_exception(raised.value))


def test_the_traceback_of_a_call_with_a_secret_value_does_not_contain_it() -> None:
    with pytest.raises(LatchkeyError) as raised, aws_errors():
        raise aws_error("InvalidRequestException", operation="PutSecretValue", message=TOKEN)
    assert TOKEN not in "".join(traceback.format_exception(raised.value))


def test_latchkey_errors_pass_through() -> None:
    with pytest.raises(Conflict, match="unchanged"), aws_errors():
        raise Conflict("unchanged")


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (aws_error("NotFoundException"), True),
        (aws_error("ResourceNotFoundException"), True),
        (aws_error("NoSuchEntity"), True),
        (aws_error("Whatever", 404), True),
        (aws_error("AccessDeniedException", 403), False),
        (aws_error("BadRequestException", 400), False),
    ],
)
def test_only_not_found_errors_mean_absence(error: ClientError, missing: bool) -> None:
    assert is_missing(error) is missing


DENIAL = aws_error("AccessDeniedException", message="not authorized")


@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=5, seconds=50)])
def test_a_denied_call_soon_after_tagging_is_not_yet_effective(age: timedelta) -> None:
    with pytest.raises(NotYetEffective, match=r"DescribeKey.*AccessDeniedException"), settling(datetime.now(UTC) - age):
        raise DENIAL


@pytest.mark.parametrize("since", [None, datetime.now(UTC) - timedelta(minutes=6, seconds=1)])
def test_a_denied_call_long_after_tagging_is_access_denied(since: datetime | None) -> None:
    with pytest.raises(AccessDenied, match="not authorized"), settling(since):
        raise DENIAL


@pytest.mark.parametrize("since", [None, datetime.now(UTC)])
def test_a_malformed_policy_is_permanent(since: datetime | None) -> None:
    with pytest.raises(LatchkeyError, match=r"PutKeyPolicy.*Malformed") as raised, settling(since):
        raise aws_error("MalformedPolicyDocumentException", operation="PutKeyPolicy")
    assert type(raised.value) is LatchkeyError


@pytest.mark.parametrize("code", ["LimitExceededException", "LimitExceeded"])
def test_a_quota_is_permanent_and_its_message_says_what_to_do(code: str) -> None:
    with pytest.raises(LatchkeyError, match="Service Quotas") as raised, settling(datetime.now(UTC)):
        raise aws_error(code, operation="CreateKey")
    assert type(raised.value) is LatchkeyError


NOT_AUTHORIZED = (
    "User: arn:aws:sts::111122223333:assumed-role/a/b is not authorized to perform: kms:PutKeyPolicy on resource: c"
)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("with an explicit deny in a resource-based policy", AccessDenied),
        ("with an explicit deny in a resource control policy", AccessDenied),
        ("with an explicit deny in a service control policy", AccessDenied),
        ("with an explicit deny", AccessDenied),
        # The policies of the functions deny by tags, which need time to be effective.
        ("with an explicit deny in an identity-based policy", NotYetEffective),
        ("because no resource-based policy allows the kms:PutKeyPolicy action", NotYetEffective),
    ],
)
def test_an_explicit_deny_that_does_not_depend_on_tags_never_settles(reason: str, kind: type) -> None:
    with pytest.raises(kind, match=reason) as raised, settling(datetime.now(UTC)):
        raise aws_error("AccessDeniedException", message=f"{NOT_AUTHORIZED} {reason}")
    assert type(raised.value) is kind


UNKNOWN = [
    aws_error("NotFoundException"),
    aws_error("ResourceNotFoundException"),
    aws_error("UnknownCode", 404),
    aws_error("KMSInvalidStateException"),
    aws_error("InvalidStateException"),
]


@pytest.mark.parametrize("error", UNKNOWN, ids=str)
def test_a_new_resource_that_is_unknown_or_not_ready_is_not_yet_effective(error: ClientError) -> None:
    with pytest.raises(NotYetEffective, match="DescribeKey"), settling(datetime.now(UTC)):
        raise error


@pytest.mark.parametrize("since", [None, datetime.now(UTC) - timedelta(minutes=6, seconds=1)])
@pytest.mark.parametrize("error", UNKNOWN, ids=str)
def test_an_old_resource_that_is_unknown_is_missing(error: ClientError, since: datetime | None) -> None:
    with pytest.raises(LatchkeyError) as raised, settling(since):
        raise error
    assert type(raised.value) is type(translate(error))
    assert not isinstance(raised.value, NotYetEffective)


def test_a_lost_response_soon_after_a_change_is_transient() -> None:
    with pytest.raises(TransientAwsError), settling(datetime.now(UTC)):
        raise ConnectTimeoutError(endpoint_url="https://kms")


def test_latchkey_errors_pass_through_soon_after_a_change() -> None:
    with pytest.raises(Conflict, match="unchanged"), settling(datetime.now(UTC)):
        raise Conflict("unchanged")


CDN = [f"{verb}OriginEndpointPolicy" for verb in ("Delete", "Get", "Put")]


@pytest.mark.parametrize("operation", CDN)
def test_a_denial_that_can_mean_throttling_is_transient_and_keeps_its_text(operation: str) -> None:
    error = aws_error("AccessDeniedException", 403, operation=operation, message="User is not authorized")

    translated = translate(error)

    assert type(translated) is TransientAwsError
    assert "User is not authorized" in str(translated)


@pytest.mark.parametrize("operation", CDN)
def test_a_denial_that_can_mean_throttling_is_not_yet_effective_while_a_change_settles(operation: str) -> None:
    error = aws_error("AccessDeniedException", 403, operation=operation)
    with pytest.raises(NotYetEffective), settling(datetime.now(UTC)):
        raise error


def test_throttling_of_these_operations_is_transient_while_a_change_settles() -> None:
    with pytest.raises(TransientAwsError), settling(datetime.now(UTC)):
        raise aws_error("ThrottlingException", 429, operation="PutOriginEndpointPolicy")


@pytest.mark.parametrize(
    ("operation", "code"), [("GetOriginEndpoint", "AccessDeniedException"), ("PutOriginEndpointPolicy", "Forbidden")]
)
def test_other_denials_stay_denials(operation: str, code: str) -> None:
    assert type(translate(aws_error(code, 403, operation=operation))) is AccessDenied


@pytest.mark.parametrize("since", [None, datetime.now(UTC)])
def test_the_traceback_of_a_settling_call_does_not_contain_the_value(since: datetime | None) -> None:
    with pytest.raises(LatchkeyError) as raised, settling(since):
        raise aws_error("ResourceNotFoundException", operation="PutSecretValue", message=TOKEN)
    assert TOKEN not in "".join(traceback.format_exception(raised.value))


def test_other_errors_do_not_become_not_yet_effective() -> None:
    with pytest.raises(Conflict), settling(datetime.now(UTC)):
        raise aws_error("ResourceExistsException")


def test_the_client_that_creates_keys_does_not_retry() -> None:
    once: Any = clients.kms_without_retries().meta.config
    usual: Any = clients.kms().meta.config
    assert clients.kms_without_retries() is clients.kms_without_retries()
    assert once.retries["total_max_attempts"] == 1
    assert usual.retries == {"mode": "standard"}  # three attempts, unless AWS_MAX_ATTEMPTS is set
    assert (once.connect_timeout, once.read_timeout) == (usual.connect_timeout, usual.read_timeout)


def test_the_regions_of_a_partition_are_known_without_a_call() -> None:
    assert {"eu-west-1", "us-east-1"} <= clients.regions("aws")
    assert clients.regions("aws-cn") == {"cn-north-1", "cn-northwest-1"}
    assert clients.regions("aws").isdisjoint(clients.regions("aws-cn"))


def test_a_client_is_created_once_for_each_service_and_region() -> None:
    assert clients.secretsmanager() is clients.secretsmanager()
    assert clients.secretsmanager("us-east-1").meta.region_name == "us-east-1"
    assert clients.secretsmanager("us-east-1") is not clients.secretsmanager("us-west-2")


@pytest.mark.parametrize(
    ("error", "host"),
    [
        (EndpointConnectionError(endpoint_url="http://host:4566/sourceLocation/of-theirs"), "host:4566"),
        (BotoCoreError(), ""),
    ],
)
def test_a_connection_error_names_only_the_host(error: BotoCoreError, host: str) -> None:
    message = str(translate(error))
    assert host in message
    assert message.endswith(f": {type(error).__name__}")
    assert "sourceLocation" not in message
