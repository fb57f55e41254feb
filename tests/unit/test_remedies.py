"""The commands that repair what a notice reports, in their order."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from latchkey.access.findings import FindingKind, finding
from latchkey.access.observed import ObservedAccess
from latchkey.access.remedy import joint_remedy, remedied, repair_request, request_again, revocation
from latchkey.aws.roles import ObservedRole
from latchkey.aws.secrets import Replica
from latchkey.requests.parsing import parse_onboarding
from tests.unit.samples import KEY_ARN, KINDS, SECRET_ARN, detail, role
from tests.unit.test_checks import CREATED, SOUND, Change, key, secret

AGAIN, REPLACING = "send it again", "send it again and replace the token"
ENABLE, CANCEL = (f"aws kms {verb} --key-id {KEY_ARN}" for verb in ("enable-key", "cancel-key-deletion"))
RESTORE = f"aws secretsmanager restore-secret --secret-id {SECRET_ARN}"
SHOW_KEY = f"aws kms get-key-policy --key-id {KEY_ARN} --query Policy --output text"
SHOW_SECRET = f"aws secretsmanager get-resource-policy --secret-id {SECRET_ARN}"
STAGES = {"one": ["AWSPREVIOUS"], "two": ["AWSCURRENT"]}
BACK = (
    f"aws secretsmanager update-secret-version-stage --secret-id {SECRET_ARN} --version-stage AWSCURRENT "
    "--move-to-version-id one --remove-from-version-id two"
)
REPLICATE = f"aws secretsmanager replicate-secret-to-regions --secret-id {SECRET_ARN} --add-replica-regions Region=us-east-1"
REPLICAS = (Replica("eu-central-1", "InSync"), Replica("us-east-1", "Failed"))
POLICIES = ("arn:aws:iam::aws:policy/AdministratorAccess", "Theirs")


def remedies(observed: ObservedAccess | None, *kinds: FindingKind) -> tuple[str, ...]:
    return joint_remedy(remedied([finding(kind, "") for kind in kinds], observed, AGAIN, REPLACING), AGAIN, REPLACING)


@pytest.mark.parametrize(
    ("kinds", "change", "commands"),
    [
        ([], key(), []),
        ([FindingKind.KEY_DISABLED], key(state="Disabled"), [ENABLE]),
        ([FindingKind.KEY_PENDING_DELETION], key(state="PendingDeletion"), [CANCEL, ENABLE]),
        ([FindingKind.KEY_DISABLED], key(state="Unavailable"), []),
        ([FindingKind.GRANT_MISSING, FindingKind.KEY_DISABLED], key(state="Disabled"), [ENABLE, AGAIN]),
        ([FindingKind.SECRET_PENDING_DELETION], key(), [RESTORE, AGAIN]),
        ([FindingKind.SECRET_STATEMENT_MISSING, FindingKind.ROLE_MISSING], key(), [AGAIN]),
        ([FindingKind.KEY_POLICY_DELETED_PRINCIPAL], key(), [SHOW_KEY]),
        ([FindingKind.SECRET_POLICY_DELETED_PRINCIPAL, FindingKind.SECRET_POLICY_PUBLIC], key(), [SHOW_SECRET]),
        ([FindingKind.KEY_ALIAS_MOVED], key(), [f"aws kms list-aliases --key-id {KEY_ARN}"]),
        ([FindingKind.GRANT_STALE], key(), [f"aws kms list-grants --key-id {KEY_ARN}"]),
        (
            [FindingKind.SECRET_UNDER_OTHER_KEY],
            key(),
            [f"aws secretsmanager update-secret --secret-id {SECRET_ARN} --kms-key-id {KEY_ARN}"],
        ),
        ([FindingKind.SECRET_WRONG_SHAPE], secret(stages=STAGES), [BACK]),
        ([FindingKind.SECRET_WRONG_SHAPE], secret(stages={"two": ["AWSCURRENT"]}), []),
        ([FindingKind.SECRET_REPLICA_DIVERGED], secret(replicas=REPLICAS), [REPLICATE]),
        ([FindingKind.RESOURCE_OTHER_SECRET], key(), [REPLACING]),
        ([FindingKind.RESOURCE_NO_TOKEN, FindingKind.KEY_ROTATION_OFF], key(), [REPLACING]),
        ([FindingKind.RESOURCE_MISSING], key(), []),
    ],
)
def test_owners_correct_first_and_the_request_is_sent_again_last(
    kinds: Sequence[FindingKind], change: Change, commands: list[str]
) -> None:
    assert remedies(change(SOUND), *kinds) == (*commands,)


def test_foreign_policies_of_a_reader_role_are_removed_by_name() -> None:
    observed = replace(SOUND, role=ObservedRole(role("Reader"), CREATED, {}, None, None, POLICIES, {}))

    assert remedies(observed, FindingKind.ROLE_FOREIGN_POLICY) == (
        f"aws iam detach-role-policy --role-name Reader --policy-arn {POLICIES[0]}",
        "aws iam delete-role-policy --role-name Reader --policy-name Theirs",
    )
    assert remedies(SOUND, FindingKind.ROLE_FOREIGN_POLICY) == ()


def test_what_does_not_exist_is_requested_again() -> None:
    assert remedies(None, FindingKind.KEY_MISSING, FindingKind.SECRET_MISSING) == (AGAIN,)
    assert remedies(None, FindingKind.RECORD_WITHOUT_RESOURCE) == ()


@pytest.mark.parametrize("kind", [kind for kind in FindingKind if kind.value.startswith("secret")])
def test_an_access_without_a_secret_has_no_command_for_one(kind: FindingKind) -> None:
    assert not {*remedies(replace(SOUND, secret=None), kind)} - {AGAIN}


@pytest.mark.parametrize(("tenant", "source"), [("default", "latchkey.requests"), ("news", "latchkey.requests.news")])
def test_the_request_is_sent_as_it_was_for_its_tenant(tenant: str, source: str) -> None:
    request = parse_onboarding(detail({"tags": {"team": "sports + news"}}))

    entry = _entry(request_again(request, "bus", tenant, replaces=False))

    assert (entry["EventBusName"], entry["Source"]) == ("bus", source)
    sent = json.loads(entry["Detail"])
    assert "requestId" not in sent
    assert parse_onboarding(sent | {"requestId": request.request_id}) == parse_onboarding(
        request.wire | {"secret": {"keepsValue": True}}
    )


@pytest.mark.parametrize("replaces", [True, False])
def test_a_replacement_is_part_of_the_request_only_if_it_is_needed(replaces: bool) -> None:
    entry = _entry(request_again(parse_onboarding(detail()), "bus", "default", replaces=replaces))

    assert json.loads(entry["Detail"]).get("secret", {}).get("replacesToken", False) == replaces


COPY = {"value": {"copyFrom": {"secretArn": SECRET_ARN}}}
EXISTING = {"value": {"existing": {"secretArn": SECRET_ARN}}}
CONSENTS = {"replacesToken": True, "moveKey": True}


@pytest.mark.parametrize(
    ("secret", "sent"),
    [
        (None, {"keepsValue": True}),
        (COPY, COPY | {"keepsValue": True}),
        ({"name": "latchkey/one"} | CONSENTS, {"name": "latchkey/one", "keepsValue": True}),
        (EXISTING | CONSENTS, EXISTING),
    ],
)
def test_a_request_again_keeps_the_value_and_repeats_no_consent(secret: dict[str, Any] | None, sent: dict[str, Any]) -> None:
    changes: dict[str, Any] = {"takesEffectNow": True} | ({"secret": secret} if secret else {})
    request = parse_onboarding(detail(changes, "mediapackage"))

    again = json.loads(_entry(request_again(request, "bus", "default", replaces=False))["Detail"])

    assert (again["secret"], "takesEffectNow" in again) == (sent, False)


def test_a_request_again_for_a_system_without_a_secret_contains_none() -> None:
    request = parse_onboarding(detail({}, "adobe-experience-platform"))

    assert "secret" not in json.loads(_entry(request_again(request, "bus", "default", replaces=False))["Detail"])


def test_a_grant_is_revoked_by_its_key_and_id() -> None:
    assert revocation(KEY_ARN, "g-1") == (f"aws kms revoke-grant --key-id {KEY_ARN} --grant-id g-1",)


def _entry(command: str) -> dict[str, Any]:
    *words, entries = shlex.split(command)
    assert words == ["aws", "events", "put-events", "--entries"]
    [entry] = json.loads(entries)
    return dict(entry)


def test_a_request_again_does_not_move_the_key() -> None:
    request = parse_onboarding(detail({"key": {"alias": "alias/latchkey/new", "move": True}}))
    again = json.loads(_entry(request_again(request, "bus", "default", replaces=False))["Detail"])
    assert again["key"] == {"alias": "alias/latchkey/new"}


def test_a_repair_keeps_the_value_and_consents_to_nothing() -> None:
    recorded = detail(
        {
            "secret": {"replacesToken": True, "moveKey": True, "originReaders": []},
            "key": {"rotationDays": 400, "move": True},
            "remediation": "repair",
        }
    )

    repair = repair_request(parse_onboarding(recorded), "repair-1")

    assert repair.request_id == "repair-1"
    assert repair.wire["secret"] == {"originReaders": [], "keepsValue": True}
    assert repair.wire["key"] == {"rotationDays": 400}
    assert repair.remediation == "repair"


@pytest.mark.parametrize("kind", KINDS)
def test_every_recorded_request_can_be_repaired(kind: str) -> None:
    request = parse_onboarding(detail(kind=kind))

    repair = repair_request(request, "repair-1")

    assert (repair.access_id, repair.resource, repair.key) == (request.access_id, request.resource, request.key)
    assert {repair.takes_effect_now, repair.secret.replaces_token, repair.secret.move_key} == {False}
    assert repair.secret.keeps_value is ("secret" in repair.wire and repair.secret.value.existing is None)
