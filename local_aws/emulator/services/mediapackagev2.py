"""AWS Elemental MediaPackage v2: channel groups, channels, origin endpoints and endpoint policies.

https://docs.aws.amazon.com/mediapackage/latest/APIReference/
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselementalmediapackagev2.html
"""

import asyncio
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_aws.emulator import authorization
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.clock import now
from local_aws.emulator.policy_order import returned
from local_aws.emulator.rest_json import BadRequest, Request, ServiceError
from local_aws.emulator.services.cdn_authorization import V2, CdnAuthorization
from local_aws.emulator.services.origin import Origin
from local_aws.emulator.services.pagination import page_of
from local_aws.emulator.services.resources import Check, Output, Resource, Resources, Tagged, arn_of
from local_aws.emulator.services.secrets_role import SecretsRoles, UnreadableError

BAD_REQUEST = ("ValidationException", 400)
_LEVELS = {"ChannelGroupName": "channelGroup", "ChannelName": "channel", "OriginEndpointName": "originEndpoint"}
_KINDS = {1: "CHANNEL_GROUP", 2: "CHANNEL", 3: "ORIGIN_ENDPOINT"}
_MANIFESTS = {"HlsManifests": "m3u8", "LowLatencyHlsManifests": "m3u8", "DashManifests": "mpd", "MssManifests": "ism/Manifest"}
_NOT_SETTINGS = {*_LEVELS, "Tags", "ETag", "ClientToken"}
_MATCHING = "mediapackagev2:RequestHasMatchingCdnAuthHeader"


@dataclass
class Node(Resource):
    """A channel group, channel or origin endpoint. `names` are the names of its ancestors and its own."""

    names: tuple[str, ...] = ()
    etag: str = ""
    policy: str | None = None
    cdn: dict[str, Any] | None = None
    authorization: CdnAuthorization | None = None
    header = V2.header

    @property
    def path(self) -> str:
        return "/out/v1/" + "/".join(self.names)

    def status(self, sent: str | None) -> int:
        """Returns the status of a request. Only a policy allows one; CDN authorization is a condition key in it."""
        is_matching = self.authorization is not None and self.authorization.accepts(sent)
        context = {_MATCHING: str(is_matching).lower()}
        policy = self.policy or ""
        return 200 if authorization.allows_anyone("mediapackagev2:GetObject", self.arn, policy, context) else 403


