"""Who can read a secret, from its policies, the grants and the policy simulator."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.aws.clients import botocore_session
from latchkey.aws.secrets import ObservedSecret
from latchkey.place import Place
from latchkey_cli.commands.describe import show_readers
from latchkey_cli.readers import Reader, Readers, readers_of
from tests.cli.screens import ReadScreen

ACCOUNT, REGION = "111122223333", "us-east-1"
PLACE = Place(partition="aws", account=ACCOUNT, region=REGION)
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:latchkey/token-AbCdEf"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
READ = "secretsmanager:GetSecretValue"


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def allow(sid: str, principal: Any, action: str = READ, **members: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"} | members


SECRET_POLICY = [
    allow("Service", {"Service": "mediatailor.amazonaws.com"}),
    allow("Named", {"AWS": role("Named")}),
    allow("Foreign", {"AWS": "arn:aws:iam::444455556666:role/Foreign"}, Condition={"Bool": {"aws:ViaAWSService": "true"}}),
    allow("Denied", {"AWS": role("Denied")}, Effect="Deny"),
]
KEY_POLICY = [allow("Root", {"AWS": ROOT}, "kms:*"), allow("Decryption", {"AWS": role("Named")}, "kms:Decrypt")]
GRANT = {
    "GrantId": "grant-1",
    "Name": "MediaTailor-SourceLocation-1",
    "GranteePrincipal": "mediatailor.us-east-1.amazonaws.com",
    "Operations": ["Decrypt"],
    "Constraints": {"EncryptionContextSubset": {"SecretARN": SECRET}},
}
SECRET_FOUND = ObservedSecret(SECRET, "latchkey/token", KEY, False, None, {}, datetime.now(UTC))


class Stubbed:
    """A connection whose clients answer from a list."""

    def __init__(self) -> None:
        self.clients = {name: _client(name) for name in ("iam", "kms", "secretsmanager")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()

    def client(self, service: str) -> Any:
        return self.clients[service]

    def answer(self, service: str, operation: str, answer: dict[str, Any]) -> None:
        self.stubs[service].add_response(operation, answer)

    def refuse(self, service: str, operation: str) -> None:
        self.stubs[service].add_client_error(operation, "AccessDeniedException", http_status_code=400)


def _client(name: str) -> Any:
    make: Any = boto3.session.Session(botocore_session=botocore_session()).client
    return make(name, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")


def metadata() -> dict[str, Any]:
    found = {"KeyId": KEY, "Arn": KEY, "KeyState": "Enabled", "KeyManager": "AWS", "CreationDate": datetime.now(UTC)}
    return {"KeyMetadata": found}


def policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture
def stubbed() -> Stubbed:
    """An account in which everything except IAM is read."""
    made = Stubbed()
    made.stubs["secretsmanager"].add_client_error("list_resource_policies", "InvalidAction", http_status_code=400)
    made.answer("secretsmanager", "get_resource_policy", {"ResourcePolicy": policy(SECRET_POLICY)})
    version = {"VersionId": "v" * 32, "VersionStages": ["AWSCURRENT"], "KmsKeyIds": [KEY]}
    made.answer("secretsmanager", "list_secret_version_ids", {"Versions": [version]})
    made.answer("kms", "describe_key", metadata())
    made.answer("kms", "get_key_policy", {"Policy": policy(KEY_POLICY)})
    made.answer("kms", "list_grants", {"Grants": [GRANT]})
    return made


def read(stubbed: Stubbed, *, identities: bool = False) -> Readers:
    connection: Any = stubbed
    return readers_of(connection, SECRET_FOUND, PLACE, identities=identities, progress=lambda *_: None)


def test_each_principal_has_its_statement_and_what_lets_it_decrypt(stubbed: Stubbed) -> None:
    found = {one.principal: one for one in read(stubbed).readers}

    assert found["mediatailor.amazonaws.com"].decrypts_by == "grant MediaTailor-SourceLocation-1"
    assert (found[role("Named")].statement, found[role("Named")].decrypts_by) == ("Named", "key policy Decryption")
    assert found["arn:aws:iam::444455556666:role/Foreign"].condition == {"Bool": {"aws:ViaAWSService": "true"}}
    assert role("Denied") not in found


def test_a_statement_that_denies_is_listed(stubbed: Stubbed) -> None:
    assert read(stubbed).denied == {"Denied": [role("Denied")]}


def test_roles_are_readers_by_their_own_policies(stubbed: Stubbed) -> None:
    names = ("Named", "Reads", "CannotDecrypt", "Reads nothing")
    roles = [
        {"Arn": role(name), "RoleName": "r", "Path": "/", "RoleId": "A" * 16, "CreateDate": datetime.now(UTC)} for name in names
    ]
    stubbed.answer("iam", "list_roles", {"Roles": roles})
    stubbed.answer("iam", "list_users", {"Users": []})
    allowed = {"EvalActionName": READ, "EvalDecision": "allowed", "MatchedStatements": [{"SourcePolicyId": "Reading"}]}
    for decision, decrypts in (("allowed", ""), ("allowed", "allowed"), ("allowed", "implicitDeny"), ("implicitDeny", "")):
        stubbed.answer("iam", "simulate_principal_policy", {"EvaluationResults": [allowed | {"EvalDecision": decision}]})
        if decrypts:
            answer = {"EvalActionName": "kms:Decrypt", "EvalDecision": decrypts}
            stubbed.answer("iam", "simulate_principal_policy", {"EvaluationResults": [answer]})

    readers = read(stubbed, identities=True)

    found = {one.principal: (one.statement, one.decrypts_by) for one in readers.readers}
    assert found[role("Named")] == ("Named", "key policy Decryption")
    assert found[role("Reads")] == ("its own policies: Reading", "its own policies")
    assert found[role("CannotDecrypt")] == ("its own policies: Reading", "")
    assert role("Reads nothing") not in found
    assert readers.checked_identities == 4


def test_what_is_not_allowed_to_be_read_is_listed() -> None:
    made = Stubbed()
    made.refuse("secretsmanager", "list_resource_policies")
    made.refuse("secretsmanager", "list_secret_version_ids")
    made.refuse("iam", "list_roles")

    assert [text.partition(":")[0] for text in read(made, identities=True).unread] == [
        "the policy of the secret",
        "the versions of the secret",
        "the roles and users of the account",
    ]


@pytest.mark.parametrize("width", [80, 160])
def test_readers_are_shown_at_any_width(width: int) -> None:
    readers = [
        Reader(role("Origin"), "LatchkeyOriginReaders", "key policy LatchkeySecretDecryption"),
        Reader("everyone", "Statement[3]", "", {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}),
    ]
    screen = ReadScreen(width)
    show_readers(screen, Readers(SECRET_FOUND, (KEY,), tuple(readers), {"Denied": [role("Denied")]}))

    squeezed = " ".join(screen.text.split())
    assert all(len(line) <= width for line in screen.lines)
    for text in ("role/Origin", "everyone", "cannot read", "denied by Denied: role/Denied"):
        assert text in squeezed
