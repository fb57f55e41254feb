"""CDN authorization of MediaPackage v1, shared by live origin endpoints and VOD packaging groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from latchkey.aws.errors import status_of
from latchkey.aws.pages import read_pages
from latchkey.systems.readers import AssumedRole
from latchkey.systems.shapes import accepted
from latchkey.systems.system import Configuration, Configured, Counterpart, Handoff, Reading, Resource, Rotation, SecretShape
from latchkey.systems.token_formats import UUID

HEADER = "X-MediaPackage-CDNIdentifier"

# Live and VOD use the same value: {"MediaPackageCDNIdentifier": "..."}, 8 to 128 characters; a random UUID is recommended.
# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html
SHAPE = SecretShape(8, 128, member="MediaPackageCDNIdentifier", format=UUID)

# The guide also lists ListSecrets, which cannot be limited to one secret and would have no effect here. It does not list
# kms:Decrypt, which a customer managed key requires.
# https://docs.aws.amazon.com/mediapackage/latest/ug/setting-up-create-trust-rel-policy-cdn.html
READER = AssumedRole(
    service="mediapackage",
    secret_actions=("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:ListSecretVersionIds"),
    regional=True,
)

# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-rotate.html
EFFECT_DELAY_SECONDS = 600

# With authorization, a resource answers 403 to every request without the value. Without, it answers 404 to requests with the
# header: https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html
COUNTERPART = Counterpart(
    who=lambda _: "the CDN",
    preparation=lambda resource: (
        f"Prepare the CDN to send the value in the header {HEADER}, and deploy that change when you send the confirmation. "
        f"Until then, {resource.kind} {resource.name} answers 404 to requests with the header; afterwards, it answers 403 to "
        "requests without the value."
    ),
)

# MediaPackage accepts the current value and the one before it, so the CDN switches after the rotation:
# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-rotate.html
ROTATION = Rotation(
    after=lambda resource: (
        f"Configure the CDN to send the new value in the header {HEADER}. {resource.kind} {resource.name} accepts it now."
    ),
    keeps_previous=True,
)

DOCUMENTS = (
    "https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth.html",
    "https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html",
)


class CdnAuthorization(Configuration):
    """Resources whose member `Authorization` contains the secret and the role.

    `describe` and `set` are the client methods that read and update one resource by its ID. `list_all` is the one that returns
    all resources in the member `listed_member`, 1,000 in a page. An update is assumed to replace the whole resource, so it
    contains every member that the botocore model of the operation accepts. No documented call turns the authorization of a
    resource off again.
    """

    our_settings = frozenset(["Authorization"])
    role_not_ready_errors = frozenset(["UnprocessableEntityException"])
    can_be_removed = False
    describe: ClassVar[str]
    set: ClassVar[str]
    list_all: ClassVar[str]
    listed_member: ClassVar[str]
    kind: ClassVar[str]

    def wanted(self, _resource: Resource, reading: Reading) -> dict[str, str]:
        return {"secretArn": reading.secret_arn, "roleArn": reading.role_arn or ""}

    def read(self, client: Any, resource: Resource) -> Configured | None:
        try:
            found: dict[str, Any] = getattr(client, self.describe)(Id=resource.name)
        except ClientError as error:
            if status_of(error) == 404:
                return None
            raise
        return self._configured(client, found)

    def listed(self, client: Any) -> dict[str, Configured]:
        pages = read_pages(getattr(client, self.list_all), MaxResults=1000)
        return {one["Id"]: self._configured(client, one) for page in pages for one in page.get(self.listed_member, [])}

    def _configured(self, client: Any, found: Mapping[str, Any]) -> Configured:
        update = client.meta.method_to_api_mapping[self.set]
        others: dict[str, Any] = accepted(client.meta.service_model.operation_model(update).input_shape, found)
        names, present = {"Id": others.pop("Id")}, others.pop("Authorization", {})
        secret, role = present.get("CdnIdentifierSecret"), present.get("SecretsRoleArn")
        return Configured(
            arn=found["Arn"],
            settings={"secretArn": secret or "", "roleArn": role or ""},
            secret_arn=secret,
            other_settings=others,
            full_settings=names | others | ({"Authorization": present} if present else {}),
            tags=found.get("Tags") or {},
        )

    def discovered(self, client: Any) -> Iterator[dict[str, Any]]:
        for page in read_pages(getattr(client, self.list_all), MaxResults=1000):
            yield from (
                {self.kind: one["Id"]}
                for one in page.get(self.listed_member, [])
                if (one.get("Authorization") or {}).get("CdnIdentifierSecret")
            )

    def update(self, client: Any, resource: Resource, reading: Reading, present: Configured) -> None:
        getattr(client, self.set)(Id=resource.name, Authorization=_authorization(reading), **present.other_settings)

    def steps_without_api(self, resource: Resource) -> tuple[str, ...]:
        named = f"{resource.kind} {resource.name}"
        return (
            f"When you turn the authorization off, remove the header {HEADER} from the CDN: {named} then answers 404 to it.",
            f"Turn off the authorization of {named} in the MediaPackage console, or replace it with a resource that has none.",
        )

    def restore(self, client: Any, full_settings: Mapping[str, Any]) -> None:
        getattr(client, self.set)(**full_settings)


def _authorization(reading: Reading) -> dict[str, str]:
    return {"CdnIdentifierSecret": reading.secret_arn, "SecretsRoleArn": reading.role_arn or ""}


def handoff(type_name: str, resource: Resource, reading: Reading | None) -> Handoff:
    """The values, the steps, and a CloudFormation snippet of this resource type."""
    values = _authorization(reading or Reading(""))
    return Handoff(
        values={"Id": resource.name, **values},
        steps=(
            f"Configure the CDN to send the secret's value in the header {HEADER}. "
            "After the next step, the resource rejects requests without it.",
            f"Set Authorization of {resource.kind} {resource.name} to these values. "
            "The principal that sets it needs iam:PassRole for the role.",
        ),
        cloudFormation={"Resource": {"Type": type_name, "Properties": {"Id": resource.name, "Authorization": values}}},
    )
