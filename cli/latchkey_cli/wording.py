"""The outcome of a request in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from latchkey_cli.following import Outcome
from latchkey_cli.problems import FAILED, HAS_CHANGES, REJECTED
from latchkey_cli.screen import (
    BAD,
    CAUTION,
    GOOD,
    QUIET,
    STRONG,
    Screen,
    facts,
    indented,
    plural,
    short_arn,
    short_principal,
    table,
)

_DONE = "✓ "
_SYMBOLS: Mapping[str, tuple[str, str]] = {
    "create": ("+", GOOD),
    "update": ("~", CAUTION),
    "adopt": ("=", "cyan"),
    "remove": ("-", "red"),
    "none": (" ", QUIET),
}
_RESOURCES = (
    ("key", "keyArn"),
    ("secret", "secretArn"),
    ("role", "roleArn"),
    ("resource", "resourceArn"),
    ("grant", "grantId"),
)
_LONGEST_VALUE = 200


def status_of(outcome: Outcome) -> int:
    """The exit code for an outcome: 0 done, 1 failed, 2 rejected, 3 a plan with changes."""
    if outcome.kind == "Request Rejected":
        return REJECTED
    if outcome.kind == "Request Failed":
        return FAILED
    if outcome.kind == "Access Planned" and any(one["action"] != "none" for one in outcome.detail.get("changes", ())):
        return HAS_CHANGES
    if outcome.kind == "Bulk Onboarding Completed":
        return _status_of_bulk(outcome.detail.get("outcomes", {}))
    return 0


def _status_of_bulk(outcomes: Mapping[str, int]) -> int:
    if outcomes.get("Request Failed"):
        return FAILED
    return REJECTED if outcomes.get("Request Rejected") else 0


def describe_outcome(screen: Screen, outcome: Outcome, *, repeat: str = "") -> None:
    """Prints an outcome in words. `repeat` is the command that carries out what was planned, without the hash."""
    if screen.as_json:
        screen.json({"outcome": outcome.kind, **outcome.detail})
        return
    detail = outcome.detail
    if outcome.kind == "Access Planned":
        _plan(screen, detail, repeat)
        return
    words = _WORDS.get(outcome.kind)
    if words is None:
        screen.say((outcome.kind, STRONG), f" {detail.get('accessId') or ''}", f" ({detail.get('status')})")
    else:
        words(screen, detail)
    for warning in detail.get("warnings", ()):
        screen.say(("warning: ", CAUTION), f"{warning['place']} {warning['rule']}", indent=2)


def _run(screen: Screen, why: str, line: str) -> None:
    """A command for the next step, on a line of its own."""
    screen.say(why, indent=2)
    screen.say((line, STRONG), indent=4)


def when(text: str) -> str:
    """A time of an outcome, to the minute."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def _resources(screen: Screen, detail: Mapping[str, Any]) -> None:
    given = detail.get("resources", {})
    if any(given.get(name) for _, name in _RESOURCES):
        screen.show(indented(facts((title, given.get(name)) for title, name in _RESOURCES)))


def _several(screen: Screen, title: str, lines: Sequence[str], style: str = STRONG, *, numbered: bool = False) -> None:
    if lines:
        screen.say((title, style), indent=2)
        for number, line in enumerate(lines, 1):
            screen.say(f"{number}. " if numbered else "• ", line, indent=4)


def _onboarded(screen: Screen, detail: Mapping[str, Any]) -> None:
    passed = plural(len(detail.get("checks", ())), "check")
    if detail.get("status") == "unchanged":
        screen.say((_DONE, GOOD), (str(detail["accessId"]), STRONG), f" was already as requested: {passed} passed")
    else:
        screen.say((_DONE, GOOD), (str(detail["accessId"]), STRONG), f" is active: {passed} passed")
    _resources(screen, detail)
    if detail.get("effectDelaySeconds"):
        screen.say(f"The service can use a former value for up to {detail['effectDelaySeconds']} s.", indent=2)
    _several(screen, "Removed from the former key", detail.get("removed", ()))
    _several(screen, "Left in place", detail.get("left", ()), CAUTION)


