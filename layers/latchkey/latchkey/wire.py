"""The base of all models that leave or enter a function, and the formats of ARNs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from latchkey import formats


class WireModel(BaseModel):
    """A frozen model with camelCase member names. Wrong types and unknown members are errors; nothing is converted."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)


SecretArn = Annotated[str, formats.SECRET]
KeyArn = Annotated[str, formats.KEY]
RoleArn = Annotated[str, formats.ROLE]
PrincipalArn = Annotated[str, formats.PRINCIPAL]
JsonKey = Annotated[
    str, formats.named("name of the JSON member", "A-Za-z0-9._-", "letters, digits, dots, underscores and hyphens", 128)
]
