"""take_inventory, reconcile_access and decide_repairs: what is found, what is repaired, and what is not concluded."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import Conflict
from latchkey.registry import registry
from latchkey.requests.models import RECONCILIATION_REQUESTED
from tests.functions.account import ACCOUNT, REGION, Account
from tests.functions.clean_up_steps import ACCESS, delete_location, onboarded
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import EXECUTION, Run, rejection
from tests.functions.onboarding_steps import Onboarding, key_statements, policy

RUN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:reconcile:run-1"
OTHER = "mediatailor/sourceLocation/news-origin"


@pytest.fixture(autouse=True)
def bus(account: Account, stack: Callable[..., None]) -> None:
    account.open_bus()
    stack(ALLOWED_ORIGIN_HOSTS="*")
    clients.s3().create_bucket(Bucket="latchkey-data")


def event(request_id: str = "reconcile-1", **asked: Any) -> dict[str, Any]:
    known = {"requestId": request_id, "contentHash": "c" * 64, "kind": RECONCILIATION_REQUESTED, "executionArn": RUN}
    return known | {"eventId": "event-1", "tenant": "default", "asked": {"requestId": request_id, **asked}}


def scheduled() -> dict[str, Any]:
    return event("scheduled") | {"eventId": None, "asked": None}


def inventoried(run: Run, asked: dict[str, Any]) -> list[str]:
    """The accesses in the inventory of a reconciliation."""
    taken = run("take_inventory", asked)
    lines = lines_of(taken["key"])
    assert len(lines) == taken["accesses"]
    return [line["accessId"] for line in lines]


def lines_of(key: str) -> list[dict[str, Any]]:
    body = clients.s3().get_object(Bucket="latchkey-data", Key=key)["Body"].read()
    return [json.loads(line) for line in body.splitlines()]


def reconcile(run: Run, *access_ids: str, execution: str = RUN) -> dict[str, Any]:
    return run("reconcile_access", {"items": [{"accessId": one} for one in access_ids or (ACCESS,)], "executionArn": execution})


def decide(run: Run, asked: dict[str, Any] | None = None, *access_ids: str) -> dict[str, Any]:
    """Decides about accesses that were observed since the start of the reconciliation."""
    lines = "".join(f"{json.dumps({'accessId': one})}\n" for one in access_ids or (ACCESS,))
    clients.s3().put_object(Bucket="latchkey-data", Key="reconciliations/run-1/accesses.jsonl", Body=lines.encode())
    inventory = {"key": "reconciliations/run-1/accesses.jsonl", "accesses": len(access_ids or (ACCESS,))}
    started = {"startedAt": "2020-01-01T00:00:00.000Z", "inventory": inventory}
    return run("decide_repairs", (asked or event()) | started)


def lose_statements(account: Account, key: str) -> None:
    """Leaves only the first statement of a key policy, which delegates to IAM."""
    account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(key_statements(account, key)[0]))


def test_the_inventory_lists_the_accesses_in_the_scope(run: Run, account: Account) -> None:
    onboarded(run, account)
    account.mediatailor.add("news-origin")
    onboarded(run, account, requestId="request-2", resource={"sourceLocation": "news-origin"})

    assert inventoried(run, scheduled()) == [OTHER, ACCESS]
    assert inventoried(run, event()) == [OTHER, ACCESS]
    assert inventoried(run, event("reconcile-2", system="mediatailor")) == [OTHER, ACCESS]
    assert inventoried(run, event("reconcile-3", system="mediapackage")) == []
    assert inventoried(run, event("reconcile-4", accessId=ACCESS)) == [ACCESS]
    assert inventoried(run, event("reconcile-5") | {"tenant": "news"}) == []


def test_an_access_whose_resource_is_gone_is_inventoried_only_by_name(run: Run, account: Account) -> None:
    onboarded(run, account)
    record = registry().accesses.get(ACCESS)
    assert record
    registry().accesses.record_status(record, "gone", ())

    assert inventoried(run, scheduled()) == []
    assert inventoried(run, event(accessId=ACCESS)) == [ACCESS]


def test_the_inventory_claims_the_request(run: Run, account: Account) -> None:
    assert inventoried(run, event()) == inventoried(run, event()) == []

    assert set(rejection(run, "take_inventory", event() | {"contentHash": "d" * 64})) == {"requestId"}
    problems = [{"place": "accessId", "rule": "not allowed for this tenant"}]
    refused = event("reconcile-2") | {"asked": None, "problems": problems}
    assert rejection(run, "take_inventory", refused) == {"accessId": "not allowed for this tenant"}


def test_nothing_is_found_where_nothing_differs(run: Run, account: Account) -> None:
    onboarded(run, account)

    assert reconcile(run) == {"published": [], "unread": []}
    found = registry().findings.get(ACCESS)
    assert found
    assert (found.findings, found.due) == ((), ())


def test_a_finding_is_published_once(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    lose_statements(account, access.key)

    assert reconcile(run)["published"] == ["Drift Detected"]
    assert reconcile(run, execution=f"{RUN}-2")["published"] == []
    first = registry().findings.get(ACCESS)
    assert first
    assert (len(first.findings) > 0, first.due) == (True, ())
    [item] = account.items("finding")
    assert item["id"]["S"] == ACCESS


def test_a_finding_with_other_evidence_is_published_again(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    altered = [
        one | ({"Action": "kms:Decrypt"} if "Management" in one["Sid"] else {}) for one in key_statements(account, access.key)
    ]
    account.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=policy(*altered))
    assert reconcile(run)["published"] == ["Drift Detected"]
    lost = [one for one in altered if "Management" not in one["Sid"]]
    account.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=policy(*lost))

    published = [reconcile(run, execution=f"{RUN}-{number}")["published"] for number in (2, 3)]

    assert published == [["Drift Detected"], []]


def test_an_access_that_cannot_be_read_holds_up_no_other_one(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    account.mediatailor.add("news-origin")
    onboarded(run, account, requestId="request-2", resource={"sourceLocation": "news-origin"}, key={"alias": "alias/news"})
    lose_statements(account, access.key)
    at_call("kms", "DescribeKey", answer_with_error("DescribeKey", code="ThrottlingException"))

    reconciled = reconcile(run, OTHER, ACCESS)

    assert ([one["accessId"] for one in reconciled["unread"]], reconciled["published"]) == ([OTHER], ["Drift Detected"])
    assert registry().findings.get(OTHER) is None


@pytest.mark.parametrize("system", ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"])
def test_a_deleted_resource_of_a_service_without_grants_is_reported(run: Run, account: Account, system: str) -> None:
    """No event reports the deletion, and no cleanup follows it."""
    account.add_resources()
    access_id = Onboarding(run, account, system=system).run_through("record_access").checked["accessId"]
    account.delete_resources()

    assert reconcile(run, access_id)["published"] == ["Access Gone"]
    assert reconcile(run, access_id, execution=f"{RUN}-2")["published"] == []


def test_a_deleted_source_location_is_left_to_its_cleanup(run: Run, account: Account) -> None:
    onboarded(run, account)
    delete_location(account)

    assert reconcile(run)["published"] == []
    record = registry().accesses.get(ACCESS)
    assert record
    assert record.status == "active"


def test_nothing_is_concluded_while_a_request_is_running(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    lose_statements(account, access.key)
    registry().locks.lock(ACCESS, EXECUTION)

    assert reconcile(run) == {"published": [], "unread": []}
    assert registry().findings.get(ACCESS) is None
    decided = decide(run)
    assert (decided["observed"], decided["unread"]) == (0, 1)


def test_an_audit_repairs_nothing(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    lose_statements(account, access.key)
    reconcile(run)

    decided = decide(run)

    assert (decided["drifted"], decided["due"], decided["repairs"]) == (1, 0, 0)
    [report] = lines_of(decided["report"])
    assert (report["accessId"], sum(decided["findings"].values())) == (ACCESS, len(report["findings"]))


@pytest.mark.parametrize(("mode", "members"), [("repair", {}), ("audit", {"remediation": "repair"})])
def test_a_repair_is_started_under_the_recorded_request(
    run: Run, account: Account, stack: Callable[..., None], mode: str, members: dict[str, str]
) -> None:
    access = onboarded(run, account, **members)
    lose_statements(account, access.key)
    stack(REMEDIATION_MODE=mode)
    reconcile(run)

    decided = decide(run)

    assert (decided["due"], decided["repairs"]) == (1, 1)
    [line] = lines_of(decided["key"])
    content = line["input"]
    assert (line["name"], content["kind"], content["accessId"]) == (content["requestId"], "Repair Due", ACCESS)
    assert content["request"]["secret"]["keepsValue"] is True
    assert content["repair"]["reconciliation"] == RUN
    assert {one["remediation"] for one in content["repair"]["findings"]} == {"repair"}
    found = registry().findings.get(ACCESS)
    assert found
    assert [*found.attempts] == [line["name"]]
    assert lines_of(decide(run)["key"]) == [line]


def test_the_request_of_an_access_decides_before_the_stack(run: Run, account: Account, stack: Callable[..., None]) -> None:
    access = onboarded(run, account, remediation="audit")
    lose_statements(account, access.key)
    stack(REMEDIATION_MODE="repair")
    reconcile(run)

    assert decide(run)["due"] == 0


def test_nothing_is_decided_without_the_inventory(run: Run, account: Account, stack: Callable[..., None]) -> None:
    access = onboarded(run, account)
    lose_statements(account, access.key)
    stack(REMEDIATION_MODE="repair")
    reconcile(run)
    inventory = {"key": "reconciliations/run-1/absent.jsonl", "accesses": 1}

    with pytest.raises(Conflict, match="absent"):
        run("decide_repairs", event() | {"startedAt": "2020-01-01T00:00:00.000Z", "inventory": inventory})

    assert decide(run)["repairs"] == 1


def test_a_repair_of_another_reconciliation_is_not_started_twice(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    access = onboarded(run, account)
    lose_statements(account, access.key)
    stack(REMEDIATION_MODE="repair")
    reconcile(run)
    assert decide(run)["repairs"] == 1

    other = decide(run, event() | {"executionArn": f"{RUN}-2"})

    assert (other["due"], other["repairs"]) == (1, 0)


def test_more_repairs_than_allowed_wait_until_they_are_acknowledged(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    access = onboarded(run, account)
    lose_statements(account, access.key)
    stack(REMEDIATION_MODE="repair", MAX_REPAIRS="0")
    reconcile(run)

    decided = decide(run)
    assert (decided["storm"], decided["due"], decided["repairs"]) == (True, 1, 0)
    assert lines_of(decided["key"]) == []
    acknowledged = decide(run, event(acknowledgeStorm=True))

    assert (acknowledged["storm"], acknowledged["repairs"]) == (False, 1)


def test_a_decision_that_another_reconciliation_overtakes_is_left_to_it(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    access = onboarded(run, account)
    lose_statements(account, access.key)
    stack(REMEDIATION_MODE="repair")
    reconcile(run)
    stale = registry().findings.get(ACCESS)
    assert stale
    reconcile(run, execution=f"{RUN}-2")

    assert registry().findings.note_attempt(stale, "repair-1", stale.seen_at) is False