def _handed_off(screen: Screen, detail: Mapping[str, Any]) -> None:
    handoff = detail.get("handoff", {})
    screen.say((_DONE, GOOD), (str(detail["accessId"]), STRONG), " is ready, except for what you do now:")
    _several(screen, "Steps", handoff.get("steps", ()), numbered=True)
    values = handoff.get("values", {})
    if values:
        screen.say(("Values", STRONG), indent=2)
        screen.show(indented(facts((name, _value(value)) for name, value in values.items()), 4))
    _resources(screen, detail)
    _run(screen, "Then confirm it:", f"latchkey confirm {detail['accessId']} --follow")


def _offboarded(screen: Screen, detail: Mapping[str, Any]) -> None:
    again = "was offboarded before" if detail.get("status") == "unchanged" else "is offboarded"
    screen.say((_DONE, GOOD), (str(detail["accessId"]), STRONG), f" {again}")
    _several(screen, "Removed", detail.get("undone", ()))
    scheduled = [_scheduled(one) for one in detail.get("scheduled", ())]
    _several(screen, "Scheduled", scheduled)
    _several(screen, "Left in place", detail.get("left", ()), CAUTION)
    _several(screen, "To do by hand", detail.get("steps", ()), CAUTION, numbered=True)
    if scheduled:
        _run(screen, "Until then, set it up again with:", f"latchkey restore {detail['accessId']} --follow")


def _scheduled(one: Mapping[str, Any]) -> str:
    if one.get("at"):
        return f"{one['resource']} is deleted on {when(one['at'])}"
    return f"{one['resource']} is scheduled for deletion after {one.get('after')} is gone"


def _pending(screen: Screen, detail: Mapping[str, Any]) -> None:
    screen.say((_DONE, GOOD), (str(detail["accessId"]), STRONG), " has a new token, which is not in use yet")
    _several(screen, "Do this first", detail.get("steps", ()), numbered=True)
    _run(screen, f"Then, until {when(str(detail.get('until')))}:", f"latchkey confirm {detail['accessId']} --follow")
    _run(screen, "To keep the current token instead:", f"latchkey rotate {detail['accessId']} --withdraw")


def _rotated(screen: Screen, detail: Mapping[str, Any]) -> None:
    screen.say((_DONE, GOOD), (str(detail["accessId"]), STRONG), " uses its new token")
    former = detail.get("formerToken", {})
    if former:
        until = f": {former['until']}" if former.get("until") else ""
        accepted = f"The former token is still accepted{until}."
        screen.say(accepted if former.get("isAccepted") else "The former token is no longer accepted.", indent=2)
    _several(screen, "Now", detail.get("steps", ()), numbered=True)


def _withdrawn(screen: Screen, detail: Mapping[str, Any]) -> None:
    screen.say((_DONE, GOOD), (str(detail["accessId"]), STRONG), f" keeps its current token: {detail.get('reason')}")
    _several(screen, "Now", detail.get("steps", ()), numbered=True)


def _reconciled(screen: Screen, detail: Mapping[str, Any]) -> None:
    drifted, found = detail["drifted"], sum(detail["findings"].values())
    compared = plural(detail["observed"], "access", "accesses")
    if not found:
        screen.say((_DONE, GOOD), f"{compared} compared with their requests: nothing differs")
    else:
        numbers = f"{plural(drifted, 'access', 'accesses')} with {plural(found, 'finding')}"
        screen.say(("! ", CAUTION), f"{compared} compared with their requests: ", (numbers, STRONG))
        shown = table("finding", "accesses", right=("accesses",))
        for kind, count in sorted(detail["findings"].items(), key=lambda one: (-one[1], one[0])):
            shown.add_row(kind, f"{count:,}")
        screen.show(indented(shown))
        screen.say(("latchkey findings", STRONG), " shows each of them.", indent=2)
    if detail["due"]:
        repaired = f"{detail['repaired']:,} repaired, {detail['notRepaired']:,} not repaired"
        screen.say(f"Repairs: {detail['due']:,} due, {repaired}", indent=2)
    if detail["storm"]:
        screen.say(("More repairs were due than MaxRepairs allows, so none was made.", CAUTION), indent=2)
        screen.say("Find the cause, or run ", ("latchkey reconcile --acknowledge-storm --follow", STRONG), indent=2)
    if detail["unread"]:
        missed = plural(detail["unread"], "access was", "accesses were")
        screen.say((f"{missed} not observed: unreadable, or a request was running.", CAUTION), indent=2)


