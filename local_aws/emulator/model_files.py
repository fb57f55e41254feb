"""The API models of services, which every worker would read and parse anew. That is most of the time to create its clients."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

# What botocore reads for every service, and for each one.
_SHARED = ("endpoints", "partitions", "sdk-default-configuration", "_retry")
_KINDS = ("service-2", "endpoint-rule-set-1", "paginators-1")


def remember(services: Iterable[str]) -> None:
    """Reads the models of these services. From now on, this process and those that it forks read each file once.

    botocore already shares what it read between the clients of a session. Raises ImportError without botocore.
    """
    from botocore.exceptions import (
        DataNotFoundError,
        UnknownServiceError,
    )  # the workers of functions import it from their layer
    from botocore.loaders import JSONFileLoader, create_loader

    _read_once(JSONFileLoader)
    loader = create_loader()
    for name in _SHARED:
        loader.load_data(name)
    for service in services:
        for kind in _KINDS:
            with suppress(DataNotFoundError, UnknownServiceError):
                loader.load_service_model(service, kind)


def _read_once(files: Any) -> None:
    if hasattr(files, "found"):
        return
    read = files.load_file
    files.found = {}

    def load_file(self: Any, path: str) -> Any:
        if path not in self.found:
            content = read(self, path)
            if content is None:
                return None
            self.found[path] = content
        return self.found[path]

    files.load_file = load_file
