"""What the accesses have in common is read once by take_inventory. It only confirms that nothing is wrong."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore.model import OperationModel

from latchkey.aws import clients
from latchkey.registry import registry
from tests.functions.account import Account
from tests.functions.clean_up_steps import ACCESS, GRANT, onboarded
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding
from tests.functions.test_reconciliation import RUN, lines_of, lose_statements, scheduled


@pytest.fixture(autouse=True)
def bus(account: Account, stack: Callable[..., None]) -> None:
    account.open_bus()
    stack(ALLOWED_ORIGIN_HOSTS="*")
    clients.s3().create_bucket(Bucket="latchkey-data")


def inventory(run: Run) -> list[dict[str, Any]]:
    return lines_of(run("take_inventory", scheduled())["key"])


def reconcile(run: Run, lines: list[dict[str, Any]]) -> dict[str, Any]:
    return run("reconcile_access", {"items": lines, "executionArn": RUN})


def second(run: Run, account: Account) -> None:
    """Onboards another access of the same key, without another grant for the first one."""
    account.mediatailor.at_update = lambda: None
    account.mediatailor.add("news-origin")
    onboarded(run, account, requestId="request-2", resource={"sourceLocation": "news-origin"})


@pytest.fixture
def calls() -> Callable[[], Counter[str]]:
    """The calls to AWS since the last time, except those to the registry and the data bucket."""
    counts: Counter[str] = Counter()

    def note(model: OperationModel, **_: Any) -> None:
        counts[model.name] += 1

    def since() -> Counter[str]:
        found = counts.copy()
        counts.clear()
        return found

    for service in ("kms", "secretsmanager", "iam", "mediatailor", "mediapackage"):
        clients.client_for(service).meta.events.register_first("before-parameter-build", note)
    return since


def test_what_the_accesses_have_in_common_is_read_once(run: Run, account: Account, calls: Callable[[], Counter[str]]) -> None:
    onboarded(run, account)
    second(run, account)
    calls()

    lines = inventory(run)
    of_inventory = calls()
    assert reconcile(run, lines) == {"published": [], "unread": []}

    of_key = ("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListResourceTags")
    assert {name: of_inventory[name] for name in of_key} == dict.fromkeys(of_key, 1)
    assert of_inventory["ListSecrets"] == of_inventory["ListAliases"] == 1
    of_access = ("GetResourcePolicy", "ListAlerts", "ListResourcePolicies", "ListSecretVersionIds")
    assert calls() == dict.fromkeys(of_access, 2)


def test_a_service_that_reads_through_roles_has_only_its_role_read(
    run: Run, account: Account, calls: Callable[[], Counter[str]]
) -> None:
    account.add_resources()
    Onboarding(run, account, system="mediapackage").run_through("record_access")
    lines = inventory(run)
    calls()

    assert reconcile(run, lines) == {"published": [], "unread": []}

    of_role = {"GetRole", "GetRolePolicy", "ListAttachedRolePolicies", "ListRolePolicies", "SimulatePrincipalPolicy"}
    assert calls().keys() == of_role | {"ListResourcePolicies", "ListSecretVersionIds"}


def _lose_statements(account: Account, access: Onboarding) -> None:
    lose_statements(account, access.key)


def _disable_key(account: Account, access: Onboarding) -> None:
    account.kms.disable_key(KeyId=access.key.rpartition("/")[2])


def _move_alias(account: Account, access: Onboarding) -> None:
    account.kms.update_alias(AliasName="alias/latchkey/mediatailor", TargetKeyId=account.key(tags={}))


def _untag_secret(account: Account, access: Onboarding) -> None:
    account.secretsmanager.untag_resource(SecretId=access.secret, TagKeys=["latchkey:managed-by"])


def _change_header(account: Account, access: Onboarding) -> None:
    location = account.mediatailor.locations["sports-origin"]
    location["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["HeaderName"] = "X-Other"


CHANGES = [_lose_statements, _disable_key, _move_alias, _untag_secret, _change_header]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_before_the_inventory_is_found(
    run: Run, account: Account, change: Callable[[Account, Onboarding], None]
) -> None:
    access = onboarded(run, account)
    change(account, access)

    assert len(reconcile(run, inventory(run))["published"]) == 1


def test_a_list_that_lags_behind_leads_to_no_finding(run: Run, account: Account) -> None:
    """The lists show a key, a secret and a location as they no longer are."""
    access = onboarded(run, account)
    location = account.mediatailor.locations["sports-origin"]
    sound = copy.deepcopy(location["AccessConfiguration"])
    _change_header(account, access)
    _disable_key(account, access)
    lines = inventory(run)
    location["AccessConfiguration"] = sound
    account.kms.enable_key(KeyId=access.key.rpartition("/")[2])

    assert reconcile(run, lines) == {"published": [], "unread": []}


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("kms", "DescribeKey"),
        ("kms", "GetKeyPolicy"),
        ("kms", "GetKeyRotationStatus"),
        ("kms", "ListAliases"),
        ("kms", "ListGrants"),
        ("secretsmanager", "ListSecrets"),
        ("mediatailor", "ListSourceLocations"),
    ],
)
@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_what_the_inventory_could_not_read_is_read_for_each_access(
    run: Run, account: Account, service: str, operation: str, code: str
) -> None:
    onboarded(run, account)
    at_call(service, operation, answer_with_error(operation, code=code))

    taken = run("take_inventory", scheduled())

    assert len(taken["unread"]) == 1
    assert reconcile(run, lines_of(taken["key"])) == {"published": [], "unread": []}
    assert registry().findings.get(ACCESS) is not None


def test_an_access_that_a_list_omits_is_read_on_its_own(run: Run, account: Account) -> None:
    """A list can lack a secret that is five minutes old, and a location that was just created."""
    onboarded(run, account)
    lines = inventory(run)
    omitted = [{"accessId": ACCESS, "key": line["key"], "grants": []} for line in lines]

    assert reconcile(run, omitted) == {"published": [], "unread": []}


def test_a_finding_that_was_reported_ends_only_after_a_read_of_the_access(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    lines = inventory(run)
    lose_statements(account, access.key)
    assert reconcile(run, [{"accessId": ACCESS}])["published"] == ["Drift Detected"]

    assert reconcile(run, lines)["published"] == []


def test_an_object_that_is_gone_leaves_the_access_to_the_next_attempt(run: Run, account: Account) -> None:
    onboarded(run, account)
    [line] = inventory(run)
    clients.s3().delete_object(Bucket="latchkey-data", Key=line["key"])

    [left] = reconcile(run, [line])["unread"]

    assert {name: value for name, value in left.items() if value} == {"accessId": ACCESS}
    assert reconcile(run, [left]) == {"published": [], "unread": []}


def test_a_line_that_is_too_long_is_shortened(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    for _ in range(40):
        account.grant(access.key, GRANT, access.secret)

    [line] = inventory(run)

    assert line.keys() == {"accessId", "checksValue", "key"}
    assert reconcile(run, [line])["published"] == ["Drift Detected"]
