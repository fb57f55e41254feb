"""Policy documents as pure data: building our statements, merging them beside foreign ones, reading what a document says."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from latchkey.errors import Conflict
from latchkey.settings import Place

Statement = dict[str, Any]
Document = dict[str, Any]

# Statements whose Sid begins so are ours; nothing else in a document is ever touched.
OWN_SID = "Latchkey"
PARTNER_SID = f"{OWN_SID}Partner"
VERSION = "2012-10-17"

# What AWS's console gives key administrators, less kms:Create*, which would include CreateGrant and with it Decrypt.
# https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-administrators
_ADMINISTRATION = [
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
_DELETION = ["kms:CancelKeyDeletion", "kms:ScheduleKeyDeletion"]
_RANDOM_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")
_UNIQUE_ID = re.compile(r"A(ROA|IDA)[A-Z0-9]+")
_USE = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]


def delegation(place: Place) -> Statement:
    """The statement by which IAM policies of the account count for the key; without it only the key policy does.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    return {
        "Sid": "EnableIAMUserPermissions",
        "Effect": "Allow",
        "Principal": {"AWS": place.arn("iam", "root", region="")},
        "Action": "kms:*",
        "Resource": "*",
    }


def creation(creator: str) -> Statement:
    """KMS makes a key only if whoever asks for it could change its policy again, and takes that from IAM or the policy itself.

    Named here, the function that makes keys can do so with those it made and with no other.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html#KMS-CreateKey-request-BypassPolicyLockoutSafetyCheck
    """
    return _allow("Creation", [creator], "kms:PutKeyPolicy")


def administration(principals: Iterable[str]) -> Statement:
    """Key administrators: no cryptographic action, and no deletion."""
    return _allow("Administrators", principals, _ADMINISTRATION)


def deletion(principals: Iterable[str]) -> Statement:
    """Administrators who may delete the key: a statement of its own, since others of the same key may not."""
    return _allow("Deletion", principals, _DELETION)


def use(principals: Iterable[str]) -> Statement:
    """Key users, as the console makes them."""
    return _allow("Users", principals, _USE)


def grant_creation(purpose: str, principals: Iterable[str], via_service: str) -> Statement:
    """Lets those who configure the service pass the key on to it, only through the service.

    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-configuring.html
    """
    return _allow(purpose, principals, "kms:CreateGrant", {"StringEquals": {"kms:ViaService": via_service}})


def decryption(principals: Iterable[str], secret_arns: Sequence[str], place: Place) -> Statement:
    """Lets principals decrypt these secrets through Secrets Manager; the secrets' own policies decide who reads which.

    A secret still to be made is named with its random suffix as `-??????`.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    """
    return _allow(
        "SecretDecryption",
        principals,
        "kms:Decrypt",
        {
            "StringEquals": {"kms:ViaService": f"secretsmanager.{place.region}.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:SecretARN": sorted(secret_arns)},
        },
    )


def default_key_rule(secret_arns: Sequence[str], place: Place) -> Statement:
    """What the key aws/secretsmanager allows the account for a secret, so that one leaving it loses no reader or writer.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html#security-encryption-policies
    """
    return {
        "Sid": f"{OWN_SID}FormerDefaultKey",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {
            "StringEquals": {
                "kms:CallerAccount": place.account,
                "kms:ViaService": f"secretsmanager.{place.region}.amazonaws.com",
            },
            "StringLike": {"kms:EncryptionContext:SecretARN": sorted(secret_arns)},
        },
    }


def partner_use(principal: str, actions: Sequence[str]) -> Statement:
    """What a partner's account asks for, under a Sid of our own: the partner's may be that of the owner's root statement.

    https://experienceleague.adobe.com/en/docs/experience-platform/landing/governance-privacy-security/customer-managed-keys/aws/ui-set-up
    """
    account = principal.split(":")[4]
    condition = {"StringEquals": {"aws:PrincipalAccount": account}}
    return _allow(f"{PARTNER_SID.removeprefix(OWN_SID)}{account}", [principal], sorted(actions), condition)


