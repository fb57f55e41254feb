"""Clients made once and late, and the one table that turns what AWS answers into our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from latchkey.errors import AccessDenied, Conflict, LatchkeyError, NotYetEffective, TransientAwsError

# Tags take up to five minutes to count in KMS authorization, one more for clocks:
# https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html
SETTLING = timedelta(minutes=6)
# A new role is usually known within seconds, and some services take half a minute to assume it:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
ROLE_SETTLING = timedelta(minutes=1)
# The one table: the first row whose codes or statuses fit decides.
_ERRORS: tuple[tuple[type[LatchkeyError], frozenset[str], Callable[[int], bool]], ...] = (
    (
        TransientAwsError,
        frozenset(
            [
                "ConcurrentModification",
                "DependencyTimeoutException",
                "InternalServiceError",
                "KMSInternalException",
                "KeyUnavailableException",
                "LimitExceededException",
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
    # The principals of our documents were looked up: one that KMS, or IAM, refuses is too new to be known everywhere.
    # https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html
    (NotYetEffective, frozenset(["MalformedPolicyDocument", "MalformedPolicyDocumentException"]), lambda _: False),
    (
        Conflict,
        frozenset(["AlreadyExistsException", "ConflictException", "ResourceExistsException", "ResourceInUseException"]),
        lambda status: status == 409,
    ),
)
_NOT_READY = {"InvalidStateException", "KMSInvalidStateException"}
# AWS's message for these calls may quote its input, and their input holds a token.
_CARRIES_VALUE = {"CreateSecret", "PutSecretValue", "UpdateSecret", "GetSecretValue"}


def code_of(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def status_of(error: ClientError) -> int:
    """The HTTP status, the only thing to go by where a service models no errors, as MediaTailor does."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_missing(error: ClientError) -> bool:
    """Does AWS say that the thing asked for does not exist?"""
    return code_of(error) in {"NotFoundException", "ResourceNotFoundException", "NoSuchEntity"} or status_of(error) == 404


def is_refused(error: ClientError) -> bool:
    """Is it for an owner to say otherwise? What is throttled or fails may be done soon."""
    return isinstance(translate(error), AccessDenied)


def translate(error: ClientError | BotoCoreError) -> LatchkeyError:
    """What AWS or botocore answered, as one of ours; the message names operation and code, never an input."""
    if isinstance(error, ParamValidationError):
        return LatchkeyError("botocore refuses a parameter of the call before sending it")
    if isinstance(error, BotoCoreError):
        return TransientAwsError(f"no answer from AWS{_where(error)}: {type(error).__name__}")
    code, status = code_of(error), status_of(error)
    told = "" if error.operation_name in _CARRIES_VALUE else f": {error.response.get('Error', {}).get('Message', '')}"
    message = f"{error.operation_name} answered {code} ({status}){told}"
    kind = next((error for error, codes, has_status in _ERRORS if code in codes or has_status(status)), LatchkeyError)
    return kind(message)


def _where(error: BotoCoreError) -> str:
    """The host alone: the rest of the address may name what the call was about."""
    host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).netloc
    return host and f" at {host}"


@contextmanager
def aws_errors() -> Iterator[None]:
    """Within it, every answer of AWS that nobody else expected is raised as one of our errors, without its cause."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        # `from None`: the original holds the request's parameters, and a traceback is written to the log.
        raise translate(error) from None


@contextmanager
def settling(since: datetime | None, period: timedelta = SETTLING, unready: frozenset[str] = frozenset()) -> Iterator[None]:
    """Within it, what AWS refuses or does not know counts as not yet effective while what was made at `since` may settle.

    `unready` are further error codes that may mean no more than that.
    https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        told = translate(error)
        unknown = isinstance(error, ClientError) and (is_missing(error) or code_of(error) in _NOT_READY | unready)
        if is_settling(since, period) and (unknown or isinstance(told, AccessDenied)):
            raise NotYetEffective(str(told)) from None
        raise told from None


def is_settling(since: datetime | None, period: timedelta = SETTLING) -> bool:
    """May what was made or tagged at this time still be unknown somewhere?"""
    return since is not None and datetime.now(UTC) - since < period
