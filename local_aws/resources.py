"""What the models of MediaPackage and MediaConnect remember: resources by ARN, with settings and tags."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local_aws.clock import now
from local_aws.rest_json import Request, ServiceError

Output = dict[str, Any]
Check = tuple[str, str, dict[str, str]]


@dataclass
class Resource:
    """`settings` are the members of its Create operation other than its name and tags."""

    arn: str
    name: str
    settings: dict[str, Any]
    tags: dict[str, str]
    created: datetime = field(default_factory=now)
    modified: datetime = field(default_factory=now)


class Resources[R: Resource]:
    """Resources of one kind, of every account and Region."""

    def __init__(self) -> None:
        self._all: dict[str, R] = {}

    def put(self, resource: R) -> R:
        self._all[resource.arn] = resource
        return resource

    def remove(self, resource: R) -> None:
        del self._all[resource.arn]

    def get(self, arn: str) -> R | None:
        return self._all.get(arn)

    def everywhere(self) -> list[R]:
        return list(self._all.values())

    def of(self, request: Request) -> list[R]:
        """Those of the caller's account and Region, in order of their names."""
        scope = [request.region, request.caller.account]
        return sorted((found for found in self._all.values() if found.arn.split(":")[3:5] == scope), key=lambda r: r.name)

    def named(self, request: Request, name: str) -> R | None:
        return next((found for found in self.of(request) if found.name == name), None)


class Tagging:
    """TagResource, UntagResource and ListTagsForResource of a service, whose `tags_of` raises for unknown ARNs."""

    def __init__(self, tags_of: Callable[[str], dict[str, str]]) -> None:
        self._tags_of = tags_of

    def tag_resource(self, request: Request) -> Output:
        self._tags_of(request["ResourceArn"]).update(request["Tags"])
        return {}

    def untag_resource(self, request: Request) -> Output:
        tags = self._tags_of(request["ResourceArn"])
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, request: Request) -> Output:
        return {"Tags": self._tags_of(request["ResourceArn"])}

    def checks_of_tagging(self, request: Request) -> list[Check]:
        arn = request["ResourceArn"]
        try:
            return [(request.operation, arn, self._tags_of(arn))]
        except ServiceError:
            return [(request.operation, arn, {})]


def arn_of(request: Request, service: str, rest: str) -> str:
    return f"arn:aws:{service}:{request.region}:{request.caller.account}:{rest}"