def service_reading(purpose: str, principal: str, secret_arn: str) -> Statement:
    """Admits a service principal to the value of one secret.

    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-token-how-to-create-secret.html
    """
    return {
        "Sid": f"{OWN_SID}{purpose}",
        "Effect": "Allow",
        "Principal": {"Service": principal},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": secret_arn,
    }


def role_reading(principals: Iterable[str], secret_arn: str) -> Statement:
    """Admits the origin's roles to the value of one secret."""
    return _allow("OriginReaders", principals, "secretsmanager:GetSecretValue") | {"Resource": secret_arn}


def management_reading(principals: Iterable[str], secret_arn: str) -> Statement:
    """Lets the roles that configure the service show it the secret, without reading it themselves.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_forward_access_sessions.html
    """
    actions = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    statement = _allow("ManagementRoles", principals, actions, {"Bool": {"aws:ViaAWSService": "true"}})
    return statement | {"Resource": secret_arn}


def _allow(
    purpose: str, principals: Iterable[str], actions: str | list[str], condition: dict[str, Any] | None = None
) -> Statement:
    statement: Statement = {
        "Sid": f"{OWN_SID}{purpose}",
        "Effect": "Allow",
        "Principal": {"AWS": sorted(set(principals))},
        "Action": actions,
        "Resource": "*",
    }
    return statement | {"Condition": condition} if condition else statement


def new_document(statements: Iterable[Statement]) -> Document:
    return {"Version": VERSION, "Statement": [*statements]}


def merge(document: Document | None, own: Iterable[Statement]) -> Document:
    """`document` with our statements in it: an own statement of the same Sid is widened in place, all else stays as it is.

    Statements are a list, since Sids may be missing or stand twice in a resource policy; one statement may stand alone
    without a list.
    """
    merged = copy.deepcopy(document) if document else new_document(())
    statements = _statements(merged)
    for wanted in own:
        position = next((at for at, statement in enumerate(statements) if statement.get("Sid") == wanted["Sid"]), None)
        if position is not None and statements[position]["Effect"] != "Allow":
            raise Conflict(f"the policy denies something under the Sid {wanted['Sid']}, which is Latchkey's own")
        if position is None:
            statements.append(copy.deepcopy(wanted))
        elif not includes(statements[position], wanted):
            statements[position] = _widen(statements[position], wanted)
    if statements != _statements(document or {}):
        merged["Statement"] = [living for statement in statements if (living := _living(statement))]
    return merged


def _widen(present: Statement, wanted: Statement) -> Statement:
    """`wanted` with the principals and secrets that the present statement names beside it."""
    widened = copy.deepcopy(wanted)
    # Who admits everyone names nobody beside them.
    for kind, names in _principals(present).items() if isinstance(wanted["Principal"], dict) else ():
        own = wanted["Principal"].get(kind)
        widened["Principal"][kind] = _union(names, own) if own else names
    for operator, keys in wanted.get("Condition", {}).items():
        for key, values in keys.items():
            if isinstance(values, list):
                widened["Condition"][operator][key] = _union(present.get("Condition", {}).get(operator, {}).get(key), values)
    return widened


