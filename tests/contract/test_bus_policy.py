"""The policy of the request bus, evaluated with an IAM engine: anyone can send requests, nobody can forge an outcome."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from ministack.core import iam_evaluator as evaluator

from latchkey.events.publishing import SOURCE
from tests.contract.artifacts import RESOURCES

ACCOUNT, REGION = "000000000000", "us-east-1"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/latchkey-requests"
REPORTER = f"arn:aws:iam::{ACCOUNT}:role/latchkey-ReportOutcomeFunctionRole"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/Administrator"
ARNS = {"RequestBus.Arn": BUS, "ReportOutcomeFunctionRole.Arn": REPORTER}
ALLOW_EVERYTHING = evaluator.parse_policy_document({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
REQUEST_SOURCE = f"{SOURCE}.requests"
EXPECTED = {
    (ADMINISTRATOR, SOURCE): False,
    (ADMINISTRATOR, REQUEST_SOURCE): True,
    (REPORTER, SOURCE): True,
    (REPORTER, REQUEST_SOURCE): True,
}

Statement = dict[str, Any]


def deployed_statement() -> Statement:
    """The statement of the bus policy, with ARNs in place of the `Fn::GetAtt` functions."""
    text = json.dumps(RESOURCES["RequestBusPolicy"]["Properties"]["Statement"])
    for attribute, arn in ARNS.items():
        text = text.replace(json.dumps({"Fn::GetAtt": attribute}), json.dumps(arn))
    statement: Statement = json.loads(text)
    return statement


def can_put_events(principal: str, source: str, statement: Statement) -> bool:
    """Whether a principal can put events of a source on the bus if its identity policies allow all actions."""
    context = evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action="events:PutEvents",
        resource_arn=BUS,
        region=REGION,
        service_context={"events:source": [source]},
    )
    identity = evaluator.evaluate(context, [ALLOW_EVERYTHING])
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return bool(evaluator.combine_resource_policy(identity, context, policy, ACCOUNT).decision == "Allow")


def permissions(statement: Statement) -> dict[tuple[str, str], bool]:
    return {(principal, source): can_put_events(principal, source, statement) for principal, source in EXPECTED}


def test_anyone_can_send_requests_and_only_the_reporting_role_can_publish_outcomes() -> None:
    assert permissions(deployed_statement()) == EXPECTED


MUTATIONS: dict[str, Callable[[Statement], object]] = {
    "no condition": lambda statement: statement.pop("Condition"),
    "any source": lambda statement: statement["Condition"].pop("ForAnyValue:StringEquals"),
    "no exception for the reporter": lambda statement: statement["Condition"].pop("ArnNotEquals"),
    "another source": lambda statement: statement["Condition"]["ForAnyValue:StringEquals"].update({"events:source": "other"}),
    "another bus": lambda statement: statement.update(Resource=f"{BUS}-other"),
    "another principal": lambda statement: statement.update(Principal={"AWS": REPORTER}),
    "an Allow": lambda statement: statement.update(Effect="Allow"),
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
def test_every_mutation_of_the_policy_changes_the_permissions(mutate: Callable[[Statement], object]) -> None:
    statement = deployed_statement()
    mutate(statement)

    assert permissions(statement) != EXPECTED
