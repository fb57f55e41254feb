"""Every rule that a model can break is reported in our own words, with what was given in kind and what to give instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from latchkey.errors import InvalidRequest
from latchkey.requests.lifecycle import HandoffConfirmed
from latchkey.requests.parsing import ONBOARDING, parse_confirmation, parse_onboarding, rule_of
from tests.unit.samples import (
    ACCOUNT,
    EXISTING_ARN,
    FLOW_ARN,
    FULL,
    KEY_ARN,
    KINDS,
    PARTNERS,
    detail,
    partner_statement,
    role,
    user,
)

OF_PYDANTIC = frozenset(get_args(ErrorType))
# A value of every kind that JSON has, and of every size that a model limits.
VALUES: tuple[Any, ...] = (
    None,
    True,
    7,
    40.5,
    10**30,
    -1,
    "",
    "x",
    " x",
    "x\n",
    "\ud800",
    "x" * 3000,
    "true",
    "365",
    [],
    [7],
    [["x"]],
    ["x"] * 60,
    [{}],
    {},
    {"x": 1},
    {f"x{n}": "x" for n in range(60)},
)
CONFIRMATION = {"requestId": "request-1", "accessId": "mediatailor/sourceLocation/sports"}


def places(document: object, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every member of a document, and of the document."""
    yield place
    members = document.items() if isinstance(document, Mapping) else enumerate(document) if isinstance(document, list) else ()
    for name, member in members:
        yield from places(member, (*place, name))


def changed(document: Any, place: tuple[str | int, ...], value: object) -> Any:
    """A copy of a document with another value at one place; without the member if the value is Ellipsis."""
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(document, list):
        return [changed(item, rest, value) if index == first else item for index, item in enumerate(document)]
    if value is ... and not rest:
        return {name: member for name, member in document.items() if name != first}
    return document | {first: changed(document.get(first), rest, value)}


COPY = {"secret.value": {"copyFrom": {"secretArn": EXISTING_ARN, "key": "token"}}}
GENERATE = {
    "secret.value": {"generate": {"length": 32}},
    "secret.name": "latchkey/x",
    "key.alias": "alias/x",
    "key.rotationDays": 90,
}
FLAGS = {"secret.replacesToken": True, "secret.moveKey": True, "resource.configure": True, "version": "1", "mode": "apply"}
COMPLETE = {kind: detail({} if kind.startswith("adobe") else GENERATE | FLAGS, kind) for kind in KINDS} | {
    "everything": detail({**FULL, **COPY, **FLAGS}),
    "adopted": detail({"secret.value": {"existing": {"secretArn": EXISTING_ARN}}, "key.arn": KEY_ARN}),
}


def errors(model: Any, document: object) -> list[ErrorDetails]:
    try:
        model.model_validate(document)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def provoked() -> Iterator[ErrorDetails]:
    for document in COMPLETE.values():
        for place in places(document):
            for value in (*VALUES, ...):
                yield from errors(ONBOARDING[document["system"]], changed(document, place, value))
        yield from errors(ONBOARDING[document["system"]], document | {"colour": 1})
    for place in places(CONFIRMATION):
        for value in VALUES:
            yield from errors(HandoffConfirmed, changed(CONFIRMATION, place, value))


def test_no_rule_is_in_the_words_of_pydantic_or_a_regular_expression() -> None:
    kinds = set()
    for error in provoked():
        kinds.add(error["type"])
        if error["type"] == "extra_forbidden":
            continue  # its rule depends on the name, which other tests compare
        rule = rule_of(error)
        assert error["type"] not in OF_PYDANTIC or error["msg"] not in rule
        assert not re.search(r"\[[^ ]*-[^ ]*\]|\^|\\|\$|should|Input|tuple|Tuple|validation", rule), rule
        assert rule != "is not valid", error["type"]
    # Every kind of error that these models can have, so that a new one is noticed.
    assert kinds & OF_PYDANTIC == {
        "bool_type",
        "dict_type",
        "extra_forbidden",
        "greater_than_equal",
        "int_type",
        "less_than_equal",
        "literal_error",
        "missing",
        "model_type",
        "string_too_long",
        "string_type",
        "string_unicode",
        "too_long",
        "too_short",
        "tuple_type",
    }


