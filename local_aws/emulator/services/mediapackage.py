"""AWS Elemental MediaPackage v1: channels and origin endpoints with CDN authorization.

https://docs.aws.amazon.com/mediapackage/latest/apireference/
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselementalmediapackage.html
"""

import asyncio
import re
import uuid
from dataclasses import dataclass
from typing import Any

from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.rest_json import BadRequest, Request, ServiceError
from local_aws.emulator.services.cdn_authorization import V1, CdnAuthorization
from local_aws.emulator.services.origin import Origin
from local_aws.emulator.services.pagination import page_of
from local_aws.emulator.services.resources import Check, Output, Resource, Resources, Tagged, arn_of
from local_aws.emulator.services.secrets_role import SecretsRoles, UnreadableError

BAD_REQUEST = ("UnprocessableEntityException", 422)
_PACKAGES = {"HlsPackage": "m3u8", "DashPackage": "mpd", "MssPackage": "ism/Manifest"}
_DEFAULTS: dict[str, Any] = {
    "Description": "",
    "ManifestName": "index",
    "Origination": "ALLOW",
    "StartoverWindowSeconds": 0,
    "TimeDelaySeconds": 0,
    "Whitelist": [],
}


@dataclass
class Endpoint(Resource):
    """An origin endpoint or a packaging group. `authorization` enforces the setting Authorization."""

    authorization: CdnAuthorization | None = None
    header = V1.header

    @property
    def path(self) -> str:
        return f"/out/v1/{uuid.uuid5(uuid.NAMESPACE_URL, self.arn).hex}"

    def status(self, sent: str | None) -> int:
        """https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html"""
        if self.authorization is None:
            return 200 if sent is None else 404
        return 200 if self.authorization.accepts(sent) else 403


class MediaPackage(Tagged):
    def __init__(self, roles: SecretsRoles, origin: Origin) -> None:
        self._roles, self._origin = roles, origin
        self._channels, self._endpoints = Resources[Resource](), Resources[Endpoint]()

    def clear(self) -> None:
        self._channels.clear()
        self._endpoints.clear()

    def checks_of(self, request: Request) -> list[Check]:
        if request.get("ResourceArn"):
            return self.checks_of_tagging(request)
        kind = "channels" if "Channel" in request.operation else "origin_endpoints"
        verb = re.match("Create|List", request.operation)
        if verb:
            own: list[Check] = [(request.operation, "*", {})]
            tagged: list[Check] = [("TagResource", arn_of(request, "mediapackage", f"{kind}/{uuid.uuid4().hex}"), {})]
            return own + (tagged if request.get("Tags") else [])
        store: Resources[Any] = self._channels if kind == "channels" else self._endpoints
        found = store.named(request, request["Id"])
        arn = found.arn if found else arn_of(request, "mediapackage", f"{kind}/{request['Id']}")
        return [(request.operation, arn, found.tags if found else {})]

    def create_channel(self, request: Request) -> Output:
        if self._channels.named(request, request["Id"]):
            raise BadRequest(f"The channel {request['Id']} already exists.")
        arn = arn_of(request, "mediapackage", f"channels/{uuid.uuid4().hex}")
        settings = {"Description": request.get("Description", "")}
        return _described(self._channels.put(Resource(arn, request["Id"], settings, dict(request.get("Tags", {})))))

    def describe_channel(self, request: Request) -> Output:
        return _described(self._channel(request, request["Id"]))

    def update_channel(self, request: Request) -> Output:
        channel = self._channel(request, request["Id"])
        channel.settings = put(channel.settings, {"Description": request.get("Description")})
        return _described(channel)

    def list_channels(self, request: Request) -> Output:
        found = self._channels.of(request)
        return page_of(request, [(channel.name, _described(channel)) for channel in found], "Channels")

    def delete_channel(self, request: Request) -> Output:
        channel = self._channel(request, request["Id"])
        if any(endpoint.settings["ChannelId"] == channel.name for endpoint in self._endpoints.of(request)):
            raise BadRequest(f"The channel {channel.name} still has origin endpoints.")
        self._channels.remove(channel)
        return {}

    async def create_origin_endpoint(self, request: Request) -> Output:
        self._channel(request, request["ChannelId"])
        if self._endpoints.named(request, request["Id"]):
            raise BadRequest(f"The origin endpoint {request['Id']} already exists.")
        arn = arn_of(request, "mediapackage", f"origin_endpoints/{uuid.uuid4().hex}")
        endpoint = Endpoint(arn, request["Id"], _settings(request), dict(request.get("Tags", {})))
        endpoint.authorization = await authorization_of(self._roles, request, endpoint.arn, V1.service)
        self._origin.endpoints[endpoint.path] = self._endpoints.put(endpoint)
        return self._described_endpoint(endpoint)

    async def update_origin_endpoint(self, request: Request) -> Output:
        endpoint = self._endpoint(request)
        authorization = await authorization_of(self._roles, request, endpoint.arn, V1.service)
        channel = {"ChannelId": endpoint.settings["ChannelId"]}
        endpoint.settings = put(endpoint.settings, _settings(request)) | channel
        endpoint.authorization = kept_authorization(endpoint, authorization)
        return self._described_endpoint(endpoint)

    def describe_origin_endpoint(self, request: Request) -> Output:
        return self._described_endpoint(self._endpoint(request))

    def list_origin_endpoints(self, request: Request) -> Output:
        channel = request.get("ChannelId")
        found = [e for e in self._endpoints.of(request) if channel in (None, e.settings["ChannelId"])]
        return page_of(request, [(e.name, self._described_endpoint(e)) for e in found], "OriginEndpoints")

    def delete_origin_endpoint(self, request: Request) -> Output:
        endpoint = self._endpoint(request)
        self._endpoints.remove(endpoint)
        del self._origin.endpoints[endpoint.path]
        return {}

    def _channel(self, request: Request, name: str) -> Resource:
        return existing(self._channels.named(request, name), f"The channel {name}")

    def _endpoint(self, request: Request) -> Endpoint:
        return existing(self._endpoints.named(request, request["Id"]), f"The origin endpoint {request['Id']}")

    def _tags_of(self, request: Request, arn: str) -> dict[str, str]:
        return existing(self._channels.get(request, arn) or self._endpoints.get(request, arn), f"The resource {arn}").tags

    def _described_endpoint(self, endpoint: Endpoint) -> Output:
        """Returns the endpoint with the URL of its package. A CMAF package has a URL for each manifest."""
        base, settings = self._origin.url + endpoint.path, _DEFAULTS | endpoint.settings
        extension = next((_PACKAGES[name] for name in settings if name in _PACKAGES), "m3u8")
        described = _described(endpoint) | settings | {"Url": f"{base}/{settings['ManifestName']}.{extension}"}
        if cmaf := settings.get("CmafPackage"):
            manifests = [
                manifest | {"Url": f"{base}/{manifest['Id']}/{manifest.get('ManifestName', 'index')}.m3u8"}
                for manifest in cmaf.get("HlsManifests", [])
            ]
            described["CmafPackage"] = cmaf | {"HlsManifests": manifests}
        return described


