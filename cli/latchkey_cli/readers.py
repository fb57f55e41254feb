"""Who can read the token in a secret, and by which statement: resource policy, identity policies, key policy and grants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from latchkey import policies
from latchkey.aws.errors import code_of, is_refused
from latchkey.aws.grants import Grant, list_grants
from latchkey.aws.keys import find_key, key_policy
from latchkey.aws.pages import read_pages
from latchkey.aws.roles import refused_actions
from latchkey.aws.secrets import DEFAULT_KEY, ObservedSecret, all_secret_policies, current_keys
from latchkey.place import Place
from latchkey_cli.connection import Connection

READ, DECRYPT = "secretsmanager:GetSecretValue", "kms:Decrypt"
_OWN = _BY_IAM = "its own policies"
# An account can have thousands of roles, and each takes a call. The roles of AWS services cannot have other policies.
_SERVICE_ROLES = "/aws-service-role/"


@dataclass(frozen=True)
class Reader:
    """A principal, the statement that lets it read the secret, and what lets it decrypt.

    `condition` is met only by some calls. `decrypts_by` is empty if nothing was found: then the principal cannot read.
    """

    principal: str
    statement: str
    decrypts_by: str
    condition: Any = None

    @property
    def wire(self) -> dict[str, Any]:
        return {
            "principal": self.principal,
            "statement": self.statement,
            "decryptsBy": self.decrypts_by or None,
            "condition": self.condition,
        }


@dataclass(frozen=True)
class Readers:
    """Everybody who can read a secret. `denied` are the statements that deny it. `unread` is what could not be read."""

    secret: ObservedSecret
    keys: tuple[str, ...]
    readers: tuple[Reader, ...]
    denied: Mapping[str, Sequence[str]]
    unread: tuple[str, ...] = ()
    checked_identities: int = 0


@dataclass(frozen=True)
class _Decryption:
    """What is known about the keys of the current version. `is_default`: the account's own key for Secrets Manager."""

    is_default: bool
    delegates: bool
    statements: Mapping[str, Mapping[str, Any]]
    grants: tuple[Grant, ...]

    def by(self, principal: str) -> str:
        """What lets a principal decrypt; empty if nothing does. A key policy that delegates to IAM leaves it to IAM."""
        if self.is_default:
            return "aws/secretsmanager"
        named = _named_by(self.statements, principal)
        service = principal.removesuffix(".amazonaws.com")
        granted = next((one for one in self.grants if (one.grantee or "").find(service) >= 0 or one.grantee == principal), None)
        if granted is not None:
            return f"grant {granted.name or granted.grant_id}"
        if named:
            return f"key policy {named}"
        return _OWN if self.delegates and principal.startswith("arn:") else ""


def _named_by(statements: Mapping[str, Mapping[str, Any]], principal: str) -> str:
    for label, statement in statements.items():
        names = policies.principals_in(dict(statement))
        if statement.get("Effect") == "Allow" and (principal in names or "*" in names):
            return label
    return ""


def readers_of(
    connection: Connection,
    secret: ObservedSecret,
    place: Place,
    *,
    identities: bool,
    progress: Callable[[int, int], None],
) -> Readers:
    """Reads the policies around a secret. With `identities`, asks the IAM policy simulator about each role and user.

    The values of the secret are never read. What cannot be read is listed, and nothing is concluded from it.
    """
    unread: list[str] = []
    secretsmanager, kms = connection.client("secretsmanager"), connection.client("kms")
    document = _unless_refused(lambda: all_secret_policies(secretsmanager, secret.arn), "the policy of the secret", unread)
    keys = _unless_refused(lambda: current_keys(secret, kms, secretsmanager), "the versions of the secret", unread) or ()
    decryption = _decryption(keys, secret.arn, place, connection, unread)
    covering = policies.statements_covering(document, READ, secret.arn)
    found = [*_by_policy(covering, decryption)]
    checked = 0
    if identities:
        names = {one.principal for one in found}
        by_identity, checked = _by_identity(connection, secret, keys, decryption, place, unread, progress)
        found += [one for one in by_identity if one.principal not in names]
    denied = {
        label: policies.principals_in(statement) or ["everyone but some"]
        for label, statement in covering.items()
        if statement.get("Effect") == "Deny"
    }
    ordered = sorted(found, key=lambda one: (not one.decrypts_by, one.statement == _BY_IAM, one.principal))
    return Readers(secret, keys, tuple(ordered), denied, tuple(unread), checked)


def _unless_refused[Found](read: Callable[[], Found], what: str, unread: list[str]) -> Found | None:
    try:
        return read()
    except ClientError as error:
        if not is_refused(error):
            raise
        unread.append(f"{what}: {error.operation_name} is not allowed")
        return None


