"""Rules for the consumer resource, its origin, and its reader role."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey.access.desired import Desired
from latchkey.aws.roles import ObservedRole
from latchkey.onboarding.rules.evidence import ConsentTarget, RequestEvidence, ResourceEvidence, RoleEvidence
from latchkey.onboarding.rules.resource import host_problems, resource_problems, role_problems
from latchkey.settings import Settings
from latchkey.tags import ACCESS
from tests.unit.rules.samples import ADOPT, OWN, configured, paths, record, rules, secret, secret_evidence
from tests.unit.samples import FLOW_ARN, REGION, SECRET_ARN, SETTINGS, desired

ENDPOINT = "mediapackage/originEndpoint/sports-hls"


def found(request: Desired, settings: Settings = SETTINGS, **evidence: Any) -> list[str]:
    """The paths of the problems with the resource."""
    return paths(resource_problems(request, RequestEvidence(**evidence), settings))


@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
def test_plain_http_is_rejected_unless_the_stack_allows_it(scheme: str) -> None:
    request = desired({"resource.baseUrl": f"{scheme}://origin.example.com/vod"})
    allowing = SETTINGS.model_copy(update={"allow_http_origins": True})

    assert found(request) == ["resource.baseUrl"]
    assert found(request, allowing) == []


def test_a_resource_of_another_region_is_rejected() -> None:
    request = desired({"resource.flowArn": FLOW_ARN.replace(REGION, "us-east-1")}, "mediaconnect-output")

    assert found(request) == ["resource.flowArn"]


def test_only_a_resource_that_latchkey_can_create_need_not_exist() -> None:
    assert found(desired(), resource=ResourceEvidence(None)) == []
    assert found(desired(kind="mediapackage"), resource=ResourceEvidence(None)) == ["resource"]


@pytest.mark.parametrize(("tags", "problems"), [({}, ["resource"]), (ADOPT, [])], ids=["missing", "given"])
def test_a_missing_consent_names_the_resource_to_tag(tags: dict[str, str], problems: list[str]) -> None:
    request = desired(kind="mediapackage")
    evidence = RequestEvidence(resource=ResourceEvidence(configured(request), ConsentTarget("arn:target", tags)))

    broken = rules(resource_problems(request, evidence, SETTINGS))

    assert [path for path, _ in broken] == problems
    assert all("latchkey:consent=adopt to arn:target" in rule for _, rule in broken)


@pytest.mark.parametrize(("tags", "problems"), [({}, ["resource.baseUrl"]), (ADOPT, []), (OWN, [])])
def test_the_base_url_of_a_resource_changes_only_with_consent(tags: dict[str, str], problems: list[str]) -> None:
    present = configured(desired(), tags=tags, baseUrl="https://former.example.com")

    assert found(desired(), resource=ResourceEvidence(present)) == problems


def test_a_token_in_use_is_replaced_only_on_request() -> None:
    present = ResourceEvidence(configured(desired(), secret_arn="arn:former"))

    assert found(desired(), resource=present) == ["secret.replacesToken"]
    assert found(desired({"secret.replacesToken": True}), resource=present) == []


def test_a_resource_that_reads_the_secret_of_its_access_needs_no_replacement() -> None:
    present = ResourceEvidence(configured(desired(), secret_arn=SECRET_ARN))

    assert found(desired(), resource=present, secret=secret_evidence()) == []


def role_evidence(access_id: str, *, referred: bool) -> RoleEvidence:
    arn = desired(kind="mediapackage").place.arn("iam", "role/reader", region="")
    created = datetime(2026, 11, 22, tzinfo=UTC)
    return RoleEvidence(ObservedRole(arn, created, {}, None, None, (), {ACCESS: access_id}), referred)


@pytest.mark.parametrize(
    ("role", "problems"),
    [
        (None, []),
        (role_evidence(ENDPOINT, referred=True), []),
        (role_evidence(ENDPOINT, referred=False), ["resource"]),
        (role_evidence("mediapackage/originEndpoint/other", referred=True), ["resource"]),
    ],
    ids=["none", "of this access", "with a forged tag", "of another access"],
)
def test_a_role_with_the_name_of_the_reader_role_must_be_that_role(role: RoleEvidence | None, problems: list[str]) -> None:
    assert paths(role_problems(desired(kind="mediapackage"), RequestEvidence(role=role))) == problems


@pytest.mark.parametrize(
    ("evidence", "allowed", "problems"),
    [
        (RequestEvidence(), (), []),
        (RequestEvidence(secret=secret_evidence()), (), []),
        (RequestEvidence(secret=secret_evidence(), record=record()), (), ["resource.baseUrl"]),
        (RequestEvidence(secret=secret_evidence(referred=False)), (), ["resource.baseUrl"]),
        (RequestEvidence(secret=secret_evidence(secret(ADOPT))), (), ["resource.baseUrl"]),
        (RequestEvidence(secret=secret_evidence(secret(ADOPT))), ("*.example.com",), []),
        (
            RequestEvidence(secret=secret_evidence(secret(ADOPT), origin_hosts=frozenset({"origin.example.com"}))),
            (),
            [],
        ),
    ],
    ids=["new", "never used", "in use", "of another registry", "adopted", "allowed host", "known host"],
)
def test_an_existing_token_goes_only_to_known_hosts(
    evidence: RequestEvidence, allowed: tuple[str, ...], problems: list[str]
) -> None:
    settings = SETTINGS.model_copy(update={"allowed_origin_hosts": allowed})

    assert paths(host_problems(desired(), evidence, settings)) == problems
