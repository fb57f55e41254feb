"""JSON Schemas of what crosses the bus, generated from the models."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from latchkey.notices import NOTICES
from latchkey.outcomes import OUTCOMES
from latchkey.requests import ONBOARDING, OnboardingRequest
from latchkey.systems import SYSTEMS

DIALECT = GenerateJsonSchema.schema_dialect


class _Untitled(GenerateJsonSchema):
    """Members carry no titles, which would only repeat their names."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def _schema(model: type[BaseModel], title: str, description: str | None) -> dict[str, Any]:
    generated = model.model_json_schema(schema_generator=_Untitled)
    about = {"$schema": DIALECT, "title": title, "description": description or ""}
    return about | {name: value for name, value in generated.items() if name not in about}


def onboarding_schema(system: str) -> dict[str, Any]:
    """The detail of `Onboarding Requested` as a sender writes it.

    The model leaves to validators what a schema can say as well: that is added here, from the same facts.
    """
    schema = _schema(ONBOARDING[system], f"Onboarding Requested: {system}", OnboardingRequest.__doc__)
    properties, definitions = schema["properties"], schema["$defs"]
    schema["required"].remove("requestId")
    properties["requestId"]["description"] = "The id of the event unless it is given."
    properties["system"] = {"const": system}
    properties["tags"]["additionalProperties"] = False
    definitions["SecretValue"] |= {"minProperties": 1, "maxProperties": 1}
    shape = SYSTEMS[system].secret
    if shape:
        definitions["Generate"]["properties"]["length"] |= {"minimum": shape.minimum, "maximum": shape.maximum}
    return schema


# Whatever Latchkey says on the bus, by detail type.
SAID: dict[str, type[BaseModel]] = {str(name): model for name, model in OUTCOMES.items()} | {**NOTICES}


def outcome_schema(detail_type: str) -> dict[str, Any]:
    """The detail of an event of Latchkey's."""
    model = SAID[detail_type]
    return _schema(model, detail_type, model.__doc__)


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by the name of its file."""
    requests = {f"onboard-{system}": onboarding_schema(system) for system in ONBOARDING}
    outcomes = {detail_type.lower().replace(" ", "-"): outcome_schema(detail_type) for detail_type in SAID}
    return requests | outcomes