def _discovered(screen: Screen, detail: Mapping[str, Any]) -> None:
    if not detail["found"] and not detail["unreadCount"]:
        screen.say((_DONE, GOOD), "everything that uses a secret is managed by Latchkey")
        return
    found = plural(detail["found"], "resource")
    adoptable = f" found that Latchkey does not manage; requests can adopt {detail['adoptable']:,}"
    screen.say((_DONE, GOOD), (found, STRONG), adoptable)
    if detail["missingConsents"]:
        screen.say(f"{plural(detail['missingConsents'], 'tag')} of owners must be set first.", indent=2)
    obstacles = sorted(detail["obstacles"].items(), key=lambda one: -one[1])
    _several(screen, "What speaks against it", [f"{plural(count, 'resource')}: {rule}" for rule, count in obstacles])
    _several(screen, "Not read", [f"{one['subject']}: {one['reason']}" for one in detail["unread"]], CAUTION)


def _bulk(screen: Screen, detail: Mapping[str, Any]) -> None:
    outcomes = detail.get("outcomes", {})
    status = _status_of_bulk(outcomes)
    mark = (_DONE, GOOD) if status == 0 else ("! ", CAUTION)
    screen.say(mark, f"{plural(detail['lines'], 'request')} of the manifest carried out")
    shown = table("outcome", "requests", right=("requests",))
    for kind, count in sorted(outcomes.items()):
        style = BAD if kind == "Request Failed" else CAUTION if kind == "Request Rejected" else ""
        shown.add_row(Text(kind, style=style), f"{count:,}")
    screen.show(indented(shown))
    results = detail["results"]
    screen.say(f"Results: s3://{results['bucket']}/{results['key']}", indent=2)


def _rejected(screen: Screen, detail: Mapping[str, Any]) -> None:
    about = f" for {detail['accessId']}" if detail.get("accessId") else ""
    screen.say(("✗ Rejected", BAD), f"{about}: nothing was changed")
    show_problems(screen, [(one["place"], one["rule"]) for one in detail.get("errors", ())])
    screen.say(f"Correct the request, and send it again. Request {detail.get('requestId')}", indent=2)


def _failed(screen: Screen, detail: Mapping[str, Any]) -> None:
    failure = detail.get("failure", {})
    about = f" for {detail['accessId']}" if detail.get("accessId") else ""
    screen.say(("✗ Failed", BAD), f"{about}: {failure.get('name')}")
    screen.say(_message(str(failure.get("message", ""))), indent=2)
    _several(screen, "Rolled back or removed", detail.get("undone", ()))
    _several(screen, "Left in place", detail.get("left", ()), CAUTION)
    changed = (
        "Something of it remains: the sweep tries again once a day." if detail.get("changed") else "Nothing of it remains."
    )
    screen.say(changed, indent=2)
    screen.say(f"Execution: {detail.get('executionArn')}", indent=2)


def _message(message: str) -> str:
    """The message of a failure. Failed checks are a JSON document, of which the names and what was read matter."""
    try:
        found = json.loads(message)
        failed = found["checks"] if isinstance(found, dict) else found
        return "\n".join(f"{one['name']}: {one['evidence']}" for one in failed)
    except (ValueError, KeyError, TypeError):
        return message


_WORDS = {
    "Access Onboarded": _onboarded,
    "Access Handed Off": _handed_off,
    "Access Offboarded": _offboarded,
    "Token Pending": _pending,
    "Token Rotated": _rotated,
    "Rotation Withdrawn": _withdrawn,
    "Reconciliation Completed": _reconciled,
    "Bulk Onboarding Completed": _bulk,
    "Discovery Completed": _discovered,
    "Request Rejected": _rejected,
    "Request Failed": _failed,
}


def show_problems(screen: Screen, problems: Sequence[tuple[str, str]]) -> None:
    """The path of each problem, and the rule under it."""
    for path, rule in problems:
        screen.say((path, STRONG), indent=2)
        screen.say(rule, indent=4)


