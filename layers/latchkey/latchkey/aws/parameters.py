"""Parameters of AWS Systems Manager, with a short cache."""

from __future__ import annotations

import time
from functools import cache

from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from aws_lambda_powertools.utilities.parameters.ssm import SSMProvider
from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.aws.errors import code_of

# A changed parameter takes effect within this time.
CACHE_SECONDS = 30


class Parameters:
    """Reads parameters. Powertools caches existing parameters; this class caches missing ones for the same time."""

    def __init__(self, provider: SSMProvider) -> None:
        self._provider = provider
        self._absent: dict[str, float] = {}

    def read(self, name: str) -> str | None:
        """The value of a parameter of type String, or None if there is no such parameter. Any other error of AWS is raised."""
        if self._absent.get(name, 0.0) > time.monotonic():
            return None
        try:
            return str(self._provider.get(name, max_age=CACHE_SECONDS))
        except GetParameterError as error:
            # Powertools wraps every error; the original one is its context.
            original = error.__context__
            if not isinstance(original, ClientError):
                raise (original or error) from None
            if code_of(original) != "ParameterNotFound":
                raise original from None
        self._absent[name] = time.monotonic() + CACHE_SECONDS
        return None


@cache
def parameters() -> Parameters:
    """The parameters of this account and Region, created on first use."""
    return Parameters(SSMProvider(boto3_client=clients.ssm()))
