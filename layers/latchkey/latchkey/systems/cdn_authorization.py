"""CDN authorization of MediaPackage v1, live and VOD: one secret and one role on the resource, by the same rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from latchkey.aws.errors import status_of
from latchkey.systems.readers import AssumedRole
from latchkey.systems.system import Configuration, Configured, Handoff, Reading, Resource, SecretShape
from latchkey.systems.token_formats import UUID

HEADER = "X-MediaPackage-CDNIdentifier"

# One form for live and VOD: {"MediaPackageCDNIdentifier": "..."}, 8 to 128 characters, a random UUID advised.
# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html
SHAPE = SecretShape(8, 128, member="MediaPackageCDNIdentifier", format=UUID)

# The guide also names ListSecrets, which takes no single secret and so would have no effect here; and it leaves out
# kms:Decrypt, which a customer managed key needs.
# https://docs.aws.amazon.com/mediapackage/latest/ug/setting-up-create-trust-rel-policy-cdn.html
READER = AssumedRole(
    service="mediapackage",
    secret_actions=("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:ListSecretVersionIds"),
    regional=True,
)

# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-rotate.html
EFFECT_DELAY_SECONDS = 600


class CdnAuthorization(Configuration):
    """Resources whose `Authorization` names secret and role.

    An update is taken to replace the whole, so all that it takes is sent, as its model in botocore says.
    """

    our_settings = frozenset(["Authorization"])
    role_not_ready_errors = frozenset(["UnprocessableEntityException"])
    # The method that describes one by its id, and the one that sets it.
    describe: ClassVar[str]
    set: ClassVar[str]

    def wanted(self, _resource: Resource, reading: Reading) -> dict[str, str]:
        return {"secretArn": reading.secret_arn, "roleArn": reading.role_arn or ""}

    def read(self, client: Any, resource: Resource) -> Configured | None:
        try:
            found: dict[str, Any] = getattr(client, self.describe)(Id=resource.name)
        except ClientError as error:
            if status_of(error) == 404:
                return None
            raise
        update = client.meta.method_to_api_mapping[self.set]
        kept: dict[str, Any] = _taken(client.meta.service_model.operation_model(update).input_shape, found)
        named, present = {"Id": kept.pop("Id")}, kept.pop("Authorization", {})
        whole = named | kept | ({"Authorization": present} if present else {})
        secret, role = present.get("CdnIdentifierSecret"), present.get("SecretsRoleArn")
        settings = {"secretArn": secret or "", "roleArn": role or ""}
        return Configured(found["Arn"], settings, secret, kept, whole, found.get("Tags") or {})

    def update(self, client: Any, resource: Resource, reading: Reading, present: Configured) -> None:
        getattr(client, self.set)(Id=resource.name, Authorization=authorization(reading), **present.other_settings)

    def restore(self, client: Any, whole: Mapping[str, Any]) -> None:
        getattr(client, self.set)(**whole)


def _taken(shape: Any, value: Any) -> Any:
    """What of an answer a call takes back: a description also tells what nobody sets, such as the URLs of manifests."""
    if shape.type_name == "structure":
        return {name: _taken(shape.members[name], told) for name, told in value.items() if name in shape.members}
    return [_taken(shape.member, told) for told in value] if shape.type_name == "list" else value


def authorization(reading: Reading) -> dict[str, str]:
    return {"CdnIdentifierSecret": reading.secret_arn, "SecretsRoleArn": reading.role_arn or ""}


def handoff(type_name: str, resource: Resource, reading: Reading | None) -> Handoff:
    """What is left where a template owns the resource."""
    values = authorization(reading or Reading(""))
    return Handoff(
        values={"Id": resource.name, **values},
        steps=(
            f"Set Authorization of {resource.kind} {resource.name} to these; whoever does so needs iam:PassRole for the role.",
            f"Let the CDN send the secret's value in the header {HEADER} first: a CDN without it is refused from then on.",
        ),
        cloudFormation={"Resource": {"Type": type_name, "Properties": {"Id": resource.name, "Authorization": values}}},
    )
