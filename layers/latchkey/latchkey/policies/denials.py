"""Which statements certainly deny a call: decided only from condition keys whose values are known before the call is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from latchkey.policies.canonical import value_text
from latchkey.policies.document import Document, Statement, by_kind, label, listed, statements_of

# The values that a condition key can have in a call. None: the key is absent.
type Values = tuple[str | None, ...]
# Some value that no policy of a customer names, such as the account of an AWS service.
OTHER = "(another value)"
_WILDCARDS = {"*": ".*", "?": "."}
_SET_OPERATORS = ("forallvalues:", "foranyvalue:")


@dataclass(frozen=True)
class Caller:
    """The principal of a call, and the condition keys of the call that are known.

    `arn` is the ARN of a role or user, or `service` the name of a service principal. `keys` are the possible values of each
    known key, with its name in lower case; any other key is unknown. A `bounded` role has a permissions boundary.
    """

    arn: str | None = None
    service: str | None = None
    keys: Mapping[str, Values] = field(default_factory=dict)
    bounded: bool = False

    @property
    def name(self) -> str:
        """The ARN of the role or the name of the service."""
        return self.arn or self.service or ""

    def with_keys(self, keys: Mapping[str, Values]) -> Caller:
        """The same principal in a call that has these keys too."""
        return replace(self, keys={**self.keys, **keys})


def denials(document: Document | None, caller: Caller, action: str, resource: str) -> list[str]:
    """The statements that deny the call whatever the unknown condition keys are, by Sid or position."""
    return [
        label(statement, at)
        for at, statement in enumerate(statements_of(document or {}))
        if statement.get("Effect") == "Deny"
        and _covers(statement, "Action", action.lower())
        and _covers(statement, "Resource", resource)
        and _names(statement, caller)
        and _is_met(statement.get("Condition") or {}, caller.keys)
    ]


def _covers(statement: Statement, member: str, value: str) -> bool:
    """Whether the element, or its negation, covers a value. A pattern with a policy variable is undecided, so it never does."""
    patterns = [str(pattern) for pattern in listed(statement.get(f"Not{member}", statement.get(member)))]
    if any("${" in pattern for pattern in patterns):
        return False
    matched = any(is_like(value, pattern.lower() if member == "Action" else pattern) for pattern in patterns)
    return matched != (f"Not{member}" in statement)


def _names(statement: Statement, caller: Caller) -> bool:
    """Whether the Principal element names the caller, or NotPrincipal does not spare it."""
    spared = "NotPrincipal" in statement
    named = by_kind(statement["NotPrincipal"] if spared else statement.get("Principal", {}))
    if caller.arn is None:
        is_named = caller.service in listed(named.get("Service")) or any("*" in listed(names) for names in named.values())
        return is_named != spared
    # A Deny with NotPrincipal denies every principal that has a permissions boundary, whatever its values are:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
    if spared and caller.bounded:
        return True
    account = caller.arn.split(":")[4]
    same = {"*", account, caller.arn, f"{caller.arn.rpartition(':')[0]}:root"}
    is_named = bool(same & {str(name) for name in listed(named.get("AWS"))})
    return is_named != spared


def _is_met(condition: Mapping[str, Mapping[str, Any]], keys: Mapping[str, Values]) -> bool:
    """Whether a condition is met by every possible value of its keys. One with an unknown key is not."""
    return all(
        bool(possible := keys.get(key.lower(), ())) and all(_holds(operator, value, expected) for value in possible)
        for operator, block in condition.items()
        for key, expected in block.items()
    )


def _holds(operator: str, value: str | None, expected: Any) -> bool:
    """Whether one operator holds; false for operators that are not decided here, such as those for dates.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    wanted = [value_text(item) for item in listed(expected)]
    name = operator.lower()
    if name == "null":
        return wanted == [str(value is None).lower()]
    base = name.removesuffix("ifexists")
    quantifier = next((prefix for prefix in _SET_OPERATORS if base.startswith(prefix)), "")
    base = base.removeprefix(quantifier)
    negated = "not" in base
    if value is None:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
        return name.endswith("ifexists") or quantifier == "forallvalues:" or (negated and not quantifier)
    compare = _COMPARISONS.get(base.replace("not", "", 1) if negated else base)
    if compare is None or any("${" in item for item in wanted):
        return False
    return any(compare(value, item) for item in wanted) != negated


