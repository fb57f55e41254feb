"""AWS Elemental MediaConnect: flows with sources, outputs, entitlements and their encryption.

https://docs.aws.amazon.com/mediaconnect/latest/api/
https://docs.aws.amazon.com/service-authorization/latest/reference/list_mediaconnect.html
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import secretsmanager

from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.rest_json import BadRequest, Request, ServiceError
from local_aws.emulator.service_models import Shape, service_model
from local_aws.emulator.services import mediaconnect_encryption
from local_aws.emulator.services.pagination import page_of
from local_aws.emulator.services.resources import Check, Output, Resource, Resources, Tagged, arn_of
from local_aws.emulator.services.secrets_role import SecretsRoles

_NEW_ID = "1-new"


@dataclass(frozen=True)
class Kind:
    """A kind of component of a flow: the names of its shape, of its members in requests, and of its operations."""

    shape: str
    members: str
    tags: str
    adds: str
    removes: str
    encryption: str = "Encryption"

    @property
    def arn(self) -> str:
        return f"{self.shape}Arn"


SOURCE = Kind("Source", "Sources", "SourceTags", "AddFlowSources", "RemoveFlowSource", "Decryption")
OUTPUT = Kind("Output", "Outputs", "OutputTags", "AddFlowOutputs", "RemoveFlowOutput")
ENTITLEMENT = Kind("Entitlement", "Entitlements", "EntitlementTags", "GrantFlowEntitlements", "RevokeFlowEntitlement")
_KINDS = (SOURCE, OUTPUT, ENTITLEMENT)


@dataclass
class Flow(Resource):
    """A flow. `parts` are its sources, outputs and entitlements by ARN, in the format of DescribeFlow."""

    status: str = "STANDBY"
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags_of_parts: dict[str, dict[str, str]] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[dict[str, Any]]:
        return [part for part in self.parts.values() if _kind_of(part) == kind]


@dataclass(frozen=True)
class _UsedKey:
    """The hash of the key that a component read when it was last configured, and the secret from which it read it."""

    secret_arn: str
    sha256: str


class MediaConnect(Tagged):
    def __init__(self, roles: SecretsRoles) -> None:
        self._roles, self._flows = roles, Resources[Flow]()
        self._keys: dict[str, _UsedKey] = {}

    def clear(self) -> None:
        self._flows.clear()
        self._keys.clear()

    def keys_in_use(self) -> dict[str, str]:
        """Returns the SHA-256 hash of the key that each component encrypts or decrypts with, by the ARN of the component.

        With `flowRereads`, a component uses a new value of its secret without an update.
        """
        if not CURRENT.value.flow_rereads:
            return {arn: key.sha256 for arn, key in self._keys.items()}
        return {arn: _hash(_current_value(key.secret_arn)) for arn, key in self._keys.items()}

    def checks_of(self, request: Request) -> list[Check]:
        operation = request.operation
        if operation in ("ListFlows", "ListTagsForResource"):
            return [(operation, "*", {})]
        if request.get("ResourceArn"):
            return self.checks_of_tagging(request)
        flow = self._flows.get(request, request.get("FlowArn", ""))
        tags = flow.tags if flow else {}
        if operation == "CreateFlow":
            own = _arn(request, "flow", request["Name"])
            tagged: list[Check] = [("TagResource", own, {})] if request.get("FlowTags") else []
            return [(operation, own, {}), *tagged, *self._checks_of_new(request, own, {})]
        if operation == "DeleteFlow" and flow:
            parts: list[Check] = [(_kind_of(part).removes, arn, flow.tags_of_parts[arn]) for arn, part in flow.parts.items()]
            return [(operation, flow.arn, tags), *parts]
        if any(operation == kind.adds for kind in _KINDS):
            return self._checks_of_new(request, request["FlowArn"], tags)
        checks: list[Check] = [(operation, request["FlowArn"], tags)]
        part_arn = next((request[kind.arn] for kind in _KINDS if request.get(kind.arn)), None)
        if part_arn and operation != "UpdateFlowEntitlement":
            checks.append((operation, part_arn, flow.tags_of_parts.get(part_arn, {}) if flow else {}))
        return checks

    def _checks_of_new(self, request: Request, flow_arn: str, tags: dict[str, str]) -> list[Check]:
        checks: list[Check] = []
        for kind in _KINDS:
            for given in _given(request, kind):
                own = _arn(request, kind.shape.lower(), given.get("Name", "unnamed"))
                checks += [(kind.adds, flow_arn, tags), (kind.adds, own, {})]
                checks += [("TagResource", own, {})] if given.get(kind.tags) else []
        return checks

    async def create_flow(self, request: Request) -> Output:
        if self._flows.named(request, request["Name"]):
            raise BadRequest(f"The flow {request['Name']} already exists.")
        if not _given(request, SOURCE):
            raise BadRequest("A flow needs a source.")
        identifier = new_flow_id()
        arn = arn_of(request, "mediaconnect", f"flow:{identifier}:{request['Name']}")
        own = _members_of("Flow") - {"Name", "Source", *(kind.members for kind in _KINDS)}
        settings = {"AvailabilityZone": f"{request.region}a"}
        settings |= {name: value for name, value in request.members.items() if name in own}
        flow = Flow(arn, request["Name"], settings, dict(request.get("FlowTags", {})))
        for kind in _KINDS:
            await self._add(flow, kind, request)
        self._flows.put(flow)
        return {"Flow": _described(flow)}

    def describe_flow(self, request: Request) -> Output:
        return {"Flow": _described(self._flow(request))}

    def list_flows(self, request: Request) -> Output:
        items = [(flow.arn, _described(flow) | {"SourceType": _source_type(flow)}) for flow in self._flows.of(request)]
        return page_of(request, sorted(items, key=lambda item: item[0]), "Flows")

    def delete_flow(self, request: Request) -> Output:
        flow = self._flow(request)
        if flow.status != "STANDBY":
            raise BadRequest("The flow must be stopped before it is deleted.")
        self._flows.remove(flow)
        return {"FlowArn": flow.arn, "Status": "DELETING"}

    def start_flow(self, request: Request) -> Output:
        return self._set_status(request, "ACTIVE", "STARTING")

    def stop_flow(self, request: Request) -> Output:
        return self._set_status(request, "STANDBY", "STOPPING")

    async def add_flow_sources(self, request: Request) -> Output:
        return await self._add_to_existing(SOURCE, request)

    async def add_flow_outputs(self, request: Request) -> Output:
        return await self._add_to_existing(OUTPUT, request)

    async def grant_flow_entitlements(self, request: Request) -> Output:
        return await self._add_to_existing(ENTITLEMENT, request)

    async def update_flow_source(self, request: Request) -> Output:
        return await self._update(SOURCE, request)

    async def update_flow_output(self, request: Request) -> Output:
        return await self._update(OUTPUT, request)

    async def update_flow_entitlement(self, request: Request) -> Output:
        return await self._update(ENTITLEMENT, request)

    def remove_flow_source(self, request: Request) -> Output:
        return self._remove(SOURCE, request)

    def remove_flow_output(self, request: Request) -> Output:
        return self._remove(OUTPUT, request)

    def revoke_flow_entitlement(self, request: Request) -> Output:
        return self._remove(ENTITLEMENT, request)

    async def _add_to_existing(self, kind: Kind, request: Request) -> Output:
        flow = self._flow(request)
        return {"FlowArn": flow.arn, kind.members: await self._add(flow, kind, request)}

    async def _add(self, flow: Flow, kind: Kind, request: Request) -> list[dict[str, Any]]:
        """Adds all components in the request, or none of them."""
        added: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
        for given in _given(request, kind):
            name = given.get("Name") or f"{kind.shape.lower()}-{len(flow.parts) + len(added) + 1}"
            if name in [part["Name"] for part in (*flow.of(kind), *(part for part, _ in added.values()))]:
                raise BadRequest(f"The flow already has a {kind.shape.lower()} {name}.")
            # The ARN of an entitlement has the id of its flow, https://docs.aws.amazon.com/mediaconnect/latest/ug/entitlements.html
            identifier = flow.arn.split(":")[6] if kind == ENTITLEMENT else f"1-{uuid.uuid4().hex[:16]}"
            arn = arn_of(request, "mediaconnect", f"{kind.shape.lower()}:{identifier}:{name}")
            part = _merged({kind.arn: arn, "Name": name}, given, kind)
            await self._check_encryption(flow, kind, part, given, request)
            added[arn] = part, dict(given.get(kind.tags, {}))
        for arn, (part, tags) in added.items():
            flow.parts[arn], flow.tags_of_parts[arn] = part, tags
        return [part for part, _ in added.values()]

    async def _update(self, kind: Kind, request: Request) -> Output:
        """Updates a component. AWS documents what happens to an omitted member only for the status of an entitlement: it stays.

        An entitled source can be updated only while its flow is stopped. Everything else can always be updated:
        https://docs.aws.amazon.com/mediaconnect/latest/ug/source-update.html
        https://docs.aws.amazon.com/mediaconnect/latest/ug/outputs-update.html
        https://docs.aws.amazon.com/mediaconnect/latest/ug/entitlements-update.html
        """
        flow = self._flow(request)
        given = {name: value for name, value in request.members.items() if name not in ("FlowArn", kind.arn)}
        present = self._part(flow, kind, request)
        if kind == SOURCE and "EntitlementArn" in present and flow.status != "STANDBY":
            raise BadRequest("The flow has an entitled source: stop the flow before you update the source.")
        part = _merged(_kept(present, kind), given, kind)
        await self._check_encryption(flow, kind, part, given, request)
        flow.parts[request[kind.arn]] = part
        return {"FlowArn": flow.arn, kind.shape: part}

    async def _check_encryption(
        self, flow: Flow, kind: Kind, part: dict[str, Any], given: Mapping[str, Any], request: Request
    ) -> None:
        if given.get(kind.encryption) is not None:
            protocol = part.get("Transport", {}).get("Protocol")
            key = await mediaconnect_encryption.read_key(part[kind.encryption], protocol, flow.arn, request.caller, self._roles)
            self._keys[part[kind.arn]] = _UsedKey(part[kind.encryption].get("SecretArn", ""), _hash(key))

    def _remove(self, kind: Kind, request: Request) -> Output:
        flow, arn = self._flow(request), request[kind.arn]
        self._part(flow, kind, request)
        del flow.parts[arn], flow.tags_of_parts[arn]
        return {"FlowArn": flow.arn, kind.arn: arn}

    def _set_status(self, request: Request, status: str, answer: str) -> Output:
        flow = self._flow(request)
        flow.status = status
        return {"FlowArn": flow.arn, "Status": answer}

    def _flow(self, request: Request) -> Flow:
        flow = self._flows.get(request, request["FlowArn"])
        if flow is None:
            raise _missing(request["FlowArn"])
        return flow

    def _part(self, flow: Flow, kind: Kind, request: Request) -> dict[str, Any]:
        part = flow.parts.get(request[kind.arn])
        if part is None:
            raise _missing(request[kind.arn])
        return part

    def _tags_of(self, request: Request, arn: str) -> dict[str, str]:
        for flow in self._flows.of(request):
            if arn == flow.arn:
                return flow.tags
            if arn in flow.parts:
                return flow.tags_of_parts[arn]
        raise _missing(arn)


def _hash(key: str | None) -> str:
    return hashlib.sha256((key or "").encode()).hexdigest()


def _current_value(secret_arn: str) -> str | None:
    with request_scope(*reversed(secret_arn.split(":")[3:5])):
        found: str | None = secretsmanager.resolve_secret_string(secret_arn)
        return found


def _given(request: Request, kind: Kind) -> list[dict[str, Any]]:
    """Returns the components that the request adds. CreateFlow also accepts a single `Source`."""
    single = [request["Source"]] if kind == SOURCE and request.get("Source") else []
    return single + (request.get(kind.members) or [])


def _merged(part: dict[str, Any], given: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """Returns the component with the given members, each where the shape has it: at the top level or in Transport."""
    own = _members_of(kind.shape)
    inside = {name: value for name, value in given.items() if name in _members_of("Transport") - own}
    merged = part | {name: value for name, value in given.items() if name in own}
    if inside:
        merged["Transport"] = part.get("Transport", {}) | inside
    if given.get(kind.encryption) is not None:
        merged[kind.encryption] = part.get(kind.encryption, {}) | given[kind.encryption]
    return merged


def _kept(part: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Returns the component without the members that an update clears by omitting them, according to the assumption."""
    if CURRENT.value.omitted_on_flow_update == "keep":
        return part
    settable = service_model("mediaconnect").operation_model(f"UpdateFlow{kind.shape}").input_shape.members
    cleared = settable.keys() - {kind.arn, "EntitlementStatus"}
    transport = {name: value for name, value in part.get("Transport", {}).items() if name not in cleared}
    kept = {name: value for name, value in part.items() if name not in cleared | {"Transport"}}
    # Every entitlement has subscribers, and here it can have none.
    return kept | ({"Transport": transport} if transport else {}) | ({"Subscribers": []} if kind == ENTITLEMENT else {})


