"""Of several stacks in one account and Region, each refuses what another one created, even if an owner consented."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey.onboarding.rules.evidence import ConsentTarget, RequestEvidence, ResourceEvidence
from latchkey.onboarding.rules.stacks import stack_problems
from latchkey.tags import STACK
from tests.unit.rules.samples import ADOPT, OWN, configured, key, key_evidence, paths, rules, secret, secret_evidence
from tests.unit.rules.test_resource import role_evidence
from tests.unit.samples import EXISTING_ARN, KEY_ARN, desired

TEST = OWN | ADOPT | {STACK: "latchkey-test"}


def found(changes: dict[str, Any] | None = None, kind: str = "mediatailor", **evidence: Any) -> list[str]:
    """The paths of the parts that another stack created."""
    problems = [*stack_problems(desired(changes, kind), RequestEvidence(**evidence))]
    assert all("latchkey-test" in rule for _, rule in rules(problems))
    return paths(problems)


@pytest.mark.parametrize(
    ("tags", "foreign"),
    [(TEST, True), ({}, False), (OWN, False), (OWN | {STACK: "latchkey"}, False), (ADOPT | {STACK: "latchkey-test"}, False)],
    ids=["another stack", "nobody", "version 0.1.0", "this stack", "an owner"],
)
def test_what_another_stack_created_is_refused(tags: dict[str, str], foreign: bool) -> None:
    def paths_if_foreign(*names: str) -> list[str]:
        return sorted(names) if foreign else []

    assert found(key=key_evidence(key(tags))) == paths_if_foreign("key.alias")
    assert found({"key.arn": KEY_ARN}, key=key_evidence(key(tags))) == paths_if_foreign("key.arn")
    assert found(secret=secret_evidence(secret(tags))) == paths_if_foreign("secret.name")
    existing = {"secret.value": {"existing": {"secretArn": EXISTING_ARN}}}
    assert found(existing, secret=secret_evidence(secret(tags))) == paths_if_foreign("secret.value.existing.secretArn")
    role = role_evidence("mediapackage/originEndpoint/sports-hls", referred=True)
    role.role.tags.clear()
    role.role.tags.update(tags)
    assert found(kind="mediapackage", role=role) == paths_if_foreign("resource")
    location = ResourceEvidence(configured(desired(), tags=tags))
    assert found(resource=location) == paths_if_foreign("resource")
    part = ResourceEvidence(configured(desired()), ConsentTarget("arn:target", tags))
    assert found(resource=part) == paths_if_foreign("resource")
