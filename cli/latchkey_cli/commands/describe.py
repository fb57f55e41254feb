"""`latchkey describe` and `latchkey who-can-read`: what an access consists of, and who can read its token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.text import Text

from latchkey import policies
from latchkey.access.record import AccessRecord
from latchkey.aws.errors import is_refused
from latchkey.aws.grants import Grant, list_grants
from latchkey.aws.keys import ObservedKey, find_key, key_policy, list_aliases, rotation_days
from latchkey.aws.secrets import CURRENT, ObservedSecret, all_secret_policies, find_secret
from latchkey.policies import reader_roles
from latchkey.policies.document import Statement
from latchkey.registry.accesses import KnownAccess
from latchkey.systems import SYSTEMS
from latchkey.systems.readers import AssumedRole, PartnerPrincipals, ServicePrincipal
from latchkey_cli.accesses import find_access
from latchkey_cli.command import Run, command
from latchkey_cli.connection import Connection
from latchkey_cli.problems import REJECTED, CliProblem
from latchkey_cli.readers import Readers, readers_of
from latchkey_cli.screen import (
    BAD,
    CAUTION,
    GOOD,
    QUIET,
    STRONG,
    WIDE,
    Screen,
    ago,
    facts,
    indented,
    plural,
    short_arn,
    short_principal,
    state_text,
    table,
)
from latchkey_cli.wording import condition_text, statement_parts

_PANEL = "Reading"
_HISTORY = 10
# What leads to another record, and is left out where people look for what happened.
DETAILS = frozenset(["change-intended", "evidence-read", "access-changed"])


@dataclass(frozen=True)
class Described:
    """An access with everything that was read about it. What is None does not exist, or could not be read (`unread`)."""

    known: KnownAccess
    record: AccessRecord
    key: ObservedKey | None
    aliases: tuple[str, ...]
    rotation: int | None
    secret: ObservedSecret | None
    reader: str
    grants: tuple[Grant, ...]
    key_statements: tuple[Statement, ...]
    secret_statements: tuple[Statement, ...]
    readers: Readers | None
    history: tuple[Mapping[str, Any], ...]
    findings: tuple[Mapping[str, Any], ...]
    unread: tuple[str, ...]


@command("describe", rich_help_panel=_PANEL)
def describe(
    run: Run,
    access: Annotated[str, typer.Argument(metavar="ACCESS", help="ID of an access.")],
    *,
    iam: Annotated[bool, typer.Option("--iam", help="Also ask IAM about every role and user of the account.")] = False,
    history: Annotated[int, typer.Option("--history", metavar="N", help="Number of the last records to show.")] = _HISTORY,
) -> int:
    """Show everything about an access."""
    known = find_access(run.connection, access)
    if known.record is None:
        raise CliProblem(f"No onboarding of {access} has succeeded.", "`latchkey status` shows what runs for it.", REJECTED)
    with run.screen.progress("Roles and users") as advance:
        found = _described(run.connection, known, known.record, iam=iam, history=history, advance=advance)
    if run.screen.as_json:
        run.screen.json(_wire(found))
    else:
        _show(run.screen, found)
    return 0


def _described(
    connection: Connection,
    known: KnownAccess,
    record: AccessRecord,
    *,
    iam: bool,
    history: int,
    advance: Callable[[int, int], None],
) -> Described:
    kms, secretsmanager = connection.client("kms"), connection.client("secretsmanager")
    unread: list[str] = []

    def read[Found](what: str, call: Callable[[], Found], empty: Found) -> Found:
        try:
            return call()
        except ClientError as error:
            if not is_refused(error):
                raise
            unread.append(f"{what}: {error.operation_name} is not allowed")
            return empty

    key = read("the key", lambda: find_key(kms, record.key_arn), None)
    exists = key is not None and key.state != "PendingDeletion"
    secret = (
        read("the secret", lambda: find_secret(secretsmanager, record.secret_arn or ""), None) if record.secret_arn else None
    )
    is_there = secret is not None and not secret.is_being_deleted
    nothing: tuple[Grant, ...] = ()
    grants = read("the grants", lambda: list_grants(kms, record.key_arn).grants, nothing) if key else nothing
    key_document = read("the key policy", lambda: key_policy(kms, record.key_arn), None) if key else None
    secret_document = (
        read("the policy of the secret", lambda: all_secret_policies(secretsmanager, record.secret_arn or ""), None)
        if is_there
        else None
    )
    readers = (
        readers_of(connection, secret, connection.stack.place, identities=iam, progress=advance)
        if secret and is_there
        else None
    )
    findings = connection.registry.findings.get(known.access_id)
    return Described(
        known=known,
        record=record,
        key=key,
        aliases=read("the aliases", lambda: list_aliases(kms, record.key_arn), ()) if key else (),
        rotation=read("the rotation", lambda: rotation_days(kms, record.key_arn), None) if exists else None,
        secret=secret,
        reader=_reader(connection, known.access_id, record),
        grants=tuple(one for one in grants if _is_of(one, record)),
        key_statements=tuple(policies.own_statements(key_document)),
        secret_statements=tuple(policies.own_statements(secret_document)),
        readers=readers,
        history=read("the audit records", lambda: _history(connection, known.access_id, history), ()),
        findings=tuple(one.model_dump(mode="json", by_alias=True) for one in findings.findings) if findings else (),
        unread=tuple(dict.fromkeys([*unread, *(readers.unread if readers else ())])),
    )


def _is_of(grant: Grant, record: AccessRecord) -> bool:
    return grant.secret_arn == record.secret_arn if grant.secret_arn else grant.source_arn == record.resource_arn


def _reader(connection: Connection, access_id: str, record: AccessRecord) -> str:
    """Who reads the secret: the service itself, a role that it assumes, or the accounts of a partner."""
    reader, place = SYSTEMS[record.system].reader, connection.stack.place
    if isinstance(reader, ServicePrincipal):
        return reader.principal
    if isinstance(reader, AssumedRole):
        name = reader_roles.role_name(record.system, access_id.split("/", 2)[2], access_id, place)
        return f"{place.arn('iam', f'role/{name}', region='')}, assumed by {', '.join(reader.principals(place))}"
    return "accounts of the partner, through the key policy" if isinstance(reader, PartnerPrincipals) else "unknown"


def _history(connection: Connection, access_id: str, most: int) -> tuple[Mapping[str, Any], ...]:
    """The last records of the chain of an access, the newest first."""
    audit = connection.audit
    _, records = audit.chain(access_id)
    every = (json.loads(one.text) for one in reversed(records))
    return tuple(islice((one for one in every if one["action"] not in DETAILS), most))


def _show(screen: Screen, found: Described) -> None:
    record, key, secret = found.record, found.key, found.secret
    account = record.key_arn.split(":")[4]
    state = state_text(found.known.state)
    screen.say((found.known.access_id, STRONG), "  ", (state.plain, str(state.style)))
    running = found.known.lock.request.request_id if found.known.lock and found.known.lock.request else None
    screen.show(
        facts(
            [
                ("tenant", record.tenant),
                ("request", record.request_id),
                ("recorded", f"{ago(found.known.recorded_at)} ago" if found.known.recorded_at else None),
                ("running", running),
                ("resource", record.resource_arn),
                ("reader", found.reader),
            ]
        )
    )
    screen.say("")
    screen.say(("Key", STRONG))
    screen.show(indented(facts(_key_facts(found, key))))
    if record.secret_arn:
        screen.say(("Secret", STRONG))
        screen.show(indented(facts(_secret_facts(record, secret))))
    if SYSTEMS[record.system].granted is not None:
        screen.say(("Grant", STRONG))
        for grant in found.grants:
            created = f", created {ago(grant.created)} ago" if grant.created else ""
            operations = ", ".join(sorted(grant.operations))
            screen.say(f"{grant.name or grant.grant_id}: {operations} for {grant.grantee}{created}", indent=2)
        if not found.grants:
            screen.say(("none", BAD if found.known.state == "active" else QUIET), indent=2)
    for title, statements in (("key policy", found.key_statements), ("policy of the secret", found.secret_statements)):
        if statements:
            screen.say((f"Statements of Latchkey in the {title}", STRONG))
            for statement in statements:
                parts = statement_parts(statement)
                names = sorted(short_principal(name, account) for name in parts.get("to", "").split("\n"))
                pairs = [("allows", parts.get("allows")), ("to", "\n".join(names)), ("if", parts.get("if"))]
                screen.say(parts["sid"], indent=2)
                screen.show(indented(facts(pairs), 4))
    if found.readers:
        screen.say(("Who can read the token", STRONG))
        show_readers(screen, found.readers)
    _show_findings(screen, found)
    if found.history:
        screen.say(("History", STRONG))
        show_history(screen, found.history)
    for one in found.unread:
        screen.say(("not read: ", CAUTION), one)


def _key_facts(found: Described, key: ObservedKey | None) -> Iterator[tuple[str, str | Text | None]]:
    yield "arn", found.record.key_arn
    if key is None:
        yield "state", Text("does not exist", style=BAD)
        return
    yield "state", Text(key.state, style=GOOD if key.state == "Enabled" else BAD)
    yield "alias", ", ".join(found.aliases) or None
    yield "rotation", f"every {found.rotation} days" if found.rotation else "off"
    yield "created by", "Latchkey" if "latchkey:managed-by" in key.tags else "somebody else"


def _secret_facts(record: AccessRecord, secret: ObservedSecret | None) -> Iterator[tuple[str, str | Text | None]]:
    yield "arn", record.secret_arn
    if secret is None:
        yield "state", Text("does not exist", style=BAD)
        return
    yield "state", Text("scheduled for deletion", style=BAD) if secret.is_being_deleted else Text("exists", style=GOOD)
    yield "changed", f"{ago(secret.changed)} ago" if secret.changed else None
    yield "version", secret.version(CURRENT) or Text("none", style=BAD)
    yield "pending", secret.pending
    yield "created by", "Latchkey" if "latchkey:managed-by" in secret.tags else "somebody else"


def _show_findings(screen: Screen, found: Described) -> None:
    if found.findings:
        screen.say(("Findings", STRONG))
        for one in found.findings:
            screen.say((f"{one['severity']} ", CAUTION), f"{one['kind']}: {one['evidence']}", indent=2)
        screen.say(("latchkey findings", STRONG), " shows what corrects them.", indent=2)


def show_history(screen: Screen, records: Sequence[Mapping[str, Any]], *, accesses: bool = False) -> None:
    """Audit records: when, what, and who made the change. With `accesses`, of which access."""
    shown = table("at", *(["access"] if accesses else []), "what", "by", folded=("access", "what", "by"))
    for one in records:
        # The subject of a step of the journal begins with its place in the order of the steps.
        subject = re.sub(r"^\d+-", "", str(one.get("subject") or ""))
        words = [word for word in subject.split() if word not in (one.get("requestId"), one["accessId"])]
        subject = " ".join(short_arn(word) for word in words)
        became = (one.get("after") or {}).get("status") if one["action"] == "status-observed" else None
        subject = str(became or subject)
        what = str(one["action"]) if subject in ("", "request", "access") else f"{one['action']}: {subject}"
        shown.add_row(_at(one["at"]), *([one["accessId"]] if accesses else []), what, by_whom(one))
    screen.show(indented(shown) if not accesses else shown)


def _at(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%m-%d %H:%M:%S")


def by_whom(record: Mapping[str, Any]) -> str:
    """Who caused a change: the principal of a trail event, or the sender of the request, and the function that made it."""
    principal = record.get("principal") or {}
    cause = principal.get("cloudTrailPrincipal")
    sender = f"account {principal['senderAccount']}" if principal.get("senderAccount") else ""
    return ", ".join(filter(None, [cause or "", sender, str(principal.get("function") or "")])) or "Latchkey"


@command("who-can-read", rich_help_panel=_PANEL)
def who_can_read(
    run: Run,
    secret: Annotated[str, typer.Argument(metavar="SECRET", help="Name or ARN of a secret, or ID of an access.")],
    *,
    iam: Annotated[bool, typer.Option("--iam/--no-iam", help="Ask IAM about every role and user of the account.")] = True,
) -> int:
    """Show who can read a token, and by which statement."""
    connection = run.connection
    found = _secret(connection, secret)
    with run.screen.progress("Roles and users") as advance:
        readers = readers_of(connection, found, connection.stack.place, identities=iam, progress=advance)
    if run.screen.as_json:
        run.screen.json(_readers_wire(readers))
        return 0
    run.screen.say((found.name, STRONG))
    run.screen.show(facts([("arn", found.arn), ("keys", ", ".join(readers.keys))]))
    run.screen.say("")
    show_readers(run.screen, readers)
    if readers.checked_identities:
        run.screen.say((f"{plural(readers.checked_identities, 'role')} and users of the account were checked.", QUIET))
    elif not iam:
        run.screen.say(("Roles and users of the account were not checked (--iam).", QUIET))
    for one in readers.unread:
        run.screen.say(("not read: ", CAUTION), one)
    return 0


def _secret(connection: Connection, given: str) -> ObservedSecret:
    """The secret with a name or ARN, or that of an access. Raises CliProblem if nobody can read it."""
    secretsmanager = connection.client("secretsmanager")
    is_access = given.partition("/")[0] in SYSTEMS
    found = None if is_access else find_secret(secretsmanager, given)
    if found is None and not given.startswith("arn:"):
        try:
            record = find_access(connection, given).record
        except CliProblem:
            if is_access:
                raise
            record = None
        if record is not None and record.secret_arn is None:
            what = f"The access {record.access_id} has no secret."
            raise CliProblem(what, "`latchkey describe` shows with which accounts its key is shared.", REJECTED)
        found = find_secret(secretsmanager, record.secret_arn) if record and record.secret_arn else None
    if found is None:
        remedy = "`aws secretsmanager list-secrets` lists the names, and `latchkey status` the accesses."
        raise CliProblem(f"There is no secret {given} in {connection.region}.", remedy, REJECTED)
    if found.is_being_deleted:
        what = f"The secret {found.name} is scheduled for deletion, so nobody can read it."
        raise CliProblem(what, "`latchkey restore` restores the access of an offboarded secret.", REJECTED)
    return found


def show_readers(screen: Screen, readers: Readers) -> None:
    """The principals with the statements that let them read and decrypt: as a table, or one below the other if it is narrow."""
    account = readers.secret.arn.split(":")[4]
    is_wide = screen.out.width >= WIDE
    shown = table("principal", "reads by", "decrypts by", folded=("principal", "reads by", "decrypts by"))
    for one in readers.readers:
        principal = _principal(short_principal(one.principal, account))
        reads = f"{one.statement} if {condition_text(one.condition)}" if one.condition else one.statement
        decrypts = Text(one.decrypts_by) if one.decrypts_by else Text("nothing, so it cannot read", style=QUIET)
        if is_wide:
            shown.add_row(principal, reads, decrypts)
        else:
            screen.show(indented(principal))
            screen.show(indented(facts([("reads by", reads), ("decrypts by", decrypts)]), 4))
    if is_wide and readers.readers:
        screen.show(indented(shown))
    if not readers.readers:
        screen.say(("nobody", QUIET), indent=2)
    for label, names in readers.denied.items():
        screen.say(("denied ", CAUTION), f"by {label}: {', '.join(short_principal(name, account) for name in names)}", indent=2)


def _principal(name: str) -> Text:
    return Text(name, style=BAD if name.startswith("everyone") else "")


def _readers_wire(readers: Readers) -> dict[str, Any]:
    return {
        "secretArn": readers.secret.arn,
        "keys": list(readers.keys),
        "readers": [one.wire for one in readers.readers],
        "denied": {label: list(names) for label, names in readers.denied.items()},
        "identitiesChecked": readers.checked_identities,
        "unread": list(readers.unread),
    }


def _wire(found: Described) -> dict[str, Any]:
    record, key, secret = found.record, found.key, found.secret
    return {
        "accessId": found.known.access_id,
        "state": found.known.state,
        "tenant": record.tenant,
        "requestId": record.request_id,
        "recordedAt": found.known.recorded_at,
        "resourceArn": record.resource_arn,
        "reader": found.reader,
        "key": {
            "arn": record.key_arn,
            "state": key.state if key else None,
            "aliases": list(found.aliases),
            "rotationDays": found.rotation,
        },
        "secret": {
            "arn": record.secret_arn,
            "exists": secret is not None,
            "isBeingDeleted": bool(secret and secret.is_being_deleted),
            "version": secret.version(CURRENT) if secret else None,
            "pending": secret.pending if secret else None,
            "changed": secret.changed if secret else None,
        }
        if record.secret_arn
        else None,
        "grants": [
            {"grantId": one.grant_id, "name": one.name, "grantee": one.grantee, "operations": sorted(one.operations)}
            for one in found.grants
        ],
        "keyStatements": list(found.key_statements),
        "secretStatements": list(found.secret_statements),
        "readers": _readers_wire(found.readers) if found.readers else None,
        "findings": list(found.findings),
        "history": list(found.history),
        "unread": list(found.unread),
    }
