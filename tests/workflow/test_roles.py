"""What each role can do, by calls and not by reading policies. docs/security.md has the result as a table."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_aws.tools.embedded_aws import Embedded
from local_aws.tools.outcomes import Outcomes
from tests.contract.artifacts import FUNCTIONS, ROOT, actions
from tests.workflow import policy_gains
from tests.workflow.conftest import Account
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.onboarding import Onboarding
from tests.workflow.owned_resources import OWNERS, OwnedResources, admitting, unique
from tests.workflow.roles import NAMES, STACK, Role, roles_of
from tests.workflow.sensitive_calls import CALLS, SensitiveCall

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PAGE = ROOT / "docs/security.md"
# The allowed roles by call and by owner of its resource. None: an owner of this kind has no such resource.
Matrix = dict[str, dict[str, tuple[str, ...] | None]]
Agrees = Callable[[Path, str, str], None]


@pytest.fixture(scope="module")
def roles(account: Account) -> Iterator[dict[str, Role]]:
    yield roles_of(account.aws)
    account.reset()


@pytest.fixture(scope="module")
def hold(aws: Embedded, outcomes: Outcomes, roles: dict[str, Role]) -> Callable[..., OwnedResources]:
    """Returns resources of an owner with the policies that an onboarding creates."""
    onboarding = Onboarding(aws, outcomes)
    sample: dict[str, str] = onboarding.onboard(onboarding.detail())["resources"]
    return lambda owner, *admitted: OwnedResources(onboarding, roles, sample, owner, *admitted)


@pytest.fixture(scope="module")
def matrix(roles: dict[str, Role], hold: Callable[..., OwnedResources]) -> Matrix:
    things = {owner: hold(owner) for owner in OWNERS}
    return {call.label: _row(call, roles.values(), things) for call in CALLS}


def _row(call: SensitiveCall, roles: Iterable[Role], things: dict[str, OwnedResources]) -> dict[str, tuple[str, ...] | None]:
    def allowed(owner: str) -> tuple[str, ...]:
        return tuple(role.name for role in roles if _try(call, role, things[owner]))

    return {owner: allowed(owner) if owner in call.owners else None for owner in OWNERS}


def _try(call: SensitiveCall, role: Role, at: OwnedResources) -> bool:
    is_allowed = call.is_allowed(role, at)
    if is_allowed:
        at.renew()
    return is_allowed


def _table(matrix: Matrix) -> str:
    def cell(names: tuple[str, ...] | None) -> str:
        return "" if names is None else ", ".join(names) or "nobody"

    rows = [[label, *(cell(who[owner]) for owner in OWNERS)] for label, who in matrix.items()]
    lines = [["Call", *OWNERS], ["---"] * (1 + len(OWNERS)), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _allowed(matrix: Matrix, owner: str, *actions: str) -> dict[str, tuple[str, ...]]:
    """Returns the allowed roles on an owner's resources by call, optionally only for calls that start with one of `actions`."""
    wanted = tuple(f"`{action}" for action in actions) or ("`",)
    return {label: names for label, who in matrix.items() if label.startswith(wanted) and (names := who[owner])}


def test_page_lists_what_each_role_can_do(matrix: Matrix, agrees_in: Agrees) -> None:
    agrees_in(PAGE, "matrix", _table(matrix))


def test_page_lists_every_role(agrees_in: Agrees) -> None:
    agrees_in(PAGE, "roles", ", ".join(f"`{name}`" for name in sorted(NAMES.values())) + "\n")


def test_roles_change_foreign_resources_only_if_a_request_can_name_them(matrix: Matrix) -> None:
    assert _allowed(matrix, "foreign") == {
        "`kms:TagResource` as Latchkey's": ("create_key",),
        "`mediatailor:TagResource` as Latchkey's": ("configure_access",),
        "`mediapackagev2:PutOriginEndpointPolicy`": ("configure_access", "detach_resource", "undo_onboarding"),
        "`mediapackagev2:DeleteOriginEndpointPolicy`": ("detach_resource", "undo_onboarding"),
        "`mediaconnect:UpdateFlowSource`": ("apply_token", "configure_access", "detach_resource", "undo_onboarding"),
        "`mediaconnect:UpdateFlowOutput`": ("apply_token", "configure_access", "detach_resource", "undo_onboarding"),
        "`mediaconnect:UpdateFlowEntitlement`": ("apply_token", "configure_access", "detach_resource", "undo_onboarding"),
        # Tagging cannot be limited to new roles. Simulation changes nothing, and a service assumes only roles that trust it.
        "`iam:TagRole` of a reader's role as Latchkey's": ("attach_policies",),
        "`iam:SimulatePrincipalPolicy` of a function's role": ("check_request", "plan_access"),
        "`iam:SimulatePrincipalPolicy` of a reader's role": (
            "check_request",
            "observe_access",
            "plan_access",
            "reconcile_access",
            "validate_access",
        ),
        "`iam:PassRole` of a function's role to `mediapackage`": ("detach_resource", "undo_onboarding"),
        "`iam:PassRole` of a reader's role to `mediapackage`": ("configure_access", "detach_resource", "undo_onboarding"),
    }


