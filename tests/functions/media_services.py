"""Models of MediaPackage, MediaConnect and the IAM policy simulator, which moto does not have or has only in part."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore import xform_name
from botocore.model import OperationModel
from botocore.validate import ParamValidator
from moto.core import DEFAULT_ACCOUNT_ID

type Settings = dict[str, Any]

ACCOUNT: str = DEFAULT_ACCOUNT_ID
FLOW = f"arn:aws:mediaconnect:us-east-1:{ACCOUNT}:flow:1-23aBC45dEF67hiJ8-12AbC34DE5fG:studio"
MADE = datetime(2026, 11, 22, 8, tzinfo=UTC)
CONSENT = {"latchkey:consent": "adopt"}


class RefusedError(Exception):
    """An error response of a service."""

    def __init__(self, code: str, status: int) -> None:
        self.code, self.status = code, status


def serve(events: Any, name: str, service: Callable[[], object]) -> None:
    """Lets the methods of the current `service` answer the operations of their names; moto answers all others."""

    def keep(params: Settings, context: Settings, **_: Any) -> None:
        context["asked"] = params

    def answer(model: OperationModel, context: Settings, **_: Any) -> tuple[Any, Settings] | None:
        operation: Callable[..., Settings] | None = getattr(service(), xform_name(model.name), None)
        if operation is None:
            return None
        try:
            given = operation(**context["asked"])
        except RefusedError as error:
            error_response = {
                "Error": {"Code": error.code, "Message": "no"},
                "ResponseMetadata": {"HTTPStatusCode": error.status},
            }
            return SimpleNamespace(status_code=error.status), error_response
        assert model.output_shape
        problems = ParamValidator().validate(given, model.output_shape)
        assert not problems.has_errors(), problems.generate_report()
        return SimpleNamespace(status_code=200), given | {"ResponseMetadata": {"HTTPStatusCode": 200}}

    events.register(f"before-parameter-build.{name}", keep)
    events.register_last(f"before-call.{name}", answer)


def page_of(items: list[Settings], member: str, NextToken: str = "", **_: Any) -> Settings:
    """Every other page of a list is empty, and the others have one item."""
    number = int(NextToken or 0)
    given = items[number // 2 : number // 2 + 1] if number % 2 else []
    return {member: given} | ({"NextToken": str(number + 1)} if number < 2 * len(items) else {})


class _CdnAuthorized:
    """Resources of MediaPackage v1 by their ids. An update replaces everything that is not set at creation.

    Like every resource here, they have the consent tag unless other tags are given.
    """

    kept: frozenset[str]

    def __init__(self) -> None:
        self.resources: dict[str, Settings] = {}
        self.updates: list[Settings] = []
        self.unready = 0

    def add(self, name: str, arn: str, **members: Any) -> None:
        self.resources[name] = {"Id": name, "Arn": arn, "Tags": CONSENT, **members}

    def _describe(self, name: str) -> Settings:
        if name not in self.resources:
            raise RefusedError("NotFoundException", 404)
        return self.resources[name]

    def _page(self, member: str, **page: Any) -> Settings:
        return page_of([*self.resources.values()], member, **page)

    def _update(self, name: str, members: Settings) -> Settings:
        present = self._describe(name)
        if self.unready:
            self.unready -= 1
            raise RefusedError("UnprocessableEntityException", 422)
        self.updates.append({"Id": name, **members})
        self.resources[name] = {key: value for key, value in present.items() if key in self.kept} | members
        return self.resources[name]


class MediaPackage(_CdnAuthorized):
    """Live origin endpoints."""

    kept = frozenset(["Id", "Arn", "ChannelId", "CreatedAt", "Url", "Tags"])

    def describe_origin_endpoint(self, Id: str) -> Settings:
        return self._describe(Id)

    def list_origin_endpoints(self, **page: Any) -> Settings:
        return self._page("OriginEndpoints", **page)

    def update_origin_endpoint(self, Id: str, **members: Any) -> Settings:
        return self._update(Id, members)


class MediaPackageVod(_CdnAuthorized):
    """Packaging groups. An update accepts only the authorization."""

    kept = frozenset(["Id", "Arn", "ApproximateAssetCount", "CreatedAt", "DomainName", "EgressAccessLogs", "Tags"])

    def describe_packaging_group(self, Id: str) -> Settings:
        return self._describe(Id)

    def list_packaging_groups(self, **page: Any) -> Settings:
        return self._page("PackagingGroups", **page)

    def update_packaging_group(self, Id: str, **members: Any) -> Settings:
        return self._update(Id, members)


class MediaPackageV2:
    """Origin endpoints by their three names; `policies` are the inputs of PutOriginEndpointPolicy."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Settings] = {}
        self.policies: dict[str, Settings] = {}

    def add(self, name: str, tags: Any = CONSENT, **policy: Any) -> None:
        names = dict(zip(("ChannelGroupName", "ChannelName", "OriginEndpointName"), name.split("/"), strict=True))
        group, channel, endpoint = name.split("/")
        arn = f"channelGroup/{group}/channel/{channel}/originEndpoint/{endpoint}"
        settings = {"ContainerType": "TS", "Segment": {}, "CreatedAt": MADE, "ModifiedAt": MADE, "Tags": tags}
        self.endpoints[name] = names | settings | {"Arn": f"arn:aws:mediapackagev2:us-east-1:{ACCOUNT}:{arn}"}
        if policy:
            self.policies[name] = names | policy

    def get_origin_endpoint(self, **names: str) -> Settings:
        return self._of(self.endpoints, names)

    def list_channel_groups(self, **page: Any) -> Settings:
        """The channel groups of the endpoints."""
        groups = sorted({one["ChannelGroupName"] for one in self.endpoints.values()})
        times = {"Arn": "arn", "CreatedAt": MADE, "ModifiedAt": MADE}
        return page_of([times | {"ChannelGroupName": name} for name in groups], "Items", **page)

    def list_channels(self, ChannelGroupName: str, **page: Any) -> Settings:
        """The channels of the endpoints of a group."""
        group = {one["ChannelName"] for one in self.endpoints.values() if one["ChannelGroupName"] == ChannelGroupName}
        common = {"Arn": "arn", "CreatedAt": MADE, "ModifiedAt": MADE, "ChannelGroupName": ChannelGroupName}
        return page_of([common | {"ChannelName": name} for name in sorted(group)], "Items", **page)

    def list_origin_endpoints(self, ChannelGroupName: str, ChannelName: str, **page: Any) -> Settings:
        """The endpoints of a channel, which exists if it has endpoints."""
        found = [one for name, one in self.endpoints.items() if name.startswith(f"{ChannelGroupName}/{ChannelName}/")]
        if not found:
            raise RefusedError("ResourceNotFoundException", 404)
        listed = ({name: value for name, value in one.items() if name not in ("Segment", "Tags")} for one in found)
        return page_of([*listed], "Items", **page)

    def get_origin_endpoint_policy(self, **names: str) -> Settings:
        return self._of(self.policies, names)

    def put_origin_endpoint_policy(self, **members: Any) -> Settings:
        names = self.get_origin_endpoint(**members)
        name = _joined(names)
        self.policies[name] = members
        return {}

    def delete_origin_endpoint_policy(self, **names: str) -> Settings:
        del self.policies[_joined(names)]
        return {}

    def _of(self, held: dict[str, Settings], names: Settings) -> Settings:
        if _joined(names) not in held:
            raise RefusedError("ResourceNotFoundException", 404)
        return held[_joined(names)]


