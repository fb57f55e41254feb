"""Storage for the resources of MediaPackage and MediaConnect, and their tag operations."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local_aws.emulator.clock import now
from local_aws.emulator.rest_json import Request, ServiceError

Output = dict[str, Any]
Check = tuple[str, str, dict[str, str]]


@dataclass
class Resource:
    """A resource. `settings` are the members of its Create operation except name and tags."""

    arn: str
    name: str
    settings: dict[str, Any]
    tags: dict[str, str]
    created: datetime = field(default_factory=now)
    modified: datetime = field(default_factory=now)


class Resources[R: Resource]:
    """Resources of one type in all accounts and Regions."""

    def __init__(self) -> None:
        self._all: dict[str, R] = {}

    def put(self, resource: R) -> R:
        self._all[resource.arn] = resource
        return resource

    def remove(self, resource: R) -> None:
        del self._all[resource.arn]

    def clear(self) -> None:
        self._all.clear()

    def get(self, request: Request, arn: str) -> R | None:
        return next((found for found in self.of(request) if found.arn == arn), None)

    def of(self, request: Request) -> list[R]:
        """Returns the resources in the account and Region of the caller, sorted by name."""
        scope = [request.region, request.caller.account]
        return sorted((found for found in self._all.values() if found.arn.split(":")[3:5] == scope), key=lambda r: r.name)

    def named(self, request: Request, name: str) -> R | None:
        return next((found for found in self.of(request) if found.name == name), None)


class Tagged(ABC):
    """TagResource, UntagResource and ListTagsForResource of a service."""

    @abstractmethod
    def _tags_of(self, request: Request, arn: str) -> dict[str, str]:
        """Returns the tags of a resource. Raises ServiceError if the resource does not exist."""

    def tag_resource(self, request: Request) -> Output:
        self._tags_of(request, request["ResourceArn"]).update(request["Tags"])
        return {}

    def untag_resource(self, request: Request) -> Output:
        tags = self._tags_of(request, request["ResourceArn"])
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, request: Request) -> Output:
        return {"Tags": self._tags_of(request, request["ResourceArn"])}

    def checks_of_tagging(self, request: Request) -> list[Check]:
        arn = request["ResourceArn"]
        try:
            return [(request.operation, arn, self._tags_of(request, arn))]
        except ServiceError:
            return [(request.operation, arn, {})]


def arn_of(request: Request, service: str, rest: str) -> str:
    return f"arn:aws:{service}:{request.region}:{request.caller.account}:{rest}"