def test_a_key_in_use_cannot_be_tagged_as_latchkeys(roles: dict[str, Role], aws: Embedded, outcomes: Outcomes) -> None:
    """The tag is half of the proof that Latchkey created a key. A key in use has an alias; a new one has none."""
    onboarding, kms = Onboarding(aws, outcomes), roles["create_key"].client("kms")
    bare, used = onboarding.new_key(consent=False), onboarding.new_key(consent=False)
    onboarding.kms.create_alias(AliasName=f"alias/{unique('theirs')}", TargetKeyId=used)
    tag = {"Tags": [{"TagKey": "latchkey:managed-by", "TagValue": "latchkey"}]}

    kms.tag_resource(KeyId=bare, **tag)
    with pytest.raises(ClientError, match="AccessDenied"):
        kms.tag_resource(KeyId=used, **tag)


def test_no_role_can_give_or_withdraw_consent(matrix: Matrix) -> None:
    consenting = {label for label in matrix if "consent" in label or "UntagResource" in label}

    assert consenting
    assert {label: owner for label in consenting for owner in OWNERS if matrix[label][owner]} == {}
    for action in ("kms:CreateKey", "secretsmanager:CreateSecret", "mediatailor:CreateSourceLocation"):
        assert _allowed(matrix, "own", action)
        assert _allowed(matrix, "consented", action) == {}


