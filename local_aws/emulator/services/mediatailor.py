"""AWS Elemental MediaTailor: source locations, VOD and live sources, alerts and tags.

https://docs.aws.amazon.com/mediatailor/latest/apireference/
"""

import asyncio
import re
from datetime import timedelta
from typing import Any

from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.clock import now
from local_aws.emulator.rest_json import BadRequest, Request, ServiceError
from local_aws.emulator.services import mediatailor_access
from local_aws.emulator.services.manifest_requests import manifest_alerts
from local_aws.emulator.services.pagination import page_of
from local_aws.emulator.services.source_locations import TOKEN, Source, SourceLocation, SourceLocations

_OPTIONAL = ("AccessConfiguration", "DefaultSegmentDeliveryConfiguration", "SegmentDeliveryConfigurations")
_RESERVED_HEADERS = ("x-amz-", "x-amzn-")
Output = dict[str, Any]


class MediaTailor:
    def __init__(self) -> None:
        self.locations = SourceLocations()

    def clear(self) -> None:
        self.locations.clear()

    def denied(self, message: str) -> ServiceError:
        return mediatailor_access.denied(message)

    def checks_of(self, request: Request) -> list[tuple[str, str, dict[str, str]]]:
        """Returns operation, ARN and tags of everything that the caller's policies must allow.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselementalmediatailor.html
        """
        verb = re.match("Create|Describe|Update|Delete", request.operation)
        if request.get("ResourceArn") and "Tag" in request.operation:
            arn = request["ResourceArn"]
        elif verb:
            noun, probe = request.operation.removeprefix(verb[0]), self._probe(request)
            kind = noun.removesuffix("Source").lower()
            arn = probe.arn if noun == "SourceLocation" else probe.source_arn(kind, request[f"{noun}Name"])
        else:
            arn = "*"
        if verb and verb[0] == "Create":  # Create actions have no resource type; TagResource has
            checks: list[tuple[str, str, dict[str, str]]] = [(request.operation, "*", {})]
            return [*checks, ("TagResource", arn, {})] if request.get("Tags") else checks
        try:
            return [(request.operation, arn, {} if arn == "*" else self._owner(arn, request).tags)]
        except ServiceError:
            return [(request.operation, arn, {})]

    def create_source_location(self, request: Request) -> Output:
        if self._find(request) is not None:
            raise BadRequest(f"The source location {request['SourceLocationName']} already exists.")
        location = self._probe(request)
        location.settings = _settings(request)
        location.tags = dict(request.get("Tags", {}))
        if location.token:
            location.grant = mediatailor_access.grant_access(location, request.caller, None)
        if CURRENT.value.location_lag_seconds:
            location.appears = location.created + timedelta(seconds=CURRENT.value.location_lag_seconds)
        self.locations.put(location)
        return _described(location)

    def update_source_location(self, request: Request) -> Output:
        location = self._location(request)
        changed = self._probe(request)
        changed.settings = _updated(location, request)
        if changed.settings == location.settings and not CURRENT.value.unchanged_update_renews:
            return _described(location)
        former, grant = location.grant, None
        if changed.token:
            grant = mediatailor_access.grant_access(changed, request.caller, former)
        location.settings, location.grant, location.modified = changed.settings, grant, now()
        location.cached_token = None
        if former and former != grant and CURRENT.value.update_retires:
            mediatailor_access.retire(former, location, self.locations.uses)
        return _described(location)

    def describe_source_location(self, request: Request) -> Output:
        return _described(self._location(request))

    def delete_source_location(self, request: Request) -> Output:
        location = self._location(request)
        if location.sources and CURRENT.value.sources_first:
            raise BadRequest(f"The source location {location.name} still has VOD or live sources.")
        self.locations.remove(location)
        if location.grant:
            mediatailor_access.retire(location.grant, location, self.locations.uses)
        return {}

    def list_source_locations(self, request: Request) -> Output:
        found = self.locations.of(request.caller.account, request.region)
        return page_of(request, [(location.name, _described(location)) for location in found if location.is_visible])

    async def create_vod_source(self, request: Request) -> Output:
        source = self._create_source("vod", request)
        await self._read_from_origin(request, source)
        return _described_source(self._location(request), source)

    async def update_vod_source(self, request: Request) -> Output:
        source = self._update_source("vod", request)
        await self._read_from_origin(request, source)
        return _described_source(self._location(request), source)

    def delete_vod_source(self, request: Request) -> Output:
        return self._delete_source("vod", request)

    def list_vod_sources(self, request: Request) -> Output:
        return self._list_sources("vod", request)

    def create_live_source(self, request: Request) -> Output:
        return _described_source(self._location(request), self._create_source("live", request))

    def update_live_source(self, request: Request) -> Output:
        return _described_source(self._location(request), self._update_source("live", request))

    def describe_live_source(self, request: Request) -> Output:
        return _described_source(self._location(request), self._source("live", request))

    def delete_live_source(self, request: Request) -> Output:
        return self._delete_source("live", request)

    def list_live_sources(self, request: Request) -> Output:
        return self._list_sources("live", request)

    def list_alerts(self, request: Request) -> Output:
        """Returns the current alerts. No documented code means that the secret is unreadable, so NOT_PROCESSED is used.

        https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-alerts.html
        """
        owner = self._owner(request["ResourceArn"], request)
        alerts = owner.alerts if isinstance(owner, Source) else {}
        if isinstance(owner, SourceLocation) and owner.token and mediatailor_access.read_token(owner) is None:
            alerts = {"NOT_PROCESSED": "MediaTailor cannot read the access token."}
        common = {"RelatedResourceArns": [], "ResourceArn": owner.arn, "LastModifiedTime": owner.modified}
        return page_of(request, [(code, common | {"AlertCode": code, "AlertMessage": m}) for code, m in alerts.items()])

    def tag_resource(self, request: Request) -> Output:
        self._owner(request["ResourceArn"], request).tags.update(request["Tags"])
        return {}

    def untag_resource(self, request: Request) -> Output:
        owner = self._owner(request["ResourceArn"], request)
        owner.tags = {key: value for key, value in owner.tags.items() if key not in request["TagKeys"]}
        return {}

    def list_tags_for_resource(self, request: Request) -> Output:
        return {"Tags": self._owner(request["ResourceArn"], request).tags}

    def _probe(self, request: Request) -> SourceLocation:
        name, at = request["SourceLocationName"], now()
        return SourceLocation(name, request.caller.account, request.region, {}, {}, created=at, modified=at)

    def _find(self, request: Request) -> SourceLocation | None:
        return self.locations.get(request.caller.account, request.region, request["SourceLocationName"])

    def _location(self, request: Request) -> SourceLocation:
        location = self._find(request)
        if location is None or not location.is_visible:
            raise _missing(f"The source location {request['SourceLocationName']} does not exist.")
        return location

    def _source(self, kind: str, request: Request) -> Source:
        name = request[f"{kind.title()}SourceName"]
        source = self._location(request).sources.get((kind, name))
        if source is None:
            raise _missing(f"The {kind} source {name} does not exist.")
        return source

    def _create_source(self, kind: str, request: Request) -> Source:
        location, name, at = self._location(request), request[f"{kind.title()}SourceName"], now()
        if (kind, name) in location.sources:
            raise BadRequest(f"The {kind} source {name} already exists.")
        packages, tags = request["HttpPackageConfigurations"], dict(request.get("Tags", {}))
        source = Source(kind, name, location.source_arn(kind, name), packages, tags, created=at, modified=at)
        location.sources[kind, name] = source
        return source

    def _update_source(self, kind: str, request: Request) -> Source:
        source = self._source(kind, request)
        source.packages, source.modified = request["HttpPackageConfigurations"], now()
        return source

    def _delete_source(self, kind: str, request: Request) -> Output:
        source = self._source(kind, request)
        del self._location(request).sources[kind, source.name]
        return {}

    def _list_sources(self, kind: str, request: Request) -> Output:
        location = self._location(request)
        found = sorted(location.sources.items())
        return page_of(request, [(key[1], _described_source(location, s)) for key, s in found if key[0] == kind])

    async def _read_from_origin(self, request: Request, source: Source) -> None:
        """Requests the manifests of a VOD source from the origin with the token, and sets the alerts of the source."""
        location = self._location(request)
        header: dict[str, str] = {}
        if location.token is not None:
            token = mediatailor_access.token_to_send(location)
            if token is None:
                source.alerts = {"NOT_PROCESSED": "MediaTailor cannot read the access token."}
                return
            header = {location.token["HeaderName"]: token}
        urls = [location.base_url.rstrip("/") + "/" + package["Path"].lstrip("/") for package in source.packages]
        found = await asyncio.gather(*(manifest_alerts(url, header) for url in urls))
        source.alerts = {code: message for alerts in found for code, message in alerts.items()}

    def _owner(self, arn: str, request: Request) -> SourceLocation | Source:
        for location in self.locations.of(request.caller.account, request.region):
            owners: list[SourceLocation | Source] = [location, *location.sources.values()]
            for owner in owners:
                if owner.arn == arn:
                    return owner
        raise _missing(f"The resource {arn} does not exist.")


