"""Rules for the secrets of other CDNs that an endpoint continues to accept."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey import policies
from latchkey.onboarding.rules.denials import reading_denials
from latchkey.onboarding.rules.evidence import FormerSecretEvidence, RequestEvidence, ResourceEvidence
from latchkey.onboarding.rules.other_secrets import other_secret_problems
from latchkey.onboarding.rules.resource import configured_problems
from latchkey.systems.system import Configured
from tests.unit.rules.samples import key_policy, paths
from tests.unit.samples import KEY_ARN, PLACE, REGION, SECRET_ARN, SETTINGS, desired

OTHER = PLACE.arn("secretsmanager", "secret:MediaPackage/other-QwErTy")
PATH = "resource.otherSecrets.0"
READABLE = FormerSecretEvidence(OTHER, key_arn=KEY_ARN, key_policy=key_policy())
DENIAL = {"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}


def found(arn: str = OTHER, evidence: FormerSecretEvidence | None = READABLE) -> list[str]:
    request = desired({"resource.otherSecrets": [arn]}, "mediapackagev2")
    return paths(other_secret_problems(request, RequestEvidence(other_secrets={arn: evidence}), SETTINGS))


def test_a_secret_that_the_role_can_read_is_kept() -> None:
    assert found() == []
    assert found(evidence=FormerSecretEvidence(OTHER)) == []


def test_only_a_reader_role_can_be_denied() -> None:
    assert reading_denials(desired(), policies.new_document([DENIAL]), OTHER) == []


def test_a_request_without_other_secrets_has_none_to_check() -> None:
    assert [*other_secret_problems(desired(), RequestEvidence(), SETTINGS)] == []


UNREADABLE: dict[str, tuple[str, FormerSecretEvidence | None]] = {
    "another Region": (OTHER.replace(REGION, "us-east-1"), READABLE),
    "another prefix": (OTHER.replace("MediaPackage", "theirs"), READABLE),
    "the secret of the request": (
        PLACE.arn("secretsmanager", "secret:latchkey/mediapackagev2/sports/main/hls/token-AbCdEf"),
        READABLE,
    ),
    "missing": (OTHER, None),
    "denied": (OTHER, FormerSecretEvidence(OTHER, policy=policies.new_document([DENIAL]))),
    "a closed key": (OTHER, FormerSecretEvidence(OTHER, key_arn=KEY_ARN, key_policy=policies.new_document([]))),
    "hidden": (OTHER, FormerSecretEvidence(OTHER, hidden=True)),
    "a hidden key": (OTHER, FormerSecretEvidence(OTHER, key_arn=KEY_ARN, hidden_key=True)),
}


@pytest.mark.parametrize(("arn", "evidence"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_secret_that_the_role_cannot_read_is_rejected(arn: str, evidence: FormerSecretEvidence | None) -> None:
    assert found(arn, evidence) == [PATH]


def endpoint(*secrets: str) -> ResourceEvidence:
    first, *more = secrets or ("",)
    configured = Configured(
        arn="endpoint",
        settings={},
        secret_arn=first or None,
        other_settings={"Policy": None},
        full_settings={},
        tags={},
        more_secret_arns=tuple(more),
    )
    return ResourceEvidence(configured)


def resource_paths(evidence: ResourceEvidence, **changes: Any) -> list[str]:
    request = desired({name.replace("_", "."): value for name, value in changes.items()}, "mediapackagev2")
    configuration = request.system.configuration
    assert configuration
    return paths(configured_problems(request, configuration, evidence, SECRET_ARN, None))


def test_other_secrets_are_removed_only_if_the_request_asks_for_it() -> None:
    both = endpoint(SECRET_ARN, OTHER)

    assert resource_paths(both) == ["secret.replacesToken"]
    assert resource_paths(both, secret_replacesToken=True) == []
    assert resource_paths(both, resource_otherSecrets=[OTHER]) == []


def test_a_request_names_only_secrets_that_the_endpoint_accepts() -> None:
    """Otherwise, a request could let its reader role read any secret."""
    assert resource_paths(endpoint(), resource_otherSecrets=[OTHER]) == [PATH]