@pytest.mark.parametrize("name", ONBOARDING)
def test_every_example_in_a_schema_is_valid(name: str) -> None:
    """Parsing puts examples in the place of invalid members, to find the rules about several members."""
    schema = ONBOARDING[name].model_json_schema()

    assert [
        (place, node["pattern"])
        for place, node in nodes(schema)
        for example in node.get("examples", ())
        if not re.fullmatch(node.get("pattern", ".+"), example)
    ] == []


def nodes(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a JSON Schema, with its place."""
    if isinstance(node, dict):
        yield place, node
    for name, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from nodes(inner, f"{place}.{name}")


def rules(changes: Mapping[str, Any], kind: str = "mediatailor") -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        parse_onboarding(detail(changes, kind))
    return {problem.path: problem.rule for problem in caught.value.problems}


READER, KEY, ALIAS = "secret.originReaders", "key.arn", "key.alias"
ADOPTED = "secret.value.existing.secretArn"
# What people give, where, and a part of the rule that says what it is or what to give.
GIVEN: dict[str, tuple[str, str, Any, str]] = {
    "a session": ("", READER, f"arn:aws:sts::{ACCOUNT}:assumed-role/Origin/i-0", f"name the role, {role('Origin')},"),
    "a federated user": ("", READER, f"arn:aws:sts::{ACCOUNT}:federated-user/a", "session of a federated user"),
    "a user": ("", READER, user("cdn"), "is an IAM user"),
    "a user as manager": ("", "managementRoles", user("cdn"), "is an IAM user"),
    "an account root": ("", READER, f"arn:aws:iam::{ACCOUNT}:root", "is a whole account"),
    "an account": ("", READER, ACCOUNT, "is a whole account"),
    "a group": ("", "key.users", f"arn:aws:iam::{ACCOUNT}:group/a", "is an IAM group"),
    "an instance profile": ("", READER, f"arn:aws:iam::{ACCOUNT}:instance-profile/a", "is an instance profile"),
    "a policy": ("", READER, f"arn:aws:iam::{ACCOUNT}:policy/a", "is a policy"),
    "an identity provider": ("", READER, f"arn:aws:iam::{ACCOUNT}:oidc-provider/a", "is an identity provider"),
    "everybody": ("", READER, "*", "is everybody"),
    "a service": ("", "key.users", "lambda.amazonaws.com", "is a service"),
    "a unique id": ("", READER, "AROAABCDEFGHIJKLMNOPQ", "is a unique ID"),
    "an access key": ("", READER, "AKIAABCDEFGHIJKLMNOP", "is the ID of an access key"),
    "a function": ("", READER, f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:a", "is an ARN of lambda"),
    "a name of a role": ("", READER, "Origin", "is a name, not an ARN"),
    "a name with its kind": ("", READER, "role/Origin", "is a name, not an ARN"),
    "a wildcard": ("", READER, f"arn:aws:iam::{ACCOUNT}:role/*", "has a wildcard"),
    "another partition": ("", READER, f"arn:aws-iso:iam::{ACCOUNT}:role/a", "is in the partition aws-iso"),
    "a newline": ("", READER, f"{role('Origin')}\n", "ends with a space or a line break"),
    "half an ARN": ("", READER, "arn:aws:iam::role/a", "is not a complete ARN"),
    "nothing": ("", READER, "", "is empty"),
    "a sentence": ("", READER, "ask the team!", "is not an ARN"),
    "an alias for a key": ("", KEY, "alias/a", "set key.alias to alias/a"),
    "an alias ARN for a key": ("", KEY, f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/a", "set key.alias to alias/a"),
    "a key id": ("", KEY, "1234abcd-12ab-34cd-56ef-1234567890ab", "is a key ID"),
    "a multi-Region key id": ("", KEY, "mrk-1234abcd12ab34cd56ef1234567890ab", "is a key ID"),
    "a secret for a key": ("", KEY, EXISTING_ARN, "is an ARN of secretsmanager"),
    "a word for a key": ("", KEY, "mykey", "is not an ARN"),
    "an alias without its prefix": ("", ALIAS, "latchkey/a", "alias/"),
    "a key for an alias": ("", ALIAS, KEY_ARN, "set key.arn"),
    "an ARN for an alias": ("", ALIAS, f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/a", "only its name, alias/a"),
    "a key id for an alias": ("", ALIAS, "1234abcd-12ab-34cd-56ef-1234567890ab", "is a key ID"),
    "an alias with a space": ("", ALIAS, "alias/my key", "other than letters"),
    "a long alias": ("", ALIAS, "alias/" + "a" * 251, "256"),
    "a role for an alias": ("", ALIAS, role("a"), "is an ARN"),
    "a name of a secret": ("", ADOPTED, "origin/token", "is not an ARN"),
    "a partial ARN": ("", ADOPTED, EXISTING_ARN[:-7], "lacks the hyphen"),
    "an ARN with a JSON key": ("", ADOPTED, f"{EXISTING_ARN}:token::", "copyFrom.key"),
    "a parameter": ("", ADOPTED, f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/a", "Systems Manager"),
    "an ARN of a location": ("", "resource.sourceLocation", f"arn:aws:mediatailor:eu-west-1:{ACCOUNT}:a", "is an ARN"),
    "a URL of an endpoint": ("mediapackage", "resource.originEndpoint", "https://a.example.com", "is a URL"),
    "a long name": ("mediapackage", "resource.originEndpoint", "a" * 257, "256"),
    "a header with its value": ("", "resource.header", "X-Token: a", "has a colon"),
    "a header with a space": ("", "resource.header", "X Token", "such as a space"),
    "a part for a flow": ("mediaconnect-source", "resource.flowArn", FLOW_ARN.replace(":flow:", ":source:"), "resource.source"),
    "a name of a flow": ("mediaconnect-source", "resource.flowArn", "sports", "is not an ARN"),
    "a part with a line break": ("mediaconnect-source", "resource.source", "a\nb", "has a line break"),
    "a zone": ("adobe-experience-platform", "resource.instanceRegion", "us-east-1a", "its Region, us-east-1"),
    "a name of a Region": ("adobe-experience-platform", "resource.instanceRegion", "Ireland", "us-east-1"),
    "a number as text": ("", "key.rotationDays", "365", "remove the quotation marks"),
    "a truth as text": ("", "key.allowDeletion", "true", "remove the quotation marks"),
    "a role without a list": ("", "managementRoles", ..., "square brackets"),
    "a fraction": ("", "key.rotationDays", 365.5, "a number with a decimal point"),
    "null": ("", "resource.sourceLocation", None, "not null"),
    "another mode": ("", "mode", "destroy", '"apply" or "plan"'),
    "an access of an ARN": ("", "accessId", role("a"), "is an ARN"),
    "an access of one word": ("", "accessId", "a*b", "is not an access ID"),
}
LISTS = {READER, "managementRoles", "key.users"}


@pytest.mark.parametrize(("kind", "path", "value", "named"), GIVEN.values(), ids=GIVEN)
def test_a_rule_says_what_was_given_and_what_to_give(kind: str, path: str, value: Any, named: str) -> None:
    if path == "accessId":
        with pytest.raises(InvalidRequest) as caught:
            parse_confirmation(CONFIRMATION | {"accessId": value})
        found = {problem.path: problem.rule for problem in caught.value.problems}
    elif path in LISTS and value is not ...:
        found = {place.removesuffix(".0"): rule for place, rule in rules({path: [value]}).items()}
    else:
        found = rules({path: role("A") if value is ... else value}, kind or "mediatailor")

    assert [*found] == [path]
    assert named in found[path]


STATEMENT = partner_statement(PARTNERS[0])
OWN = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
STATEMENTS: dict[str, tuple[Any, str, str]] = {
    "the whole policy": ({"Version": "2012-10-17", "Statement": [STATEMENT]}, "", "whole policy"),
    "one statement": (STATEMENT, "", "put it in a list"),
    "no statement": ([], "", "at least 1"),
    "the statement of the own account": ([OWN, STATEMENT], ".0", "your own account"),
    "an account": ([STATEMENT | {"Principal": {"AWS": PARTNERS[0]}}], ".0.Principal.AWS", f"arn:aws:iam::{PARTNERS[0]}:root"),
    "a role": ([STATEMENT | {"Principal": {"AWS": role("a")}}], ".0.Principal.AWS", "one principal"),
    "everybody": ([STATEMENT | {"Principal": {"AWS": "*"}}], ".0.Principal.AWS", "everybody"),
    "an action as text": ([STATEMENT | {"Action": "kms:Decrypt"}], ".0.Action", "square brackets"),
    "a denial": ([STATEMENT | {"Effect": "Deny"}], ".0.Effect", '"Allow"'),
}


@pytest.mark.parametrize(("value", "place", "named"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_flaw_of_a_statement_is_the_only_problem(value: Any, place: str, named: str) -> None:
    found = rules({"resource.partnerStatements": value}, "adobe-experience-platform")

    assert [*found] == [f"resource.partnerStatements{place}"]
    assert named in found[f"resource.partnerStatements{place}"]


TOGETHER: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "two parts, and a flow that is no ARN": (
        "mediaconnect-source",
        {"resource.flowArn": "sports", "resource.output": "out"},
        {"resource", "resource.flowArn"},
    ),
    "no part, and a wrong role": (
        "mediaconnect-srt-password",
        {"resource.output": None, "secret.originReaders": ["Origin"]},
        {"resource", "secret.originReaders.0"},
    ),
    "an adopted key with users, one of which is no ARN": (
        "mediatailor",
        {"key": {"arn": "alias/a", "users": [role("A"), "B"]}},
        {"key", "key.arn", "key.users.1"},
    ),
    "two sources of a value, and an unknown member": (
        "mediatailor",
        {"secret.value": {"generate": {}, "existing": {"secretArn": "a"}}, "colour": "red"},
        {"secret.value", "secret.value.existing.secretArn", "colour"},
    ),
    "a name for an adopted secret, and a tag that is no text": (
        "mediatailor",
        {"secret": {"name": "a b", "value": {"existing": {"secretArn": EXISTING_ARN}}}, "tags": {"a": 5}},
        {"secret", "secret.name", "tags.a"},
    ),
    "managers where none are, and no resource name": (
        "mediapackage",
        {"resource.originEndpoint": ..., "managementRoles": [role("A"), "B"]},
        {"detail", "resource.originEndpoint", "managementRoles.1"},
    ),
    "a length, and a wrong algorithm": (
        "mediaconnect-source",
        {"resource.flowArn": "sports", "secret.value.generate.length": 32},
        {"resource.flowArn", "secret.value.generate.length"},
    ),
}


@pytest.mark.parametrize(("kind", "changes", "places"), TOGETHER.values(), ids=TOGETHER)
def test_rules_about_several_members_are_reported_with_the_others(kind: str, changes: dict[str, Any], places: set[str]) -> None:
    assert set(rules(changes, kind)) == places


ALONE: dict[str, tuple[str, dict[str, Any], str]] = {
    "a part that is no text": ("mediaconnect-source", {"resource.source": ["a"]}, "resource.source"),
    "an unknown algorithm": ("mediaconnect-source", {"resource.algorithm": "aes512"}, "resource.algorithm"),
    "an unknown key type": ("mediaconnect-srt-password", {"resource.keyType": "srt"}, "resource.keyType"),
    "a source of a value that is no object": ("mediatailor", {"secret.value": {"generate": "x"}}, "secret.value.generate"),
}


@pytest.mark.parametrize(("kind", "changes", "place"), ALONE.values(), ids=ALONE)
def test_a_rule_that_follows_from_another_is_not_reported(kind: str, changes: dict[str, Any], place: str) -> None:
    assert set(rules(changes, kind)) == {place}