def _plan(screen: Screen, detail: Mapping[str, Any], repeat: str) -> None:
    changes = detail.get("changes", ())
    counted = {action: sum(one["action"] == action for one in changes) for action in _SYMBOLS}
    if not any(count for action, count in counted.items() if action != "none"):
        screen.say((_DONE, GOOD), (str(detail["accessId"]), STRONG), " needs no change")
    else:
        screen.say(("Plan for ", STRONG), (str(detail["accessId"]), STRONG), ": nothing was changed")
    account = str(detail.get("executionArn", ":::::")).split(":")[4]
    for change in changes:
        _change(screen, change, account)
    numbers = [f"{counted[action]} to {action}" for action in ("create", "update", "adopt", "remove") if counted[action]]
    screen.say("")
    if numbers:
        screen.say(("Plan: ", STRONG), ", ".join(numbers), f"; ${detail.get('monthlyCost', 0):.2f} more per month")
    calls = ", ".join(_call(one) for one in detail.get("calls", ()))
    if calls:
        screen.say(("Calls: ", STRONG), calls)
    for one in detail.get("permissions", ()):
        screen.say(("Missing: ", BAD), f"{one['principal']} is not allowed {one['action']} on {one['resource']}")
    if numbers and repeat:
        screen.say("To do exactly this:")
        screen.say((f"{repeat} --plan-hash {detail['planHash']} --follow", STRONG))


def _call(call: Mapping[str, Any]) -> str:
    return call["operation"] if call["count"] == 1 else f"{call['operation']} ({call['count']} times)"


def _change(screen: Screen, change: Mapping[str, Any], account: str) -> None:
    symbol, style = _SYMBOLS.get(change["action"], ("?", ""))
    name_style = QUIET if change["action"] == "none" else STRONG
    name = short_arn(str(change["name"])).removeprefix(f"{change['kind']}/")
    screen.say((f"{symbol} {change['kind']} ", style), (name, name_style), indent=2)
    settings = [(one["name"], _setting(one.get("before"), one.get("after"))) for one in change.get("settings", ())]
    if settings:
        screen.show(indented(facts(settings), 6))
    for policy in change.get("policies", ()):
        for verb, color, sign in (("added", GOOD, "+"), ("removed", "red", "-")):
            for statement in policy.get(verb, ()):
                _statement(screen, f"{sign} {policy['name']}", color, statement, account)
        for both in policy.get("changed", ()):
            _statement(screen, f"~ {policy['name']}, before", CAUTION, both["before"], account)
            _statement(screen, f"~ {policy['name']}, after", CAUTION, both["after"], account)


def _setting(before: object, after: object) -> str:
    return _value(after) if before in (None, after) else f"{_value(before)} → {_value(after)}"


def _statement(screen: Screen, title: str, style: str, statement: Mapping[str, Any], account: str) -> None:
    parts = statement_parts(statement)
    if "to" in parts:
        parts["to"] = "\n".join(sorted(short_principal(name, account) for name in parts["to"].split("\n")))
    screen.say((f"{title}: ", style), parts["sid"], indent=6)
    screen.show(indented(facts((name, parts[name]) for name in ("allows", "denies", "to", "on", "if") if name in parts), 10))


def statement_parts(statement: Mapping[str, Any]) -> dict[str, str]:
    """A statement of a policy, in parts: who can do what, on what, and under which conditions."""
    verb = "denies" if statement.get("Effect") == "Deny" else "allows"
    actions = _names(statement.get("Action")) or [f"everything but {one}" for one in _names(statement.get("NotAction"))]
    parts = {"sid": str(statement.get("Sid", "without a Sid")), verb: ", ".join(actions)}
    principals = _names(statement.get("Principal")) or [f"everyone but {one}" for one in _names(statement.get("NotPrincipal"))]
    if principals:
        parts["to"] = "\n".join("everyone" if name == "*" else name for name in principals)
    if (resources := _names(statement.get("Resource"))) and resources != ["*"]:
        parts["on"] = "\n".join(resources)
    if statement.get("Condition"):
        parts["if"] = condition_text(statement["Condition"])
    return parts


def condition_text(condition: Mapping[str, Any]) -> str:
    """The conditions of a statement, one a line."""
    return "\n".join(
        f"{key} {operator} {' or '.join(_names(values))}"
        for operator, keys in condition.items()
        for key, values in keys.items()
    )


def _names(value: Any) -> list[str]:
    """The texts in a member of a statement, which can be a text, a list or, for principals, lists by type."""
    if isinstance(value, dict):
        return [name for names in value.values() for name in _names(names)]
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return [] if value is None else [str(value)]


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
