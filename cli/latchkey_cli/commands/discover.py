"""`latchkey discover`: lists what was set up by hand, and writes a manifest that adopts it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from latchkey.requests.lifecycle import DISCOVERY_REQUESTED
from latchkey_cli.command import Run, command
from latchkey_cli.following import follow, heading
from latchkey_cli.request_files import checked
from latchkey_cli.screen import CAUTION, GOOD, QUIET, STRONG, WIDE, Screen, facts, indented, plural, short_arn, table
from latchkey_cli.sending import send
from latchkey_cli.wording import describe_outcome, status_of

_MOST_SHOWN = 50


@command("discover", rich_help_panel="Requests")
def discover(
    run: Run,
    *,
    system: Annotated[str | None, typer.Option("--system", metavar="SYSTEM", help="Only resources of this system.")] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", metavar="FILE", help="Write the requests that adopt resources (.jsonl).")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write what was found.")] = None,
) -> int:
    """List resources that Latchkey does not manage yet.

    These are the resources that use a secret. Nothing is changed.
    """
    detail = checked("The request", DISCOVERY_REQUESTED, {"system": system} if system else {})
    sent = send(run.connection, DISCOVERY_REQUESTED, detail)
    heading(run.screen, sent, system or "")
    found = follow(run.connection, run.screen, sent)
    stored = found.detail.get("results")
    if stored is None:
        describe_outcome(run.screen, found)
        return status_of(found)
    body = run.connection.client("s3").get_object(Bucket=stored["bucket"], Key=stored["key"])["Body"].read()
    resources = [json.loads(line) for line in body.decode().splitlines() if line]
    requests = [one["request"] for one in resources if one["request"]]
    if output is not None:
        output.write_bytes(body)
    if manifest is not None:
        manifest.write_text("".join(f"{json.dumps(one)}\n" for one in requests))
    if run.screen.as_json:
        run.screen.json({"outcome": found.kind, **found.detail, "resources": resources})
        return 0
    _show(run.screen, resources)
    describe_outcome(run.screen, found)
    if output is not None:
        run.screen.say(("✓ ", GOOD), f"wrote {output}")
    if manifest is not None:
        run.screen.say(("✓ ", GOOD), f"wrote {plural(len(requests), 'request')} to {manifest}")
        run.screen.say("See what they would change: ", (f"latchkey bulk {manifest} --plan --follow", STRONG), indent=2)
    return 0


def _show(screen: Screen, resources: Sequence[Mapping[str, Any]]) -> None:
    """The resources: as a table, or one below the other where it is narrow."""
    shown = table("access", "secret", "read by", "adoption", folded=("access", "secret", "read by", "adoption"))
    is_wide = screen.out.width >= WIDE
    for one in resources[:_MOST_SHOWN]:
        secret, reader, adoption = short_arn(one["secretArn"]), short_arn(one["reader"]), _adoption(one)
        if is_wide:
            shown.add_row(one["accessId"], secret, reader, adoption)
        else:
            screen.say((one["accessId"], STRONG))
            screen.show(indented(facts([("secret", secret), ("read by", reader), ("adoption", adoption)])))
    if is_wide and resources:
        screen.show(shown)
    if len(resources) > _MOST_SHOWN:
        screen.say((f"and {len(resources) - _MOST_SHOWN:,} more: --output writes all of them", QUIET))


def _adoption(one: Mapping[str, Any]) -> Text:
    if one["request"] is None:
        reasons = [obstacle["rule"] for obstacle in one["obstacles"]]
        return Text(f"not possible: {reasons[0]}" if reasons else "not possible", style=CAUTION)
    consents = len(one["consents"])
    return Text(f"after {plural(consents, 'consent')}", style=CAUTION) if consents else Text("possible", style=GOOD)
