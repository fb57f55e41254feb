"""What can be wrong with a recorded access, as events report it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime

from latchkey.wire import WireModel

# critical: the service cannot read, or the token is exposed. high: the next change or read can fail, or somebody has more
# access than was asked for. medium: something is not as the request asks, and the service works. low: nothing is at risk.
Severity = Literal["critical", "high", "medium", "low"]
# repair: the onboarding of the recorded request corrects it. tell: a person decides, and runs `remedy`. never: Latchkey does
# not change it in any mode, because it belongs to somebody else, or because what was lost cannot be replaced.
Remediation = Literal["repair", "tell", "never"]


class FindingKind(StrEnum):
    """The kinds of findings. `latchkey.access.findings.CATALOG` contains the facts about each one."""

    KEY_MISSING = "key-missing"
    KEY_DISABLED = "key-disabled"
    KEY_PENDING_DELETION = "key-pending-deletion"
    KEY_ROTATION_OFF = "key-rotation-off"
    KEY_ROTATION_PERIOD = "key-rotation-period"
    KEY_ALIAS_MOVED = "key-alias-moved"
    KEY_STATEMENT_MISSING = "key-statement-missing"
    KEY_STATEMENT_ALTERED = "key-statement-altered"
    KEY_STATEMENT_OUTDATED = "key-statement-outdated"
    KEY_POLICY_NOT_DELEGATING = "key-policy-not-delegating"
    KEY_POLICY_DELETED_PRINCIPAL = "key-policy-deleted-principal"

    SECRET_MISSING = "secret-missing"
    SECRET_REPLACED = "secret-replaced"
    SECRET_PENDING_DELETION = "secret-pending-deletion"
    SECRET_UNDER_OTHER_KEY = "secret-under-other-key"
    SECRET_WRONG_SHAPE = "secret-wrong-shape"
    SECRET_REPLICA_DIVERGED = "secret-replica-diverged"
    SECRET_STATEMENT_MISSING = "secret-statement-missing"
    SECRET_STATEMENT_ALTERED = "secret-statement-altered"
    SECRET_POLICY_EXCLUDES_READER = "secret-policy-excludes-reader"
    SECRET_POLICY_PUBLIC = "secret-policy-public"
    SECRET_POLICY_ADMITS_OTHERS = "secret-policy-admits-others"
    SECRET_POLICY_DELETED_PRINCIPAL = "secret-policy-deleted-principal"

    ROLE_MISSING = "role-missing"
    ROLE_REPLACED = "role-replaced"
    ROLE_TRUST_CHANGED = "role-trust-changed"
    ROLE_POLICY_CHANGED = "role-policy-changed"
    ROLE_BOUNDARY_CHANGED = "role-boundary-changed"
    ROLE_FOREIGN_POLICY = "role-foreign-policy"
    ROLE_CANNOT_READ = "role-cannot-read"

    GRANT_MISSING = "grant-missing"
    GRANT_STALE = "grant-stale"
    GRANT_DUPLICATE = "grant-duplicate"
    GRANT_WIDER_OPERATIONS = "grant-wider-operations"
    GRANT_UNKNOWN_PRINCIPAL = "grant-unknown-principal"

    RESOURCE_MISSING = "resource-missing"
    RESOURCE_OTHER_SECRET = "resource-other-secret"
    RESOURCE_NO_TOKEN = "resource-no-token"
    RESOURCE_OTHER_HEADER = "resource-other-header"
    RESOURCE_OTHER_BASE_URL = "resource-other-base-url"
    RESOURCE_OTHER_SETTING = "resource-other-setting"
    RESOURCE_OPEN = "resource-open"
    RESOURCE_ALERT = "resource-alert"

    RECORDED_UNTAGGED = "recorded-untagged"
    RECORD_WITHOUT_RESOURCE = "record-without-resource"
    RESOURCE_UNRECORDED = "resource-unrecorded"


class Finding(WireModel):
    """One thing that is wrong with a recorded access, or with a resource that has Latchkey's tag. One cause is one finding.

    `name` is the check that fails. `evidence` says what was read: the statement, principal or setting, and its wanted and
    present value, but never a token. The same state always has the same evidence. `since` is when the finding began, if a
    trail event says so, or else when it was first recorded; `trailEventId` and `principal` are those of that trail event.
    `remedy` are the commands that correct it, in order. They can be run as they are.
    """

    kind: FindingKind
    severity: Severity
    name: str
    passed: Literal[False] = False
    evidence: str
    result: Literal["failed"] = "failed"
    since: AwareDatetime | None = None
    trail_event_id: str | None = None
    principal: str | None = None
    remediation: Remediation
    remedy: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """What distinguishes this finding from another one of the same access."""
        return self.kind.value, self.evidence


class CheckedValue(WireModel):
    """The verdict on the value of one version of a secret: the rule of its format that it breaks, if any. Never the value."""

    access_id: str
    version: str
    problem: str | None = None


class Repair(WireModel):
    """What an execution repairs: the findings, and the execution of the reconciliation that found them.

    `remaining` are the findings that it does not correct. They were there before, so that they do not undo the repair. An
    earlier version has not recorded them.
    """

    findings: tuple[Finding, ...]
    remaining: tuple[Finding, ...] = ()
    reconciliation: str
