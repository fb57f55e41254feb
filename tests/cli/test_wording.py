"""Every outcome in words: what a person needs to know and to do next, and the exit code."""

from typing import Any

import pytest

from latchkey.events.outcomes import OUTCOMES
from latchkey_cli.following import Outcome
from latchkey_cli.wording import _WORDS, describe_outcome, status_of
from tests.cli.screens import ReadScreen

ACCESS = "mediatailor/sourceLocation/sports-origin"
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:latchkey/mediatailor/sports-origin/token-AbCdEf"
CHECK = {"name": "grant is there", "passed": True, "evidence": "a grant"}
STATEMENT = {
    "Sid": "LatchkeyMediatailorReading",
    "Effect": "Allow",
    "Principal": {"Service": "mediatailor.amazonaws.com"},
    "Action": "secretsmanager:GetSecretValue",
    "Resource": SECRET,
    "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}},
}
PLAN = {
    "changes": [
        {
            "action": "create",
            "kind": "secret",
            "name": "latchkey/token",
            "settings": [{"name": "value", "after": "a new value"}],
        },
        {"action": "update", "kind": "key", "name": KEY, "policies": [{"name": "key policy", "added": [STATEMENT]}]},
        {"action": "remove", "kind": "role", "name": "latchkey_role"},
        {"action": "none", "kind": "alias", "name": "alias/latchkey"},
    ],
    "calls": [{"operation": "kms:PutKeyPolicy", "count": 2}, {"operation": "secretsmanager:CreateSecret", "count": 1}],
    "permissions": [{"principal": "arn:role", "action": "kms:CreateGrant", "resource": KEY}],
    "monthlyCost": 0.4,
    "planHash": "9f2c",
}
FAILURE = {"name": "AccessNotEffective", "message": '[{"name": "grant is there", "evidence": "no grant"}]'}

# The outcome, the exit code, and what must be said.
CASES: dict[str, tuple[str, dict[str, Any], int, list[str]]] = {
    "onboarded": (
        "Access Onboarded",
        {"status": "active", "checks": [CHECK], "resources": {"keyArn": KEY}, "effectDelaySeconds": 600},
        0,
        [f"{ACCESS} is active: 1 check passed", KEY, "600 s"],
    ),
    "unchanged": ("Access Onboarded", {"status": "unchanged", "checks": [CHECK, CHECK]}, 0, ["as requested: 2 checks passed"]),
    "handed off": (
        "Access Handed Off",
        {"status": "handed-off", "handoff": {"steps": ["Set the header"], "values": {"secretArn": SECRET}}},
        0,
        ["1. Set the header", SECRET, f"latchkey confirm {ACCESS} --follow"],
    ),
    "planned": (
        "Access Planned",
        PLAN,
        3,
        [
            "+ secret latchkey/token",
            "~ key",
            "- role latchkey_role",
            "LatchkeyMediatailorReading",
            "aws:SourceAccount StringEquals 111122223333",
            "1 to create, 1 to update, 1 to remove; $0.40 more per month",
            "kms:PutKeyPolicy (2 times), secretsmanager:CreateSecret",
            "is not allowed kms:CreateGrant",
            "latchkey onboard sports.json --plan-hash 9f2c --follow",
        ],
    ),
    "nothing planned": (
        "Access Planned",
        {"changes": PLAN["changes"][-1:], "calls": [], "permissions": [], "planHash": "9f2c"},  # type: ignore[index]
        0,
        ["needs no change"],
    ),
    "offboarded": (
        "Access Offboarded",
        {
            "status": "offboarded",
            "undone": ["the grant"],
            "scheduled": [{"resource": SECRET, "at": "2026-12-28T03:00:00Z"}, {"resource": KEY, "after": SECRET}],
            "left": ["an alias"],
            "steps": ["Remove the key from the flow"],
        },
        0,
        ["• the grant", "on 2026-12-28 03:00 UTC", "• an alias", "1. Remove the key", f"latchkey restore {ACCESS}"],
    ),
    "pending": (
        "Token Pending",
        {"status": "rotating", "steps": ["Accept the new token"], "until": "2026-12-05T03:00:00Z"},
        0,
        ["1. Accept the new token", "until 2026-12-05 03:00 UTC", f"latchkey confirm {ACCESS}", "--withdraw"],
    ),
    "rotated": (
        "Token Rotated",
        {"status": "active", "steps": ["Send it"], "formerToken": {"isAccepted": True, "until": "the cache ends"}},
        0,
        ["uses its new token", "still accepted: the cache ends", "1. Send it"],
    ),
    "withdrawn": (
        "Rotation Withdrawn",
        {"status": "active", "reason": "nobody confirmed it", "steps": []},
        0,
        ["keeps its current token: nobody confirmed it"],
    ),
    "reconciled": (
        "Reconciliation Completed",
        {"observed": 3, "drifted": 1, "unread": 1, "findings": {"key-disabled": 2}, "due": 1, "repaired": 0}
        | {"notRepaired": 0, "storm": True},
        0,
        ["3 accesses compared", "1 access with 2 findings", "key-disabled", "1 access was not observed", "--acknowledge-storm"],
    ),
    "nothing found": (
        "Reconciliation Completed",
        {"observed": 3, "drifted": 0, "unread": 0, "findings": {}, "due": 0, "repaired": 0, "notRepaired": 0, "storm": False},
        0,
        ["nothing differs"],
    ),
    "discovered": (
        "Discovery Completed",
        {"found": 3, "adoptable": 2, "missingConsents": 4, "obstacles": {"has no value": 1}, "unreadCount": 1}
        | {"unread": [{"subject": "mediaconnect", "reason": "ListFlows is not allowed"}]},
        0,
        ["3 resources found", "can adopt 2", "4 tags of owners", "1 resource: has no value", "mediaconnect: ListFlows"],
    ),
    "nothing discovered": (
        "Discovery Completed",
        {"found": 0, "adoptable": 0, "missingConsents": 0, "obstacles": {}, "unreadCount": 0, "unread": []},
        0,
        ["is managed by Latchkey"],
    ),
    "bulk": (
        "Bulk Onboarding Completed",
        {"lines": 3, "outcomes": {"Access Onboarded": 2, "Request Rejected": 1}, "results": {"bucket": "b", "key": "k"}},
        2,
        ["3 requests", "Request Rejected", "s3://b/k"],
    ),
    "rejected": (
        "Request Rejected",
        {"status": "rejected", "errors": [{"place": "resource.baseUrl", "rule": "must be a URL"}]},
        2,
        ["nothing was changed", "resource.baseUrl", "must be a URL"],
    ),
    "failed": (
        "Request Failed",
        {"failure": FAILURE, "undone": ["the key"], "left": ["a secret"], "changed": True, "executionArn": "arn:execution"},
        1,
        ["AccessNotEffective", "grant is there: no grant", "• the key", "• a secret", "remains", "arn:execution"],
    ),
}


