"""JSON Schemas of the requests and outcomes, generated from the models."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from latchkey.events.cleanup import NOTICES
from latchkey.events.outcomes import OUTCOMES
from latchkey.requests.lifecycle import ASKED_REQUESTS, KINDS, HandoffConfirmed
from latchkey.requests.models import OnboardingRequest
from latchkey.requests.parsing import ONBOARDING
from latchkey.systems import SYSTEMS
from latchkey.systems.adobe_experience_platform import ACTIONS
from latchkey.systems.mediaconnect import DIGITS
from latchkey.systems.system import System
from tests.contract.artifacts import ROOT
from tests.contract.sample_requests import ONBOARDINGS

FOLDER = ROOT / "events/schemas"

Schema = dict[str, Any]


class _WithoutTitles(GenerateJsonSchema):
    """Omits the titles of members, which only repeat the names."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def _schema(model: type[BaseModel], title: str, description: str | None) -> Schema:
    generated = model.model_json_schema(schema_generator=_WithoutTitles)
    header = {"$schema": GenerateJsonSchema.schema_dialect, "title": title, "description": description or ""}
    return header | {name: value for name, value in generated.items() if name not in header}


def _with_optional_id(schema: Schema) -> Schema:
    """Makes `requestId` optional: `receive_request` sets it from the id of the event."""
    schema["required"].remove("requestId")
    schema["properties"]["requestId"]["description"] = "Identifies the request. By default, the id of the event."
    return schema


def onboarding_schema(system: str) -> Schema:
    """The schema of the detail of `Onboarding Requested` for one system.

    Adds the rules that the model enforces in validators and that JSON Schema can express.
    """
    schema = _with_optional_id(_schema(ONBOARDING[system], f"Onboarding Requested: {system}", OnboardingRequest.__doc__))
    schema["properties"]["system"] = {"const": system}
    schema["properties"]["tags"]["additionalProperties"] = False
    schema["$defs"]["SecretValue"] |= {"minProperties": 1, "maxProperties": 1}
    if not SYSTEMS[system].reader.knows_managers:
        schema["properties"]["managementRoles"]["maxItems"] = 0
    _RULES.get(system, _add_secret_length)(schema, SYSTEMS[system])
    return schema


def _add_secret_length(schema: Schema, system: System) -> None:
    """Adds the length of a generated value, which is the same for every resource of the system."""
    assert system.secret
    resource = next(detail["resource"] for detail in ONBOARDINGS.values() if detail["system"] == system.name)
    low, high = system.secret(system.resource.model_validate(resource)).generated
    schema["$defs"]["Generate"]["properties"]["length"] |= {"minimum": low, "maximum": high}


def _add_mediaconnect_rules(schema: Schema, system: System) -> None:
    """Requires exactly one part of the flow, an algorithm for static keys only, and the length for the type of key."""
    part = schema["$defs"][system.resource.__name__]
    schema["$defs"]["Generate"]["properties"]["length"] |= {"minimum": 10, "maximum": 79}
    part["oneOf"] = [_has(name, {"type": "string"}) for name in ("source", "output", "entitlement")]
    password = _has("keyType", {"const": "srt-password"})
    part |= {
        "if": password,
        "then": {"not": {"anyOf": [_has(name, {"type": "string"}) for name in ("algorithm", "entitlement")]}},
        "else": _has("algorithm", {"type": "string"}),
    }
    schema["allOf"] = [_length_for(algorithm, digits) for algorithm, digits in DIGITS.items()]


def _length_for(algorithm: str, digits: int) -> Schema:
    """If the resource uses `algorithm`, a generated value has exactly `digits` characters."""
    length: Schema = {"minimum": digits, "maximum": digits}
    for member in ("length", "generate", "value", "secret"):
        length = {"properties": {member: length}}
    return {"if": _has("resource", _has("algorithm", {"const": algorithm})), "then": length}


def _has(member: str, schema: Schema) -> Schema:
    """Matches an object whose member exists and matches `schema`."""
    return {"properties": {member: schema}, "required": [member]}


def _add_partner_rules(schema: Schema, _: System) -> None:
    """Removes the secret, and requires exactly the actions that the partner documents in each statement."""
    del schema["properties"]["secret"]
    for unused in ("SecretRequest", "SecretValue", "Generate", "CopyFrom", "Existing"):
        del schema["$defs"][unused]
    actions = schema["$defs"]["PartnerStatement"]["properties"]["Action"]
    actions["items"] = {"enum": [*ACTIONS]}
    actions["allOf"] = [{"contains": {"const": action}} for action in ACTIONS]


_RULES: dict[str, Callable[[Schema, System], None]] = {
    "adobe-experience-platform": _add_partner_rules,
    "mediaconnect": _add_mediaconnect_rules,
}


def confirmation_schema() -> Schema:
    """The schema of the detail of `Handoff Confirmed`."""
    return _with_optional_id(_schema(HandoffConfirmed, "Handoff Confirmed", HandoffConfirmed.__doc__))


# The model of every event that Latchkey publishes, by detail type.
PUBLISHED: dict[str, type[BaseModel]] = {str(name): model for name, model in OUTCOMES.items()} | {**NOTICES}


def event_schema(detail_type: str) -> Schema:
    """The schema of the detail of an event that Latchkey publishes."""
    model = PUBLISHED[detail_type]
    return _schema(model, detail_type, model.__doc__)


def schemas() -> dict[str, Schema]:
    """All schemas, by the names of their files without extension."""
    requests = {f"onboard-{system}": onboarding_schema(system) for system in ONBOARDING}
    events = {detail_type.lower().replace(" ", "-"): event_schema(detail_type) for detail_type in PUBLISHED}
    return requests | {"handoff-confirmed": confirmation_schema()} | _asked_requests() | events


def _asked_requests() -> dict[str, Schema]:
    """The schemas of the other requests that the stack accepts."""
    accepted = {kind: model for kind, model in ASKED_REQUESTS.items() if kind in KINDS}
    return {
        kind.lower().replace(" ", "-"): _with_optional_id(_schema(model, kind, model.__doc__))
        for kind, model in accepted.items()
    }


def validator(name: str) -> jsonschema.Draft202012Validator:
    """A validator for the schema file `name` in events/schemas."""
    return jsonschema.Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text()))
