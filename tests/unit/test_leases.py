"""A lease has one holder, is released after the work, and expires after a crash."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

import latchkey.registry.table
from latchkey.errors import Conflict, NotYetEffective, TransientAwsError
from latchkey.registry import Registry
from latchkey.registry.table import LEASE_SECONDS, Table
from tests import dynamodb
from tests.unit.test_registry import item


def items() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dynamodb.resource().Table("accesses").scan()["Items"]
    return found


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
    table = dynamodb.resource().Table("accesses")
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
    table = dynamodb.resource().Table("accesses")
    with registry.lease("alias a"):
        table.put_item(Item={"kind": "lease", "id": "alias a", "holder": "next", "expiresAt": int(time.time()) + 60})
    assert item("lease", "alias a")["holder"] == "next"


def test_a_lease_with_a_lost_response_is_released() -> None:
    client = boto3.client("dynamodb")
    with Stubber(client) as stubber:
        stubber.add_client_error("put_item", "ThrottlingException")
        stubber.add_response("delete_item", {})
        with (
            pytest.raises(TransientAwsError, match="ThrottlingException"),
            Registry(Table(client, "accesses")).lease("alias a"),
        ):
            pass
        stubber.assert_no_pending_responses()


def test_a_failed_release_does_not_fail_the_work() -> None:
    client, done = boto3.client("dynamodb"), []
    with Stubber(client) as stubber:
        stubber.add_response("put_item", {})
        stubber.add_client_error("delete_item", "AccessDeniedException")
        with Registry(Table(client, "accesses")).lease("alias a"):
            done.append("the policy")
    assert done == ["the policy"]


class Clock:
    """A time that passes only while every thread sleeps, so that a slow machine changes no order. One thread runs at a time."""

    def __init__(self) -> None:
        self._now = time.time()
        self._condition = threading.Condition()
        self._sleepers: list[tuple[float, int]] = []
        self._awake, self._count = 1, 0

    def time(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._condition:
            self._count += 1
            sleeper = (self._now + seconds, self._count)
            self._sleepers.append(sleeper)
            self._leave()
            assert self._condition.wait_for(lambda: sleeper not in self._sleepers, 60)

    def run(self, work: Callable[[], None]) -> threading.Thread:
        """Runs a thread until it sleeps for the first time."""

        def body() -> None:
            try:
                work()
            finally:
                with self._condition:
                    self._leave()

        self._awake += 1
        thread = threading.Thread(target=body)
        thread.start()
        self.sleep(0.001)
        return thread

    def join(self, threads: Sequence[threading.Thread]) -> None:
        with self._condition:
            self._leave()
        for thread in threads:
            thread.join(60)

    def _leave(self) -> None:
        self._awake -= 1
        if self._awake == 0 and self._sleepers:
            earliest = min(self._sleepers)
            self._sleepers.remove(earliest)
            self._now = earliest[0]
            self._awake = 1
            self._condition.notify_all()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the leases, in which a request waits as long as in the product."""
    clock = Clock()
    monkeypatch.setattr(latchkey.registry.table, "time", clock)
    monkeypatch.setattr(latchkey.registry.table, "LEASE_WAIT_SECONDS", 20)
    return clock


@pytest.mark.parametrize("work_seconds", [0, 0.02, 0.3])
def test_requests_that_wait_take_the_lease_in_their_order_and_look_rarely(
    registry: Registry, clock: Clock, work_seconds: float
) -> None:
    """The one that came first is served first, and those behind it wait longer between two looks."""
    order: list[int] = []
    looks: list[float] = []

    def is_done() -> bool:
        looks.append(clock.time())
        return False

    def work(number: int) -> None:
        with registry.lease("alias a", is_done) as lease:
            assert lease is not None
            lease.require()
            order.append(number)
            clock.sleep(work_seconds)

    with registry.lease("alias a"):
        threads = [clock.run(partial(work, number)) for number in range(20)]
    clock.join(threads)

    assert order == [*range(20)]
    assert len(looks) < 20 * 14
    assert [entry for entry in items() if entry["kind"] == "lease"] == []


def test_a_request_that_crashed_at_the_head_of_the_queue_delays_the_others_once(registry: Registry, clock: Clock) -> None:
    table = dynamodb.resource().Table("accesses")
    far = int(clock.time()) + 60
    table.put_item(Item={"kind": "lease", "id": f"alias a queue {1:015d} crashed", "holder": "crashed", "expiresAt": far})
    order: list[int] = []

    def work(number: int) -> None:
        with registry.lease("alias a") as lease:
            assert lease is not None
            order.append(number)

    with registry.lease("alias a"):
        threads = [clock.run(partial(work, number)) for number in range(8)]
        began = clock.time()
    clock.join(threads)

    assert order == [*range(8)]
    assert clock.time() - began < 8


def test_the_ticket_of_a_crashed_request_does_not_block(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latchkey.registry.table, "LEASE_WAIT_SECONDS", 5)
    table = dynamodb.resource().Table("accesses")
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
