"""The formats of the texts in a request: the pattern of each, and what a text that does not match it is instead.

A rule says what was given in kind, and what to give. It repeats a part of the text only where that part is an ARN, an alias, a
Region or an account in its documented form: any other text can be a token that was put there by mistake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

# Patterns of other kinds of texts with their rules, in which the named groups of the pattern are inserted.
type Kinds = tuple[tuple[str, str], ...]

PARTITION = "(?:aws|aws-cn|aws-us-gov)"
IN_IAM = rf"arn:{PARTITION}:iam::[0-9]{{12}}:"
_ALIAS = "alias/[A-Za-z0-9/_-]{1,250}"
_KEY_ID = "(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_KEY = rf"arn:{PARTITION}:kms:[a-z0-9-]+:[0-9]{{12}}:key/[A-Za-z0-9-]{{1,64}}"
_SECRET = rf"arn:{PARTITION}:secretsmanager:[a-z0-9-]+:[0-9]{{12}}:secret:[A-Za-z0-9/_+=.@-]{{1,512}}"


@dataclass(frozen=True)
class Format:
    """The metadata of a text with a pattern. A text that matches neither it nor one of `kinds` breaks the rule `otherwise`.

    `example` matches the pattern. It is empty if a text must fit other members.
    """

    pattern: str
    example: str
    kinds: Kinds
    otherwise: str

    def describe(self, value: str) -> str:
        """The rule that a text breaks which does not match the pattern."""
        for pattern, rule in self.kinds:
            if matched := re.fullmatch(pattern, value, re.DOTALL):
                return rule.format(**matched.groupdict())
        return self.otherwise

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, core_schema.str_schema(pattern=self.pattern))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | ({"examples": [self.example]} if self.example else {})

    def _check(self, value: object) -> object:
        if isinstance(value, str) and not re.fullmatch(self.pattern, value):
            raise PydanticCustomError("format", "{rule}", {"rule": self.describe(value)})
        return value


def around(what: str) -> Kinds:
    """Texts that are empty or have spaces around them."""
    return (
        (r"\s*", f"is empty: give the {what}"),
        (r"\s.*|.*\s", f"begins or ends with a space or a line break: give the {what} without it"),
    )


def other_arns(service: str, what: str, form: str) -> Kinds:
    """ARNs of other services, of other partitions, and with wildcards."""
    return (
        (r"arn:.*[*?].*", f"has a wildcard: give the complete ARN of each {what}, {form}"),
        (rf"arn:[a-z-]{{1,20}}:(?!{service}:)(?P<service>[a-z0-9-]{{1,40}}):.*", f"is an ARN of {{service}}: give {form}"),
        (
            rf"arn:(?!{PARTITION}:)(?P<partition>[a-z-]{{1,20}}):.*",
            f"is in the partition {{partition}}: give {form}",
        ),
        (r"arn:.*", f"is not a complete ARN of the {what}: give {form}"),
    )


def named(what: str, characters: str, allowed: str, longest: int, *, shortest: int = 1, example: str = "sports") -> Format:
    """The format of a name: `allowed` describes the class of `characters`."""
    kinds = (
        *around(what),
        ("arn:.*", f"is an ARN: give only the {what}"),
        ("https?://.*", f"is a URL: give only the {what}"),
        (f".{{{longest + 1},}}", f"has more than {longest} characters: give the {what} in at most {longest}"),
    )
    otherwise = f"contains characters other than {allowed}: correct the {what}"
    return Format(f"^[{characters}]{{{shortest},{longest}}}$", example, kinds, otherwise)


def identifier(what: str, longest: int) -> Format:
    """The format of the names of most AWS resources."""
    return named(what, "A-Za-z0-9_-", "letters, digits, hyphens and underscores", longest)


_ROLE_FORM = "arn:aws:iam::<account>:role/<name>"


def _principals(what: str) -> Kinds:
    """What people give in the place of the ARN of a principal."""
    in_sts = rf"arn:(?P<partition>{PARTITION}):sts::(?P<account>[0-9]{{12}}):"
    session = rf"{in_sts}assumed-role/(?P<name>[A-Za-z0-9_+=,.@-]{{1,64}})(?:/.*)?"
    role = "arn:{partition}:iam::{account}:role/{name}"
    give = f"give the ARN of the {what}, {_ROLE_FORM}"
    return (
        *around(f"ARN of the {what}"),
        (session, f"is a session of a role: name the role, {role}, with its path if it has one"),
        (rf"{in_sts}federated-user/.*", f"is a session of a federated user: {give}"),
        (rf"{IN_IAM}root|[0-9]{{12}}", f"is a whole account: {give}"),
        (rf"{IN_IAM}user/.*[*?].*", f"has a wildcard: {give}"),
        (rf"{IN_IAM}user/.*", "is an IAM user, whose access keys do not expire: name a role, which the user can assume"),
        (rf"{IN_IAM}group/.*", f"is an IAM group, which no policy of a resource can name: {give}"),
        (rf"{IN_IAM}instance-profile/.*", f"is an instance profile: {give}, of the role in it"),
        (rf"{IN_IAM}(?:oidc|saml)-provider/.*", f"is an identity provider: {give}"),
        (rf"{IN_IAM}policy/.*", f"is a policy: {give}"),
        (r"\*", f"is everybody: {give}"),
        (r"[a-z0-9.-]+\.amazonaws\.com(?:\.cn)?", f"is a service: {give}"),
        (r"(?:AIDA|AROA)[A-Z0-9]{12,}", f"is a unique ID: {give}"),
        (r"(?:AKIA|ASIA)[A-Z0-9]{12,}", f"is the ID of an access key: {give}"),
        *other_arns("iam", what, _ROLE_FORM),
        (r"(?:role/|user/)?[A-Za-z0-9_+=,.@/-]{1,512}", f"is a name, not an ARN: {give}"),
    )


_NO_PRINCIPAL = f"is not an ARN: give one in the form {_ROLE_FORM}"
_PATH = "[A-Za-z0-9_+=,.@/-]{1,512}"
ROLE = Format(f"^{IN_IAM}role/{_PATH}$", "arn:aws:iam::111122223333:role/Origin", _principals("role"), _NO_PRINCIPAL)
PRINCIPAL = Format(
    f"^{IN_IAM}(role|user)/{_PATH}$",
    "arn:aws:iam::111122223333:role/KeyAdministrators",
    _principals("role or user"),
    _NO_PRINCIPAL,
)

_KEY_FORM = "arn:aws:kms:<Region>:<account>:key/<key ID>"
_GIVE_KEY = f"give the ARN of the key, {_KEY_FORM}"
KEY = Format(
    f"^{_KEY}$",
    "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    (
        *around("ARN of the key"),
        (
            rf"(?:arn:{PARTITION}:kms:[a-z0-9-]+:[0-9]{{12}}:)?(?P<alias>{_ALIAS})",
            f"is an alias: set key.alias to {{alias}} and leave out key.arn, or {_GIVE_KEY}",
        ),
        (f"(?:key/)?{_KEY_ID}", f"is a key ID: {_GIVE_KEY}"),
        *other_arns("kms", "key", _KEY_FORM),
    ),
    f"is not an ARN: {_GIVE_KEY}",
)
ALIAS = Format(
    f"^{_ALIAS}$",
    "alias/latchkey/sports",
    (
        *around("name of the alias"),
        (
            rf"arn:{PARTITION}:kms:[a-z0-9-]+:[0-9]{{12}}:(?P<alias>{_ALIAS})",
            "is the ARN of an alias: give only its name, {alias}",
        ),
        (_KEY, "is the ARN of a key: set key.arn to it, and leave out key.alias"),
        (f"(?:key/)?{_KEY_ID}", "is a key ID: set key.arn to the ARN of the key, and leave out key.alias"),
        ("arn:.*", "is an ARN: give the name of an alias, which begins with alias/"),
        ("(?!alias/).*", "does not begin with alias/: put alias/ before the name"),
        (".{257,}", "has more than 256 characters: choose a shorter alias"),
    ),
    "contains characters other than letters, digits, slashes, underscores and hyphens after alias/: choose another alias",
)

_SECRET_FORM = "arn:aws:secretsmanager:<Region>:<account>:secret:<name>-<6 characters>"
_GIVE_SECRET = f"give the complete ARN, which DescribeSecret returns, {_SECRET_FORM}"
SECRET = Format(
    f"^{_SECRET}-[A-Za-z0-9]{{6}}$",
    "arn:aws:secretsmanager:us-east-1:111122223333:secret:sports/token-AbCdEf",
    (
        *around("ARN of the secret"),
        (rf"arn:{PARTITION}:ssm:.*", f"is a parameter of Systems Manager: store its value in a secret, and {_GIVE_SECRET}"),
        (
            rf"{_SECRET}-[A-Za-z0-9]{{6}}:.*",
            "has a JSON key at its end: give only the ARN, and the key in copyFrom.key",
        ),
        (_SECRET, f"lacks the hyphen and the six characters at its end: {_GIVE_SECRET}"),
        *other_arns("secretsmanager", "secret", _SECRET_FORM),
    ),
    f"is not an ARN: {_GIVE_SECRET}",
)

REGION = Format(
    "^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$",
    "us-east-1",
    (
        *around("code of the Region"),
        ("(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2})[a-z]", "is an Availability Zone: give its Region, {region}"),
    ),
    "is not the code of a Region: give it as AWS writes it, for example us-east-1",
)

_GIVE_ACCESS_ID = "give the accessId that the outcome Access Handed Off contains"
ACCESS_ID = Format(
    "^[A-Za-z0-9 ._/=-]{1,1024}$",
    "system/kind/name",
    (*around("accessId"), ("arn:.*", f"is an ARN: {_GIVE_ACCESS_ID}")),
    f"is not an access ID, <system>/<kind>/<name>: {_GIVE_ACCESS_ID}",
)

_GIVE_HASH = "give the planHash that the outcome Access Planned contains"
PLAN_HASH = Format(
    "^[0-9a-f]{64}$",
    64 * "0",
    (*around("planHash"), (".{65,}", f"has more than 64 characters: {_GIVE_HASH}")),
    f"is not a hash of 64 lowercase hexadecimal digits: {_GIVE_HASH}",
)

_GIVE_HEADER = "give only the name of the header"
HEADER = Format(
    "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$",
    "X-Origin-Token",
    (
        *around("name of the header"),
        (".*:.*", f"has a colon: {_GIVE_HEADER}, and never its value"),
        (".{257,}", f"has more than 256 characters: {_GIVE_HEADER}"),
    ),
    f"has a character that no name of an HTTP header has, such as a space: {_GIVE_HEADER}",
)
