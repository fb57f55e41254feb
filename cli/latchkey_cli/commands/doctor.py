"""`latchkey doctor`: what a deployer or an operator has to know before they trust the stack."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from latchkey.aws.pages import read_pages
from latchkey_cli.command import Run, command
from latchkey_cli.connection import Connection
from latchkey_cli.problems import FAILED, CliProblem, explained
from latchkey_cli.screen import BAD, CAUTION, GOOD, QUIET, Screen, ago, marked, plural
from latchkey_cli.trails import trails_of

type Result = Literal["ok", "warning", "problem", "unknown"]
_MARKS: dict[Result, tuple[str, str]] = {
    "ok": ("✓", GOOD),
    "warning": ("!", CAUTION),
    "problem": ("✗", BAD),
    "unknown": ("?", QUIET),
}
# An update of a stack in another state fails.
_STABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
# How many source locations an account can have by default:
# https://docs.aws.amazon.com/mediatailor/latest/ug/quotas.html
_SOURCE_LOCATIONS = 50
# Functions that a burst of ten requests runs at once. New accounts can have a quota of 10:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_FEW_FUNCTIONS = 50
_ALMOST = 0.8
# The calls with which `sam deploy` creates and updates the stack, without those that only read.
_OF_A_DEPLOYER = (
    "cloudformation:CreateChangeSet",
    "cloudformation:ExecuteChangeSet",
    "dynamodb:CreateTable",
    "events:CreateEventBus",
    "events:PutRule",
    "iam:AttachRolePolicy",
    "iam:CreatePolicy",
    "iam:CreateRole",
    "iam:PassRole",
    "lambda:CreateFunction",
    "lambda:PublishLayerVersion",
    "logs:CreateLogGroup",
    "s3:CreateBucket",
    "scheduler:CreateSchedule",
    "sqs:CreateQueue",
    "states:CreateStateMachine",
)
_ASSUMED = re.compile(r"arn:([a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/.+")


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    name: str
    result: Result
    text: str
    remedy: str = ""


type Check = Callable[[Connection], Iterator[Finding]]


@command("doctor", rich_help_panel="Reading")
def doctor(run: Run) -> int:
    """Check what Latchkey needs to work.

    That is credentials, stack, parameters, trail, alarms, sweep, dead letters, quotas and permissions.
    """
    found: list[Finding] = []
    for name, check in _CHECKS.items():
        for one in _tried(name, check, run.connection):
            found.append(one)
            if not run.screen.as_json:
                _show(run.screen, one)
        if any(one.result == "problem" for one in found) and name in _NEEDED:
            break
    problems = sum(one.result == "problem" for one in found)
    warnings = sum(one.result == "warning" for one in found)
    if run.screen.as_json:
        run.screen.json([{"check": o.name, "result": o.result, "text": o.text, "remedy": o.remedy or None} for o in found])
    else:
        run.screen.say("")
        style = BAD if problems else CAUTION if warnings else GOOD
        run.screen.say((f"{plural(problems, 'problem')}, {plural(warnings, 'warning')}", style))
    return FAILED if problems else 0


def _tried(name: str, check: Check, connection: Connection) -> Iterator[Finding]:
    try:
        yield from check(connection)
    except (ClientError, BotoCoreError, CliProblem) as error:
        problem = explained(error)
        yield Finding(name, "problem" if name in _NEEDED else "unknown", problem.what, problem.remedy)


def _show(screen: Screen, one: Finding) -> None:
    mark, style = _MARKS[one.result]
    text = Text(one.text)
    if one.remedy:
        text.append(f"\n{one.remedy}", style=QUIET)
    screen.show(marked(mark, style, one.name, text))


def _credentials(connection: Connection) -> Iterator[Finding]:
    identity = connection.client("sts").get_caller_identity()
    text = f"{identity['Arn']} in {connection.region}"
    if identity["Arn"].endswith(":root") and not connection.is_embedded:
        yield Finding("credentials", "warning", text, "Do not use the root user: sign in with a role.")
    else:
        yield Finding("credentials", "ok", text)


def _stack(connection: Connection) -> Iterator[Finding]:
    stack = connection.stack
    if stack.status in _STABLE:
        connection.output("AccessTableName")
        yield Finding("stack", "ok", f"{stack.name} is {stack.status}")
    elif stack.status.endswith("_IN_PROGRESS"):
        yield Finding("stack", "warning", f"{stack.name} is {stack.status}", "Wait until it is complete.")
    else:
        reason = "`aws cloudformation describe-stack-events` has the reason. See docs/operate.md, Update and roll back."
        yield Finding("stack", "problem", f"{stack.name} is {stack.status}", reason)


def _parameters(connection: Connection) -> Iterator[Finding]:
    given = connection.stack.parameters
    set_it = "Set it in parameter_overrides in samconfig.toml, and deploy again."
    missing = (
        ("TrustedPrincipalPatterns", "every request that names a role is rejected"),
        ("AllowedOriginHosts", "no existing secret can be sent to a new host"),
    )
    faults = [(name, effect) for name, effect in missing if not given.get(name)]
    for name, effect in faults:
        yield Finding("parameters", "warning", f"{name} is empty: {effect}", set_it)
    if given.get("AllowHttpOrigins") == "true" and not connection.is_embedded:
        yield Finding("parameters", "warning", "AllowHttpOrigins is true: tokens can be sent without encryption", set_it)
    if given.get("ProtectData") == "false" and not connection.is_embedded:
        yield Finding("parameters", "warning", "ProtectData is false: the registry can be deleted", set_it)
    if not faults:
        yield Finding("parameters", "ok", "they name trusted principals and hosts")


def _notifications(connection: Connection) -> Iterator[Finding]:
    topic = connection.output("AlarmTopicArn")
    pages = read_pages(connection.client("sns").list_subscriptions_by_topic, TopicArn=topic)
    # An address that is not confirmed has this instead of an ARN.
    confirmed = [one for page in pages for one in page["Subscriptions"] if one["SubscriptionArn"] != "PendingConfirmation"]
    if confirmed:
        yield Finding("subscribers", "ok", f"alarms notify {plural(len(confirmed), 'subscriber')}")
    else:
        remedy = f"`aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS`"
        yield Finding("subscribers", "warning", "alarms notify nobody: no confirmed subscription to their topic", remedy)


def _trail(connection: Connection) -> Iterator[Finding]:
    report = trails_of(connection.client("cloudtrail"))
    text = report.report(connection.region).removeprefix("Warning: ")
    if report.complete:
        yield Finding("trail", "ok", text)
    else:
        url = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html"
        result: Result = "unknown" if report.unreadable else "warning"
        yield Finding("trail", result, text, f"Add a trail that logs write management events: {url}")


def _alarms(connection: Connection) -> Iterator[Finding]:
    pages = read_pages(connection.client("cloudwatch").describe_alarms, AlarmNamePrefix=f"{connection.stack.name}-")
    alarms = [one for page in pages for one in page["MetricAlarms"]]
    raised = [one for one in alarms if one["StateValue"] == "ALARM"]
    for one in raised:
        description = " ".join(str(one.get("AlarmDescription", "")).split())
        yield Finding("alarms", "problem", f"{one['AlarmName']} is in ALARM", description)
    if not raised:
        yield Finding("alarms", "ok", f"none of {plural(len(alarms), 'alarm')} is in ALARM")


def _reconciliation(connection: Connection) -> Iterator[Finding]:
    began = connection.registry.sweeps.state().began
    if began is None:
        yield Finding(
            "sweep", "warning", "no sweep of the grants has completed yet", "Start one with `latchkey reconcile --follow`."
        )
    elif datetime.now(UTC) - began > timedelta(days=1):
        remedy = "Start one with `latchkey reconcile --follow`, and find out why the schedule does not."
        yield Finding("sweep", "warning", f"the last complete sweep of the grants began {ago(began)} ago", remedy)
    else:
        yield Finding("sweep", "ok", f"the last complete sweep of the grants began {ago(began)} ago")


def _dead_letters(connection: Connection) -> Iterator[Finding]:
    queue = connection.resource("RequestDeadLetters")
    name = "ApproximateNumberOfMessages"
    answer = connection.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    count = int(answer["Attributes"][name])
    if count:
        remedy = "`latchkey dlq list` shows them, and `latchkey dlq redrive` sends them again."
        yield Finding("dead letters", "problem", f"{plural(count, 'request')} could not be delivered or received", remedy)
    else:
        yield Finding("dead letters", "ok", "none")


def _quotas(connection: Connection) -> Iterator[Finding]:
    limits = connection.client("lambda").get_account_settings()["AccountLimit"]
    concurrent = int(limits["ConcurrentExecutions"])
    if concurrent < _FEW_FUNCTIONS:
        text = f"Lambda runs at most {concurrent} functions at once, so many requests at once wait for each other"
        yield Finding("quotas", "warning", text, "Request a higher quota for Concurrent executions in Service Quotas.")
    else:
        yield Finding("quotas", "ok", f"Lambda runs up to {concurrent:,} functions at once")
    pages = read_pages(connection.client("mediatailor").list_source_locations, MaxResults=100)
    count = sum(len(page["Items"]) for page in pages)
    text = f"{plural(count, 'source location')} of MediaTailor; an account can have {_SOURCE_LOCATIONS} by default"
    if count >= _ALMOST * _SOURCE_LOCATIONS:
        yield Finding("quotas", "warning", text, "Request a higher quota for Source locations in Service Quotas.")
    else:
        yield Finding("quotas", "ok", text)


def _permissions(connection: Connection) -> Iterator[Finding]:
    arn = str(connection.client("sts").get_caller_identity()["Arn"])
    if arn.endswith(":root"):
        yield Finding("permissions", "ok", "the root user can deploy")
        return
    iam = connection.client("iam")
    if role := _ASSUMED.fullmatch(arn):
        arn = str(iam.get_role(RoleName=role[3])["Role"]["Arn"])  # with its path
    given = {"PolicySourceArn": arn, "ActionNames": [*_OF_A_DEPLOYER]}
    answers = [one for page in read_pages(iam.simulate_principal_policy, **given) for one in page["EvaluationResults"]]
    refused = sorted(one["EvalActionName"] for one in answers if one["EvalDecision"] != "allowed")
    if refused:
        text = f"{arn} is not allowed {', '.join(refused)} on every resource"
        remedy = "This matters only to whoever deploys: use a role with these permissions for `make deploy`."
        yield Finding("permissions", "warning", text, remedy)
    else:
        yield Finding("permissions", "ok", f"{arn} can deploy")


_CHECKS: dict[str, Check] = {
    "credentials": _credentials,
    "stack": _stack,
    "parameters": _parameters,
    "subscribers": _notifications,
    "trail": _trail,
    "alarms": _alarms,
    "sweep": _reconciliation,
    "dead letters": _dead_letters,
    "quotas": _quotas,
    "permissions": _permissions,
}
# Without these, nothing else can be checked.
_NEEDED = ("credentials", "stack")