def _missing(message: str) -> ServiceError:
    return ServiceError("NotFoundException", message, 404) if CURRENT.value.missing_status == 404 else BadRequest(message)


def _settings(request: Request) -> dict[str, Any]:
    """Returns the settings in the request. Raises BadRequest if MediaTailor would reject them."""
    access = request.get("AccessConfiguration") or {}
    if access.get("AccessType") == TOKEN:
        token = access.get("SecretsManagerAccessTokenConfiguration") or {}
        missing = [name for name in ("HeaderName", "SecretArn", "SecretStringKey") if not token.get(name)]
        if missing:
            raise BadRequest(f"SecretsManagerAccessTokenConfiguration is missing {', '.join(missing)}.")
        if token["HeaderName"].lower().startswith(_RESERVED_HEADERS):
            raise BadRequest(f"HeaderName must not start with {' or '.join(_RESERVED_HEADERS)}.")
    if not request["HttpConfiguration"]["BaseUrl"].startswith(("http://", "https://")):
        raise BadRequest("BaseUrl must start with http:// or https://.")
    given = {name: request[name] for name in _OPTIONAL if request.get(name) is not None}
    return {"HttpConfiguration": request["HttpConfiguration"]} | given


def _updated(location: SourceLocation, request: Request) -> dict[str, Any]:
    """Returns the settings after an update. The assumptions decide about members that are omitted or empty."""
    kept, given = location.settings if CURRENT.value.omitted_on_put == "keep" else {}, _settings(request)
    if given.get("AccessConfiguration") == {}:
        if CURRENT.value.empty_access == "refuse":
            raise BadRequest("AccessConfiguration must not be empty.")
        if CURRENT.value.empty_access == "keep":
            del given["AccessConfiguration"]
            present = {name: value for name, value in location.settings.items() if name == "AccessConfiguration"}
            kept = kept | present
    return kept | given


def _described(location: SourceLocation) -> Output:
    times = {"CreationTime": location.created, "LastModifiedTime": location.modified}
    names = {"SourceLocationName": location.name, "Arn": location.arn, "Tags": location.tags}
    return location.settings | times | names


def _described_source(location: SourceLocation, source: Source) -> Output:
    return {
        "Arn": source.arn,
        "CreationTime": source.created,
        "LastModifiedTime": source.modified,
        "HttpPackageConfigurations": source.packages,
        "SourceLocationName": location.name,
        f"{source.kind.title()}SourceName": source.name,
        "Tags": source.tags,
    }
