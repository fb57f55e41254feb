"""`latchkey dlq`: requests that could not be delivered or received. Their details are never shown: they can contain a token."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from latchkey.requests.sender import SOURCE
from latchkey_cli.command import Run, app, command
from latchkey_cli.connection import Connection
from latchkey_cli.problems import FAILED, REJECTED, CliProblem
from latchkey_cli.screen import BAD, GOOD, QUIET, STRONG, WIDE, ago, facts, indented, plural, table

_GROUP = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Requests that could not be delivered or received.")
app.add_typer(_GROUP, name="dlq", rich_help_panel="Tools")
# Long enough to receive each message once, and short enough that others see it soon.
_SECONDS = 60
_LONGEST_REASON = 300
_SCHEDULED = "scheduled"


@dataclass(frozen=True)
class Letter:
    """A dead letter. `event` is what is put again; None if the message is to be deleted, for the reason in `note`."""

    message_id: str
    handle: str
    sent_at: datetime
    title: str
    request_id: str
    reason: str
    event: Mapping[str, Any] | None
    note: str = ""

    @property
    def wire(self) -> dict[str, Any]:
        return {
            "messageId": self.message_id,
            "sentAt": self.sent_at,
            "kind": self.title,
            "requestId": self.request_id or None,
            "reason": self.reason,
            "redrive": "send again" if self.event else f"delete: {self.note}" if self.note else "not possible",
        }


def letter_of(message: Mapping[str, Any]) -> Letter:
    """The dead letter in a message of the queue: an event, or an event that a function could not receive."""
    sent_at = datetime.fromtimestamp(int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000, UTC)
    attributes = message.get("MessageAttributes", {})
    reason = str(attributes.get("ERROR_MESSAGE", {}).get("StringValue", ""))
    known = (message["MessageId"], message["ReceiptHandle"], sent_at)
    try:
        body = json.loads(message["Body"])
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return Letter(*known, "unknown message", "", _short(reason), None)
    response = body.get("responsePayload")
    reason = reason or (str(response.get("errorMessage", "")) if isinstance(response, dict) else "")
    event = body.get("requestPayload", body)
    if not isinstance(event, dict):
        return Letter(*known, "unknown message", "", _short(reason), None)
    if "executionArn" in (event.get("detail") or event):
        return Letter(*known, "end of an execution", "", _short(reason), None, "the sweep ends requests without an outcome")
    if event.get("requestId") == _SCHEDULED:
        return Letter(*known, "scheduled reconciliation", "", _short(reason), None, "the next one does the same work")
    source, detail = str(event.get("source", "")), event.get("detail")
    is_request = source == SOURCE or source.startswith(f"{SOURCE}.")
    request_id = str(detail.get("requestId") or event.get("id", "")) if isinstance(detail, dict) else str(event.get("id", ""))
    can_be_sent = is_request and isinstance(detail, dict) and "detail-type" in event
    return Letter(
        *known, str(event.get("detail-type", "unknown event")), request_id, _short(reason), event if can_be_sent else None
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def _letters(connection: Connection, queue: str) -> Iterator[Letter]:
    """Every message of the queue, once. They are hidden from others for a minute."""
    sqs, seen = connection.client("sqs"), set[str]()
    given = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": _SECONDS, "MessageAttributeNames": ["All"]}
    while True:
        messages = sqs.receive_message(**given, AttributeNames=["SentTimestamp"], WaitTimeSeconds=1).get("Messages", ())
        fresh = [one for one in messages if one["MessageId"] not in seen]
        if not fresh:
            return
        seen |= {one["MessageId"] for one in fresh}
        yield from map(letter_of, fresh)


def _show_again(connection: Connection, queue: str, letters: list[Letter]) -> None:
    """Lets others receive the messages at once."""
    for one in letters:
        connection.client("sqs").change_message_visibility(QueueUrl=queue, ReceiptHandle=one.handle, VisibilityTimeout=0)


@command("list", group=_GROUP)
def list_letters(run: Run) -> int:
    """List them with the reason, and what redrive would do.

    Details are never shown, because they can contain a token.
    """
    queue = run.connection.resource("RequestDeadLetters")
    letters = sorted(_letters(run.connection, queue), key=lambda one: one.sent_at)
    _show_again(run.connection, queue, letters)
    if run.screen.as_json:
        run.screen.json([one.wire for one in letters])
        return 0
    if not letters:
        run.screen.say(("✓ ", GOOD), "no dead letters")
        return 0
    is_wide = run.screen.out.width >= WIDE
    shown = table("message", "age", "kind", "request", "redrive", "reason", folded=("kind", "request", "redrive", "reason"))
    for one in letters:
        redrive = str(one.wire["redrive"])
        if is_wide:
            shown.add_row(one.message_id, ago(one.sent_at), one.title, one.request_id or "-", redrive, one.reason or "-")
            continue
        run.screen.say((one.title, STRONG), (f"  {ago(one.sent_at)} ago", QUIET))
        pairs = [("message", one.message_id), ("request", one.request_id or None), ("reason", one.reason or None)]
        run.screen.show(indented(facts([*pairs, ("redrive", redrive)])))
    if is_wide:
        run.screen.show(shown)
    run.screen.say("")
    run.screen.say("After the cause is corrected, ", ("latchkey dlq redrive", STRONG), " sends them again.")
    return 0


@command("redrive", group=_GROUP)
def redrive(
    run: Run,
    messages: Annotated[
        list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="IDs of messages. By default, all of them.")
    ] = None,
) -> int:
    """Send requests again under their IDs, and delete what needs no answer."""
    queue, connection = run.connection.resource("RequestDeadLetters"), run.connection
    letters = [*_letters(connection, queue)]
    chosen = [one for one in letters if not messages or one.message_id in messages]
    _show_again(connection, queue, [one for one in letters if one not in chosen])
    if missing := {*(messages or ())} - {one.message_id for one in letters}:
        _show_again(connection, queue, chosen)
        raise CliProblem(f"There is no message {', '.join(sorted(missing))}.", "`latchkey dlq list` lists them.", REJECTED)
    done = [(one, _redriven(connection, queue, one)) for one in chosen]
    failed = [one for one, what in done if what is None]
    _show_again(connection, queue, failed)
    if run.screen.as_json:
        run.screen.json([one.wire | {"done": what} for one, what in done])
        return FAILED if failed else 0
    for one, what in done:
        mark = ("✓ ", GOOD) if what else ("✗ ", BAD)
        run.screen.say(mark, f"{one.title} {one.request_id}: ", what or "cannot be sent again, and stays: see docs/operate.md")
    run.screen.say((f"{plural(len(done) - len(failed), 'message')} done, {len(failed)} left", QUIET))
    return FAILED if failed else 0


def _redriven(connection: Connection, queue: str, letter: Letter) -> str | None:
    """What was done about a letter, or None if nothing can be done. It is deleted only after its request was accepted."""
    if letter.event is None and not letter.note:
        return None
    if letter.event is not None:
        detail = {"requestId": letter.request_id, **letter.event["detail"]}
        entry = {
            "EventBusName": connection.output("RequestBusName"),
            "Source": letter.event["source"],
            "DetailType": letter.event["detail-type"],
            "Detail": json.dumps(detail),
        }
        if connection.client("events").put_events(Entries=[entry])["FailedEntryCount"]:
            return None
    connection.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=letter.handle)
    return "sent again" if letter.event is not None else f"deleted, because {letter.note}"
