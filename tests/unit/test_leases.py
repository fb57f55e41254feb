"""A lease has one holder, is released after the work, and expires after a crash."""

from __future__ import annotations

import threading
import time
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

import latchkey.registry.table
from latchkey.errors import Conflict, NotYetEffective, TransientAwsError
from latchkey.registry import Registry
from latchkey.registry.table import LEASE_SECONDS, Table
from tests.unit.test_registry import item


def items() -> list[dict[str, Any]]:
    return boto3.resource("dynamodb").Table("accesses").scan()["Items"]


def test_a_lease_has_one_holder_and_is_released(registry: Registry) -> None:
    with registry.lease("alias a"), registry.lease("alias b"):
        with pytest.raises(NotYetEffective, match="lease on the alias a"), registry.lease("alias a"):
            raise AssertionError("two hold the lease")
        assert item("lease", "alias a")
    assert item("lease", "alias a") == {}
    with registry.lease("alias a"):
        assert item("lease", "alias a")


def test_a_lease_is_released_after_an_error(registry: Registry) -> None:
    with pytest.raises(Conflict), registry.lease("alias a"):
        raise Conflict("of the work")
    assert item("lease", "alias a") == {}


def test_a_lease_outlasts_every_function_that_can_hold_it(registry: Registry) -> None:
    with registry.lease("alias a"):
        assert item("lease", "alias a")["expiresAt"] >= int(time.time()) + LEASE_SECONDS - 2


def test_a_lease_expires_after_a_crash(registry: Registry) -> None:
    table = boto3.resource("dynamodb").Table("accesses")
    lost: dict[str, str | int] = {"kind": "lease", "id": "alias a", "holder": "lost", "expiresAt": int(time.time()) - 1}
    table.put_item(Item=lost)
    with registry.lease("alias a"):
        assert item("lease", "alias a")["holder"] != "lost"
    table.put_item(Item=lost | {"expiresAt": int(time.time()) + 60})
    with pytest.raises(NotYetEffective), registry.lease("alias a"):
        raise AssertionError("two hold the lease")


def test_a_lease_that_is_released_soon_is_awaited(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latchkey.registry.table, "LEASE_WAIT_SECONDS", 10)
    holder = registry.lease("alias a")
    holder.__enter__()
    waits: list[float] = []

    def give_back(seconds: float) -> None:
        waits.append(seconds)
        holder.__exit__(None, None, None)

    monkeypatch.setattr("latchkey.registry.table.time.sleep", give_back)
    with registry.lease("alias a"):
        assert len(waits) == 1


def test_a_late_holder_does_not_release_the_lease_of_the_next_one(registry: Registry) -> None:
    table = boto3.resource("dynamodb").Table("accesses")
    with registry.lease("alias a"):
        table.put_item(Item={"kind": "lease", "id": "alias a", "holder": "next", "expiresAt": int(time.time()) + 60})
    assert item("lease", "alias a")["holder"] == "next"


def test_a_lease_with_a_lost_response_is_released() -> None:
    dynamodb = boto3.client("dynamodb")
    with Stubber(dynamodb) as stubber:
        stubber.add_client_error("put_item", "ThrottlingException")
        stubber.add_response("delete_item", {})
        with (
            pytest.raises(TransientAwsError, match="ThrottlingException"),
            Registry(Table(dynamodb, "accesses")).lease("alias a"),
        ):
            pass
        stubber.assert_no_pending_responses()


def test_a_failed_release_does_not_fail_the_work() -> None:
    dynamodb, done = boto3.client("dynamodb"), []
    with Stubber(dynamodb) as stubber:
        stubber.add_response("put_item", {})
        stubber.add_client_error("delete_item", "AccessDeniedException")
        with Registry(Table(dynamodb, "accesses")).lease("alias a"):
            done.append("the policy")
    assert done == ["the policy"]


def test_requests_that_wait_take_the_lease_in_their_order_and_look_rarely(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that came first is served first, and those behind it wait longer between two looks."""
    monkeypatch.setattr(latchkey.registry.table, "LEASE_WAIT_SECONDS", 20)
    order: list[int] = []
    pauses: list[float] = []
    pause = time.sleep

    def counted(seconds: float) -> None:
        pauses.append(seconds)
        pause(seconds)

    monkeypatch.setattr("latchkey.registry.table.time.sleep", counted)

    def work(number: int) -> None:
        with registry.lease("alias a") as lease:
            assert lease is not None
            lease.require()
            order.append(number)

    holder = registry.lease("alias a")
    holder.__enter__()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
        pause(0.05)
    holder.__exit__(None, None, None)
    for thread in threads:
        thread.join(30)

    assert order == sorted(order)
    assert len(order) == 8
    assert len(pauses) < 8 * 12
    assert [entry for entry in items() if entry["kind"] == "lease"] == []


def test_the_ticket_of_a_crashed_request_does_not_block(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latchkey.registry.table, "LEASE_WAIT_SECONDS", 5)
    table = boto3.resource("dynamodb").Table("accesses")
    far = int(time.time()) + 60
    table.put_item(Item={"kind": "lease", "id": f"alias a queue {1:015d} crashed", "holder": "crashed", "expiresAt": far})
    holder = registry.lease("alias a")
    holder.__enter__()
    threading.Timer(0.3, lambda: holder.__exit__(None, None, None)).start()

    with registry.lease("alias a") as lease:
        assert lease is not None


def test_a_request_whose_work_was_done_by_another_one_does_not_wait(registry: Registry) -> None:
    with registry.lease("alias a"), registry.lease("alias a", lambda: True) as lease:
        assert lease is None
    assert [entry for entry in items() if entry["kind"] == "lease"] == []


def test_a_holder_whose_lease_has_expired_must_not_write(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with registry.lease("alias a") as lease:
        assert lease is not None
        lease.require()
        now = time.time()
        monkeypatch.setattr("latchkey.registry.table.time.time", lambda: now + LEASE_SECONDS)
        with pytest.raises(TransientAwsError):
            lease.require()
