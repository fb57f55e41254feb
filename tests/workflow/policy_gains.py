"""Every action that the policy of a key or a secret can allow, and what a role gains by adding itself to one.

The actions come from botocore's service models, so that none is forgotten. IAM's simulator decides: within one account, a
policy that names a role allows the role everything that none of its own policies denies.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from latchkey.aws.clients import botocore_session
from local_aws.tools.embedded_aws import Embedded
from tests.workflow.owned_resources import TAGS, OwnedResources
from tests.workflow.roles import Role

SERVICES = ("kms", "secretsmanager")
# The members of a request that identify a key or a secret.
_IDENTIFIERS = {"kms": {"KeyId", "SourceKeyId", "TargetKeyId"}, "secretsmanager": {"SecretId"}}
# These actions also need permission on the alias, which has no policy of its own:
# https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html
_ON_ALIASES = {"kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"}
_OTHER_NAMES = {"kms:ReEncrypt": ("kms:ReEncryptFrom", "kms:ReEncryptTo")}
# Takes a key, but is authorized without a resource, so no key policy can allow it.
_WITHOUT_RESOURCE = {"kms:ListAliases"}


@cache
def actions(service: str) -> tuple[str, ...]:
    """The actions of a service that apply to a key or a secret."""
    model = botocore_session().get_service_model(service)
    shapes = {name: model.operation_model(name).input_shape for name in model.operation_names}
    named = [f"{service}:{name}" for name, shape in shapes.items() if shape and _IDENTIFIERS[service] & set(shape.members)]
    found = {
        action for name in {*named, *(_ON_ALIASES if service == "kms" else ())} for action in _OTHER_NAMES.get(name, (name,))
    }
    return tuple(sorted(found - _WITHOUT_RESOURCE))


def gained(aws: Embedded, role: Role, service: str, things: OwnedResources) -> Iterator[str]:
    """The actions on a key or a secret of an owner that only a resource policy keeps from a role. They are direct calls."""
    resource = things.key if service == "kms" else things.secret
    days = {"kms:ScheduleKeyDeletionPendingWindowInDays": "7"}  # the shortest that KMS accepts
    context = {
        "aws:ViaAWSService": "false",
        **days,
        **{f"aws:ResourceTag/{name}": value for name, value in TAGS[things.owner].items()},
    }
    decisions = _simulate(aws, role, actions(service), resource, context)
    alias = resource.rpartition(":")[0] + ":alias/latchkey/mediatailor"
    on_aliases = _simulate(aws, role, sorted(_ON_ALIASES), alias, context) if service == "kms" else {}
    for action, decision in decisions.items():
        if decision == "implicitDeny" and on_aliases.get(action, "allowed") == "allowed":
            yield action


def _simulate(aws: Embedded, role: Role, names: Iterable[str], resource: str, context: Mapping[str, str]) -> dict[str, str]:
    pages = (
        aws.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(
            PolicySourceArn=role.arn,
            ActionNames=[*names],
            ResourceArns=[resource],
            ContextEntries=[
                {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for name, value in context.items()
            ],
        )
    )
    return {result["EvalActionName"]: result["EvalDecision"] for page in pages for result in page["EvaluationResults"]}
