"""Every AWS call of an onboarding fails once in every way: one outcome, nothing left, nobody else harmed, the next try works.

The kinds of failure take turns over the calls; `make faults` runs every kind at every call, and asks after others each time.
"""

import json
import secrets
from collections.abc import Iterator

import pytest

from local_aws.tools.embedded_aws import Embedded
from local_aws.tools.outcomes import Outcomes
from tests.workflow.conftest import MEMBER, ORIGIN
from tests.workflow.consumers import CONSUMERS, NOTHING_LEFT, left
from tests.workflow.striking import (
    ANY,
    BROKEN,
    BROKEN_AFTER,
    DENIED,
    DENIED_ONCE,
    FINAL,
    FINAL_BEFORE,
    KILLED,
    KILLED_BEFORE,
    LATE,
    NOTHING,
    OF_OTHERS,
    REPORT,
    THROTTLED,
    THROTTLED_ONCE,
    TIMED_OUT,
    UNDO,
    WORK,
    Detail,
    Kind,
    Striking,
    Struck,
    profile,
)

pytestmark = pytest.mark.timeout(900)  # for a busy machine; each takes about one minute


@pytest.fixture
def striking(hurried: Embedded, hurried_outcomes: Outcomes) -> Iterator[Striking]:
    yield Striking(hurried, hurried_outcomes)
    for path in ("assumptions", "faults"):
        hurried.control("DELETE", path)


def _ends_once(striking: Striking, struck: Struck) -> None:
    told = {event["detail"]["outcomeId"] for event in striking.outcomes.of(struck.detail["requestId"])}
    assert len(told) == 1, str(struck)


def _is_told(struck: Struck) -> None:
    """A failure names the call; a key that may not be looked at is told as a rule that the request breaks."""
    told = struck.event["detail"]
    assert told["changed"] is False, str(struck)
    if struck.outcome == "Request Rejected":
        assert (struck.kind, struck.operation) == (DENIED, "kms DescribeKey"), str(struck)
        assert [error["place"] for error in told["errors"]] == ["key.alias"]
    else:
        assert struck.outcome == "Request Failed", str(struck)
        assert struck.operation.split()[1] in told["failure"]["message"], str(struck)


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, THROTTLED, FINAL_BEFORE))
def test_what_a_failure_that_stays_has_made_is_undone_and_the_next_request_succeeds(
    striking: Striking, kinds: tuple[Kind, ...]
) -> None:
    for struck in striking.each_call(kinds, WORK, striking.detail):
        _ends_once(striking, struck)
        if struck.outcome != "Access Onboarded":
            _is_told(struck)
            assert striking.left(struck.detail) == NOTHING, str(struck)
            assert striking.again(struck)["status"] == "active"


class _Consumers:
    """An endpoint of its own for each request, that reads through a role; what its owner set is to stay."""

    def __init__(self, striking: Striking) -> None:
        self._striking = striking
        striking.aws.control("PUT", "assumptions", {"omittedOnPut": "clear"})

    def next(self) -> Detail:
        self.consumer = CONSUMERS["mediapackagev2"](self._striking.aws)
        self.before = self.consumer.settings()
        return self.consumer.detail


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, FINAL_BEFORE, THROTTLED))
def test_what_a_failure_that_stays_has_made_for_a_role_is_undone(striking: Striking, kinds: tuple[Kind, ...]) -> None:
    consumers = _Consumers(striking)
    for struck in striking.each_call(kinds, WORK, consumers.next, step=OF_OTHERS):
        _ends_once(striking, struck)
        if struck.outcome != "Access Onboarded":
            _is_told(struck)
            assert consumers.consumer.settings() == consumers.before, str(struck)
            assert left(striking, consumers.consumer) == NOTHING_LEFT, str(struck)
            assert striking.again(struck)["status"] == "active"


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
def test_a_failure_that_passes_is_ridden_out_for_a_role(striking: Striking, kinds: tuple[Kind, ...]) -> None:
    for struck in striking.each_call(kinds, ANY, _Consumers(striking).next, step=OF_OTHERS):
        _ends_once(striking, struck)
        assert struck.outcome == "Access Onboarded", str(struck)


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
def test_a_failure_that_passes_is_ridden_out(striking: Striking, kinds: tuple[Kind, ...]) -> None:
    for struck in striking.each_call(kinds, ANY, striking.detail):
        _ends_once(striking, struck)
        assert struck.outcome == "Access Onboarded", str(struck)