def test_one_role_reads_secret_values_and_none_decrypts_directly(matrix: Matrix) -> None:
    reading = ("secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "kms:Decrypt", "kms:ReEncrypt")

    for owner in ("own", "consented"):
        assert _allowed(matrix, owner, *reading) == {"`secretsmanager:GetSecretValue` directly": ("create_secret",)}


def test_no_role_writes_an_unguarded_secret_policy_or_deletes_foreign_resources(matrix: Matrix) -> None:
    for owner in OWNERS:
        unguarded = _allowed(matrix, owner, "secretsmanager:PutResourcePolicy` unguarded")
        deleting = _allowed(matrix, owner, "kms:ScheduleKeyDeletion", "secretsmanager:DeleteSecret", "mediatailor:Delete")
        assert unguarded == {}
        removing = {"delete_key", "detach_resource", "undo_onboarding"}
        assert {name for names in deleting.values() for name in names} == (removing if owner == "own" else set())


def test_roles_that_report_cannot_write_what_other_functions_act_on(matrix: Matrix) -> None:
    acted_on = {label: who["own"] for label, who in matrix.items() if "in kind *access*" in label}

    assert len(acted_on) == 4
    reporting = {"report_outcome", "report_clean_up", "observe_access", "reconcile_access", "take_inventory", "validate_access"}
    assert {name for names in acted_on.values() for name in names or ()} & reporting == set()


CHANGING = ("iam:CreateRole", "iam:Put", "iam:Update", "iam:Attach", "iam:Delete", "iam:Tag", "iam:Untag")


def test_no_role_assumes_another_or_changes_a_role_other_than_a_reader_role(matrix: Matrix) -> None:
    for owner in OWNERS:
        assert _allowed(matrix, owner, "sts:", "lambda:UpdateFunctionCode") == {}
    changed = {label: names for label, names in _allowed(matrix, "own", *CHANGING).items() if "a function's" in label}
    assert changed == {}
    assert [label for label in matrix if "to `lambda`" in label and any(matrix[label].values())] == []


def test_reader_roles_are_created_and_changed_within_their_boundary(matrix: Matrix) -> None:
    assert _allowed(matrix, "consented", *CHANGING) == {}
    assert _allowed(matrix, "own", *CHANGING) == {
        "`iam:CreateRole` under our names with `ReaderBoundary`, tagged as the column says": ("attach_policies",),
        "`iam:PutRolePolicy` of a reader's role": ("attach_policies", "undo_onboarding"),
        "`iam:DeleteRolePolicy` of a reader's role": ("remove_policies", "undo_onboarding"),
        "`iam:UpdateAssumeRolePolicy` of a reader's role": ("attach_policies", "undo_onboarding"),
        "`iam:PutRolePermissionsBoundary` of a reader's role to `ReaderBoundary`": ("attach_policies", "undo_onboarding"),
        "`iam:TagRole` of a reader's role as Latchkey's": ("attach_policies",),
        "`iam:DeleteRole` of a reader's role": ("remove_policies", "undo_onboarding"),
    }


def test_only_report_functions_publish_as_latchkey_and_none_as_a_requester(matrix: Matrix) -> None:
    reporting = ("reconcile_access", "report_clean_up", "report_outcome", "take_inventory")
    assert _allowed(matrix, "own", "events:") == {"`events:PutEvents` as `latchkey`": reporting}


EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
# The call by which a role that writes policies could allow itself access, by service.
WRITING = {"kms": "`kms:PutKeyPolicy`", "secretsmanager": "`secretsmanager:PutResourcePolicy` guarded"}


def test_bus_policy_denies_other_publishers_the_source_latchkey(aws: Embedded, hold: Callable[..., OwnedResources]) -> None:
    administrator = hold("foreign").role
    putting = {call.label: call for call in CALLS if call.action == "events:PutEvents"}
    bus = hold("own")

    with _widened(aws, administrator):
        assert {label for label, call in putting.items() if call.is_allowed(administrator, bus)} == {
            "`events:PutEvents` as `latchkey.requests`"
        }


@pytest.fixture(scope="module")
def gains(aws: Embedded, matrix: Matrix, roles: dict[str, Role], hold: Callable[..., OwnedResources]) -> Matrix:
    """What a role that writes the policy of a key or a secret gains by adding itself, by action and owner."""
    things = {owner: hold(owner) for owner in OWNERS}
    found = {
        (action, owner, name)
        for service, writing in WRITING.items()
        for owner in OWNERS
        for name in matrix[writing][owner] or ()
        for action in policy_gains.gained(aws, roles[name], service, things[owner])
    }

    def gaining(action: str, owner: str) -> tuple[str, ...]:
        return tuple(sorted(name for gain, by, name in found if (gain, by) == (action, owner)))

    every = [action for service in policy_gains.SERVICES for action in policy_gains.actions(service)]
    return {f"`{action}`": {owner: gaining(action, owner) for owner in OWNERS} for action in every}


def test_page_lists_what_a_policy_writer_gains_by_adding_itself(gains: Matrix, agrees_in: Agrees) -> None:
    agrees_in(PAGE, "gains", _table({label: who for label, who in gains.items() if any(who.values())}))


def test_policy_writers_gain_only_what_some_function_needs(gains: Matrix) -> None:
    needed = {f"`{action}`" for function in FUNCTIONS.values() for action in actions(function)}
    assert {label for label, who in gains.items() if any(who.values())} <= needed


def test_policy_writers_cannot_gain_reads_uses_tags_or_public_access(gains: Matrix) -> None:
    uses = "Decrypt|Encrypt|DataKey|Mac|Sign|CreateGrant|GetSecret|PutSecret"
    harm = re.compile(f"{uses}|:TagResource|:UntagResource|DisableKey|Replicat|Import|RotateSecret|RotateKey|Stage")
    harmful = {label for label in gains if harm.search(label)}

    assert harmful
    assert {label: owner for label in harmful for owner in OWNERS if gains[label][owner]} == {}


def test_policy_writers_cannot_gain_deletion(gains: Matrix) -> None:
    deletion = re.compile("ScheduleKeyDeletion|DeleteSecret|DeleteAlias|DeleteResourcePolicy|RevokeGrant|RetireGrant")
    deleting = {label for label in gains if deletion.search(label)}

    assert len(deleting) == 6
    assert {label: owner for label in deleting for owner in OWNERS if gains[label][owner]} == {}


READING = {"kms:Decrypt", "kms:GenerateDataKey", "secretsmanager:GetSecretValue"}


@pytest.mark.parametrize("owner", ["own", "consented"])
def test_role_that_adds_itself_to_a_policy_is_denied_what_another_role_is_allowed(
    aws: Embedded, matrix: Matrix, roles: dict[str, Role], hold: Callable[..., OwnedResources], owner: str
) -> None:
    other = Role(aws, "Origin", "Origin")
    writers = {service: matrix[call][owner] or () for service, call in WRITING.items()}
    assert writers["kms"]
    assert writers["secretsmanager"]

    for name, role in roles.items():
        at, written = hold(owner), [service for service, names in writers.items() if name in names]
        for service in written:
            _admit(service, role, at, role.arn, other.arn)
        reading = [call for call in CALLS if call.service in written and call.action in READING]
        assert [call.label for call in reading if call.is_allowed(role, at)] == []
        assert [call.label for call in reading if not call.is_allowed(other, at)] == []


def _admit(service: str, role: Role, at: OwnedResources, *principals: str) -> None:
    """Writes a policy with the session of the role."""
    client = role.client(service)
    if service == "kms":
        policy = json.dumps(admitting(at.key_policy, service, *principals))
        client.put_key_policy(KeyId=at.key, PolicyName="default", Policy=policy)
    else:
        policy = json.dumps(admitting(at.secret_policy, service, *principals))
        client.put_resource_policy(SecretId=at.secret, ResourcePolicy=policy, BlockPublicPolicy=True)


def test_writer_of_a_reader_roles_trust_policy_cannot_assume_the_role(
    aws: Embedded, matrix: Matrix, roles: dict[str, Role], hold: Callable[..., OwnedResources]
) -> None:
    other, at = hold("foreign").role, hold("own")
    writers = matrix["`iam:UpdateAssumeRolePolicy` of a reader's role"]["own"]
    [assuming] = [call for call in CALLS if call.label == "`sts:AssumeRole` of a reader's role"]
    assert writers

    for name in writers:
        trusted = {"Effect": "Allow", "Principal": {"AWS": [roles[name].arn, other.arn]}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
        roles[name].client("iam").update_assume_role_policy(RoleName=at.reader.role_name, PolicyDocument=document)
        # MiniStack 1.5.33 requires a permission of the caller even if the trust policy names the caller.
        with _widened(aws, roles[name]), _widened(aws, other):
            assert not assuming.is_allowed(roles[name], at)
            assert assuming.is_allowed(other, at)


@pytest.fixture(scope="module")
def reader(aws: Embedded, outcomes: Outcomes) -> tuple[Role, str]:
    """A reader role that an onboarding created, and its secret."""
    onboarding = Onboarding(aws, outcomes)
    made = onboarding.onboard(CONSUMERS["mediapackage"](aws).detail)["resources"]
    return Role(aws, "reader", made["roleArn"].rpartition("/")[2]), made["secretArn"]


def _secret_named(aws: Embedded, prefix: str) -> str:
    made = aws.client("secretsmanager").create_secret(Name=unique(prefix), SecretString="{}")
    return str(made["ARN"])


@contextmanager
def _widened(aws: Embedded, role: Role) -> Iterator[None]:
    """Attaches a policy that allows everything to a role for the duration of the block."""
    iam, policy = aws.client("iam"), {"RoleName": role.role_name, "PolicyName": "everything"}
    iam.put_role_policy(**policy, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [EVERYTHING]}))
    try:
        yield
    finally:
        iam.delete_role_policy(**policy)


