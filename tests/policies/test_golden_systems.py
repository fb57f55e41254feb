"""Golden files of the policy documents for each system and kind of resource."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.desired import Desired, desire
from latchkey.place import Place
from latchkey.requests.parsing import parse_onboarding
from latchkey.tags import DEFAULT_TENANT
from tests.policies.foreign import CONSOLE_KEY
from tests.unit.samples import ACCOUNT, KEY_ARN, KINDS, PLACE, READ_BY_ROLE, SETTINGS, desired, detail, role

GOLDEN = Path(__file__).parent / "systems"
Agrees = Callable[[Path, Any], None]
OPT_IN = Place(partition="aws", account=ACCOUNT, region="eu-south-1")
ENDPOINT_ARN = PLACE.arn("mediapackagev2", "channelGroup/sports/channel/main/originEndpoint/hls")
PARTNER = "adobe-experience-platform"


def full(kind: str) -> Desired:
    """A request with administrators of the key and, if there is a secret, with origin readers."""
    readers = {"secret.originReaders": [role("Origin")]} if desired(kind=kind).reads_secret else {}
    return desired({"key.administrators": [role("KeyAdmins")]} | readers, kind)


def secret_arn(wanted: Desired) -> str:
    return wanted.place.arn("secretsmanager", f"secret:{wanted.secret_name}-AbCdEf")


def role_of(wanted: Desired) -> dict[str, Any]:
    found = wanted.role(KEY_ARN.replace(PLACE.region, wanted.place.region), secret_arn(wanted))
    assert found
    return {"arn": found.arn(wanted.place), "trust": found.trust, "policy": found.policy}


def in_opt_in_region(kind: str) -> Desired:
    text = json.dumps(detail(kind=kind)).replace(PLACE.region, OPT_IN.region)
    return desire(parse_onboarding(json.loads(text)), SETTINGS.model_copy(update={"place": OPT_IN}), DEFAULT_TENANT)


def gate() -> list[policies.Statement]:
    """Our statement in an endpoint policy, from the handoff."""
    wanted = desired(kind="mediapackagev2")
    handoff = wanted.system.handoff(wanted.resource, None, KEY_ARN, PLACE).cloud_formation
    assert handoff
    statements: list[policies.Statement] = handoff["EndpointPolicy"]["Properties"]["Policy"]["Statement"]
    return statements


HARVESTING = {
    "Effect": "Allow",
    "Principal": {"AWS": role("Harvester")},
    "Action": "mediapackagev2:HarvestObject",
    "Resource": ENDPOINT_ARN,
}
ONLY_OUR_NETWORK = {
    "Sid": "OnlyOurNetwork",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "mediapackagev2:GetObject",
    "Resource": ENDPOINT_ARN,
    "Condition": {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
}
ENDPOINT_POLICY = {"Version": "2012-10-17", "Statement": [HARVESTING, ONLY_OUR_NETWORK]}


def merged(before: policies.Document, own: list[policies.Statement]) -> dict[str, Any]:
    return {"before": before, "after": policies.merge(before, own)}


DOCUMENTS: dict[str, Any] = {
    **{f"{kind}/key": full(kind).new_key_policy for kind in KINDS},
    **{
        f"{kind}/secret": policies.merge(None, full(kind).secret_statements(secret_arn(full(kind))))
        for kind in KINDS
        if desired(kind=kind).reads_secret
    },
    **{f"{kind}/role": role_of(full(kind)) for kind in READ_BY_ROLE},
    **{f"{kind}/role-in-an-opt-in-region": role_of(in_opt_in_region(kind)) for kind in READ_BY_ROLE},
    "mediapackagev2/role-with-other-secrets": role_of(
        desired({"resource.otherSecrets": [PLACE.arn("secretsmanager", "secret:MediaPackage/other-QwErTy")]}, "mediapackagev2")
    ),
    "mediapackagev2/endpoint": merged({"Version": "2012-10-17", "Statement": []}, gate()),
    "mediapackagev2/endpoint-with-others": merged(ENDPOINT_POLICY, gate()),
    f"{PARTNER}/key-of-the-console": merged(CONSOLE_KEY, [*desired(kind=PARTNER).key_statements]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_equals_its_golden_file(name: str, agrees: Agrees) -> None:
    agrees(GOLDEN / f"{name}.json", DOCUMENTS[name])


def test_every_golden_file_belongs_to_a_document() -> None:
    assert {str(path.relative_to(GOLDEN).with_suffix("")) for path in GOLDEN.rglob("*.json")} == set(DOCUMENTS)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith(("/key", "/secret"))])
def test_no_document_is_public(name: str) -> None:
    assert not policies.is_public(DOCUMENTS[name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_key_policy_delegates_to_the_account(kind: str) -> None:
    assert DOCUMENTS[f"{kind}/key"]["Statement"][0] == policies.delegation(PLACE)


def test_the_root_statement_of_the_owner_stays_when_a_partner_uses_its_sid() -> None:
    golden = DOCUMENTS[f"{PARTNER}/key-of-the-console"]
    [sid] = {statement["Sid"] for statement in detail(kind=PARTNER)["resource"]["partnerStatements"][:1]}
    foreign = [statement for statement in golden["after"]["Statement"] if not policies.is_own(statement)]
    assert foreign == golden["before"]["Statement"]
    assert [statement["Principal"] for statement in foreign if statement["Sid"] == sid] == [
        {"AWS": PLACE.arn("iam", "root", region="")}
    ]


def test_an_endpoint_policy_keeps_the_statements_of_others() -> None:
    golden = DOCUMENTS["mediapackagev2/endpoint-with-others"]
    assert golden["after"]["Statement"] == [HARVESTING, ONLY_OUR_NETWORK, *gate()]
    # https://docs.aws.amazon.com/mediapackage/latest/APIReference/API_PutOriginEndpointPolicy.html
    assert len(json.dumps(golden["after"])) <= 6144


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_role_reads_one_secret_and_creates_no_grants(kind: str) -> None:
    statements = DOCUMENTS[f"{kind}/role"]["policy"]["Statement"]
    named = [action for s in statements for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])]
    assert not [action for action in named if "*" in action]
    assert {action.split(":")[0] for action in named} == {"kms", "secretsmanager"}
    assert not [action for action in named if "Put" in action or "Update" in action or "Create" in action]
    everywhere = [s["Action"] for s in statements if s["Resource"] == "*"]
    assert everywhere in ([], [["secretsmanager:BatchGetSecretValue"]])