@pytest.mark.parametrize("kinds", profile(DENIED_ONCE, FINAL))
@pytest.mark.parametrize("others", [(), (LATE,)], ids=["success", "failure"])
def test_an_outcome_is_told_whatever_its_report_meets_for_once(
    striking: Striking, kinds: tuple[Kind, ...], others: tuple[Detail, ...]
) -> None:
    for struck in striking.each_call(kinds, REPORT, striking.detail, *others):
        _ends_once(striking, struck)
        assert struck.outcome == ("Request Failed" if others else "Access Onboarded"), str(struck)
        assert striking.again(struck)["status"] == ("active" if others else "unchanged")


@pytest.mark.parametrize("kinds", profile(KILLED, BROKEN, FINAL, DENIED_ONCE, TIMED_OUT, KILLED_BEFORE))
def test_an_undo_that_fails_on_the_way_is_finished_and_told_whole(striking: Striking, kinds: tuple[Kind, ...]) -> None:
    for struck in striking.each_call(kinds, UNDO, striking.detail, LATE):
        _ends_once(striking, struck)
        assert struck.outcome == "Request Failed", str(struck)
        assert struck.event["detail"]["changed"] is False, str(struck)
        told = struck.event["detail"]["undone"]
        assert [part for text in told for part in (":key/", "sourceLocation/", ":secret:") if part in text] == [
            ":key/",
            "sourceLocation/",
            ":secret:",
        ], str(struck)
        assert striking.left(struck.detail) == NOTHING, str(struck)
        assert striking.again(struck)["status"] == "active"


def _foreign(action: str) -> Detail:
    return {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ORIGIN}, "Action": action, "Resource": "*"}


def _adopted(striking: Striking) -> Detail:
    """A key and a secret that somebody else made, with statements of their own."""
    key_arn = striking.new_key(statements=(_foreign("kms:DescribeKey"),))
    secret_arn = striking.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}), KmsKeyId=key_arn)
    policy = {"Version": "2012-10-17", "Statement": [_foreign("secretsmanager:DescribeSecret")]}
    striking.secretsmanager.put_resource_policy(SecretId=secret_arn, ResourcePolicy=json.dumps(policy))
    return {"key": {"arn": key_arn}, "secret": {"value": {"existing": {"secretArn": secret_arn}}}}


class _First:
    """An access whose key, and secret if both are adopted, the requests that meet faults use too."""

    def __init__(self, striking: Striking, is_adopted: bool) -> None:
        self._striking, self._is_adopted = striking, is_adopted
        self.begin()

    def begin(self) -> None:
        self._members = _adopted(self._striking) if self._is_adopted else {}
        self.detail = self._striking.detail(**self._members, managementRoles=None)
        self.made = self._striking.onboard(self.detail)["resources"]
        self.policies = self.read_policies()

    def second(self) -> Detail:
        return self._striking.detail(**(self._members | {"key": self.detail["key"], "managementRoles": [ORIGIN]}))

    def read_policies(self) -> tuple[Detail, Detail]:
        return self._striking.key_policy(self.made["keyArn"]), self._striking.secret_policy(self.made["secretArn"])


@pytest.mark.parametrize("kinds", profile(FINAL, THROTTLED))
@pytest.mark.parametrize("is_adopted", [False, True], ids=["shared", "adopted"])
def test_others_keep_what_a_failed_request_shares_or_adopts(
    striking: Striking, kinds: tuple[Kind, ...], is_adopted: bool
) -> None:
    first = _First(striking, is_adopted)
    for struck in striking.each_call(kinds, WORK, first.second, step=OF_OTHERS):
        _ends_once(striking, struck)
        if struck.outcome == "Access Onboarded":
            first.begin()  # with every access beside it, the next request would make more calls
            continue
        _is_told(struck)
        assert first.read_policies() == first.policies, str(struck)
        assert ('"Theirs"' in json.dumps(first.policies)) is is_adopted
        again = first.detail | {"requestId": f"first-{struck.detail['requestId']}"}
        assert striking.onboard(again)["status"] == "unchanged"
