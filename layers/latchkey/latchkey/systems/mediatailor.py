"""AWS Elemental MediaTailor: Secrets Manager access tokens of source locations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from latchkey import formats
from latchkey.aws.errors import status_of, translate
from latchkey.aws.pages import read_pages
from latchkey.aws.planned_media import ShownResource, merged, removed
from latchkey.aws.rates import Quota
from latchkey.errors import Conflict, TransientAwsError
from latchkey.place import Place
from latchkey.systems.readers import ServicePrincipal
from latchkey.systems.system import (
    Configured,
    Counterpart,
    CreatingConfiguration,
    GrantedConfiguration,
    Handoff,
    Reading,
    Resource,
    Rotation,
    SecretShape,
    System,
)
from latchkey.wire import JsonKey

if TYPE_CHECKING:
    from mypy_boto3_mediatailor.client import MediaTailorClient
    from mypy_boto3_mediatailor.type_defs import DescribeSourceLocationResponseTypeDef, SourceLocationTypeDef

# The hosts of buckets, in every partition: https://docs.aws.amazon.com/general/latest/gr/s3.html
_S3_HOST: Final = re.compile(
    r"(^|\.)s3(express-[a-z0-9-]+|-accesspoint|-accelerate|-website)?([.-][a-z0-9-]+)*\.amazonaws\.com(\.cn)?$"
)
_BY_SECRET: Final = "SECRETS_MANAGER_ACCESS_TOKEN"
_OTHER_SETTINGS: Final = ("DefaultSegmentDeliveryConfiguration", "SegmentDeliveryConfigurations")


def _base_url(value: str) -> str:
    """Accepts http and https URLs that cannot contain a credential. The stack parameter AllowHttpOrigins decides about http."""
    if not re.fullmatch(r"[\x21-\x5b\x5d-\x7e]+", value):
        raise PydanticCustomError("url", "must contain only printable ASCII characters, without spaces and backslashes")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise PydanticCustomError("url", "must be a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise PydanticCustomError("url", "must be an http or https URL with a host")
    if "@" in parts.netloc:
        raise PydanticCustomError("url", "must not contain a user name or password")
    # Clients parse other host names differently, so an allowed host could be another host for MediaTailor.
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-f:.]+", parts.hostname):
        rule = "must have a host name of letters, digits, dots, hyphens and underscores, or an IP address"
        raise PydanticCustomError("url", rule)
    if "?" in value or "#" in value:
        raise PydanticCustomError("url", "must not contain a query or fragment")
    return value


def _header(value: str) -> str:
    if value.lower().startswith(("x-amz-", "x-amzn-")):
        raise PydanticCustomError("header", "must not begin with x-amz- or x-amzn-, because MediaTailor rejects these headers")
    return value


class SourceLocation(Resource):
    """A channel assembly source location, and the header in which it sends the token to its origin.

    `secretKey` is the member of the JSON secret that contains the token. The name of the source location is part of the name of
    its KMS grant, which allows only letters, digits, hyphens and underscores. https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-creating-source-locations.html
    """

    kind: ClassVar[str] = "sourceLocation"

    source_location: Annotated[str, formats.identifier("name of the source location", 128)]
    base_url: Annotated[str, Field(max_length=2048, examples=["https://origin.example.com/vod"]), AfterValidator(_base_url)]
    header: Annotated[str, formats.HEADER, AfterValidator(_header)]
    secret_key: JsonKey

    @property
    def name(self) -> str:
        return self.source_location

    @property
    def origin_url(self) -> str:
        return self.base_url

    @property
    def warnings(self) -> dict[str, str]:
        """A private bucket ignores the token and accepts only signed requests.

        https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-sigv4.html
        """
        if not _S3_HOST.search(self.origin_host or ""):
            return {}
        rule = "is an Amazon S3 URL: S3 ignores the token and accepts only signed requests, so use the access type S3_SIGV4"
        return {"baseUrl": rule}

    @property
    def secret_member_path(self) -> str:
        return "resource.secretKey"

    @classmethod
    def arn_of(cls, name: str, place: Place) -> str:
        return place.arn("mediatailor", f"sourceLocation/{name}")


class SourceLocations(CreatingConfiguration, GrantedConfiguration):
    """Source locations. An update replaces the whole object. Errors of the API have no codes, only an HTTP status."""

    service = "mediatailor"
    # https://docs.aws.amazon.com/mediatailor/latest/ug/quotas.html
    quotas = (
        Quota("mediatailor-create", "mediatailor", 1, 1, frozenset(["CreateSourceLocation"])),
        Quota("mediatailor-update", "mediatailor", 1, 1, frozenset(["UpdateSourceLocation"])),
        Quota("mediatailor-describe", "mediatailor", 5, 5, frozenset(["DescribeSourceLocation"])),
    )
    our_settings = frozenset(["AccessConfiguration", "HttpConfiguration"])
    renewal = "UpdateSourceLocation"
    trail_operations = frozenset(["CreateSourceLocation", "DeleteSourceLocation", "UpdateSourceLocation"])
    named_by = "SourceLocationName"
    shown = ShownResource(
        "DescribeSourceLocation",
        ("SourceLocationName",),
        {
            "CreateSourceLocation": lambda _, given, place: {
                **given,
                "Arn": SourceLocation.arn_of(given["SourceLocationName"], place),
            },
            "DeleteSourceLocation": removed,
            "UpdateSourceLocation": merged,
        },
        listed_by="ListSourceLocations",
    )
    # The API models no error for a permission that the caller lacks in a call that MediaTailor makes on its behalf.
    denial_statuses = frozenset([400])
    has_alerts = True

    def wanted(self, resource: SourceLocation, reading: Reading) -> dict[str, str]:
        return {
            "accessType": _BY_SECRET,
            "baseUrl": resource.base_url,
            "header": resource.header,
            "secretArn": reading.secret_arn,
            "secretKey": resource.secret_key,
        }

    def arn_of(self, name: str, place: Place) -> str:
        return SourceLocation.arn_of(name, place)

    def read_named(self, client: MediaTailorClient, name: str) -> Configured | None:
        found = _describe(client, name)
        return _configured(found) if found else None

    def listed(self, client: MediaTailorClient) -> dict[str, Configured]:
        return {item["SourceLocationName"]: _configured(item) for item in _list(client)}

    def altered(self, full_settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """The header name in the opposite case. Header names are case-insensitive: RFC 9110, section 5.1."""
        access = full_settings.get("AccessConfiguration", {})
        token = access.get("SecretsManagerAccessTokenConfiguration", {})
        header = token.get("HeaderName", "")
        if header == header.swapcase():
            return None
        changed = access | {"SecretsManagerAccessTokenConfiguration": token | {"HeaderName": header.swapcase()}}
        return {**full_settings, "AccessConfiguration": changed}

    def discovered(self, client: MediaTailorClient) -> Iterator[dict[str, Any]]:
        for item in _list(client):
            if _secret_arn(item):
                token = item["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
                yield {
                    "sourceLocation": item["SourceLocationName"],
                    "baseUrl": item["HttpConfiguration"]["BaseUrl"],
                    "header": token.get("HeaderName", ""),
                    "secretKey": token.get("SecretStringKey", ""),
                }

    def secrets_by_name(self, client: MediaTailorClient) -> dict[str, str | None]:
        return {item["SourceLocationName"]: _secret_arn(item) for item in _list(client)}

    def create(self, client: MediaTailorClient, resource: SourceLocation, reading: Reading, tags: Mapping[str, str]) -> bool:
        try:
            client.create_source_location(**_settings(resource, reading), Tags=tags)
        except ClientError:
            # If a response is lost, botocore calls again, and MediaTailor answers that the location exists.
            if _describe(client, resource.name) is None:
                raise
            return False
        return True

    def update(self, client: MediaTailorClient, resource: SourceLocation, reading: Reading, present: Configured) -> None:
        client.update_source_location(**_settings(resource, reading), **present.other_settings)

    def restore(self, client: MediaTailorClient, full_settings: Mapping[str, Any]) -> None:
        access = full_settings.get("AccessConfiguration")
        client.update_source_location(**_without_access(full_settings), **({"AccessConfiguration": access} if access else {}))

    def restore_from(self, client: MediaTailorClient, present: Configured, full_settings: Mapping[str, Any]) -> None:
        """Restores a location. If it had no access token before, the token is removed before anything else changes.

        Otherwise, the token would be sent to the former URL.
        """
        if present.full_settings["AccessConfiguration"] and not full_settings.get("AccessConfiguration"):
            present = self._remove_token(client, present)
            if _without_access(present.full_settings) == _without_access(full_settings):
                return
        self.restore(client, full_settings)

    def _remove_token(self, client: MediaTailorClient, present: Configured) -> Configured:
        """Removes the access configuration, and returns the configuration afterwards. Raises Conflict if it stays.

        What an update does with an omitted or empty AccessConfiguration is not documented. An empty one is sent only if
        omitting it was without effect.
        """
        name, others, answer = present.full_settings["SourceLocationName"], _without_access(present.full_settings), ""
        attempts: tuple[dict[str, Any], ...] = ({}, {"AccessConfiguration": {}})
        for empty in attempts:
            try:
                client.update_source_location(**others, **empty)
            except ClientError as error:
                if not empty or status_of(error) != 400:
                    raise
                answer = f" ({translate(error)})"
            found = self.read_named(client, name)
            if found is None or not found.full_settings["AccessConfiguration"]:
                return found or replace(present, full_settings=others)
            if found.full_settings != present.full_settings:
                raise TransientAwsError(f"{present.arn} changed during its restoration")
        raise Conflict(
            f"{present.arn} still sends the access token, because MediaTailor does not remove it by an update{answer}: "
            "turn its access configuration off in the MediaTailor console, or delete the source location"
        )

    def without_secret(self, full_settings: Mapping[str, Any], secret_arn: str) -> dict[str, Any]:  # noqa: ARG002  it has one
        return _without_access(full_settings)

    def delete(self, client: MediaTailorClient, resource: SourceLocation) -> None:
        client.delete_source_location(SourceLocationName=resource.name)

    def contents(self, client: MediaTailorClient, resource: SourceLocation) -> tuple[str, ...]:
        """The VOD and live sources of a location, which go with it.

        https://docs.aws.amazon.com/mediatailor/latest/apireference/API_DeleteSourceLocation.html
        """
        named = {"SourceLocationName": resource.name}
        vod = [item for page in read_pages(client.list_vod_sources, **named) for item in page.get("Items", [])]
        live = [item for page in read_pages(client.list_live_sources, **named) for item in page.get("Items", [])]
        names = [
            *(f"vodSource/{one['VodSourceName']}" for one in vod),
            *(f"liveSource/{one['LiveSourceName']}" for one in live),
        ]
        return tuple(sorted(names))

    def alerts(self, client: MediaTailorClient, resource_arn: str) -> tuple[str, ...]:
        pages = read_pages(client.list_alerts, ResourceArn=resource_arn)
        return tuple(sorted({alert["AlertCode"] for page in pages for alert in page.get("Items", [])}))


def _configured(found: SourceLocationTypeDef | DescribeSourceLocationResponseTypeDef) -> Configured:
    """What a source location is configured with. A list contains the same members as the read of one location.

    https://docs.aws.amazon.com/mediatailor/latest/apireference/API_SourceLocation.html
    """
    access = found.get("AccessConfiguration", {})
    token = access.get("SecretsManagerAccessTokenConfiguration", {})
    settings = {
        "accessType": access.get("AccessType", ""),
        "baseUrl": found["HttpConfiguration"]["BaseUrl"],
        "header": token.get("HeaderName", ""),
        "secretArn": token.get("SecretArn", ""),
        "secretKey": token.get("SecretStringKey", ""),
    }
    # The API does not document what an update does with omitted members, so all present settings are sent again.
    others: dict[str, Any] = {member: found[member] for member in _OTHER_SETTINGS if found.get(member)}
    ours = {
        "SourceLocationName": found["SourceLocationName"],
        "HttpConfiguration": found["HttpConfiguration"],
        "AccessConfiguration": access,
    }
    return Configured(
        arn=found["Arn"],
        settings=settings,
        secret_arn=_secret_arn(found),
        other_settings=others,
        full_settings=others | ours,
        tags=found.get("Tags", {}),
        authentication="" if settings["accessType"] == _BY_SECRET else settings["accessType"],
    )


def _settings(resource: SourceLocation, reading: Reading) -> Any:
    return {
        "SourceLocationName": resource.name,
        "HttpConfiguration": {"BaseUrl": resource.base_url},
        "AccessConfiguration": {
            "AccessType": _BY_SECRET,
            "SecretsManagerAccessTokenConfiguration": {
                "HeaderName": resource.header,
                "SecretArn": reading.secret_arn,
                "SecretStringKey": resource.secret_key,
            },
        },
    }


def _without_access(full_settings: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in full_settings.items() if member != "AccessConfiguration"}


def _secret_arn(location: SourceLocationTypeDef | DescribeSourceLocationResponseTypeDef) -> str | None:
    """The secret whose token a location sends, or None if it sends none."""
    access = location.get("AccessConfiguration", {})
    sends_token = access.get("AccessType") == _BY_SECRET
    return access.get("SecretsManagerAccessTokenConfiguration", {}).get("SecretArn") if sends_token else None


def _list(client: MediaTailorClient) -> Iterator[SourceLocationTypeDef]:
    """Every source location. A page can be short or empty without being the last one."""
    for page in read_pages(client.list_source_locations, MaxResults=100):
        yield from page.get("Items", [])


def _describe(client: MediaTailorClient, name: str) -> DescribeSourceLocationResponseTypeDef | None:
    """One source location, or None if it does not exist.

    MediaTailor documents no error for a missing location. A status of 404 means that it is missing; a status of 400 means that
    only if a complete list does not contain the name.
    """
    try:
        return client.describe_source_location(SourceLocationName=name)
    except ClientError as error:
        if status_of(error) == 404:
            return None
        if status_of(error) != 400:
            raise
        if any(item["SourceLocationName"] == name for item in _list(client)):
            raise
        return None


def _handoff(resource: SourceLocation, reading: Reading | None, _key_arn: str, _place: Place) -> Handoff:
    reading = reading or Reading("")
    settings = _settings(resource, reading)
    token = settings["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    return Handoff(
        values={"SourceLocationName": resource.name, "BaseUrl": resource.base_url, "AccessType": _BY_SECRET, **token},
        steps=(
            "Set the access configuration of the source location with a role that the request lists in managementRoles. "
            "MediaTailor creates its KMS grant with the permissions of that role.",
        ),
        cloudFormation={"SourceLocation": {"Type": "AWS::MediaTailor::SourceLocation", "Properties": settings}},
    )


MEDIATAILOR = System(
    name="mediatailor",
    resource=SourceLocation,
    reader=ServicePrincipal(service="mediatailor", grant_name_pattern="MediaTailor-SourceLocation-{account}-{name}"),
    # The value must be between 8 and 128 characters long:
    # https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-token-how-to-create-secret.html
    secret=lambda location: SecretShape(8, 128, member=location.secret_key),
    configuration=SourceLocations(),
    handoff=_handoff,
    # MediaTailor sends the token, so the origin must accept the new one first. It is not documented when MediaTailor reads a
    # new version of the secret.
    rotation=Rotation(
        before=lambda location: (
            f"Let the origin of {location.name} accept the pending token in the header {location.header}, in addition to the "
            "current token. Then send Rotation Confirmed."
        ),
        after=lambda location: (
            f"MediaTailor sends the new token to the origin of {location.name} when it next reads the secret. Let the origin "
            "accept the previous token until no request contains it."
        ),
    ),
    counterpart=Counterpart(
        who=lambda location: f"the origin {location.origin_host}",
        preparation=lambda location: (
            f"Make the origin accept the token in the header {location.header}, in addition to the one that it accepts now."
        ),
        interrupted=False,
    ),
    documents=(
        "https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html",
        "https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-configuring.html",
    ),
)