def _decryption(keys: Sequence[str], secret_arn: str, place: Place, connection: Connection, unread: list[str]) -> _Decryption:
    kms = connection.client("kms")
    statements: dict[str, Mapping[str, Any]] = {}
    grants: list[Grant] = []
    delegates = False
    for key in keys:
        if key == DEFAULT_KEY or find_key(kms, key) is None:
            continue
        document = _unless_refused(lambda key=key: key_policy(kms, key), f"the policy of {key}", unread)  # type: ignore[misc]
        if document is not None:
            delegates = delegates or policies.delegates_to_iam(document, place)
            covering = policies.statements_covering(document, DECRYPT, key)
            statements |= {label: one for label, one in covering.items() if not _is_delegation(one, place)}
        listing = _unless_refused(lambda key=key: list_grants(kms, key), f"the grants on {key}", unread)  # type: ignore[misc]
        grants += listing.grants if listing else ()
    serving = tuple(one for one in grants if "Decrypt" in one.operations and one.secret_arn in (None, secret_arn))
    return _Decryption(DEFAULT_KEY in keys, delegates, statements, serving)


def _is_delegation(statement: Mapping[str, Any], place: Place) -> bool:
    root = {place.arn("iam", "root", region=""), place.account}
    return bool(root & {*policies.principals_in(dict(statement))})


def _by_policy(covering: Mapping[str, Mapping[str, Any]], decryption: _Decryption) -> Iterator[Reader]:
    for label, statement in covering.items():
        if statement.get("Effect") != "Allow":
            continue
        names = ["everyone but some"] if "NotPrincipal" in statement else policies.principals_in(dict(statement))
        for name in names:
            principal = "everyone" if name == "*" else name
            yield Reader(principal, label, decryption.by(name), statement.get("Condition"))


def _by_identity(
    connection: Connection,
    secret: ObservedSecret,
    keys: Sequence[str],
    decryption: _Decryption,
    place: Place,
    unread: list[str],
    progress: Callable[[int, int], None],
) -> tuple[list[Reader], int]:
    """The roles and users of the account whose own policies allow the read, according to the IAM policy simulator.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    iam = connection.client("iam")
    arns = _unless_refused(lambda: [*_identities(iam)], "the roles and users of the account", unread) or []
    context = {
        "kms:ViaService": f"secretsmanager.{place.region}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": secret.arn,
    }
    # The simulator does not read the tags of the secret, on which policies can depend.
    tags = [
        {"ContextKeyName": f"{name}/{key}", "ContextKeyType": "string", "ContextKeyValues": [value]}
        for key, value in secret.tags.items()
        for name in ("aws:ResourceTag", "secretsmanager:ResourceTag")
    ]
    found: list[Reader] = []
    for number, arn in enumerate(arns, 1):
        progress(number, len(arns))
        given = {"PolicySourceArn": arn, "ActionNames": [READ], "ResourceArns": [secret.arn], "ContextEntries": tags}
        try:
            answers = [one for page in read_pages(iam.simulate_principal_policy, **given) for one in page["EvaluationResults"]]
        except ClientError as error:
            if code_of(error) == "NoSuchEntity":
                continue  # deleted since it was listed
            if not is_refused(error):
                raise
            unread.append(f"the policies of {len(arns)} roles and users: {error.operation_name} is not allowed")
            return found, number - 1
        for answer in answers:
            if answer["EvalDecision"] == "allowed":
                names = [one.get("SourcePolicyId", "") for one in answer.get("MatchedStatements", ())]
                by = f"{_BY_IAM}: {', '.join(sorted({*filter(None, names)}))}" if any(names) else _BY_IAM
                found.append(Reader(arn, by, decryption.by(arn) if _decrypts(iam, arn, keys, context, decryption) else ""))
    return found, len(arns)


def _decrypts(iam: Any, arn: str, keys: Sequence[str], context: Mapping[str, str], decryption: _Decryption) -> bool:
    """Whether a role or user can decrypt with one of the keys: by a statement that names it, or by its own policies."""
    if decryption.is_default or _named_by(decryption.statements, arn):
        return True
    return decryption.delegates and any(not refused_actions(iam, arn, (DECRYPT,), key, context) for key in keys)


def _identities(iam: Any) -> Iterator[str]:
    for page in read_pages(iam.list_roles):
        yield from (one["Arn"] for one in page["Roles"] if _SERVICE_ROLES not in one["Arn"])
    for page in read_pages(iam.list_users):
        yield from (one["Arn"] for one in page["Users"])
