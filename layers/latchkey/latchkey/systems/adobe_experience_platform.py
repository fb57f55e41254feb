"""Adobe Experience Platform on AWS: a customer managed key that Adobe's accounts use for an instance's data; no secret."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_pascal
from pydantic_core import PydanticCustomError

from latchkey.place import Place
from latchkey.systems.readers import PartnerAccess, PartnerPrincipals
from latchkey.systems.system import Handoff, Reading, Resource, System
from latchkey.wire import WireModel

_DOCUMENTS = "https://experienceleague.adobe.com/en/docs/experience-platform/landing/governance-privacy-security/customer-managed-keys/aws"

# What Adobe's statements allow, and nothing else: <_DOCUMENTS>/ui-set-up
ACTIONS = (
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
)


def _exactly_adobes(actions: tuple[str, ...]) -> tuple[str, ...]:
    if sorted(set(actions)) != [*ACTIONS]:
        raise PydanticCustomError("actions", "must hold exactly {actions}", {"actions": ", ".join(ACTIONS)})
    return actions


class _Pasted(WireModel):
    """In the spelling of policies."""

    model_config = ConfigDict(alias_generator=to_pascal)


class PartnerPrincipal(_Pasted):
    """One account, whole; no wildcard."""

    arn: Annotated[str, Field(alias="AWS"), StringConstraints(pattern=r"^arn:(aws|aws-cn|aws-us-gov):iam::[0-9]{12}:root$")]


class PartnerAccount(WireModel):
    """The account that the condition names."""

    account: Annotated[str, Field(alias="aws:PrincipalAccount"), StringConstraints(pattern=r"^[0-9]{12}$")]


class PartnerCondition(_Pasted):
    """The one condition, on the account of the caller."""

    string_equals: PartnerAccount


class PartnerStatement(_Pasted):
    """A statement as Adobe's page shows it: one account, six actions, a condition on that account."""

    sid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 _-]{0,128}$")] = ""
    effect: Literal["Allow"]
    principal: PartnerPrincipal
    action: Annotated[tuple[str, ...], Field(strict=False, max_length=20), AfterValidator(_exactly_adobes)]
    resource: Literal["*"]
    condition: PartnerCondition

    @model_validator(mode="after")
    def _condition_is_on_the_principal(self) -> Self:
        if self.condition.string_equals.account != self.account:
            raise PydanticCustomError("condition", "must name the same account in Principal and Condition")
        return self

    @property
    def account(self) -> str:
        return self.principal.arn.split(":")[4]


def _one_each(statements: tuple[PartnerStatement, ...]) -> tuple[PartnerStatement, ...]:
    if len({statement.account for statement in statements}) != len(statements):
        raise PydanticCustomError("accounts", "must name each account once")
    return statements


class Instance(Resource):
    """An instance of Adobe Experience Platform; `instance` tells several in one Region apart.

    `partnerStatements` are copied from the encryption configuration page of the instance, which shows them.
    """

    kind: ClassVar[str] = "instance"

    instance: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    instance_region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$")]
    partner_statements: Annotated[
        tuple[PartnerStatement, ...], Field(strict=False, min_length=1, max_length=20), AfterValidator(_one_each)
    ]
    # There is no call that sets the key of an instance: a person does.
    configure: Literal[False] = False

    @property
    def name(self) -> str:
        return self.instance or self.instance_region

    @property
    def partners(self) -> tuple[PartnerAccess, ...]:
        return tuple(PartnerAccess(statement.principal.arn, statement.action) for statement in self.partner_statements)

    def wrong_location(self, place: Place) -> dict[str, str]:
        """Adobe reaches only keys of its instance's own Region."""
        here = self.instance_region == place.region
        return {} if here else {"instanceRegion": f"must be this stack's Region, {place.region}, in which the key is made"}


def _handoff(resource: Instance, _reading: Reading | None, key_arn: str, _place: Place) -> Handoff:
    return Handoff(
        values={"KMS key ARN": key_arn, "Region": resource.instance_region},
        steps=(
            "In Adobe Experience Platform open Administration, Encryption, Configure under Customer Managed Keys.",
            "Enter a configuration name and the KMS key ARN, and save. This is for good: without the key the data is lost.",
            "Wait until the configuration's status is enabled, usually within 24 hours.",
            "Put an event Handoff Confirmed with this accessId on the request bus.",
        ),
    )


ADOBE_EXPERIENCE_PLATFORM = System(
    name="adobe-experience-platform",
    resource=Instance,
    reader=PartnerPrincipals(),
    secret=None,
    configuration=None,
    handoff=_handoff,
    key_is_exclusive=True,
    documents=(f"{_DOCUMENTS}/configure-kms", f"{_DOCUMENTS}/ui-set-up"),
)
