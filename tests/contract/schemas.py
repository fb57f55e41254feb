"""JSON Schemas of what crosses the bus, generated from the models."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from latchkey.events.cleanup import NOTICES
from latchkey.events.outcomes import OUTCOMES
from latchkey.requests.models import HandoffConfirmed, OnboardingRequest
from latchkey.requests.parsing import ONBOARDING
from latchkey.systems import SYSTEMS
from latchkey.systems.adobe_experience_platform import ACTIONS
from latchkey.systems.mediaconnect import DIGITS
from latchkey.systems.system import System
from tests.contract.sent import ONBOARDINGS

DIALECT = GenerateJsonSchema.schema_dialect

Schema = dict[str, Any]


class _Untitled(GenerateJsonSchema):
    """Members carry no titles, which would only repeat their names."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def _schema(model: type[BaseModel], title: str, description: str | None) -> Schema:
    generated = model.model_json_schema(schema_generator=_Untitled)
    about = {"$schema": DIALECT, "title": title, "description": description or ""}
    return about | {name: value for name, value in generated.items() if name not in about}


def _default_id(schema: Schema) -> Schema:
    schema["required"].remove("requestId")
    schema["properties"]["requestId"]["description"] = "The id of the event unless it is given."
    return schema


def onboarding_schema(system: str) -> Schema:
    """The detail of `Onboarding Requested` as a sender writes it.

    The model leaves to validators what a schema can say as well: that is added here, from the same facts.
    """
    schema = _default_id(_schema(ONBOARDING[system], f"Onboarding Requested: {system}", OnboardingRequest.__doc__))
    schema["properties"]["system"] = {"const": system}
    schema["properties"]["tags"]["additionalProperties"] = False
    schema["$defs"]["SecretValue"] |= {"minProperties": 1, "maxProperties": 1}
    if not SYSTEMS[system].reader.knows_managers:
        schema["properties"]["managementRoles"]["maxItems"] = 0
    _RULES.get(system, _one_shape)(schema, SYSTEMS[system])
    return schema


def _one_shape(schema: Schema, system: System) -> None:
    """A system whose secrets have one shape, whatever the resource."""
    assert system.secret
    resource = next(detail["resource"] for detail in ONBOARDINGS.values() if detail["system"] == system.name)
    low, high = system.secret(system.resource.model_validate(resource)).generated
    schema["$defs"]["Generate"]["properties"]["length"] |= {"minimum": low, "maximum": high}


def _of_flow_part(schema: Schema, system: System) -> None:
    """The kind of key decides the length; one part is named, and an algorithm beside a static key alone."""
    part = schema["$defs"][system.resource.__name__]
    schema["$defs"]["Generate"]["properties"]["length"] |= {"minimum": 10, "maximum": 80}
    part["oneOf"] = [_given(name, {"type": "string"}) for name in ("source", "output", "entitlement")]
    password = _given("keyType", {"const": "srt-password"})
    part |= {
        "if": password,
        "then": {"not": {"anyOf": [_given(name, {"type": "string"}) for name in ("algorithm", "entitlement")]}},
        "else": _given("algorithm", {"type": "string"}),
    }
    schema["allOf"] = [_length_with(algorithm, digits) for algorithm, digits in DIGITS.items()]


def _length_with(algorithm: str, digits: int) -> Schema:
    length: Schema = {"minimum": digits, "maximum": digits}
    for member in ("length", "generate", "value", "secret"):
        length = {"properties": {member: length}}
    return {"if": _given("resource", _given("algorithm", {"const": algorithm})), "then": length}


def _given(member: str, is_so: Schema) -> Schema:
    return {"properties": {member: is_so}, "required": [member]}


def _of_partner(schema: Schema, _: System) -> None:
    """No secret, and in each statement the actions of the partner's page."""
    del schema["properties"]["secret"]
    for unused in ("SecretRequest", "SecretValue", "Generate", "CopyFrom", "Existing"):
        del schema["$defs"][unused]
    actions = schema["$defs"]["PartnerStatement"]["properties"]["Action"]
    actions["items"] = {"enum": [*ACTIONS]}
    actions["allOf"] = [{"contains": {"const": action}} for action in ACTIONS]


_RULES: dict[str, Callable[[Schema, System], None]] = {
    "adobe-experience-platform": _of_partner,
    "mediaconnect": _of_flow_part,
}


def confirmation_schema() -> Schema:
    """The detail of `Handoff Confirmed` as a sender writes it."""
    return _default_id(_schema(HandoffConfirmed, "Handoff Confirmed", HandoffConfirmed.__doc__))


# Whatever Latchkey says on the bus, by detail type.
SAID: dict[str, type[BaseModel]] = {str(name): model for name, model in OUTCOMES.items()} | {**NOTICES}


def outcome_schema(detail_type: str) -> Schema:
    """The detail of an event of Latchkey's."""
    model = SAID[detail_type]
    return _schema(model, detail_type, model.__doc__)


def schemas() -> dict[str, Schema]:
    """Every schema by the name of its file."""
    requests = {f"onboard-{system}": onboarding_schema(system) for system in ONBOARDING}
    outcomes = {detail_type.lower().replace(" ", "-"): outcome_schema(detail_type) for detail_type in SAID}
    return requests | {"handoff-confirmed": confirmation_schema()} | outcomes
