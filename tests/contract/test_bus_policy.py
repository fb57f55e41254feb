"""The policy of the request bus, evaluated as a document: nobody can forge an outcome, everybody may request."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from ministack.core import iam_evaluator as evaluator

from latchkey.events.publishing import SOURCE
from tests.contract.artefacts import RESOURCES

ACCOUNT, REGION = "000000000000", "us-east-1"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/latchkey-requests"
REPORTER = f"arn:aws:iam::{ACCOUNT}:role/latchkey-ReportOutcomeFunctionRole"
ANYBODY = f"arn:aws:iam::{ACCOUNT}:role/Administrator"
ARNS = {"RequestBus.Arn": BUS, "ReportOutcomeFunctionRole.Arn": REPORTER}
EVERYTHING = evaluator.parse_policy_document({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})

Statement = dict[str, Any]


def deployed() -> Statement:
    """The statement with the ARNs that CloudFormation puts in."""
    text = json.dumps(RESOURCES["RequestBusPolicy"]["Properties"]["Statement"])
    for attribute, arn in ARNS.items():
        text = text.replace(json.dumps({"Fn::GetAtt": attribute}), json.dumps(arn))
    statement: Statement = json.loads(text)
    return statement


def may_put(principal: str, source: str, statement: Statement) -> bool:
    """May a principal whose IAM policy allows everything put an event of that source on the bus?"""
    context = evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action="events:PutEvents",
        resource_arn=BUS,
        region=REGION,
        service_context={"events:source": source},
    )
    identity = evaluator.evaluate(context, [EVERYTHING])
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return bool(evaluator.combine_resource_policy(identity, context, policy, ACCOUNT).decision == "Allow")


def may_put_each(statement: Statement) -> dict[tuple[str, str], bool]:
    return {(who, source): may_put(who, source, statement) for who in (ANYBODY, REPORTER) for source in (SOURCE, ASKING)}


ASKING = f"{SOURCE}.requests"
WANTED = {(ANYBODY, SOURCE): False, (ANYBODY, ASKING): True, (REPORTER, SOURCE): True, (REPORTER, ASKING): True}


def test_only_the_role_that_reports_speaks_as_latchkey_and_everybody_may_request() -> None:
    assert may_put_each(deployed()) == WANTED


MUTATIONS: dict[str, Callable[[Statement], object]] = {
    "no condition": lambda statement: statement.pop("Condition"),
    "any source": lambda statement: statement["Condition"].pop("StringEquals"),
    "no exception for the reporter": lambda statement: statement["Condition"].pop("ArnNotEquals"),
    "another source": lambda statement: statement["Condition"]["StringEquals"].update({"events:source": "somebody"}),
    "another bus": lambda statement: statement.update(Resource=f"{BUS}-other"),
    "another principal": lambda statement: statement.update(Principal={"AWS": REPORTER}),
    "an Allow": lambda statement: statement.update(Effect="Allow"),
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
def test_any_other_policy_would_be_noticed(mutate: Callable[[Statement], object]) -> None:
    statement = deployed()
    mutate(statement)

    assert may_put_each(statement) != WANTED
