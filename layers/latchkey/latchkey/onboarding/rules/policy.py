"""Rules for a policy that has to change: whether AWS would accept it with our statements."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey import policies
from latchkey.access.desired import Share
from latchkey.errors import Conflict
from latchkey.policies import Document


def key_policy_rules(present: Document, share: Share) -> Iterator[str]:
    """The rules that are broken if KMS would reject the key policy with the statements of this request."""
    if not policies.missing_from(present, share.needed):
        return
    yield from _deleted_principals_rule(present)
    if ineffective := policies.ineffective_statements(present):
        yield (
            "its policy has statements without Action or with a Resource other than *, which have no effect, and KMS rejects "
            f"every change to it: correct or remove {', '.join(ineffective)}"
        )
    yield from length_rule(present, share, policies.KEY_POLICY_LIMIT)


def secret_policy_rules(present: Document | None, share: Share) -> Iterator[str]:
    """The rules that are broken if Secrets Manager would reject the policy of a secret with the statements of this request.

    A public policy is rejected even if it needs no change, because no access through it passes its checks.
    """
    changes = bool(policies.missing_from(present, share.needed))
    if public := policies.broad_statements(present) if changes else policies.public_statements(present):
        yield (
            "its policy is public, and Latchkey lets Secrets Manager block public policies: "
            f"name principals in {', '.join(public)}, or add a condition such as aws:PrincipalOrgID"
        )
    if changes:
        yield from _deleted_principals_rule(present)
        yield from length_rule(present, share, policies.SECRET_POLICY_LIMIT)


def _deleted_principals_rule(policy: Document | None) -> Iterator[str]:
    """The rule that is broken if a policy names deleted principals in statements that are not ours.

    AWS rejects every new version of such a policy.
    """
    if deleted := policies.deleted_principals(policy or {}):
        places = "; ".join(f"{', '.join(ids)} from {name}" for name, ids in deleted.items())
        yield f"its policy names deleted principals, so AWS rejects every change to it: remove {places}"


def length_rule(policy: Document | None, share: Share, limit: int) -> Iterator[str]:
    """The rule that is broken if AWS would reject the policy, merged with the statements of this request, as too long."""
    try:
        merged = policies.merge(policy, share.written, share.former)
    except Conflict as error:
        yield str(error)
        return
    if (length := len(policies.text_of(merged))) > limit:
        yield f"its policy would have {length} characters, and AWS accepts {limit}: remove statements, or name fewer principals"


def role_length_rule(policy: Document) -> Iterator[str]:
    """The rule that is broken if IAM would reject the only inline policy of a reader role as too long."""
    if (length := len(policies.text_of(policy))) > policies.ROLE_POLICY_LIMIT:
        limit = policies.ROLE_POLICY_LIMIT
        yield f"its reader role would need a policy of {length} characters, and IAM accepts {limit}: use a shorter secret name"
