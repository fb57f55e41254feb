"""A shared policy is written under a lease, once for all that wait, and never longer than AWS accepts."""

from __future__ import annotations

import pytest

import latchkey.registry.table
from latchkey import policies
from latchkey.access.desired import Share
from latchkey.errors import Conflict
from latchkey.onboarding.shared_policies import merge_into
from latchkey.policies import Document, Statement
from latchkey.registry import Registry
from latchkey.removal.policies import SharedPolicy
from tests.unit.samples import KINDS, PLACE, SECRET_ARN, desired, role


class Written:
    """A policy that records what is written."""

    def __init__(self, limit: int = policies.KEY_POLICY_LIMIT) -> None:
        self.noted: list[list[Statement]] = []
        self.documents: list[Document] = [policies.new_document([policies.delegation(PLACE)])]
        self.policy = SharedPolicy("policy of a key", limit, lambda: self.documents[-1], self.documents.append)


def share(*managers: str) -> Share:
    return desired({"managementRoles": [role(name) for name in managers]}).key_share()


def length(*shares: Share) -> int:
    document = policies.new_document([policies.delegation(PLACE)])
    return len(policies.text_of(policies.merge(document, policies.union(one.written for one in shares))))


def test_the_statements_of_all_are_written_once(registry: Registry) -> None:
    written = Written()

    assert merge_into(written.policy, share("A"), lambda: [share("B"), share("C")], registry, written.noted.append)
    assert not merge_into(written.policy, share("B"), lambda: [], registry, written.noted.append)
    assert not merge_into(written.policy, share("C"), lambda: [], registry, written.noted.append)

    assert len(written.documents) == 2
    assert written.noted == [[*share("A").written]]


def test_a_policy_that_is_too_long_for_all_is_written_for_the_own_access(registry: Registry) -> None:
    written = Written(length(share("A")))

    assert merge_into(written.policy, share("A"), lambda: [share("B" * 60)], registry, written.noted.append)

    assert len(policies.text_of(written.documents[-1])) == written.policy.limit


def test_a_policy_that_is_too_long_is_not_written(registry: Registry) -> None:
    written = Written(length(share("A")) - 1)

    with pytest.raises(Conflict):
        merge_into(written.policy, share("A"), lambda: [], registry, written.noted.append)

    assert len(written.documents) == 1


def test_a_request_that_waits_stops_when_another_one_wrote_its_statements(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latchkey.registry.table, "LEASE_WAIT_SECONDS", 20)
    written = Written()

    def another_writes(_: float) -> None:
        written.documents.append(policies.merge(written.documents[-1], share("A").written))

    monkeypatch.setattr("latchkey.registry.table.time.sleep", another_writes)
    with registry.lease(written.policy.name):
        assert merge_into(written.policy, share("A"), lambda: [], registry, written.noted.append)

    assert len(written.documents) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_of_a_reader_role_is_far_below_the_limit(kind: str) -> None:
    longest = SECRET_ARN.replace(":secret:", f":secret:{'s' * 512}")
    wanted = desired(kind=kind).role(PLACE.arn("kms", "key/1234abcd-12ab-34cd-56ef-1234567890ab"), longest)

    assert wanted is None or len(policies.text_of(wanted.policy)) < policies.ROLE_POLICY_LIMIT / 2