def _joined(names: Settings) -> str:
    return "/".join(names[member] for member in ("ChannelGroupName", "ChannelName", "OriginEndpointName"))


class MediaConnect:
    """One flow. An update clears the members that it omits, and an entitled source of an active flow cannot be updated."""

    def __init__(self) -> None:
        self.flows: dict[str, Settings] = {}
        self.tags: dict[str, dict[str, str]] = {FLOW: CONSENT}
        self.updates: list[Settings] = []

    def add(self, kind: str, name: str, protocol: str | None = None, **members: Any) -> str:
        """A source, output or entitlement of the flow."""
        arn = FLOW.replace(":flow:", f":{kind}:")
        part = {"Name": name, f"{kind.capitalize()}Arn": arn, **members}
        part |= {"Transport": {"Protocol": protocol}} if protocol else {}
        part |= {"Subscribers": [ACCOUNT]} if kind == "entitlement" else {}
        flow = self.flows.setdefault(FLOW, self._flow())
        flow["Source"] = part if kind == "source" else flow["Source"]
        flow[f"{kind.capitalize()}s"].append(part)
        return arn

    def list_flows(self, **page: Any) -> Settings:
        common = {"Description": "", "SourceType": "OWNED"}
        known = ("AvailabilityZone", "FlowArn", "Name", "Status")
        flows = [common | {name: flow[name] for name in known} for flow in self.flows.values()]
        return page_of(flows, "Flows", **page)

    def describe_flow(self, FlowArn: str) -> Settings:
        if FlowArn not in self.flows:
            raise RefusedError("NotFoundException", 404)
        return {"Flow": self.flows[FlowArn]}

    def list_tags_for_resource(self, ResourceArn: str) -> Settings:
        return {"Tags": self.tags[ResourceArn]}

    def update_flow_source(self, **members: Any) -> Settings:
        return self._update("Source", members)

    def update_flow_output(self, **members: Any) -> Settings:
        return self._update("Output", members)

    def update_flow_entitlement(self, **members: Any) -> Settings:
        return self._update("Entitlement", members)

    def _update(self, kind: str, members: Settings) -> Settings:
        self.updates.append(members)
        flow = self.flows[members["FlowArn"]]
        part = next(part for part in flow[f"{kind}s"] if part[f"{kind}Arn"] == members[f"{kind}Arn"])
        if kind == "Source" and "EntitlementArn" in part and flow["Status"] != "STANDBY":
            raise RefusedError("BadRequestException", 400)
        given = {name: value for name, value in members.items() if name not in ("FlowArn", f"{kind}Arn")}
        transport = {"Transport": {"Protocol": given.pop("Protocol")}} if "Protocol" in given else {}
        kept = {name: part[name] for name in ("Name", f"{kind}Arn")}
        part.clear()
        part |= kept | transport | given
        return {"FlowArn": members["FlowArn"], kind: part}

    def _flow(self) -> Settings:
        source = {"Name": "camera", "SourceArn": FLOW.replace(":flow:", ":source:")}
        lists: Settings = {"Entitlements": [], "Outputs": [], "Sources": []}
        described = {"AvailabilityZone": "us-east-1a", "FlowArn": FLOW, "Name": "studio", "Status": "STANDBY"}
        return described | {"Source": source} | lists


class Simulator:
    """The IAM policy simulator: allows everything except for the actions named here. `asked` are the requests."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.denied: set[str] = set()
        self.beyond_boundary: set[str] = set()
        self.asked: list[Settings] = []

    def simulate_principal_policy(self, **asked: Any) -> Settings:
        self.asked.append(asked)
        return {"EvaluationResults": [self._result(action) for action in asked["ActionNames"]], "IsTruncated": False}

    def _result(self, action: str) -> Settings:
        bounded = {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": action not in self.beyond_boundary}}
        refused = action in self.refused | self.beyond_boundary
        decision = "explicitDeny" if action in self.denied else "implicitDeny" if refused else "allowed"
        return {"EvalActionName": action, "EvalDecision": decision} | bounded
