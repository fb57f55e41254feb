"""Condition keys with several values have a set operator, wherever the project writes a condition.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.artifacts import OBSERVABILITY, ROOT, TEMPLATE
from tests.contract.documents import CURRENT

# Keys of the types ArrayOfString and ArrayOfARN in the service authorization reference, and global keys with several values.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
MULTIVALUED = {
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:principalservicenameslist",
    "aws:resourceorgpaths",
    "aws:sourceorgpaths",
    "aws:tagkeys",
    "aws:vpceorgpaths",
    "dynamodb:attributes",
    "dynamodb:firstpartitionkeyvalues",
    "dynamodb:leadingkeys",
    "events:detail-type",
    "events:eventbusarn",
    "events:source",
    "events:targetarn",
    "kms:encryptioncontextkeys",
    "kms:grantoperations",
    "kms:resourcealiases",
    "secretsmanager:addreplicaregions",
    "states:statemachinequalifier",
    "sts:transitivetagkeys",
}


def statements(value: Any) -> Iterator[dict[str, Any]]:
    """Every statement with a condition, at any depth of a document."""
    if isinstance(value, dict):
        if isinstance(value.get("Condition"), dict) and "Effect" in value:
            yield value
        for member in value.values():
            yield from statements(member)
    elif isinstance(value, list):
        for item in value:
            yield from statements(item)


def problems(statement: dict[str, Any]) -> list[str]:
    """What is wrong with the operators of a statement."""
    condition: dict[str, dict[str, Any]] = statement["Condition"]
    demanded = {key for key, value in condition.get("Null", {}).items() if str(value).lower() == "false"}
    wanted = {"Allow": "ForAllValues", "Deny": "ForAnyValue"}[statement["Effect"]]
    found = []
    for operator, keys in condition.items():
        quantifier = operator.rpartition(":")[0]
        for key in keys if operator != "Null" else ():
            if (key.lower() in MULTIVALUED) != bool(quantifier):
                found.append(f"{operator} with {key}")
            elif quantifier not in ("", wanted):
                found.append(f"{operator} with {key} in a statement with Effect {statement['Effect']}")
            elif quantifier == "ForAllValues" and key not in demanded:
                found.append(f"{operator} with {key}, which is also true without {key}")
    return found


def documents() -> Iterator[tuple[str, Any]]:
    yield "template.yaml", TEMPLATE
    yield "observability.yaml", OBSERVABILITY
    for path in sorted(ROOT.glob("tests/policies/**/*.json")):
        yield str(path.relative_to(ROOT)), json.loads(path.read_text())
    for page in CURRENT:
        for block in page.blocks:
            if block.language == "json" and "Condition" in block.text:
                yield str(block), json.loads(block.text)


@pytest.mark.parametrize(("name", "document"), documents(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_condition_has_the_operator_that_its_key_needs(name: str, document: Any) -> None:
    found = [problem for statement in statements(document) for problem in problems(statement)]

    assert not found, name


@pytest.mark.parametrize(
    ("effect", "condition"),
    [
        ("Allow", {"StringEquals": {"events:source": "latchkey"}}),
        ("Allow", {"StringLike": {"dynamodb:LeadingKeys": ["access"]}}),
        ("Allow", {"ForAllValues:StringEquals": {"events:source": "latchkey"}}),
        ("Allow", {"ForAllValues:StringEquals": {"events:source": "latchkey"}, "Null": {"events:source": "true"}}),
        ("Allow", {"ForAnyValue:StringEquals": {"events:source": "latchkey"}}),
        ("Deny", {"ForAllValues:StringEquals": {"events:source": "latchkey"}}),
        ("Allow", {"ForAllValues:StringEquals": {"aws:SourceAccount": "111122223333"}}),
    ],
)
def test_a_wrong_operator_is_found(effect: str, condition: dict[str, Any]) -> None:
    assert problems({"Effect": effect, "Condition": condition})


def test_the_conditions_of_the_product_are_found() -> None:
    """A walk that finds nothing would pass for every document."""
    keys = {key for statement in statements(TEMPLATE) for keys in statement["Condition"].values() for key in keys}

    assert {"events:source", "dynamodb:LeadingKeys", "dynamodb:Attributes", "aws:SourceArn"} <= keys
