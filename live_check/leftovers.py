"""Finds everything that the check created, by prefix and tag, and removes it. What lacks the tag is foreign and stays."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from live_check.check import Clients, code_of
from live_check.names import PREFIX, TAG, is_named_by_us

_GONE = "DELETE_COMPLETE"


class StackLeftError(Exception):
    """A stack that CloudFormation could not delete."""


@dataclass(frozen=True)
class Resource:
    """A resource whose name has the prefix. `run` is the value of its tag, or an empty string without the tag."""

    kind: str
    name: str
    id: str
    run: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Kind:
    """A kind of resource. `find` yields the name, the id and the tags of those whose name has the prefix."""

    name: str
    service: str
    find: Callable[[Any], Iterator[tuple[str, str, Mapping[str, str]]]]
    remove: Callable[[Any, str], object]


@dataclass(frozen=True)
class Found:
    """`unlisted` has a reason for each kind that could not be listed."""

    resources: list[Resource]
    unlisted: dict[str, str]

    @property
    def foreign(self) -> list[Resource]:
        return [resource for resource in self.resources if not resource.run]


def find(clients: Clients, run: str = "") -> Found:
    """Returns the resources of one run, or of all runs together with those that have the prefix but not the tag."""
    resources, unlisted = [], {}
    for kind in filter(lambda kind: clients.has(kind.service), KINDS):
        try:
            found = list(kind.find(clients.get(kind.service)))
        except (ClientError, BotoCoreError) as error:
            unlisted[kind.name] = code_of(error) if isinstance(error, ClientError) else type(error).__name__
            continue
        resources += [Resource(kind.name, name, id_, tags.get(TAG, "")) for name, id_, tags in found]
    return Found([resource for resource in resources if run in ("", resource.run)], unlisted)


def remove(clients: Clients, resources: list[Resource], report: Callable[[str], None]) -> list[str]:
    """Removes tagged resources in the order of KINDS. Returns what is left, each with the reason."""
    left = []
    for kind in KINDS:
        for resource in [found for found in resources if found.kind == kind.name and found.run]:
            try:
                kind.remove(clients.get(kind.service), resource.id)
                report(f"removed {resource}")
            except (ClientError, BotoCoreError, StackLeftError) as error:
                left.append(f"{resource}: {error}")
    return left


def _ours(pages: Any, members: str, name: str, id_: str, tags: str = "Tags") -> Iterator[tuple[str, str, Mapping[str, str]]]:
    for page in pages:
        for item in page.get(members, []):
            if is_named_by_us(item[name]):
                yield item[name], item[id_], item.get(tags) or {}


def _locations(mediatailor: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    pages = mediatailor.get_paginator("list_source_locations").paginate()
    return _ours(pages, "Items", "SourceLocationName", "SourceLocationName")


def _remove_location(mediatailor: Any, name: str) -> None:
    for page in mediatailor.get_paginator("list_vod_sources").paginate(SourceLocationName=name):
        for source in page["Items"]:
            mediatailor.delete_vod_source(SourceLocationName=name, VodSourceName=source["VodSourceName"])
    mediatailor.delete_source_location(SourceLocationName=name)


def _endpoints(mediapackage: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    return _ours(mediapackage.get_paginator("list_origin_endpoints").paginate(), "OriginEndpoints", "Id", "Id")


def _channels(mediapackage: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    return _ours(mediapackage.get_paginator("list_channels").paginate(), "Channels", "Id", "Id")


def _packaging_groups(vod: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    return _ours(vod.get_paginator("list_packaging_groups").paginate(), "PackagingGroups", "Id", "Id")


def _channel_groups(v2: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    for page in v2.get_paginator("list_channel_groups").paginate():
        for item in page["Items"]:
            name = item["ChannelGroupName"]
            if is_named_by_us(name):
                yield name, name, v2.list_tags_for_resource(ResourceArn=item["Arn"])["Tags"]


def _remove_channel_group(v2: Any, name: str) -> None:
    group = {"ChannelGroupName": name}
    for channels in v2.get_paginator("list_channels").paginate(**group):
        for channel in channels["Items"]:
            names = group | {"ChannelName": channel["ChannelName"]}
            for endpoints in v2.get_paginator("list_origin_endpoints").paginate(**names):
                for endpoint in endpoints["Items"]:
                    v2.delete_origin_endpoint(**names, OriginEndpointName=endpoint["OriginEndpointName"])
            v2.delete_channel(**names)
    v2.delete_channel_group(**group)


def _flows(mediaconnect: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    for page in mediaconnect.get_paginator("list_flows").paginate():
        for flow in page["Flows"]:
            if is_named_by_us(flow["Name"]):
                tags = mediaconnect.list_tags_for_resource(ResourceArn=flow["FlowArn"])["Tags"]
                yield flow["Name"], flow["FlowArn"], tags


def _stacks(cloudformation: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    for page in cloudformation.get_paginator("list_stacks").paginate():
        for stack in page["StackSummaries"]:
            if is_named_by_us(stack["StackName"]) and stack["StackStatus"] != _GONE:
                [found] = cloudformation.describe_stacks(StackName=stack["StackId"])["Stacks"]
                tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
                yield stack["StackName"], stack["StackId"], tags


def _remove_stack(cloudformation: Any, stack_id: str) -> None:
    """Deletes a stack and waits for the end, because what depends on it is removed next. Raises StackLeftError."""
    cloudformation.delete_stack(StackName=stack_id)
    for pause in pauses():
        [stack] = cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
        if stack["StackStatus"] == _GONE:
            return
        if stack["StackStatus"] != "DELETE_IN_PROGRESS":
            raise StackLeftError(f"its status is {stack['StackStatus']}; see its events in CloudFormation")
        time.sleep(pause)


def pauses() -> Iterator[float]:
    """Yields growing pauses between two reads of a stack."""
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 1.5, 5)


def _secrets(manager: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Yields the secrets that points created. Those of the stack are listed, too, until the stack is deleted."""
    named = [{"Key": "name", "Values": [f"{PREFIX}/"]}]
    for page in manager.get_paginator("list_secrets").paginate(Filters=named):
        for secret in page["SecretList"]:
            in_a_stack = any(tag["Key"].startswith("aws:cloudformation:") for tag in secret.get("Tags", []))
            if is_named_by_us(secret["Name"]) and not in_a_stack and not secret.get("DeletedDate"):
                tags = {tag["Key"]: tag["Value"] for tag in secret.get("Tags", [])}
                yield secret["Name"], secret["ARN"], tags


# In the order in which they are removed: first what uses the keys, secrets and roles of the stack.
KINDS = [
    Kind("source location", "mediatailor", _locations, _remove_location),
    Kind("origin endpoint", "mediapackage", _endpoints, lambda client, id_: client.delete_origin_endpoint(Id=id_)),
    Kind("channel", "mediapackage", _channels, lambda client, id_: client.delete_channel(Id=id_)),
    Kind("packaging group", "mediapackage-vod", _packaging_groups, lambda client, id_: client.delete_packaging_group(Id=id_)),
    Kind("channel group", "mediapackagev2", _channel_groups, _remove_channel_group),
    Kind("flow", "mediaconnect", _flows, lambda client, arn: client.delete_flow(FlowArn=arn)),
    Kind("stack", "cloudformation", _stacks, _remove_stack),
    Kind(
        "secret",
        "secretsmanager",
        _secrets,
        lambda client, arn: client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True),
    ),
]
