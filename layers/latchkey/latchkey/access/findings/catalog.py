"""The catalog of findings: what each kind means, how severe it is, and what corrects it. docs/findings.md is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from latchkey.events.findings import FindingKind, Remediation, Severity


@dataclass(frozen=True)
class FindingFacts:
    """What is true of all findings of one kind.

    `name` is the check that usually fails. `remediation` is what the kind allows: for the key of a partner, and for a resource
    that its owner configures, it is narrower. `trail_operations` are the API calls that bring the finding about, as far as
    their trail events reach Latchkey. If the kind `blocks_repair`, no other finding of the access is repaired meanwhile: the
    request would be rejected, or would create again or configure what somebody else took away. `fails` are the checks that fail
    as well, for a kind that a repair leaves as it is and that can have another name.
    """

    meaning: str
    severity: Severity
    remediation: Remediation
    name: str
    trail_operations: tuple[str, ...] = ()
    blocks_repair: bool = False
    fails: tuple[str, ...] = ()


_OF_KEY_POLICY: Final = ("PutKeyPolicy",)
_OF_SECRET_POLICY: Final = ("DeleteResourcePolicy", "PutResourcePolicy")
_OF_LOCATION: Final = ("UpdateSourceLocation",)

CATALOG: Final[Mapping[FindingKind, FindingFacts]] = MappingProxyType(
    {
        FindingKind.KEY_MISSING: FindingFacts(
            "The key does not exist. What was encrypted with it can no longer be read",
            "critical",
            "never",
            "key and secret exist",
            trail_operations=("DeleteKey",),
            blocks_repair=True,
        ),
        FindingKind.KEY_DISABLED: FindingFacts(
            "The key is disabled, or its key store or imported material is not available",
            "critical",
            "tell",
            "key is enabled",
            trail_operations=("DisableKey",),
            blocks_repair=True,
        ),
        FindingKind.KEY_PENDING_DELETION: FindingFacts(
            "The key is scheduled for deletion",
            "critical",
            "tell",
            "key is enabled",
            trail_operations=("ScheduleKeyDeletion",),
            blocks_repair=True,
        ),
        FindingKind.KEY_ROTATION_OFF: FindingFacts(
            "Automatic rotation of a key that Latchkey created is off",
            "medium",
            "repair",
            "key rotates",
        ),
        FindingKind.KEY_ROTATION_PERIOD: FindingFacts(
            "A key that Latchkey created rotates in another period than the request asks for",
            "low",
            "repair",
            "key rotates",
        ),
        FindingKind.KEY_ALIAS_MOVED: FindingFacts(
            "The alias of the request names another key, or was deleted. The next request would use another key",
            "high",
            "tell",
            "alias names the key",
            blocks_repair=True,
        ),
        FindingKind.KEY_STATEMENT_MISSING: FindingFacts(
            "The key policy lacks a statement of Latchkey",
            "high",
            "repair",
            "key policy admits the roles",
            trail_operations=_OF_KEY_POLICY,
        ),
        FindingKind.KEY_STATEMENT_ALTERED: FindingFacts(
            "The key policy has a statement of Latchkey that lacks a principal, or differs otherwise",
            "high",
            "repair",
            "key policy admits the roles",
            trail_operations=_OF_KEY_POLICY,
        ),
        FindingKind.KEY_STATEMENT_OUTDATED: FindingFacts(
            "The key policy has a statement of Latchkey in the form of an earlier version, which still works",
            "low",
            "repair",
            "key policy has the present statements",
            trail_operations=_OF_KEY_POLICY,
        ),
        FindingKind.KEY_POLICY_NOT_DELEGATING: FindingFacts(
            "The key policy does not delegate to IAM, so neither reader roles nor Latchkey can use the key",
            "critical",
            "tell",
            "key policy lets the role decrypt",
            trail_operations=_OF_KEY_POLICY,
            blocks_repair=True,
        ),
        FindingKind.KEY_POLICY_DELETED_PRINCIPAL: FindingFacts(
            "A statement of somebody else in the key policy names a deleted principal, so AWS rejects every "
            "change of the policy",
            "medium",
            "never",
            "key policy names no deleted principals",
            trail_operations=_OF_KEY_POLICY,
            blocks_repair=True,
        ),
        FindingKind.SECRET_MISSING: FindingFacts(
            "The secret does not exist",
            "critical",
            "never",
            "key and secret exist",
            trail_operations=("DeleteSecret", "EndSecretVersionDelete"),
            blocks_repair=True,
        ),
        FindingKind.SECRET_REPLACED: FindingFacts(
            "The secret was deleted, and another secret has its name and another ARN",
            "critical",
            "never",
            "key and secret exist",
            blocks_repair=True,
        ),
        FindingKind.SECRET_PENDING_DELETION: FindingFacts(
            "The secret is scheduled for deletion",
            "critical",
            "tell",
            "secret is not being deleted",
            trail_operations=("DeleteSecret", "StartSecretVersionDelete"),
            blocks_repair=True,
        ),
        FindingKind.SECRET_UNDER_OTHER_KEY: FindingFacts(
            "The secret or its current version is encrypted with another key",
            "high",
            "tell",
            "secret is under the key",
            trail_operations=("UpdateSecret",),
            blocks_repair=True,
        ),
        FindingKind.SECRET_WRONG_SHAPE: FindingFacts(
            "The current value of the secret does not have the format that the service reads",
            "critical",
            "tell",
            "secret has the format of its system",
            trail_operations=("UpdateSecret",),
            blocks_repair=True,
        ),
        FindingKind.SECRET_REPLICA_DIVERGED: FindingFacts(
            "A replica of the secret in another Region is not in sync",
            "medium",
            "tell",
            "replicas are in sync",
        ),
        FindingKind.SECRET_STATEMENT_MISSING: FindingFacts(
            "The resource policy of the secret lacks a statement of Latchkey",
            "critical",
            "repair",
            "secret policy admits the reader",
            trail_operations=_OF_SECRET_POLICY,
        ),
        FindingKind.SECRET_STATEMENT_ALTERED: FindingFacts(
            "The resource policy of the secret has a statement of Latchkey that lacks a principal, or differs otherwise",
            "critical",
            "repair",
            "secret policy admits the reader",
            trail_operations=_OF_SECRET_POLICY,
        ),
        FindingKind.SECRET_POLICY_EXCLUDES_READER: FindingFacts(
            "A statement of somebody else in the resource policy of the secret denies the service",
            "critical",
            "never",
            "secret policy admits the reader",
            trail_operations=_OF_SECRET_POLICY,
            blocks_repair=True,
        ),
        FindingKind.SECRET_POLICY_PUBLIC: FindingFacts(
            "A statement in the resource policy of the secret allows everyone",
            "critical",
            "never",
            "secret policy is not public",
            trail_operations=_OF_SECRET_POLICY,
        ),
        FindingKind.SECRET_POLICY_ADMITS_OTHERS: FindingFacts(
            "The resource policy of a secret that Latchkey created admits principals that no request names",
            "high",
            "never",
            "secret policy admits nobody else",
            trail_operations=_OF_SECRET_POLICY,
        ),
        FindingKind.SECRET_POLICY_DELETED_PRINCIPAL: FindingFacts(
            "A statement of somebody else in the resource policy of the secret names a deleted principal, so AWS "
            "rejects every change of the policy",
            "medium",
            "never",
            "secret policy names no deleted principals",
            trail_operations=_OF_SECRET_POLICY,
            blocks_repair=True,
        ),
        FindingKind.ROLE_MISSING: FindingFacts(
            "The reader role does not exist",
            "critical",
            "repair",
            "role exists",
        ),
        FindingKind.ROLE_REPLACED: FindingFacts(
            "The reader role was deleted and created again since the access was recorded",
            "low",
            "repair",
            "role is the one that was recorded",
        ),
        FindingKind.ROLE_TRUST_CHANGED: FindingFacts(
            "The trust policy of the reader role is not the one that Latchkey wrote",
            "critical",
            "repair",
            "role trusts the service",
        ),
        FindingKind.ROLE_POLICY_CHANGED: FindingFacts(
            "The inline policy of the reader role is missing, or is not the one that Latchkey wrote",
            "critical",
            "repair",
            "role reads this secret and nothing else",
        ),
        FindingKind.ROLE_BOUNDARY_CHANGED: FindingFacts(
            "The permissions boundary of the reader role is missing, or is another one",
            "high",
            "repair",
            "role reads this secret and nothing else",
        ),
        FindingKind.ROLE_FOREIGN_POLICY: FindingFacts(
            "The reader role has policies that Latchkey did not give it",
            "high",
            "never",
            "role reads this secret and nothing else",
            fails=("role reads this secret and nothing else",),
        ),
        FindingKind.ROLE_CANNOT_READ: FindingFacts(
            "The IAM policy simulator says that the reader role cannot read the secret, for none of the other reasons",
            "critical",
            "tell",
            "role may read the secret",
        ),
        FindingKind.GRANT_MISSING: FindingFacts(
            "The grant through which the service decrypts does not exist",
            "critical",
            "repair",
            "grant is there",
            trail_operations=("RevokeGrant",),
        ),
        FindingKind.GRANT_STALE: FindingFacts(
            "A grant of the service for this resource no longer serves it. The cleanup revokes it when it is orphaned",
            "medium",
            "tell",
            "grants serve the resource",
        ),
        FindingKind.GRANT_DUPLICATE: FindingFacts(
            "The resource has several grants that serve it",
            "low",
            "tell",
            "grants serve the resource",
        ),
        FindingKind.GRANT_WIDER_OPERATIONS: FindingFacts(
            "A grant with the name of this resource allows more operations than the service documents",
            "high",
            "tell",
            "grants serve the resource",
        ),
        FindingKind.GRANT_UNKNOWN_PRINCIPAL: FindingFacts(
            "A grant looks like that of the service, and its grantee is another principal",
            "high",
            "never",
            "grants serve the resource",
        ),
        FindingKind.RESOURCE_MISSING: FindingFacts(
            "The resource does not exist",
            "critical",
            "never",
            "resource is configured",
            trail_operations=("DeleteSourceLocation",),
            blocks_repair=True,
        ),
        FindingKind.RESOURCE_OTHER_SECRET: FindingFacts(
            "The resource uses another secret",
            "critical",
            "never",
            "resource is configured",
            trail_operations=_OF_LOCATION,
            blocks_repair=True,
        ),
        FindingKind.RESOURCE_NO_TOKEN: FindingFacts(
            "The resource uses no secret",
            "critical",
            "never",
            "resource is configured",
            trail_operations=_OF_LOCATION,
            blocks_repair=True,
        ),
        FindingKind.RESOURCE_OTHER_HEADER: FindingFacts(
            "The resource sends the token in another header",
            "critical",
            "repair",
            "resource is configured",
            trail_operations=_OF_LOCATION,
        ),
        FindingKind.RESOURCE_OTHER_BASE_URL: FindingFacts(
            "The resource sends the token to another URL",
            "critical",
            "repair",
            "resource is configured",
            trail_operations=_OF_LOCATION,
        ),
        FindingKind.RESOURCE_OTHER_SETTING: FindingFacts(
            "Another setting of the resource differs from the request",
            "high",
            "repair",
            "resource is configured",
            trail_operations=_OF_LOCATION,
        ),
        FindingKind.RESOURCE_OPEN: FindingFacts(
            "A statement of somebody else in the policy of the resource admits everybody without the token",
            "critical",
            "never",
            "resource is configured",
        ),
        FindingKind.RESOURCE_ALERT: FindingFacts(
            "The service reports an alert about the resource",
            "high",
            "tell",
            "service raises no alert",
        ),
        FindingKind.RECORDED_UNTAGGED: FindingFacts(
            "A key, secret or role of a recorded access has neither the tag of Latchkey nor the consent of its owner",
            "medium",
            "tell",
            "key is managed or consented to",
            blocks_repair=True,
        ),
        FindingKind.RECORD_WITHOUT_RESOURCE: FindingFacts(
            "Nothing that the record of the access names exists",
            "low",
            "never",
            "key and secret exist",
            blocks_repair=True,
        ),
        FindingKind.RESOURCE_UNRECORDED: FindingFacts(
            "A resource has the tag of Latchkey, and no record names it",
            "low",
            "tell",
            "resource is recorded",
        ),
    }
)
