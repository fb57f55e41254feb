"""Resources of Latchkey, of an owner who has consented and of an owner who has not, for roles to call APIs on."""

import io
import json
import secrets
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from local_aws.emulator.account import ACCOUNT, REGION
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource
from tests.workflow.onboarding import MEMBER, Onboarding
from tests.workflow.roles import STACK, Role

OWNERS = ("own", "consented", "foreign")
MANAGED = {"latchkey:managed-by": "latchkey"}
CONSENT = {"latchkey:consent": "adopt"}
TAGS = {"own": MANAGED, "consented": CONSENT, "foreign": {}}
SECRET_CONTEXT = {"SecretARN": "arn:aws:secretsmanager:secret", "SecretVersionId": "version"}


def unique(stem: str) -> str:
    return f"{stem}-{secrets.token_hex(6)}"


def tag_list(tags: dict[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in tags.items()]


def kms_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return tag_list(tags, "TagKey", "TagValue")


def admitting(policy: dict[str, Any], service: str, *principals: str) -> dict[str, Any]:
    """Returns the policy of a key or secret with a statement that allows principals everything."""
    admit = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": f"{service}:*", "Resource": "*"}
    return policy | {"Statement": [*policy["Statement"], *([admit] if principals else [])]}


class OwnedResources:
    """The resources of one owner. Each is created on first use, and again on the first use after `renew`.

    A denied call changes nothing, so all roles use the same resource until a call succeeds. The policies of keys and secrets
    allow the principals `admitted` everything.
    """

    def __init__(
        self, onboarding: Onboarding, roles: dict[str, Role], sample: dict[str, str], owner: str, *admitted: str
    ) -> None:
        self.owner, self._aws, self._onboarding, self._roles = owner, onboarding.aws, onboarding, roles
        self._tags, self._sample, self._made, self._admitted = TAGS[owner], sample, dict[str, Any](), admitted

    def renew(self) -> None:
        self._made.clear()

    def _once(self, kind: str, make: Callable[[], Any]) -> Any:
        if kind not in self._made:
            self._made[kind] = make()
        return self._made[kind]

    @property
    def key(self) -> str:
        """Latchkey's key has the policy of a key that an onboarding created."""
        return str(self._once("key", self.make_key))

    @property
    def other_key(self) -> str:
        return str(self._once("other key", self.make_key))

    def make_key(self) -> str:
        kms, given = self._aws.client("kms"), self._onboarding.key_policy(self._sample["keyArn"])
        if self.owner != "own":
            given["Statement"] = [s for s in given["Statement"] if not s["Sid"].startswith("Latchkey")]
        policy = json.dumps(admitting(given, "kms", *self._admitted))
        return str(kms.create_key(Tags=kms_tags(self._tags), Policy=policy)["KeyMetadata"]["Arn"])

    @property
    def key_policy(self) -> dict[str, Any]:
        return self._onboarding.key_policy(self.key)

    @property
    def dying_key(self) -> str:
        def make() -> str:
            key = self.make_key()
            self._aws.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
            return key

        return str(self._once("dying key", make))

    @property
    def alias(self) -> str:
        def make() -> str:
            name = f"alias/{unique(self.owner)}"
            self._aws.client("kms").create_alias(AliasName=name, TargetKeyId=self.key)
            return name

        return str(self._once("alias", make))

    @property
    def grant(self) -> str:
        def make() -> str:
            origin = f"arn:aws:iam::{ACCOUNT}:role/Origin"
            made = self._aws.client("kms").create_grant(KeyId=self.key, GranteePrincipal=origin, Operations=["Decrypt"])
            return str(made["GrantId"])

        return str(self._once("grant", make))

    def encrypted(self, context: dict[str, str]) -> Any:
        """Returns a ciphertext under the key with an encryption context."""
        make = self._aws.client("kms").encrypt
        return self._once(f"encrypted {context}", lambda: make(KeyId=self.key, Plaintext=b"a", EncryptionContext=context))[
            "CiphertextBlob"
        ]

    @property
    def secret(self) -> str:
        """Latchkey's secret is under its key and has the resource policy of a secret that an onboarding created."""
        return str(self._once("secret", self._make_secret))

    def _make_secret(self) -> str:
        client, own = self._aws.client("secretsmanager"), self.owner == "own"
        name = unique("latchkey/matrix" if own else "strangers/matrix")
        value = json.dumps({MEMBER: secrets.token_hex(10)})
        under = {"KmsKeyId": self.key} if own else {}
        arn = str(client.create_secret(Name=name, SecretString=value, Tags=tag_list(self._tags), **under)["ARN"])
        given = admitting(self._onboarding.secret_policy(self._sample["secretArn"]), "secretsmanager", *self._admitted)
        policy = json.dumps(given).replace(self._sample["secretArn"], arn)
        client.put_resource_policy(SecretId=arn, ResourcePolicy=policy)
        return arn

    @property
    def secret_policy(self) -> dict[str, Any]:
        return self._onboarding.secret_policy(self.secret)

    @property
    def dying_secret(self) -> str:
        def make() -> str:
            arn = self._make_secret()
            self._aws.client("secretsmanager").delete_secret(SecretId=arn)
            return arn

        return str(self._once("dying secret", make))

    @property
    def location(self) -> str:
        """The ARN of a source location without a token."""

        def make() -> str:
            http = {"BaseUrl": "https://origin.example.com"}
            client, name = self._aws.client("mediatailor"), unique("matrix")
            made = client.create_source_location(SourceLocationName=name, HttpConfiguration=http, Tags=self._tags)
            return str(made["Arn"])

        return str(self._once("location", make))

    @property
    def location_name(self) -> str:
        return self.location.rpartition("/")[2]

    def _output(self, name: str) -> str:
        stack = self._once("stack", lambda: self._aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0])
        return next(str(output["OutputValue"]) for output in stack["Outputs"] if output["OutputKey"] == name)

    @property
    def bus(self) -> str:
        return self._output("RequestBusName") if self.owner == "own" else "default"

    @property
    def table(self) -> str:
        """The registry, or a foreign table with the same key schema."""
        return self._output("AccessTableName") if self.owner == "own" else str(self._once("table", self._make_table))

    def _make_table(self) -> str:
        keys = [("kind", "HASH"), ("id", "RANGE")]
        name = unique("theirs")
        self._aws.client("dynamodb").create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        )
        return name

    @property
    def machine(self) -> str:
        def make() -> str:
            definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
            client, role = self._aws.client("stepfunctions"), self.role.arn
            made = client.create_state_machine(name=unique("theirs"), definition=definition, roleArn=role)
            return str(made["stateMachineArn"])

        return self._output("OnboardStateMachineArn") if self.owner == "own" else str(self._once("machine", make))

    @property
    def execution(self) -> str:
        def make() -> str:
            client = self._aws.client("stepfunctions")
            return str(client.start_execution(stateMachineArn=self.machine, input=REJECTED)["executionArn"])

        return str(self._once("execution", make))

    @property
    def function(self) -> str:
        """The function that reads tokens, or a foreign function."""
        if self.owner == "own":
            listed = self._aws.client("lambda").get_paginator("list_functions").paginate()
            names = (function["FunctionName"] for page in listed for function in page["Functions"])
            return next(str(name) for name in names if "CreateSecret" in name)
        return str(self._once("function", self._make_function))

    def _make_function(self) -> str:
        members = {"Runtime": "python3.13", "Handler": "app.lambda_handler", "Role": self.role.arn}
        client = self._aws.client("lambda")
        return str(client.create_function(FunctionName=unique("theirs"), Code={"ZipFile": CODE}, **members)["FunctionName"])

    @property
    def role(self) -> Role:
        """The role that reads tokens, or a foreign role."""
        if self.owner == "own":
            return self._roles["create_secret"]
        found: Role = self._once("role", lambda: Role(self._aws, "theirs", self._make_role()))
        return found

    def _make_role(self) -> str:
        name = unique("theirs")
        self._aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        return name

    @property
    def reader(self) -> Role:
        """A reader role. A foreign one has a name of Latchkey's form, but neither tag nor boundary."""
        found: Role = self._once("reader", lambda: Role(self._aws, "reader", self._make_reader(INLINE)))
        return found

    @property
    def idle_reader(self) -> Role:
        found: Role = self._once("idle reader", lambda: Role(self._aws, "idle reader", self._make_reader()))
        return found

    def _make_reader(self, *policies: str) -> str:
        iam, name, own = self._aws.client("iam"), unique(READER), self.owner == "own"
        bounded = {"PermissionsBoundary": self.boundary("ReaderBoundary")} if own else {}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, Tags=tag_list(self._tags), **bounded)
        for policy in policies:
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=_READING)
        return name

    def boundary(self, name: str) -> str:
        """Returns the ARN of a policy of the template by its logical id. An ARN is returned unchanged."""
        if name.startswith("arn:"):
            return name
        find = self._aws.client("cloudformation").describe_stack_resource
        return str(find(StackName=STACK, LogicalResourceId=name)["StackResourceDetail"]["PhysicalResourceId"])

    def consumer(self, kind: str) -> ConsumerResource:
        """Returns a resource of a service that reads through roles."""
        found: ConsumerResource = self._once(kind, lambda: CONSUMERS[kind](self._aws, tags=TAGS[self.owner]))
        return found

    def simulates(self, role: Role, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Returns whether IAM's policy simulator allows the role an action."""
        answer = self._aws.client("iam").simulate_principal_policy(
            PolicySourceArn=role.arn,
            ActionNames=[action],
            ResourceArns=[resource],
            ContextEntries=[
                {"ContextKeyName": name, "ContextKeyType": "string", "ContextKeyValues": [value]}
                for name, value in context.items()
            ],
        )
        return {result["EvalDecision"] for result in answer["EvaluationResults"]} == {"allowed"}


READER = f"latchkey_{REGION}_matrix"
INLINE = "ReadOneSecret"
_READING = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]}
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": ["lambda.amazonaws.com", "mediapackage.amazonaws.com"]},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
REJECTED = json.dumps(
    {
        "requestId": "matrix",
        "contentHash": "matrix",
        "system": None,
        "accessId": None,
        "request": None,
        "confirms": False,
        "problems": [{"place": "a", "rule": "b"}],
    }
)


def _zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", "def lambda_handler(event, context):\n    return None\n")
    return packed.getvalue()


CODE = _zipped()