class MediaPackageV2(Tagged):
    def __init__(self, roles: SecretsRoles, origin: Origin) -> None:
        self._roles, self._origin = roles, origin
        self._nodes = Resources[Node]()
        self.create_channel_group = self.create_channel = self.create_origin_endpoint = self._create
        self.get_channel_group = self.get_channel = self.get_origin_endpoint = self._get
        self.update_channel_group = self.update_channel = self.update_origin_endpoint = self._update
        self.delete_channel_group = self.delete_channel = self.delete_origin_endpoint = self._delete
        self.list_channel_groups = self.list_channels = self.list_origin_endpoints = self._list

    def clear(self) -> None:
        self._nodes.clear()

    def checks_of(self, request: Request) -> list[Check]:
        """Returns a check for the resource and one for each ancestor, as the service authorization reference requires."""
        if request.get("ResourceArn"):
            return self.checks_of_tagging(request)
        arns = list(_lineage(request))
        nodes = [(arn, self._nodes.get(request, arn)) for arn in arns]
        checks: list[Check] = [(request.operation, arn, node.tags if node else {}) for arn, node in nodes]
        if request.get("Tags"):
            checks.append(("TagResource", arns[-1], {}))
        return checks or [(request.operation, "*", {})]

    async def put_origin_endpoint_policy(self, request: Request) -> Output:
        """Replaces the policy and the CDN authorization of an endpoint."""
        node = self._node(request)
        _check_policy(request["Policy"], node.arn)
        authorization = await self._authorization_of(node, request)
        node.policy, node.cdn, node.authorization = request["Policy"], request.get("CdnAuthConfiguration"), authorization
        return _policy_of(node)

    def get_origin_endpoint_policy(self, request: Request) -> Output:
        node = self._node(request)
        if node.policy is None:
            raise _missing(3, f"{node.arn} has no policy.")
        return _policy_of(node) | {"Policy": returned(node.policy)}

    def delete_origin_endpoint_policy(self, request: Request) -> Output:
        """Deletes the policy. Succeeds if there is none."""
        *_, arn = _lineage(request)
        if node := self._nodes.get(request, arn):
            node.policy = node.cdn = node.authorization = None
        return {}

    async def _authorization_of(self, node: Node, request: Request) -> CdnAuthorization | None:
        asked = request.get("CdnAuthConfiguration")
        if asked is None:
            return None
        role = asked["SecretsRoleArn"]
        if not self._roles.can_pass(request.caller, role, V2.service):
            message = f"User: {request.caller.arn} is not authorized to perform: iam:PassRole on resource: {role}"
            raise ServiceError("AccessDeniedException", message, 403)
        made = CdnAuthorization(V2, node.arn, asked["CdnIdentifierSecretArns"], role, self._roles)
        try:
            await asyncio.to_thread(made.validate)
        except UnreadableError as error:
            raise BadRequest(str(error), ValidationExceptionType=error.reason) from None
        return made

    def _create(self, request: Request) -> Output:
        *above, arn = _lineage(request)
        for level, ancestor in enumerate(above, 1):
            if self._nodes.get(request, ancestor) is None:
                raise _missing(level, f"{ancestor} does not exist.")
        if self._nodes.get(request, arn):
            raise _conflict("RESOURCE_ALREADY_EXISTS", f"{arn} already exists.")
        names = tuple(request[member] for member in _LEVELS if member in request.members)
        node = Node(arn, names[-1], _settings(request), dict(request.get("Tags", {})), names=names, etag=uuid.uuid4().hex)
        self._nodes.put(node)
        if len(names) == len(_LEVELS):
            self._origin.endpoints[node.path] = node
        return self._described(node)

    def _get(self, request: Request) -> Output:
        return self._described(self._node(request))

    def _update(self, request: Request) -> Output:
        node = self._node(request)
        if request.get("ETag", node.etag) != node.etag:
            raise _conflict("CONFLICTING_OPERATION", f"{node.arn} was changed by another request.")
        if request.get("ContainerType") not in (None, node.settings.get("ContainerType")):
            raise BadRequest("The container type cannot be changed.", ValidationExceptionType="CONTAINER_TYPE_IMMUTABLE")
        kept = node.settings if CURRENT.value.omitted_on_put == "keep" else {}
        node.settings, node.modified, node.etag = kept | _settings(request), now(), uuid.uuid4().hex
        return self._described(node)

    def _delete(self, request: Request) -> Output:
        """Deletes a resource. Succeeds if it does not exist."""
        *_, arn = _lineage(request)
        node = self._nodes.get(request, arn)
        if node is None:
            return {}
        if any(other.names[:-1] == node.names for other in self._nodes.of(request)):
            raise _conflict("RESOURCE_IN_USE", f"{arn} is not empty.")
        self._nodes.remove(node)
        self._origin.endpoints.pop(node.path, None)
        return {}

    def _list(self, request: Request) -> Output:
        above = tuple(request[member] for member in _LEVELS if member in request.members)
        if above:
            self._node(request)
        found = [node for node in self._nodes.of(request) if node.names[:-1] == above]
        return page_of(request, [(node.name, self._described(node)) for node in found])

    def _node(self, request: Request) -> Node:
        *above, arn = _lineage(request)
        return self._existing(request, arn, len(above) + 1)

    def _existing(self, request: Request, arn: str, level: int) -> Node:
        node = self._nodes.get(request, arn)
        if node is None:
            raise _missing(level, f"{arn} does not exist.")
        return node

    def _tags_of(self, request: Request, arn: str) -> dict[str, str]:
        return self._existing(request, arn, arn.count("/") // 2 + 1).tags

    def _described(self, node: Node) -> Output:
        """Returns the description of a resource. Manifest URLs are those of the origin server."""
        host, base = self._origin.url.partition("://")[2], self._origin.url + node.path
        manifests = {
            kind: [manifest | {"Url": f"{base}/{manifest['ManifestName']}.{extension}"} for manifest in node.settings[kind]]
            for kind, extension in _MANIFESTS.items()
            if kind in node.settings
        }
        common = {"Arn": node.arn, "CreatedAt": node.created, "ModifiedAt": node.modified, "ETag": node.etag}
        segment = {"Segment": {"SegmentDurationSeconds": 6, "SegmentName": "segment"}, "EgressDomain": host}
        return segment | node.settings | manifests | common | _names(node) | {"Tags": node.tags}


def _lineage(request: Request) -> Iterator[str]:
    """Yields the ARNs of the channel group, channel and origin endpoint in the request."""
    pieces: list[str] = []
    for member, kind in _LEVELS.items():
        if member in request.members:
            pieces += [kind, request[member]]
            yield arn_of(request, "mediapackagev2", "/".join(pieces))


def _names(node: Node) -> dict[str, str]:
    return dict(zip(_LEVELS, node.names, strict=False))


def _policy_of(node: Node) -> Output:
    return _names(node) | {"Policy": node.policy, "CdnAuthConfiguration": node.cdn}


def _settings(request: Request) -> dict[str, Any]:
    return {name: value for name, value in request.members.items() if name not in _NOT_SETTINGS}


def _check_policy(text: str, arn: str) -> None:
    """Raises BadRequest unless every statement names the endpoint as its only resource.

    https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-best-practices.html
    """
    try:
        found = json.loads(text)["Statement"]
        statements = found if isinstance(found, list) else [found]
        is_fit = bool(statements) and all(_is_fit(statement, arn) for statement in statements)
    except (ValueError, KeyError, TypeError):
        is_fit = False
    if not is_fit:
        wanted = f"Every statement must have Effect, Principal, Action and the Resource {arn}."
        raise BadRequest(wanted, ValidationExceptionType="INVALID_POLICY")


def _is_fit(statement: dict[str, Any], arn: str) -> bool:
    named = statement["Resource"]
    return {"Effect", "Principal", "Action"} <= set(statement) and (named if isinstance(named, list) else [named]) == [arn]


def _missing(level: int, message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, 404, ResourceTypeNotFound=_KINDS[level])


def _conflict(kind: str, message: str) -> ServiceError:
    return ServiceError("ConflictException", message, 409, ConflictExceptionType=kind)
