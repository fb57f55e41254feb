"""AWS Elemental MediaPackage VOD: packaging groups with CDN authorization.

https://docs.aws.amazon.com/mediapackage-vod/latest/apireference/
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselementalmediapackagevod.html
"""

from local_aws.emulator.rest_json import BadRequest, Request
from local_aws.emulator.services.mediapackage import Endpoint, authorization_of, existing, kept_authorization, put
from local_aws.emulator.services.origin import Origin
from local_aws.emulator.services.pagination import page_of
from local_aws.emulator.services.resources import Check, Output, Resources, Tagged, arn_of
from local_aws.emulator.services.secrets_role import SecretsRoles

# iam:PassedToService has this value, although the role trusts mediapackage.amazonaws.com.
_PASSED_TO = "mediapackage-vod.amazonaws.com"


class MediaPackageVod(Tagged):
    def __init__(self, roles: SecretsRoles, origin: Origin) -> None:
        self._roles, self._origin = roles, origin
        self._groups = Resources[Endpoint]()

    def clear(self) -> None:
        self._groups.clear()

    def checks_of(self, request: Request) -> list[Check]:
        if request.get("ResourceArn"):
            return self.checks_of_tagging(request)
        if request.operation == "ListPackagingGroups":
            return [(request.operation, "*", {})]
        arn = _arn(request)
        if request.operation == "CreatePackagingGroup":
            own: list[Check] = [(request.operation, "*", {})]
            return own + ([("TagResource", arn, {})] if request.get("Tags") else [])
        group = self._groups.get(request, arn)
        return [(request.operation, arn, group.tags if group else {})]

    async def create_packaging_group(self, request: Request) -> Output:
        arn = _arn(request)
        if self._groups.get(request, arn):
            raise BadRequest(f"The packaging group {request['Id']} already exists.")
        settings = {name: request[name] for name in ("Authorization", "EgressAccessLogs") if request.get(name)}
        group = Endpoint(arn, request["Id"], settings, dict(request.get("Tags", {})))
        group.authorization = await authorization_of(self._roles, request, arn, _PASSED_TO)
        self._origin.endpoints[group.path] = self._groups.put(group)
        return self._described(group)

    async def update_packaging_group(self, request: Request) -> Output:
        group = self._group(request)
        authorization = await authorization_of(self._roles, request, group.arn, _PASSED_TO)
        own = {name: value for name, value in group.settings.items() if name == "EgressAccessLogs"}
        group.settings = put(group.settings, {"Authorization": request.get("Authorization")}) | own
        group.authorization = kept_authorization(group, authorization)
        return self._described(group)

    def describe_packaging_group(self, request: Request) -> Output:
        return self._described(self._group(request))

    def list_packaging_groups(self, request: Request) -> Output:
        found = self._groups.of(request)
        return page_of(request, [(group.name, self._described(group)) for group in found], "PackagingGroups")

    def delete_packaging_group(self, request: Request) -> Output:
        group = self._group(request)
        self._groups.remove(group)
        del self._origin.endpoints[group.path]
        return {}

    def _group(self, request: Request) -> Endpoint:
        return existing(self._groups.get(request, _arn(request)), f"The packaging group {request['Id']}")

    def _tags_of(self, request: Request, arn: str) -> dict[str, str]:
        return existing(self._groups.get(request, arn), f"The resource {arn}").tags

    def _described(self, group: Endpoint) -> Output:
        """Returns the packaging group. Assets are not emulated: every path under the domain name is served."""
        return group.settings | {
            "Arn": group.arn,
            "Id": group.name,
            "ApproximateAssetCount": 0,
            "CreatedAt": group.created.isoformat(timespec="seconds"),
            "DomainName": self._origin.url + group.path,
            "Tags": group.tags,
        }


def _arn(request: Request) -> str:
    return arn_of(request, "mediapackage-vod", f"packaging-groups/{request['Id']}")
