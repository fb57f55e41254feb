"""The clients of the functions, which serve several tests: creating one takes as long as a dozen calls."""

import os
from collections.abc import Callable
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.model import OperationModel

from latchkey.aws import clients
from tests import dynamodb
from tests.functions.account import Account, serve_account


class FunctionClients:
    """Creates clients as the package does, and keeps them for the next test unless a test registers handlers with one.

    The clients send every call to the account of the current test and report it to `note`.
    """

    def __init__(self, account: Callable[[], Account], note: Callable[[OperationModel], None]) -> None:
        self.session: Any = cast("Any", boto3.session.Session(botocore_session=clients.botocore_session()))
        # This event has no handler that ends the chain, so every call is reported.
        self.session.events.register("before-parameter-build", lambda model, **_: note(model))
        dynamodb.serve(self.session.events)
        serve_account(self.session.events, account)
        self._kept: dict[tuple[object, ...], tuple[Any, object]] = {}

    def client(self, service: str, region: str | None = None, config: Config = clients._CONFIG) -> Any:
        key = (service, region or os.environ["AWS_DEFAULT_REGION"], config)
        if key not in self._kept:
            made = self.session.client(service, region_name=region, config=config)
            self._kept[key] = (made, _handlers(made))
        return self._kept[key][0]

    def forget_changed(self) -> None:
        """Forgets the clients whose handlers are no longer those of their creation."""
        self._kept = {key: (made, handlers) for key, (made, handlers) in self._kept.items() if _handlers(made) is handlers}


def _handlers(client: Any) -> object:
    """An object that is the same as long as no handler is registered or unregistered."""
    return client.meta.events._emitter._lookup_cache