async def authorization_of(roles: SecretsRoles, request: Request, owner_arn: str, passed_to: str) -> CdnAuthorization | None:
    """Returns the validated CDN authorization in the request, or None. Raises ServiceError."""
    asked = request.get("Authorization")
    if asked is None:
        return None
    if not roles.can_pass(request.caller, asked["SecretsRoleArn"], passed_to):
        message = f"User: {request.caller.arn} is not authorized to perform: iam:PassRole on {asked['SecretsRoleArn']}"
        raise ServiceError("ForbiddenException", message, 403)
    made = CdnAuthorization(V1, owner_arn, [asked["CdnIdentifierSecret"]], asked["SecretsRoleArn"], roles)
    try:
        await asyncio.to_thread(made.validate)
    except UnreadableError as error:
        raise BadRequest(str(error)) from None
    return made


def kept_authorization(endpoint: Endpoint, asked: CdnAuthorization | None) -> CdnAuthorization | None:
    """Returns the authorization of an endpoint whose settings were updated with `asked`."""
    return (asked or endpoint.authorization) if endpoint.settings.get("Authorization") else None


def put(settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings after a PUT. AWS does not document what happens to members that the request omits."""
    kept = settings if CURRENT.value.omitted_on_put == "keep" else {}
    return kept | {name: value for name, value in given.items() if value is not None}


def existing[R: Resource](found: R | None, what: str) -> R:
    if found is None:
        raise ServiceError("NotFoundException", f"{what} does not exist.", 404)
    return found


def _settings(request: Request) -> dict[str, Any]:
    return {name: value for name, value in request.members.items() if name not in ("Id", "Tags")}


def _described(resource: Resource) -> Output:
    times = {"CreatedAt": resource.created.isoformat(timespec="seconds")}
    return resource.settings | times | {"Arn": resource.arn, "Id": resource.name, "Tags": resource.tags}
