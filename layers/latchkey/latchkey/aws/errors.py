"""Maps AWS errors to Latchkey errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from latchkey.errors import AccessDenied, Conflict, LatchkeyError, NotYetEffective, TransientAwsError

# KMS applies a tag change within five minutes. One more minute allows for clock differences:
# https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html
SETTLING = timedelta(minutes=6)
# A new role usually works within seconds, and some services need half a minute to assume it:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
ROLE_SETTLING = timedelta(minutes=1)
# KMS, Secrets Manager and IAM return these codes for resource quotas and sizes, not for rates. Waiting does not help.
# https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html#API_CreateKey_Errors
_QUOTAS = frozenset(["LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"])
_QUOTA_ADVICE = ". Remove what is no longer used, or request a higher quota in Service Quotas, and send the request again"
_MALFORMED = frozenset(["MalformedPolicyDocument", "MalformedPolicyDocumentException"])
# The reason of a denial that no propagation ends. Identity-based policies of our roles deny by tags, which need time to be
# effective, so they do not count:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html#access-denied-message-formats
_PERMANENT_DENIAL = re.compile(r"with an explicit deny(?! in an identity-based policy)")
# The first row with a matching error code or status decides.
_ERRORS: tuple[tuple[type[LatchkeyError], frozenset[str], Callable[[int], bool]], ...] = (
    (LatchkeyError, _QUOTAS, lambda _: False),
    (
        TransientAwsError,
        frozenset(
            [
                "ConcurrentModification",
                "DependencyTimeoutException",
                "InternalServiceError",
                "KMSInternalException",
                "KeyUnavailableException",
                "ProvisionedThroughputExceededException",
                "RequestLimitExceeded",
                "RequestTimeout",
                "Throttling",
                "ThrottlingException",
                "TooManyRequests",
                "TooManyRequestsException",
                "TransactionInProgressException",
            ]
        ),
        lambda status: status == 429 or status >= 500,
    ),
    (
        AccessDenied,
        frozenset(["AccessDenied", "AccessDeniedException", "Forbidden", "ForbiddenException", "UnauthorizedOperation"]),
        lambda status: status == 403,
    ),
    (
        Conflict,
        frozenset(["AlreadyExistsException", "ConflictException", "ResourceExistsException", "ResourceInUseException"]),
        lambda status: status == 409,
    ),
)
_NOT_READY = {"InvalidStateException", "KMSInvalidStateException"}
# MediaPackage v2 also answers AccessDeniedException if Secrets Manager throttles it while it validates CDN authorization:
# https://docs.aws.amazon.com/mediapackage/latest/APIReference/API_PutOriginEndpointPolicy.html
_DENIED_IF_THROTTLED = {"DeleteOriginEndpointPolicy", "GetOriginEndpointPolicy", "PutOriginEndpointPolicy"}
# The input of these calls contains a token, and the error message of AWS can repeat the input.
_CARRIES_VALUE = {"CreateSecret", "PutSecretValue", "UpdateSecret", "GetSecretValue"}


def code_of(error: ClientError) -> str:
    """The error code."""
    return error.response.get("Error", {}).get("Code", "")


def status_of(error: ClientError) -> int:
    """The HTTP status. Services without error codes, such as MediaTailor, return nothing else."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_missing(error: ClientError) -> bool:
    """Whether the resource does not exist."""
    return code_of(error) in {"NotFoundException", "ResourceNotFoundException", "NoSuchEntity"} or status_of(error) == 404


def is_throttled(error: ClientError) -> bool:
    """Whether AWS rejected the call because of its rate, without any effect."""
    return status_of(error) == 429 or code_of(error) in {"Throttling", "ThrottlingException", "TooManyRequestsException"}


def is_malformed_policy(error: ClientError) -> bool:
    """Whether AWS rejected a policy document. A principal that is too new to be known everywhere is one reason."""
    return code_of(error) in _MALFORMED


def locks_out(error: ClientError) -> bool:
    """Whether KMS rejected a key policy because the caller could not change it afterward."""
    return is_malformed_policy(error) and "update the key policy in the future" in str(error)


def is_refused(error: ClientError) -> bool:
    """Whether AWS denied the call, which only a change of permissions resolves."""
    return isinstance(translate(error), AccessDenied)


def is_denied_by_resource(error: ClientError) -> bool:
    """Whether the policy of the resource denies the call, which only its owner can change."""
    return is_refused(error) and "with an explicit deny in a resource-based policy" in str(error)


def translate(error: ClientError | BotoCoreError) -> LatchkeyError:
    """The Latchkey error for an error of AWS or botocore. Its message contains operation and code, never an input."""
    if isinstance(error, ParamValidationError):
        return LatchkeyError("botocore rejected a parameter of the call before sending it")
    if isinstance(error, BotoCoreError):
        return TransientAwsError(f"no response from AWS{_host(error)}: {type(error).__name__}")
    code, status = code_of(error), status_of(error)
    details = "" if error.operation_name in _CARRIES_VALUE else f": {error.response.get('Error', {}).get('Message', '')}"
    advice = _QUOTA_ADVICE if code in _QUOTAS else ""
    message = f"{error.operation_name} failed with {code} ({status}){details}{advice}"
    kind = next((error for error, codes, has_status in _ERRORS if code in codes or has_status(status)), LatchkeyError)
    return TransientAwsError(message) if kind is AccessDenied and _can_be_throttling(error) else kind(message)


def _can_be_throttling(error: ClientError) -> bool:
    """Whether a denial can have the cause that AWS was throttled. A real denial is reported when the retries are used up."""
    return error.operation_name in _DENIED_IF_THROTTLED and code_of(error) == "AccessDeniedException"


def _host(error: BotoCoreError) -> str:
    """The host of the endpoint. The rest of the URL can identify the resource of the call."""
    host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).netloc
    return host and f" at {host}"


@contextmanager
def aws_errors() -> Iterator[None]:
    """Raises AWS errors inside the context as Latchkey errors."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        # `from None`: the traceback is logged, and the original error contains the parameters of the request.
        raise translate(error) from None


@contextmanager
def settling(
    since: datetime | None,
    period: timedelta = SETTLING,
    not_ready: frozenset[str] = frozenset(),
    denials: frozenset[int] = frozenset(),
) -> Iterator[None]:
    """Raises NotYetEffective for denied calls and missing resources while a change made at `since` may not be known everywhere.

    An explicit Deny in a policy of a resource or an organization stays AccessDenied. `not_ready` are further error codes that
    can have this cause, and `denials` further HTTP statuses. Other errors are raised as by `aws_errors`.
    https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        translated = translate(error)
        unknown = isinstance(error, ClientError) and (
            is_missing(error)
            or _can_be_throttling(error)
            or code_of(error) in _NOT_READY | not_ready
            or status_of(error) in denials
        )
        is_denied = isinstance(translated, AccessDenied) and not _PERMANENT_DENIAL.search(str(error))
        if is_settling(since, period) and (unknown or is_denied):
            raise NotYetEffective(str(translated)) from None
        raise translated from None


def is_settling(since: datetime | None, period: timedelta = SETTLING) -> bool:
    """Whether a change made at this time may not be known everywhere yet."""
    return since is not None and datetime.now(UTC) - since < period
