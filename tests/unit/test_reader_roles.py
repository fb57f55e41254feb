"""Reader roles have a valid name, trust one service, and read one secret."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from latchkey.place import Place
from latchkey.policies.reader_roles import OPT_IN_REGIONS, reading, role_name, trust
from latchkey.systems import SYSTEMS
from latchkey.systems.readers import AssumedRole
from tests.unit.samples import ACCOUNT, KEY_ARN, PLACE, READ_BY_ROLE, REGION, SECRET_ARN, desired

# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
LONGEST = Place(partition="aws", account=ACCOUNT, region="ap-southeast-3")
systems = st.sampled_from([name for name, system in SYSTEMS.items() if isinstance(system.reader, AssumedRole)])


@settings(deadline=None, database=None)
@given(systems, st.text(max_size=600), st.sampled_from([PLACE, LONGEST]))
@example("mediapackagev2", "/".join(["a" * 256] * 3), LONGEST)
@example("mediaconnect", "-" * 100, LONGEST)
def test_every_role_name_is_valid_for_iam(system: str, resource: str, place: Place) -> None:
    name = role_name(system, resource, f"{system}/kind/{resource}", place)
    assert ROLE_NAME.fullmatch(name)
    assert name.startswith(f"latchkey_{place.region}_{system}")
    # https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html
    assert name != "MediaConnectAccessRole"


@settings(deadline=None, database=None)
@given(st.text(max_size=80), st.text(max_size=80))
@example("a b", "a-b")
@example("s" * 80, "s" * 79)
def test_two_accesses_never_share_a_role_name(one: str, other: str) -> None:
    assume(one != other)
    names = {role_name("mediaconnect", name, f"mediaconnect/flow/{name}", PLACE) for name in (one, other)}
    assert len(names) == 2


def test_one_access_in_two_regions_has_two_role_names() -> None:
    one, other = (role_name("s", "a", "s/k/a", place) for place in (PLACE, LONGEST))
    assert one != other
    assert one[-10:] != other[-10:]


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_reader_has_a_role_without_a_path(kind: str) -> None:
    wanted = desired(kind=kind)
    role = wanted.role(KEY_ARN, SECRET_ARN)
    assert role
    assert role.arn(PLACE) == f"arn:aws:iam::{ACCOUNT}:role/{role.name}"
    assert wanted.reading(KEY_ARN, SECRET_ARN).role_arn == role.arn(PLACE)


@pytest.mark.parametrize(("sends_account", "operator"), [(True, "StringEquals"), (False, "StringEqualsIfExists")])
def test_a_role_trusts_one_service_for_resources_of_the_account(sends_account: bool, operator: str) -> None:
    assert trust(["mediaconnect.amazonaws.com"], PLACE, sends_account=sends_account)["Statement"] == [
        {
            "Sid": "TheServiceForThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "mediaconnect.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {operator: {"aws:SourceAccount": ACCOUNT}},
        }
    ]


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_only_a_service_that_is_documented_to_send_its_account_must_send_it(kind: str) -> None:
    role = desired(kind=kind).role(KEY_ARN, SECRET_ARN)
    assert role
    [statement] = role.trust["Statement"]
    documented = kind.startswith("mediaconnect")
    assert [*statement["Condition"]] == ["StringEquals" if documented else "StringEqualsIfExists"]


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_the_trust_policies_of_every_version_are_accepted_and_no_others(kind: str) -> None:
    role = desired(kind=kind).role(KEY_ARN, SECRET_ARN)
    assert role
    reader = SYSTEMS[desired(kind=kind).request.system].reader
    assert isinstance(reader, AssumedRole)
    elsewhere = Place(partition="aws", account="444455556666", region=REGION)
    former = trust(reader.principals(PLACE), PLACE, sends_account=True)
    others = [
        trust(["ec2.amazonaws.com"], PLACE, sends_account=True),
        trust(reader.principals(PLACE), elsewhere, sends_account=True),
    ]
    assert [role.accepts_trust(document) for document in (role.trust, former)] == [True, True]
    assert not any(role.accepts_trust(document) for document in (*others, {}))


@pytest.mark.parametrize("region", [REGION, *sorted(OPT_IN_REGIONS)])
@pytest.mark.parametrize(
    ("system", "regional"),
    [("mediapackage", True), ("mediapackage-vod", True), ("mediapackagev2", True), ("mediaconnect", False)],
)
def test_in_an_opt_in_region_a_role_also_trusts_the_regional_principal(system: str, regional: bool, region: str) -> None:
    reader = SYSTEMS[system].reader
    assert isinstance(reader, AssumedRole)
    principals = reader.principals(Place(partition="aws", account=ACCOUNT, region=region))
    own = [f"{reader.service}.amazonaws.com"]
    assert [*principals] == own + ([f"{reader.service}.{region}.amazonaws.com"] if regional and region != REGION else [])
    assert trust(principals, PLACE, sends_account=True)["Statement"][0]["Principal"]["Service"] in (own[0], [*principals])


def test_two_principals_of_a_service_are_a_list() -> None:
    [statement] = trust(["a.amazonaws.com", "a.ap-east-1.amazonaws.com"], PLACE, sends_account=True)["Statement"]
    assert statement["Principal"] == {"Service": ["a.amazonaws.com", "a.ap-east-1.amazonaws.com"]}


def test_only_actions_without_a_resource_are_allowed_on_all_resources() -> None:
    document = reading(["secretsmanager:GetSecretValue"], KEY_ARN, SECRET_ARN, PLACE, listing_actions=["secretsmanager:List"])
    assert [(s["Action"], s["Resource"]) for s in document["Statement"]] == [
        (["secretsmanager:GetSecretValue"], SECRET_ARN),
        ("kms:Decrypt", KEY_ARN),
        (["secretsmanager:List"], "*"),
    ]


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_role_decrypts_only_its_secret(kind: str) -> None:
    role = desired(kind=kind).role(KEY_ARN, SECRET_ARN)
    assert role
    [decrypting] = [s for s in role.policy["Statement"] if s["Action"] == "kms:Decrypt"]
    assert decrypting["Resource"] == KEY_ARN
    assert decrypting["Condition"] == {
        "StringEquals": {
            "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
            "kms:EncryptionContext:SecretARN": SECRET_ARN,
        }
    }


@pytest.mark.parametrize("describes_key", [False, True])
def test_the_keys_of_other_secrets_are_described_only_if_the_service_does(describes_key: bool) -> None:
    other = f"{SECRET_ARN}-other"
    document = reading((), KEY_ARN, SECRET_ARN, PLACE, describes_key=describes_key, other_secret_arns=[other])
    on_any_key = {s["Action"] for s in document["Statement"] if s["Resource"] == PLACE.arn("kms", "key/*")}
    assert on_any_key == {"kms:Decrypt"} | ({"kms:DescribeKey"} if describes_key else set())