@pytest.mark.parametrize("width", [None, 80, 160], ids=["pipe", "80 columns", "160 columns"])
@pytest.mark.parametrize(("kind", "detail", "status", "said"), CASES.values(), ids=CASES)
def test_an_outcome_says_what_happened_and_what_to_do(
    kind: str, detail: dict[str, Any], status: int, said: list[str], width: int | None
) -> None:
    screen, outcome = ReadScreen(width), Outcome(kind, {"accessId": ACCESS, "requestId": "request-1"} | detail)
    describe_outcome(screen, outcome, repeat="latchkey onboard sports.json")

    joined = "".join("".join(screen.text.split()))
    assert [text for text in said if "".join(text.split()) not in joined] == []
    assert status_of(outcome) == status
    assert all(len(line) <= (width or 10_000) for line in screen.lines)


def test_every_outcome_has_words() -> None:
    assert {*_WORDS, "Access Planned"} == {*OUTCOMES}


@pytest.mark.parametrize("width", [None, 80], ids=["pipe", "terminal"])
def test_nothing_from_aws_is_taken_for_markup_or_moves_the_cursor(width: int | None) -> None:
    screen, hostile = ReadScreen(width), "[red]:smile: [/]\x1b[31m\x9b2J\x07"
    describe_outcome(screen, Outcome("Rotation Withdrawn", {"accessId": ACCESS, "reason": hostile, "steps": [hostile]}))

    assert screen.text.count("[red]:smile:") == 2
    assert {"\x1b", "\x9b", "\x07"} & {*screen.text} == set()


def test_programs_get_the_whole_outcome() -> None:
    screen = ReadScreen(as_json=True)
    describe_outcome(screen, Outcome("Request Failed", {"failure": FAILURE}))

    assert '"outcome": "Request Failed"' in screen.text
    assert '"AccessNotEffective"' in screen.text