def test_page_lists_what_a_reader_role_reads(aws: Embedded, reader: tuple[Role, str], agrees_in: Agrees) -> None:
    role, own = reader
    named = {
        "its own": own,
        "another under `SecretPrefix`": _secret_named(aws, "latchkey/matrix"),
        "one under `AdoptedSecretPrefix`": _secret_named(aws, "theirs/matrix"),
        "one under another name": _secret_named(aws, "strangers/matrix"),
    }

    def readable() -> dict[str, bool]:
        return {name: _may_read(role, arn) for name, arn in named.items()}

    as_made = readable()
    with _widened(aws, role):
        widened = readable()

    assert [name for name, may in as_made.items() if may] == ["its own"]
    assert [name for name, may in widened.items() if not may] == ["one under another name"]
    lines = ["| Secret | as it is made | with every permission |", "| --- | --- | --- |"]
    lines += [f"| {name} | {_answer(as_made[name])} | {_answer(widened[name])} |" for name in named]
    agrees_in(PAGE, "readers", "\n".join(lines) + "\n")


def _may_read(role: Role, arn: str) -> bool:
    client = role.client("secretsmanager")
    try:
        client.get_secret_value(SecretId=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return False
    return True


def _answer(may: bool) -> str:
    return "reads" if may else "denied"


def test_reader_role_with_every_permission_only_reads(
    aws: Embedded, reader: tuple[Role, str], hold: Callable[..., OwnedResources]
) -> None:
    role, _ = reader
    things = {owner: hold(owner) for owner in OWNERS}

    with _widened(aws, role):
        done = {(call.label, owner) for call in CALLS for owner in call.owners if _try(call, role, things[owner])}

    assert done == {
        ("`secretsmanager:GetSecretValue` directly", "own"),
        ("`secretsmanager:BatchGetSecretValue` directly", "own"),
    }


def test_function_roles_write_only_to_the_log_group_of_the_functions(aws: Embedded, roles: dict[str, Role]) -> None:
    """SAM attaches a policy to every function that allows writing to all log groups."""
    aws.client("logs").create_log_group(logGroupName=(other := unique("/aws/lambda/other")))

    def is_writable(name: str, group: str) -> bool:
        try:
            roles[name].client("logs").create_log_stream(logGroupName=group, logStreamName=unique("stream"))
        except ClientError as error:
            if not error.response["Error"]["Code"].startswith("AccessDenied"):
                raise
            return False
        return True

    named = (function["CodeUri"].removeprefix("functions/") for function in FUNCTIONS.values())
    functions = [name for name in named if name in roles]
    assert [name for name in functions if not is_writable(name, f"/aws/lambda/{STACK}")] == []
    assert [name for name in roles if is_writable(name, other)] == []