def is_like(value: str, pattern: str) -> bool:
    """Whether a text matches a pattern in which `*` is any text and `?` any character."""
    expression = "".join(_WILDCARDS.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _is_arn_like(value: str, pattern: str) -> bool:
    """Whether an ARN matches a pattern. Each of its six parts is compared on its own."""
    parts, patterns = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) and all(map(is_like, parts, patterns))


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "arnequals": _is_arn_like,
    "arnlike": _is_arn_like,
    "bool": lambda value, wanted: value.lower() == wanted.lower(),
    "stringequals": lambda value, wanted: value == wanted,
    "stringequalsignorecase": lambda value, wanted: value.lower() == wanted.lower(),
    "stringlike": is_like,
}


def of_role(arn: str, region: str, *, bounded: bool = False) -> Caller:
    """A session of a role in a direct call that comes from no VPC endpoint, as those of our functions do.

    Whether `aws:MultiFactorAuthPresent` is absent or false in such a session is not documented.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    account = arn.split(":")[4]
    known: dict[str, Values] = {
        "aws:multifactorauthpresent": (None, "false"),
        "aws:principalaccount": (account,),
        "aws:principalarn": (arn,),
        "aws:principalisawsservice": ("false",),
        "aws:principaltype": ("AssumedRole",),
        "kms:calleraccount": (account,),
    }
    absent = _absent("aws:principalservicename", "aws:principalservicenameslist", "aws:sourceaccount", "aws:sourcearn")
    return Caller(arn=arn, keys={**_direct(region), **_absent(*_NETWORK), **absent, **known}, bounded=bounded)


def of_service(service: str, region: str) -> Caller:
    """A service principal that calls for itself. It has no ARN and no organization, and its account is not the customer's.

    It is not documented whether `aws:PrincipalServiceName` has the Region.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalisawsservice
    """
    host, _, domain = service.partition(".")
    known: dict[str, Values] = {
        "aws:principalaccount": (None, OTHER),
        "aws:principalisawsservice": ("true",),
        "aws:principalservicename": (service, f"{host}.{region}.{domain}"),
    }
    absent = _absent("aws:multifactorauthpresent", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths")
    return Caller(service=service, keys={**_direct(region), **_of_aws(), **absent, **known})


def of_principal(arn: str) -> Caller:
    """A role or user of a person or another application: nothing is known of the network of its calls."""
    account = arn.split(":")[4]
    known: dict[str, Values] = {
        "aws:principalaccount": (account,),
        "aws:principalarn": (arn,),
        "aws:principalisawsservice": ("false",),
        "kms:calleraccount": (account,),
    }
    return Caller(arn=arn, keys={**_absent("aws:principalservicename", "aws:principalservicenameslist"), **known})


def run_by_service(role: Caller) -> Caller:
    """The calls of a role that a media service assumes: they come from the network of AWS, perhaps from its own endpoints."""
    return role.with_keys(_of_aws())


def through(caller: Caller, via_service: str) -> Caller:
    """The call that a service makes on behalf of the caller, such as that of Secrets Manager to KMS.

    It is not documented whether such a call counts as one of an AWS service, and from which network it comes.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_forward_access_sessions.html
    """
    kept = {key: values for key, values in caller.keys.items() if key not in _UNDECIDED_THROUGH_SERVICES}
    known: dict[str, Values] = {"aws:viaawsservice": ("true",), "kms:viaservice": (via_service,)}
    return replace(caller, keys={**kept, **known})


_CALLED_VIA = ("aws:calledvia", "aws:calledviafirst", "aws:calledvialast")
_NETWORK = ("aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip")
_UNDECIDED_THROUGH_SERVICES = frozenset(
    [*_CALLED_VIA, *_NETWORK, "aws:principalisawsservice", "aws:principalservicename", "aws:sourceaccount", "aws:sourcearn"]
)


def _direct(region: str) -> dict[str, Values]:
    """What is known of a call that no service makes for somebody else."""
    known: dict[str, Values] = {
        "aws:requestedregion": (region,),
        "aws:securetransport": ("true",),
        "aws:viaawsservice": ("false",),
    }
    return {**known, **_absent(*_CALLED_VIA, "kms:viaservice")}


def _of_aws() -> dict[str, Values]:
    """The network that a call of a service comes from, which is none of the customer."""
    return dict.fromkeys(_NETWORK, (None, OTHER))


def _absent(*keys: str) -> dict[str, Values]:
    return dict.fromkeys(keys, (None,))