def _living(statement: Statement) -> Statement | None:
    """Our own statement without the principals that were deleted, or None if none is left; a foreign one as it is.

    A deleted principal stands there by its unique id, with which no policy can be written.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    if not is_own(statement) or not _deleted_principals(statement):
        return statement
    dead = _deleted_principals(statement)
    named = {kind: [name for name in _list(names) if name not in dead] for kind, names in _principals(statement).items()}
    principals = {kind: names for kind, names in named.items() if names}
    return statement | {"Principal": principals} if principals else None


def deleted_principals(document: Document) -> list[str]:
    """The unique ids in foreign statements: only the owner can take them out, and until then the policy cannot be written."""
    foreign = [statement for statement in _statements(document) if not is_own(statement)]
    return sorted({name for statement in foreign for name in _deleted_principals(statement)})


def _deleted_principals(statement: Statement) -> set[str]:
    return {name for names in _principals(statement).values() for name in _list(names) if _UNIQUE_ID.fullmatch(name)}


def retain(document: Document | None, own: Iterable[Statement], *, kept: Sequence[str] = ()) -> Document:
    """`document` with no more of ours than these statements say, beside those whose Sids are `kept`.

    Adds nothing, since an owner may have taken it out; foreign statements stay as they are.
    """
    wanted = {statement["Sid"]: statement for statement in own}
    narrowed = (
        statement if not is_own(statement) or statement["Sid"] in kept else _narrowed(statement, wanted.get(statement["Sid"]))
        for statement in _statements(document or {})
    )
    return {**(document or new_document(())), "Statement": [statement for statement in narrowed if statement]}


def _narrowed(present: Statement, wanted: Statement | None) -> Statement | None:
    """The present statement without the principals and listed values that nobody wants; None if nothing of it is left."""
    if wanted is None:
        return None
    names = _principals(wanted)
    principals = {kind: _both(present_names, names.get(kind)) for kind, present_names in _principals(present).items()}
    narrowed = copy.deepcopy(present) | {"Principal": {kind: left for kind, left in principals.items() if left}}
    for operator, keys in wanted.get("Condition", {}).items():
        for key, values in keys.items():
            held = narrowed.get("Condition", {}).get(operator, {})
            if isinstance(values, list) and key in held:
                held[key] = _both(held[key], values)
                if not held[key]:
                    return None
    return narrowed if narrowed["Principal"] else None


def _both(present: Any, wanted: Any) -> Any:
    """What two name; a single text that both name stays single."""
    both = [name for name in _list(present) if name in _list(wanted)]
    return present if both == _list(present) else both


def union(contributions: Iterable[Iterable[Statement]]) -> list[Statement]:
    """What several accesses want of one document, as one statement for each purpose."""
    document = new_document(())
    for statements in contributions:
        document = merge(document, statements)
    return _statements(document)


def includes(present: Statement, wanted: Statement) -> bool:
    """Does a statement say all that the wanted one says, and nothing beyond more principals and more listed values?"""
    if {**present, "Principal": 0, "Condition": 0, "Action": 0, "Resource": 0} != {
        **wanted,
        "Principal": 0,
        "Condition": 0,
        "Action": 0,
        "Resource": 0,
    }:
        return False
    if any(set(_list(present.get(member))) != set(_list(wanted[member])) for member in ("Action", "Resource")):
        return False
    principals = _principals(present)
    if any(not set(_list(names)) <= set(_list(principals.get(kind))) for kind, names in _principals(wanted).items()):
        return False
    return _conditions_include(present.get("Condition", {}), wanted.get("Condition", {}))


def _conditions_include(present: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if {operator: set(keys) for operator, keys in present.items()} != {op: set(keys) for op, keys in wanted.items()}:
        return False
    for operator, keys in wanted.items():
        for key, values in keys.items():
            here, there = set(_list(present[operator][key])), set(_list(values))
            # A condition with a list is ours to widen; a single value is a limit and must be exactly that.
            if not (there <= here if isinstance(values, list) else there == here):
                return False
    return True


def own_statements(document: Document | None) -> list[Statement]:
    return [statement for statement in _statements(document or {}) if is_own(statement)]


def is_own(statement: Statement) -> bool:
    return str(statement.get("Sid", "")).startswith(OWN_SID)


def missing_from(document: Document | None, wanted: Iterable[Statement]) -> list[str]:
    """The Sids of the wanted statements that no statement of the document includes."""
    present = _statements(document or {})
    return [statement["Sid"] for statement in wanted if not any(includes(candidate, statement) for candidate in present)]


def delegates_to_iam(document: Document, place: Place) -> bool:
    """Do IAM policies of the account count for a key with this policy? Recognised by content, since its Sid varies."""
    root = {place.arn("iam", "root", region=""), place.account}
    return any(
        statement.get("Effect") == "Allow"
        and not statement.get("Condition")
        and set(_list(_principals(statement).get("AWS"))) & root
        and {"*", "kms:*"} & set(_list(statement.get("Action")))
        for statement in _statements(document)
    )


def admits_service(document: Document | None, principal: str, action: str, resource: str) -> bool:
    """Does an unconditional Allow admit the service, and no unconditional Deny refuse it?

    Compared by structure, since IAM's simulator takes no resource policies for service principals. Whether a condition holds
    for a call of the service nobody can tell from outside, so conditional statements count neither way.
    """
    effects = {
        s["Effect"]
        for s in _statements(document or {})
        if not s.get("Condition")
        and _covers(s, "Action", action)
        and _covers(s, "Resource", resource)
        and _names_service(s, principal)
    }
    return effects == {"Allow"}


def could_admit_service(document: Document | None, service: str, action: str, resource: str) -> bool:
    """Is any Allow left, whatever its conditions, that names the service in any of its forms, or everyone?"""
    return bool(statements_for_service(document, service, action, resource))


def statements_for_service(document: Document | None, service: str, action: str, resource: str) -> list[str]:
    """The Sids of the statements that could admit a service, or their places in the document where they have none.

    A service may read as `mediatailor.amazonaws.com` or with its Region in the name; which is not documented. A statement
    that names a secret without its random suffix counts.
    """
    names = (resource, without_suffix(resource))
    return [
        statement.get("Sid", f"statement {at}")
        for at, statement in enumerate(_statements(document or {}))
        if statement["Effect"] == "Allow"
        and _covers(statement, "Action", action)
        and any(_covers(statement, "Resource", name) for name in names)
        and _could_be_service(statement, service)
    ]


def without_suffix(secret_arn: str) -> str:
    """A secret's ARN as it may be given as well: without the random characters at its end.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
    """
    return _RANDOM_SUFFIX.sub("", secret_arn)


def _could_be_service(statement: Statement, service: str) -> bool:
    return (
        "NotPrincipal" in statement
        or _is_everyone(statement)
        or any(_is_of_service(name, service) for name in _list(_principals(statement).get("Service")))
    )


def is_public(document: Document | None) -> bool:
    """Does an Allow admit everyone, or everyone but a few, without a condition?"""
    return bool(public_statements(document))


def public_statements(document: Document | None) -> list[str]:
    """The Allows that admit everyone, or everyone but a few, without a condition: Sids, or places where there are none."""
    return [
        s.get("Sid", f"statement {at}")
        for at, s in enumerate(_statements(document or {}))
        if s.get("Effect") == "Allow" and not s.get("Condition") and ("NotPrincipal" in s or _is_everyone(s))
    ]


def _names_service(statement: Statement, principal: str) -> bool:
    if "NotPrincipal" in statement:
        return principal not in _list(_by_kind(statement["NotPrincipal"]).get("Service"))
    return _is_everyone(statement) or principal in _list(_principals(statement).get("Service"))


def _is_of_service(principal: str, service: str) -> bool:
    return principal.startswith(f"{service}.") and principal.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _is_everyone(statement: Statement) -> bool:
    return any("*" in _list(names) for names in _principals(statement).values())


def _covers(statement: Statement, member: str, value: str) -> bool:
    """Does the statement's Action or Resource, or its negation, cover the value? Actions are not case-sensitive."""
    fold = str.lower if member == "Action" else str

    def matches(patterns: Any) -> bool:
        return any(fnmatchcase(fold(value), fold(pattern)) for pattern in _list(patterns))

    return not matches(statement[f"Not{member}"]) if f"Not{member}" in statement else matches(statement.get(member))


def _principals(statement: Statement) -> dict[str, Any]:
    return _by_kind(statement.get("Principal", {}))


def _by_kind(principal: Any) -> dict[str, Any]:
    kinds: dict[str, Any] = {"AWS": principal} if isinstance(principal, str) else principal
    return kinds


def _statements(document: Document) -> list[Statement]:
    return list(_list(document.get("Statement")))


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _union(present: Any, wanted: Any) -> Any:
    """Strings stay single if they agree, so that a document written twice is the same document."""
    both = sorted({*_list(present), *_list(wanted)})
    return wanted if isinstance(wanted, str) and both == [wanted] else both
