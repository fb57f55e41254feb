"""Restores an account that version 0.1.0 left: with its resources, registry and executions, under the stack of this version."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_aws.tools.embedded_aws import until
from tests.workflow.fault_injection import Detail, FaultInjection
from tests.workflow.onboarding import MEMBER

FORMER = Path(__file__).parent / "version_0_1_0"
MACHINES = {"Onboard": "onboard-access", "CleanUp": "clean-up-grants", "EndRequest": "end-request"}
_MEMBERS = {"mediatailor": MEMBER, "mediapackagev2": "MediaPackageV2CDNIdentifier", "theirs": MEMBER}


class FormerAccount:
    """The account of `tests/workflow/version_0_1_0`.

    `names` holds the names of this deployment by placeholder, and `requests` the former requests by id. While the account is
    restored, no rule of EventBridge matches, as if everything had happened before the update of the stack.
    """

    def __init__(self, client: FaultInjection) -> None:
        self.client, self._aws = client, client.aws
        self._account: Detail = json.loads((FORMER / "account.json").read_text())
        self.names = {"OriginUrl": client.aws.origin_url} | self._physical_names()
        with self._without_rules():
            for part, restore in self._parts():
                for saved in self._account[part]:
                    restore(saved)
        self.requests: dict[str, Detail] = {
            saved["input"]["requestId"]: self._resolved(saved["input"]["request"]) for saved in self._account["executions"]
        }

    @property
    def keys(self) -> list[str]:
        """The ARNs of all restored keys."""
        return [arn for name, arn in self.names.items() if name.startswith("Key:")]

    def again(self, request_id: str, **changes: Any) -> Detail:
        """Returns the request of a former execution under a new id."""
        return self.requests[request_id] | {"requestId": f"again-{secrets.token_hex(6)}"} | changes

    def execution(self, request_id: str) -> str:
        """Returns the ARN of a former execution."""
        [saved] = [one for one in self._account["executions"] if one["input"]["requestId"] == request_id]
        return self._machine("Onboard").replace(":stateMachine:", ":execution:") + f":{saved['name']}"

    @contextmanager
    def former_definition(self, machine: str) -> Iterator[Callable[..., str]]:
        """Gives a state machine the definition of version 0.1.0. Yields a function that starts an execution with it."""
        text = (FORMER / f"{MACHINES[machine]}.asl.json").read_text()
        with self._definition(machine, self._with_names(text)) as start:
            yield start

    def _parts(self) -> list[tuple[str, Callable[[Detail], None]]]:
        """The parts of account.json in the order in which they refer to each other, and how one entry of each is restored."""
        return [
            ("keys", self._restore_key),
            ("secrets", self._restore_secret),
            ("keys", self._restore_key_policy),
            ("roles", self._restore_role),
            ("sourceLocations", self._restore_source_location),
            ("originEndpoints", self._restore_origin_endpoint),
            ("items", self._restore_item),
            ("executions", self._restore_execution),
        ]

    def _physical_names(self) -> dict[str, str]:
        pages = self._aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName="latchkey")
        resources = [found for page in pages for found in page["StackResourceSummaries"]]
        functions = {
            one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources if "Lambda" in one["ResourceType"]
        }
        arns = {
            f"{logical}Arn": self._aws.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]
            for logical, name in functions.items()
            if logical.endswith("Function")
        }
        names = (re.search(rf"latchkey-{one['LogicalResourceId']}-\w+", one["PhysicalResourceId"]) for one in resources)
        return arns | {found[0].split("-")[1]: found[0] for found in names if found}

    def _machine(self, machine: str) -> str:
        machines = self.client.states.list_state_machines()["stateMachines"]
        [arn] = [one["stateMachineArn"] for one in machines if one["name"].startswith(f"latchkey-{machine}StateMachine")]
        return str(arn)

    @contextmanager
    def _definition(self, machine: str, definition: str) -> Iterator[Callable[..., str]]:
        arn, states = self._machine(machine), self.client.states
        present = states.describe_state_machine(stateMachineArn=arn)["definition"]

        def start(given: Detail, **named: str) -> str:
            execution = states.start_execution(stateMachineArn=arn, input=json.dumps(given), **named)["executionArn"]
            # MiniStack reads the definition a moment after StartExecution, AWS at once.
            until(lambda: len(states.get_execution_history(executionArn=execution)["events"]) > 1, "the first state")
            return str(execution)

        states.update_state_machine(stateMachineArn=arn, definition=definition)
        yield start
        states.update_state_machine(stateMachineArn=arn, definition=present)

    @contextmanager
    def _without_rules(self) -> Iterator[None]:
        events = self._aws.client("events")
        rules = [rule["Name"] for rule in events.list_rules()["Rules"]]
        for name in rules:
            events.disable_rule(Name=name)
        yield
        for name in rules:
            events.enable_rule(Name=name)

    def _resolved(self, saved: Any) -> Any:
        return json.loads(self._with_names(json.dumps(saved)))

    def _with_names(self, text: str) -> str:
        """Returns a text with the names of this deployment for its placeholders."""
        return re.sub(r"\$\{([^}]+)\}", lambda found: self.names[found[1]], text)

    def _restore_key(self, saved: Detail) -> None:
        kms = self.client.kms
        arn = kms.create_key(Tags=saved["tags"], MultiRegion=saved["multiRegion"])["KeyMetadata"]["Arn"]
        kms.enable_key_rotation(KeyId=arn)
        for alias in saved["aliases"]:
            kms.create_alias(AliasName=alias, TargetKeyId=arn)
        self.names[saved["arn"].strip("${}")] = arn

    def _restore_key_policy(self, saved: Detail) -> None:
        policy = json.dumps(self._resolved(saved["policy"]))
        self.client.kms.put_key_policy(KeyId=self._resolved(saved["arn"]), PolicyName="default", Policy=policy)

    def _restore_secret(self, saved: Detail) -> None:
        """Gives the secret a new value: an account file holds no token."""
        system = re.split("/", saved["name"].removeprefix("latchkey/"))[0]
        value = json.dumps({_MEMBERS[system]: secrets.token_hex(20)})
        given = {"Name": saved["name"], "Tags": saved["tags"], "KmsKeyId": self._resolved(saved["key"])}
        arn = self.client.secretsmanager.create_secret(SecretString=value, **given)["ARN"]
        self.names[saved["arn"].strip("${}")] = arn
        if saved["policy"]:
            policy = json.dumps(self._resolved(saved["policy"]))
            self.client.secretsmanager.put_resource_policy(SecretId=arn, ResourcePolicy=policy)

    def _restore_role(self, saved: Detail) -> None:
        iam, role = self._aws.client("iam"), self._resolved(saved)
        trust = json.dumps(role["trust"])
        iam.create_role(
            RoleName=role["name"], AssumeRolePolicyDocument=trust, Tags=role["tags"], PermissionsBoundary=role["boundary"]
        )
        for name, policy in role["policies"].items():
            iam.put_role_policy(RoleName=role["name"], PolicyName=name, PolicyDocument=json.dumps(policy))

    def _restore_source_location(self, saved: Detail) -> None:
        self.client.mediatailor.create_source_location(**self._resolved(saved))

    def _restore_origin_endpoint(self, saved: Detail) -> None:
        client, given = self._aws.client("mediapackagev2"), self._resolved(saved)
        names = {name: given[name] for name in ("ChannelGroupName", "ChannelName", "OriginEndpointName")}
        client.create_channel_group(ChannelGroupName=names["ChannelGroupName"])
        client.create_channel(ChannelGroupName=names["ChannelGroupName"], ChannelName=names["ChannelName"], InputType="HLS")
        consent = {"latchkey:consent": "adopt"}
        client.create_origin_endpoint(**names, ContainerType="TS", HlsManifests=[{"ManifestName": "index"}], Tags=consent)
        client.put_origin_endpoint_policy(**given | {"Policy": json.dumps(given["Policy"])})

    def _restore_item(self, saved: Detail) -> None:
        self.client.dynamodb.put_item(TableName=self.client.table, Item=self._resolved(saved))

    def _restore_execution(self, saved: Detail) -> None:
        """Starts an execution that ends as the former one did. One that was running starts again, in the former version."""
        given = self._resolved(saved["input"])
        if saved["status"] == "RUNNING":
            with self.former_definition("Onboard") as start:
                start(given, name=saved["name"])
            return
        end = {"Type": "Succeed"} if saved["status"] == "SUCCEEDED" else {"Type": "Fail", "Error": saved["error"]}
        with self._definition("Onboard", json.dumps({"StartAt": "End", "States": {"End": end}})) as start:
            execution = start(given, name=saved["name"])
            describe = self.client.states.describe_execution
            until(lambda: describe(executionArn=execution)["status"] != "RUNNING", "the end of an execution")
