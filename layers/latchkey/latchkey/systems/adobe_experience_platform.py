"""Adobe Experience Platform on AWS: a customer managed key that encrypts the data of an instance; no secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_pascal
from pydantic_core import PydanticCustomError

from latchkey.formats import IN_IAM, PARTITION, REGION, Format, identifier, named
from latchkey.place import Place
from latchkey.systems.readers import PartnerAccess, PartnerPrincipals
from latchkey.systems.system import Handoff, Reading, Resource, System
from latchkey.wire import WireModel

_DOCUMENTS = "https://experienceleague.adobe.com/en/docs/experience-platform/landing/governance-privacy-security/customer-managed-keys/aws"

# The actions that Adobe's statements allow: <_DOCUMENTS>/ui-set-up
ACTIONS = (
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
)


_COPY = "copy the statement from Adobe without changes"
# Without examples: the parts of a statement must fit each other.
_ACCOUNT = Format("^[0-9]{12}$", "", (), f"is not an account ID of 12 digits: {_COPY}")
_ACCOUNT_ROOT = Format(
    f"^{IN_IAM}root$",
    "",
    (
        ("(?P<account>[0-9]{12})", "is an account ID: give arn:aws:iam::{account}:root, as Adobe shows it"),
        (rf"arn:{PARTITION}:(?:iam|sts)::[0-9]{{12}}:[a-z-]+/.*", f"is one principal of an account: {_COPY}"),
        (r"\*", f"is everybody: {_COPY}"),
    ),
    f"is not the ARN of an account, arn:aws:iam::<account>:root: {_COPY}",
)


def _exactly_adobes(actions: tuple[str, ...]) -> tuple[str, ...]:
    if sorted(set(actions)) != [*ACTIONS]:
        raise PydanticCustomError(
            "actions",
            "must be exactly {actions}: copy the statement from Adobe without changes",
            {"actions": ", ".join(ACTIONS)},
        )
    return actions


class _PolicyElement(WireModel):
    """A part of a statement, with member names in the spelling of IAM policies."""

    model_config = ConfigDict(alias_generator=to_pascal)


class PartnerPrincipal(_PolicyElement):
    """The root of one account, without a wildcard."""

    arn: Annotated[str, Field(alias="AWS"), _ACCOUNT_ROOT]


class PartnerAccount(WireModel):
    """The account in the condition."""

    account: Annotated[str, Field(alias="aws:PrincipalAccount"), _ACCOUNT]


class PartnerCondition(_PolicyElement):
    """The only allowed condition: the account of the caller."""

    string_equals: PartnerAccount


class PartnerStatement(_PolicyElement):
    """A statement as Adobe shows it: one account, six actions, and a condition on that account."""

    sid: Annotated[str, named("Sid", "A-Za-z0-9 _-", "letters, digits, spaces, underscores and hyphens", 128, shortest=0)] = ""
    effect: Literal["Allow"]
    principal: PartnerPrincipal
    action: Annotated[tuple[str, ...], Field(strict=False, max_length=20), AfterValidator(_exactly_adobes)]
    resource: Literal["*"]
    condition: PartnerCondition

    @model_validator(mode="before")
    @classmethod
    def _is_a_partners(cls, value: object) -> object:
        """Rejects the statement of the own account, which the wizard of Adobe shows with those of the partner."""
        if isinstance(value, Mapping) and value.get("Action") in ("kms:*", ["kms:*"]) and "Condition" not in value:
            raise PydanticCustomError("own", "is the statement of your own account: remove it, because Latchkey writes it")
        return value

    @model_validator(mode="after")
    def _condition_is_on_the_principal(self) -> Self:
        if self.condition.string_equals.account != self.account:
            raise PydanticCustomError(
                "condition",
                "must contain the same account in Principal and Condition: copy the statement from Adobe without changes",
            )
        return self

    @property
    def account(self) -> str:
        return self.principal.arn.split(":")[4]


def _one_each(statements: tuple[PartnerStatement, ...]) -> tuple[PartnerStatement, ...]:
    if len({statement.account for statement in statements}) != len(statements):
        raise PydanticCustomError("accounts", "must contain each account once: remove the repeated statements")
    return statements


def _only_statements(value: object) -> object:
    if isinstance(value, Mapping) and "Statement" in value:
        raise PydanticCustomError("policy", "is a whole policy: give only the list in its member Statement")
    if isinstance(value, Mapping):
        raise PydanticCustomError("policy", "is one statement: put it in a list")
    return value


class Instance(Resource):
    """An instance of Adobe Experience Platform. Set `instance` if you have more than one instance in a Region.

    Copy `partnerStatements` from the encryption configuration page of the instance.
    """

    kind: ClassVar[str] = "instance"

    instance: Annotated[str, identifier("name of the instance", 64)] | None = None
    instance_region: Annotated[str, REGION]
    partner_statements: Annotated[
        tuple[PartnerStatement, ...],
        Field(strict=False, min_length=1, max_length=20),
        AfterValidator(_one_each),
        BeforeValidator(_only_statements),
    ]
    # No API sets the key of an instance: a person sets it in the user interface.
    configure: Literal[False] = False

    @property
    def name(self) -> str:
        return self.instance or self.instance_region

    @property
    def partners(self) -> tuple[PartnerAccess, ...]:
        return tuple(PartnerAccess(statement.principal.arn, statement.action) for statement in self.partner_statements)

    def wrong_location(self, place: Place) -> dict[str, str]:
        """The Region of the instance must be the Region of the key, because Adobe cannot use keys of other Regions."""
        if self.instance_region == place.region:
            return {}
        return {"instanceRegion": f"must be {place.region}, the Region of this stack: use the stack in the instance's Region"}


def _handoff(resource: Instance, _reading: Reading | None, key_arn: str, _place: Place) -> Handoff:
    return Handoff(
        values={"KMS key ARN": key_arn, "Region": resource.instance_region},
        steps=(
            "In Adobe Experience Platform, open Administration, Encryption, and choose Configure under Customer Managed Keys.",
            "Enter a configuration name and the KMS key ARN, and save. This is permanent: without the key, the data is lost.",
            "Wait until the status of the configuration is enabled, usually within 24 hours.",
            "Send the event Handoff Confirmed with this accessId to the request bus.",
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