def _members_of(name: str) -> set[str]:
    shape: Shape = service_model("mediaconnect").shape_for(name)
    return set(shape.members)


def _kind_of(part: Mapping[str, Any]) -> Kind:
    """Returns the kind of a component. A source can have an EntitlementArn, so SourceArn is checked first."""
    return next(kind for kind in _KINDS if kind.arn in part)


def new_flow_id() -> str:
    """The id in the ARN of a new flow. Sample data replaces this function, so that a flow has the id in the sample requests."""
    return f"1-{uuid.uuid4().hex[:16]}"


def _described(flow: Flow) -> Output:
    sources = flow.of(SOURCE)
    first = {"Source": sources[0]} if sources else {}
    parts = {kind.members: flow.of(kind) for kind in _KINDS}
    return {"Description": ""} | flow.settings | parts | first | {"FlowArn": flow.arn, "Name": flow.name, "Status": flow.status}


def _source_type(flow: Flow) -> str:
    return "ENTITLED" if any("EntitlementArn" in source for source in flow.of(SOURCE)) else "OWNED"


def _arn(request: Request, kind: str, name: str) -> str:
    """Returns the ARN against which the creation of a resource is authorized."""
    return arn_of(request, "mediaconnect", f"{kind}:{_NEW_ID}:{name}")


def _missing(arn: str) -> ServiceError:
    return ServiceError("NotFoundException", f"The resource {arn} does not exist.", 404)
