"""What keeps a command from doing its work, in two lines: what is wrong, and what to do about it."""

from __future__ import annotations

import errno

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError

from latchkey.errors import LatchkeyError

# What a process that is interrupted by Ctrl-C exits with in every shell.
INTERRUPTED = 130
FAILED, REJECTED, HAS_CHANGES = 1, 2, 3

_SIGNED_WRONG = frozenset(
    [
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    ]
)
_DENIED = frozenset(["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"])
_THROTTLED = frozenset(["Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"])
_LONGEST_MESSAGE = 300
_SIGN_IN = "Sign in, for example with `aws sso login`, choose --profile, or paste the exports of `make local`."
# What is wrong, with members of the error, and what to do. The first entry that fits counts.
_OF_BOTOCORE: tuple[tuple[tuple[type[BotoCoreError], ...], str, str], ...] = (
    ((aws.NoRegionError,), "No Region is set.", "Pass --region, set AWS_DEFAULT_REGION, or add a Region to your profile."),
    (
        (aws.ProfileNotFound,),
        "There is no profile {profile}.",
        "`aws configure list-profiles` lists the profiles of this machine. Choose one of them with --profile.",
    ),
    (
        (aws.SSOError, aws.TokenRetrievalError),
        "The session of AWS IAM Identity Center has ended.",
        "Sign in again with `aws sso login`.",
    ),
    (
        (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError),
        "There are no AWS credentials.",
        _SIGN_IN,
    ),
    ((aws.InvalidRegionError,), "{region_name} is no Region.", "Correct --region or AWS_DEFAULT_REGION."),
)


class CliProblem(Exception):
    """Why a command ends: `what` is wrong, and the `remedy`. `status` is the exit code."""

    def __init__(self, what: str, remedy: str, status: int = FAILED) -> None:
        super().__init__(what)
        self.what, self.remedy, self.status = what, remedy, status


def explained(error: Exception) -> CliProblem:
    """The problem for any error of AWS, of the product or of this machine."""
    if isinstance(error, CliProblem):
        return error
    if isinstance(error, ClientError):
        return _of_aws(error)
    if isinstance(error, BotoCoreError):
        return _of_botocore(error)
    return _of_machine(error) if isinstance(error, OSError) else _of_program(error)


def _of_program(error: Exception) -> CliProblem:
    message = _first_line(str(error))
    if isinstance(error, ValueError) and "endpoint" in message.lower():
        return CliProblem(message, "Correct --endpoint-url or AWS_ENDPOINT_URL.")
    if isinstance(error, LatchkeyError):
        return CliProblem(message, "Correct the cause, and run the command again.")
    return CliProblem(
        f"The command failed with an error that it does not know: {type(error).__name__}.",
        "Run it again with LATCHKEY_DEBUG=1, and report what it prints as an issue of the project.",
    )


def _of_aws(error: ClientError) -> CliProblem:
    code = error.response.get("Error", {}).get("Code", "")
    message = _first_line(error.response.get("Error", {}).get("Message", "")) or code
    call = error.operation_name
    if code in _SIGNED_WRONG:
        return CliProblem(
            f"AWS rejects the credentials: {call} failed with {code}.",
            "Sign in again, for example with `aws sso login`, or choose other credentials with --profile.",
        )
    if code in _DENIED or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403:
        return CliProblem(
            f"The credentials do not allow {call}: {message}",
            "Use a role with this permission (--profile), or ask its administrator to add it.",
        )
    if code in _THROTTLED:
        return CliProblem(f"AWS limits the rate of {call}: {message}", "Wait for a minute, and run the command again.")
    return CliProblem(f"{call} failed with {code}: {message}", "Correct the cause, and run the command again.")


def _of_botocore(error: BotoCoreError) -> CliProblem:
    if isinstance(error, aws.HTTPClientError | aws.ConnectionError):
        return _no_answer(str(error.kwargs.get("endpoint_url", "")))
    for kinds, what, remedy in _OF_BOTOCORE:
        if isinstance(error, kinds):
            return CliProblem(what.format(**error.kwargs), remedy)
    return CliProblem(f"The call of AWS failed: {_first_line(str(error))}", "Correct the cause, and run the command again.")


def _no_answer(url: str) -> CliProblem:
    host = url.split("/")[2] if url.count("/") >= 2 else "AWS"
    if is_of_this_machine(url):
        return CliProblem(f"Nothing answers at {host}.", "Start the embedded AWS with `make local`, or correct --endpoint-url.")
    return CliProblem(
        f"AWS does not answer at {host}.", "Check the Region, which is part of this name, and the connection to the internet."
    )


def is_of_this_machine(url: str) -> bool:
    """Whether a URL is that of an embedded AWS on this machine."""
    return any(f"://{host}" in url for host in ("127.0.0.1", "localhost", "[::1]"))


def _of_machine(error: OSError) -> CliProblem:
    name = f" {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return CliProblem(
            f"The disk is full: the output{name} cannot be written.", "Free some space, and run the command again."
        )
    reason = (error.strerror or type(error).__name__).lower()
    return CliProblem(f"The file{name} cannot be used: {reason}.", "Correct the name or its permissions.")


def _first_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"
