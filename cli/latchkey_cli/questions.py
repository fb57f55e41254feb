"""The questions of `latchkey init`, from the models of the requests, and the request that the answers make."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latchkey.bulk.manifest import parse_manifest
from latchkey.errors import InvalidRequest
from latchkey.requests.parsing import ONBOARDING, parse_onboarding
from latchkey.systems import SYSTEMS
from latchkey.systems.readers import ServicePrincipal

# What the name of a member alone does not say.
_MEANINGS: Mapping[str, tuple[str, str]] = {
    "baseUrl": ("URL of the origin", "https://origin.example.com/vod"),
    "header": ("Header in which the token is sent to the origin", "X-Origin-Token"),
    "secretKey": ("Member of the secret's JSON that is the token", "MyAccessTokenIdentifier"),
    "sourceLocation": ("Name of the source location", "sports-origin"),
    "partnerStatements": ("File with the statements that the partner provides", "statements.json"),
    "otherSecrets": ("ARNs of other secrets that the endpoint must accept, separated by ;", ""),
}
GENERATE, COPY, EXISTING = "generate", "copyFrom", "existing"
_VALUE = "secret.value"


@dataclass(frozen=True)
class Question:
    """A member of the request. Without an answer, an optional one is left out, and one with choices has its default.

    `is_file`: the answer is the name of a JSON file with the value.
    """

    path: str
    text: str
    example: str = ""
    choices: tuple[str, ...] = ()
    default: str = ""
    is_required: bool = False
    is_file: bool = False


def questions(system: str) -> Iterator[Question]:
    """The questions about a request for a system. Those about an unused source of the token are not asked: see `applies`."""
    yield from _about_resource(system)
    if SYSTEMS[system].secret is not None:
        sources = (GENERATE, COPY, EXISTING)
        yield Question(_VALUE, "Where the token comes from", choices=sources, default=GENERATE)
        arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:origin/token-AbCdEf"
        yield Question(f"{_VALUE}.copyFrom.secretArn", "Secret to copy the token from", arn, is_required=True)
        yield Question(f"{_VALUE}.copyFrom.key", "Member of its JSON that is the token", "token")
        yield Question(f"{_VALUE}.existing.secretArn", "Secret to adopt", arn, is_required=True)
        role = "arn:aws:iam::111122223333:role/Origin"
        yield Question("secret.originReaders", "Roles of the origin that read the token, separated by ;", role)
    if isinstance(SYSTEMS[system].reader, ServicePrincipal):
        role = "arn:aws:iam::111122223333:role/Management"
        yield Question("managementRoles", "Other roles that configure the service with this secret, separated by ;", role)
    yield Question("key.alias", "Alias of the key", f"alias/latchkey/{system}")


def _about_resource(system: str) -> Iterator[Question]:
    schema = ONBOARDING[system].model_json_schema()
    resource = schema["$defs"][schema["properties"]["resource"]["$ref"].rsplit("/", 1)[-1]]
    for name, member in resource["properties"].items():
        node = next((one for one in member.get("anyOf", ()) if one.get("type") != "null"), member)
        if name == "configure":
            continue
        default = member.get("default")
        meaning, example = _MEANINGS.get(name, (words(name), str(node.get("examples", [""])[0])))
        yield Question(
            f"resource.{name}",
            meaning,
            example=example,
            choices=tuple(node.get("enum", ())),
            default=default if isinstance(default, str) else "",
            is_required=name in resource.get("required", ()),
            is_file=node.get("type") == "array" and "$ref" in node.get("items", {}),
        )


def words(name: str) -> str:
    """The name of a member as words: `sourceLocation` is `Source location`."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", name).capitalize().replace(" arn", " ARN")


def applies(question: Question, answers: Mapping[str, str]) -> bool:
    """Whether a question has to be asked: those about one source of the token only if it was chosen."""
    found = re.match(rf"{_VALUE}\.(\w+)\.", question.path)
    return found is None or answers.get(_VALUE) == found[1]


def request_of(system: str, answers: Mapping[str, str], files: Mapping[str, Any]) -> dict[str, Any]:
    """The request that the answers make. `files` are the values of members that were read from files, by path.

    Answers become values as the cells of a manifest do, so that lists, numbers and booleans have their types.
    """
    cells = {"system": system, **{path: text for path, text in answers.items() if text and path not in files}}
    chosen = cells.pop(_VALUE, None)
    if chosen == GENERATE:
        cells.setdefault(f"{_VALUE}.generate", "{}")
    rows = io.StringIO()
    csv.writer(rows).writerows([[*cells], [*cells.values()]])
    [line] = parse_manifest("answers.csv", rows.getvalue().encode())
    if line.problem is not None:
        raise InvalidRequest([line.problem])
    detail: Any = line.detail or {}
    for path, value in files.items():
        first, _, last = path.rpartition(".")
        node = detail if not first else detail.setdefault(first, {})
        node[last] = value
    return dict(detail)


def broken_rule(system: str, path: str, answers: Mapping[str, str], files: Mapping[str, Any]) -> str | None:
    """The rule that an answer breaks, or None. Rules about members that are not answered yet do not count."""
    try:
        parse_onboarding({"requestId": "init", **request_of(system, answers, files)})
    except InvalidRequest as error:
        # The items of a list have a number behind the path.
        own = [one.rule for one in error.problems if one.path == path or one.path.startswith(f"{path}.")]
        return own[0] if own else None
    return None


def file_name(detail: Mapping[str, Any]) -> str:
    """A name for the request file: that of the resource."""
    resource = detail.get("resource", {})
    names = [value for value in resource.values() if isinstance(value, str)] or [str(detail["system"])]
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", names[0].rsplit(":", 1)[-1]).strip("-").lower()
    return f"{readable or detail['system']}.json"


def read_value(path: Path) -> Any:
    """The JSON value in a file. Raises ValueError if it is not valid JSON."""
    return json.loads(path.read_text(encoding="utf-8-sig"))
