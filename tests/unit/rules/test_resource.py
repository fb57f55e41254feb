"""Rules for the consumer resource, its origin, and its reader role."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.bounds import Bounds
from latchkey.access.desired import Desired
from latchkey.aws.roles import ObservedRole
from latchkey.onboarding.rules.evidence import (
    ConsentTarget,
    FormerSecretEvidence,
    RequestEvidence,
    ResourceEvidence,
    RoleEvidence,
    SourceEvidence,
)
from latchkey.onboarding.rules.policy import role_length_rule
from latchkey.onboarding.rules.resource import (
    configured_problems,
    confirmed_host_problems,
    host_problems,
    resource_problems,
    role_problems,
)
from latchkey.settings import Settings
from latchkey.tags import ACCESS
from tests.unit.rules.samples import ADOPT, configured, key_policy, paths, record, rules, secret, secret_evidence
from tests.unit.samples import EXISTING_ARN, FLOW_ARN, KEY_ARN, PLACE, REGION, SECRET_ARN, SETTINGS, UNDO_ROLE, desired

COPIED = frozenset({EXISTING_ARN})
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


def test_a_resource_that_is_gone_at_the_last_read_needs_no_consent() -> None:
    request, gone = desired(kind="mediapackage"), ResourceEvidence(None, ConsentTarget("arn:target", {}))
    assert request.system.configuration

    assert paths(configured_problems(request, request.system.configuration, gone, SECRET_ARN, None)) == []


@pytest.mark.parametrize(("tags", "problems"), [({}, ["resource"]), (ADOPT, [])], ids=["missing", "given"])
def test_a_missing_consent_names_the_resource_to_tag(tags: dict[str, str], problems: list[str]) -> None:
    request = desired(kind="mediapackage")
    evidence = RequestEvidence(resource=ResourceEvidence(configured(request), ConsentTarget("arn:target", tags)))

    broken = rules(resource_problems(request, evidence, SETTINGS))

    assert [path for path, _ in broken] == problems
    assert all("latchkey:consent=adopt to arn:target" in rule for _, rule in broken)


def test_tags_need_not_express_consent_that_is_not_needed() -> None:
    request = desired(kind="mediapackage")
    evidence = ResourceEvidence(configured(request), ConsentTarget("arn:target", {}), needs_consent=False)

    assert found(request, resource=evidence) == []


ACTIVE = {"names": {}, "settings": {"EntitlementArn": f"{FLOW_ARN}:theirs"}, "entitledWhile": "ACTIVE"}


@pytest.mark.parametrize("own", [True, False], ids=["already configured", "to be configured"])
def test_an_entitled_source_of_an_active_flow_is_rejected_unless_it_needs_no_update(own: bool) -> None:
    request = desired({"secret.replacesToken": True}, "mediaconnect-source")
    assert request.system.configuration
    settings = request.system.configuration.wanted(request.resource, request.reading(KEY_ARN, SECRET_ARN))
    present = replace(configured(request, secret_arn=SECRET_ARN), settings=settings if own else {}, other_settings=ACTIVE)
    given = ResourceEvidence(present, ConsentTarget("arn:flow", ADOPT))

    assert found(request, resource=given, secret=secret_evidence()) == ([] if own else ["resource"])
    # Without a secret, the resource must be updated.
    assert found(request, resource=given) == ["resource"]


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
        (RequestEvidence(secret=secret_evidence(never_configured=True)), (), []),
        (RequestEvidence(secret=secret_evidence(never_configured=True, copied_from=COPIED)), (), ["resource.baseUrl"]),
        (RequestEvidence(secret=secret_evidence()), (), ["resource.baseUrl"]),
        (RequestEvidence(secret=secret_evidence(never_configured=True), record=record()), (), ["resource.baseUrl"]),
        (RequestEvidence(secret=secret_evidence(referred=False, never_configured=True)), (), ["resource.baseUrl"]),
        (RequestEvidence(secret=secret_evidence(secret(ADOPT))), (), ["resource.baseUrl"]),
        (RequestEvidence(secret=secret_evidence(secret(ADOPT))), ("*.example.com",), []),
        (
            RequestEvidence(secret=secret_evidence(secret(ADOPT), origin_hosts=frozenset({"origin.example.com"}))),
            (),
            [],
        ),
    ],
    ids=[
        "new",
        "never used",
        "a copy that was never used",
        "of an older version",
        "in use",
        "of another registry",
        "adopted",
        "allowed host",
        "known host",
    ],
)
def test_an_existing_token_goes_only_to_known_hosts(
    evidence: RequestEvidence, allowed: tuple[str, ...], problems: list[str]
) -> None:
    settings = SETTINGS.model_copy(update={"allowed_origin_hosts": allowed})

    assert paths(host_problems(desired(), evidence, Bounds(settings))) == problems


COPY = {"secret.value.copyFrom": {"secretArn": EXISTING_ARN}}
HOST, NOWHERE = frozenset({"origin.example.com"}), frozenset[str]()


def recorded_copy() -> dict[str, Any]:
    return {"record": record(), "recorded_request": desired(COPY).request}


@pytest.mark.parametrize(
    ("evidence", "problems"),
    [
        (RequestEvidence(source=SourceEvidence(True)), ["resource.baseUrl"]),
        (RequestEvidence(source=SourceEvidence(True, origin_hosts=HOST)), []),
        (RequestEvidence(source=SourceEvidence(True), secret=secret_evidence(origin_hosts=HOST)), ["resource.baseUrl"]),
        (
            RequestEvidence(source=SourceEvidence(True), secret=secret_evidence(origin_hosts=HOST, copied_from=COPIED)),
            ["resource.baseUrl"],
        ),
        (RequestEvidence(source=SourceEvidence(True), secret=secret_evidence(origin_hosts=HOST), **recorded_copy()), []),
    ],
    ids=["new host", "host of the source", "another token", "host of a copy that can have failed", "host of the copy"],
)
def test_a_copied_token_goes_only_to_hosts_that_receive_it(evidence: RequestEvidence, problems: list[str]) -> None:
    assert paths(host_problems(desired(COPY), evidence, Bounds(SETTINGS))) == problems


@pytest.mark.parametrize(
    ("source_hosts", "secret_hosts", "recorded", "allowed", "problems"),
    [
        (NOWHERE, {}, {}, (), True),
        (NOWHERE, {}, {}, ("origin.*",), False),
        (HOST, {}, {}, (), False),
        (NOWHERE, {"origin_hosts": HOST}, {}, (), True),
        (NOWHERE, {"origin_hosts": HOST}, recorded_copy(), (), False),
        (HOST, {"present_hosts": HOST | {"other.example.com"}}, {}, (), True),
    ],
    ids=["new host", "allowed host", "host of the source", "another token", "host of the copy", "one of two"],
)
def test_a_token_is_copied_only_into_a_secret_whose_present_hosts_can_receive_it(
    source_hosts: frozenset[str],
    secret_hosts: dict[str, frozenset[str]],
    recorded: dict[str, Any],
    allowed: tuple[str, ...],
    problems: bool,
) -> None:
    bounds = Bounds(SETTINGS.model_copy(update={"allowed_origin_hosts": ("destination.example.com", *allowed)}))
    request = desired(COPY | {"resource.baseUrl": "https://destination.example.com/vod"})
    found = secret_evidence(None, **{"present_hosts": HOST} | secret_hosts)
    evidence = RequestEvidence(source=SourceEvidence(True, origin_hosts=source_hosts), secret=found, **recorded)

    broken = paths(host_problems(request, evidence, bounds))

    assert broken == (["secret.value.copyFrom"] if problems else [])


KEEPS = {"secret.keepsValue": True}


def test_a_value_that_is_kept_is_not_copied_to_the_present_hosts_of_its_secret() -> None:
    found = secret_evidence(None, present_hosts=HOST | {"other.example.com"}, origin_hosts=HOST)
    evidence = RequestEvidence(source=SourceEvidence(True), secret=found, **recorded_copy())

    assert paths(host_problems(desired(COPY), evidence, Bounds(SETTINGS))) == ["secret.value.copyFrom"]
    assert paths(host_problems(desired(COPY | KEEPS), evidence, Bounds(SETTINGS))) == []


@pytest.mark.parametrize(
    "evidence",
    [
        RequestEvidence(source=SourceEvidence(True)),
        RequestEvidence(source=SourceEvidence(True), secret=secret_evidence(origin_hosts=HOST)),
        RequestEvidence(source=SourceEvidence(True), secret=secret_evidence(copied_from=COPIED), **recorded_copy()),
    ],
    ids=["lost", "another token", "new host"],
)
def test_a_kept_value_goes_to_no_more_hosts_than_a_copied_one(evidence: RequestEvidence) -> None:
    assert paths(host_problems(desired(COPY | KEEPS), evidence, Bounds(SETTINGS))) == ["resource.baseUrl"]


LOST = SECRET_ARN.replace("AbCdEf", "LoSt01")


@pytest.mark.parametrize("value", [{}, COPY], ids=["generated", "copied"])
@pytest.mark.parametrize(
    ("changes", "used", "problems"),
    [
        ({}, LOST, []),
        ({}, None, ["resource.baseUrl"]),
        ({"resource.baseUrl": "https://other.example.com/vod"}, LOST, ["resource.baseUrl"]),
    ],
    ids=["waits", "takes effect", "another host"],
)
def test_a_request_that_waits_again_sends_no_token(
    value: dict[str, Any], changes: dict[str, Any], used: str | None, problems: list[str]
) -> None:
    request = desired(value | KEEPS | changes)
    evidence = RequestEvidence(
        record=record(secret_arn=LOST),
        recorded_request=desired(value).request,
        pending=replace(record(), reached="handed-off"),
        pending_request=desired(value | KEEPS).request,
        secret=secret_evidence(),
        source=SourceEvidence(True) if value else None,
        resource=ResourceEvidence(configured(request, used), needs_consent=False),
    )

    assert paths(host_problems(request, evidence, Bounds(SETTINGS))) == problems


def test_a_hand_off_can_be_repeated_and_its_host_counts_only_when_it_is_confirmed() -> None:
    handed_off = {"resource.configure": False}
    known: dict[str, Any] = {"secret": secret_evidence(), "recorded_request": desired(handed_off).request}
    evidence = RequestEvidence(record=replace(record(), reached="handed-off"), **known)

    assert paths(host_problems(desired(handed_off), evidence, Bounds(SETTINGS))) == []
    assert paths(host_problems(desired(), evidence, Bounds(SETTINGS))) == ["resource.baseUrl"]


EXISTING = {"secret.value.existing": {"secretArn": EXISTING_ARN}}


@pytest.mark.parametrize(
    ("former", "request_now", "found_arn", "repeats"),
    [
        ({}, {}, SECRET_ARN, True),
        ({}, {"secret.value.generate": {"length": 20}}, SECRET_ARN, True),
        ({}, {}, EXISTING_ARN, False),
        ({}, EXISTING, EXISTING_ARN, False),
        ({}, COPY, SECRET_ARN, False),
        (COPY, COPY, SECRET_ARN, False),
        (COPY, COPY | {"secret.keepsValue": True}, SECRET_ARN, True),
        (COPY, {}, SECRET_ARN, False),
        ({}, {"resource.baseUrl": "https://other.example.com/vod"}, SECRET_ARN, False),
    ],
    ids=[
        "same",
        "another length",
        "another secret",
        "adopts",
        "copies",
        "copies again",
        "keeps the copy",
        "copied before",
        "another host",
    ],
)
def test_only_a_hand_off_of_the_same_token_to_the_same_host_is_a_repetition(
    former: dict[str, Any], request_now: dict[str, Any], found_arn: str, repeats: bool
) -> None:
    handed_off = {"resource.configure": False}
    evidence = RequestEvidence(
        record=replace(record(), reached="handed-off"),
        recorded_request=desired(former | handed_off).request,
        secret=secret_evidence(secret(arn=found_arn)),
        source=SourceEvidence(True),
    )

    broken = paths(host_problems(desired(request_now | handed_off), evidence, Bounds(SETTINGS)))

    assert broken == ([] if repeats else ["resource.baseUrl"])


@pytest.mark.parametrize(
    ("asked", "evidence", "problems"),
    [
        ({}, RequestEvidence(), []),
        ({}, RequestEvidence(secret=secret_evidence()), []),
        ({}, RequestEvidence(secret=secret_evidence(copied_from=COPIED)), ["accessId"]),
        ({}, RequestEvidence(secret=secret_evidence(referred=False)), ["accessId"]),
        ({}, RequestEvidence(secret=secret_evidence(origin_hosts=frozenset({"other.example.com"}))), ["accessId"]),
        ({}, RequestEvidence(secret=secret_evidence(origin_hosts=HOST)), []),
        (EXISTING, RequestEvidence(secret=secret_evidence(secret(ADOPT))), ["accessId"]),
        (EXISTING, RequestEvidence(secret=secret_evidence(secret(ADOPT), origin_hosts=HOST)), []),
        (COPY, RequestEvidence(secret=secret_evidence(origin_hosts=HOST)), ["accessId"]),
        (COPY, RequestEvidence(secret=secret_evidence(origin_hosts=HOST), **recorded_copy()), []),
    ],
    ids=[
        "secret is gone",
        "new token",
        "token that a request can have replaced",
        "of another registry",
        "in service elsewhere",
        "in service here",
        "adopted",
        "adopted and in service",
        "copied",
        "copied and in service",
    ],
)
def test_the_host_of_a_hand_off_is_checked_again_when_it_is_confirmed(
    asked: dict[str, Any], evidence: RequestEvidence, problems: list[str]
) -> None:
    request = desired(asked | {"resource.configure": False})
    allowing = SETTINGS.model_copy(update={"allowed_origin_hosts": ("*",)})

    assert paths(confirmed_host_problems(request, evidence, Bounds(SETTINGS))) == problems
    assert paths(confirmed_host_problems(request, evidence, Bounds(allowing))) == []


OWNER = PLACE.arn("iam", "role/owner", region="")
READING = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*", "Sid": "OwnersOnly"}


NO_GRANTS = {"Effect": "Deny", "Principal": "*", "Action": "kms:CreateGrant", "Resource": "*"}


def denying(**members: Any) -> policies.Document:
    return policies.new_document([READING | members])


@pytest.mark.parametrize(
    ("former", "problems"),
    [
        (None, []),
        (FormerSecretEvidence(EXISTING_ARN), []),
        (FormerSecretEvidence(EXISTING_ARN, key_policy=key_policy()), []),
        (FormerSecretEvidence(EXISTING_ARN, key_policy=policies.new_document([])), ["resource"]),
        (FormerSecretEvidence(EXISTING_ARN, hidden_key=True), ["resource"]),
        (FormerSecretEvidence(EXISTING_ARN, hidden=True), ["resource"]),
        (FormerSecretEvidence(EXISTING_ARN, key_arn=KEY_ARN, key_policy=key_policy(NO_GRANTS)), ["resource"]),
        (FormerSecretEvidence(EXISTING_ARN, denying()), ["resource"]),
        (FormerSecretEvidence(EXISTING_ARN, denying(Action="secretsmanager:DeleteSecret")), []),
        (FormerSecretEvidence(EXISTING_ARN, denying(Condition={"ArnNotEquals": {"aws:PrincipalArn": OWNER}})), ["resource"]),
        (FormerSecretEvidence(EXISTING_ARN, denying(Condition={"ArnNotLike": {"aws:PrincipalArn": [OWNER, UNDO_ROLE]}})), []),
        (FormerSecretEvidence(EXISTING_ARN, denying(Condition={"Bool": {"aws:SecureTransport": "false"}})), []),
    ],
    ids=[
        "none",
        "default key",
        "open key",
        "closed key",
        "hidden key",
        "hidden",
        "no grant on the key",
        "denied",
        "another action",
        "the owner only",
        "this role too",
        "unknown condition",
    ],
)
def test_a_resource_that_could_not_be_set_back_is_rejected(former: FormerSecretEvidence | None, problems: list[str]) -> None:
    request = desired({"secret.replacesToken": True})
    evidence = ResourceEvidence(configured(request, EXISTING_ARN), former_secret=former)

    assert paths(resource_problems(request, RequestEvidence(resource=evidence), SETTINGS)) == problems


def test_a_reader_role_with_other_policies_is_rejected() -> None:
    """No access through it passes its checks, and nothing removes the other policies."""
    request = desired(kind="mediapackage")
    own = role_evidence(ENDPOINT, referred=True)
    widened = replace(own, role=replace(own.role, others=("Extra", "arn:aws:iam::aws:policy/SecretsManagerReadWrite")))

    [(path, rule)] = rules(role_problems(request, RequestEvidence(role=widened)))
    assert (path, "Extra" in rule) == ("resource", True)


def test_a_policy_of_a_reader_role_that_would_be_too_long_is_rejected_with_the_numbers() -> None:
    statement = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": [SECRET_ARN] * 150}

    [rule] = role_length_rule(policies.new_document([statement]))

    assert f"{policies.ROLE_POLICY_LIMIT}" in rule
    assert [*role_length_rule(policies.new_document([]))] == []
