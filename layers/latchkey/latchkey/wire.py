"""The base of all models that leave or enter a function, and the formats of ARNs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    """A frozen model with camelCase member names. Wrong types and unknown members are errors; nothing is converted."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)


_PARTITION = "(aws|aws-cn|aws-us-gov)"
SecretArn = Annotated[
    str,
    StringConstraints(
        pattern=rf"^arn:{_PARTITION}:secretsmanager:[a-z0-9-]+:[0-9]{{12}}:secret:[A-Za-z0-9/_+=.@-]{{1,512}}-[A-Za-z0-9]{{6}}$"
    ),
]
KeyArn = Annotated[str, StringConstraints(pattern=rf"^arn:{_PARTITION}:kms:[a-z0-9-]+:[0-9]{{12}}:key/[A-Za-z0-9-]{{1,64}}$")]
RoleArn = Annotated[str, StringConstraints(pattern=rf"^arn:{_PARTITION}:iam::[0-9]{{12}}:role/[A-Za-z0-9_+=,.@/-]{{1,512}}$")]
PrincipalArn = Annotated[
    str, StringConstraints(pattern=rf"^arn:{_PARTITION}:iam::[0-9]{{12}}:(role|user)/[A-Za-z0-9_+=,.@/-]{{1,512}}$")
]
JsonKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
