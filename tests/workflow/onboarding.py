"""A client of the deployed stack: sends requests and reads what the account has afterwards."""

import json
import time
import uuid
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.outcomes import BUS, Outcomes
from tests.workflow.policy_forms import in_order

SAMPLE = Path(__file__).parents[2] / "events/requests/onboard-mediatailor.json"
MANAGER = f"arn:aws:iam::{ACCOUNT}:role/MediaTailorManagement"
ORIGIN = f"arn:aws:iam::{ACCOUNT}:role/Origin"
MEMBER = "MyAccessTokenIdentifier"
_MACHINES = ("Reconcile", "Onboard", "Offboard", "Rotate", "Bulk", "EndRequest", "CleanUp")


class Onboarding:
    """Sends requests to the bus and reads the account as the root user."""

    def __init__(self, aws: Embedded, outcomes: Outcomes) -> None:
        self.aws, self.outcomes = aws, outcomes
        self.kms, self.secretsmanager = aws.client("kms"), aws.client("secretsmanager")
        self.mediatailor, self.events = aws.client("mediatailor"), aws.client("events")

    def detail(self, name: str | None = None, **changes: Any) -> dict[str, Any]:
        """Returns the sample request for a new location and key. `changes` replace members, and None removes a member."""
        name = name or f"loc-{uuid.uuid4().hex[:8]}"
        detail: dict[str, Any] = json.loads(json.loads(SAMPLE.read_text())[0]["Detail"])
        detail["requestId"] = f"request-{uuid.uuid4().hex[:12]}"
        detail["resource"] |= {"sourceLocation": name, "baseUrl": f"{self.aws.origin_url}/{name}"}
        detail["key"] = {"alias": f"alias/latchkey/{name}"}
        detail |= changes
        return {member: value for member, value in detail.items() if value is not None}

    def put(self, detail: object, kind: str = "Onboarding Requested") -> str:
        """Puts a request on the bus and returns the id of the event."""
        text = detail if isinstance(detail, str) else json.dumps(detail)
        entry = {"EventBusName": BUS, "Source": "latchkey.requests", "DetailType": kind, "Detail": text}
        answer = self.events.put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        event_id: str = answer["Entries"][0]["EventId"]
        return event_id

    def put_held(self, detail: dict[str, Any]) -> None:
        """Puts a request on the bus, and waits until its CreateKey call is held. `DELETE held` releases it."""
        hold = {"service": "kms", "operation": "CreateKey", "request": detail["requestId"], "error": "hold"}
        self.aws.control("POST", "faults", hold)
        self.put(detail)
        until(lambda: self.aws.control("GET", "faults"), "the request to be held", 60)

    def send(self, detail: dict[str, Any], seconds: float = 120, kind: str = "Onboarding Requested") -> dict[str, Any]:
        """Puts a request on the bus and returns its outcome event."""
        event_id = self.put(detail, kind)
        return self.outcomes.wait_for(detail.get("requestId", event_id), seconds)

    def onboard(self, detail: dict[str, Any]) -> dict[str, Any]:
        """Sends a request that must succeed and returns the detail of its outcome."""
        event = self.send(detail)
        assert event["detail-type"] == "Access Onboarded", json.dumps(event["detail"], indent=2)
        outcome: dict[str, Any] = event["detail"]
        assert outcome["checks"]
        assert [check for check in outcome["checks"] if not check["passed"]] == []
        return outcome

    def hand_off(self, detail: dict[str, Any]) -> dict[str, Any]:
        """Sends a request that must be handed off and returns the detail of its outcome."""
        event = self.send(detail)
        assert event["detail-type"] == "Access Handed Off", json.dumps(event["detail"], indent=2)
        outcome: dict[str, Any] = event["detail"]
        assert [check for check in outcome["checks"] if not check["passed"]] == []
        return outcome

    def confirm(self, access_id: str) -> dict[str, Any]:
        """Confirms a hand-off and returns the outcome event."""
        request_id = f"confirm-{uuid.uuid4().hex[:12]}"
        self.put({"requestId": request_id, "accessId": access_id}, "Handoff Confirmed")
        event: dict[str, Any] = self.outcomes.wait_for(request_id, 60)
        return event

    def ask(self, kind: str, access_id: str, **members: Any) -> dict[str, Any]:
        """Sends a request about a recorded access and returns its outcome event."""
        request_id = f"ask-{uuid.uuid4().hex[:12]}"
        self.put({"requestId": request_id, "accessId": access_id} | members, kind)
        event: dict[str, Any] = self.outcomes.wait_for(request_id, 240)
        return event

    def offboard(self, access_id: str, **members: Any) -> dict[str, Any]:
        """Offboards an access, which must succeed, and returns the detail of the outcome."""
        event = self.ask("Offboarding Requested", access_id, **members)
        assert event["detail-type"] == "Access Offboarded", json.dumps(event["detail"], indent=2)
        outcome: dict[str, Any] = event["detail"]
        return outcome

    def restore(self, access_id: str) -> dict[str, Any]:
        """Restores an offboarded access, which must succeed, and returns the detail of the outcome."""
        event = self.ask("Restoration Requested", access_id)
        assert event["detail-type"] == "Access Onboarded", json.dumps(event["detail"], indent=2)
        outcome: dict[str, Any] = event["detail"]
        assert [check for check in outcome["checks"] if not check["passed"]] == []
        return outcome

    def reject(self, detail: dict[str, Any]) -> dict[str, str]:
        """Sends a request that must be rejected and returns the violated rules by path."""
        event = self.send(detail)
        assert event["detail-type"] == "Request Rejected", json.dumps(event["detail"], indent=2)
        assert event["detail"]["changed"] is False
        return {error["place"]: error["rule"] for error in event["detail"]["errors"]}

    def rejected_paths(self, detail: dict[str, Any]) -> set[str]:
        """Sends a request that must be rejected, with a new id, and returns the paths of its errors."""
        return set(self.reject(detail | {"requestId": f"request-{uuid.uuid4().hex[:12]}"}))

    def key_policy(self, key_arn: str) -> dict[str, Any]:
        policy: dict[str, Any] = in_order(json.loads(self.kms.get_key_policy(KeyId=key_arn, PolicyName="default")["Policy"]))
        return policy

    def secret_policy(self, secret_arn: str) -> dict[str, Any]:
        text = self.secretsmanager.get_resource_policy(SecretId=secret_arn).get("ResourcePolicy", "{}")
        policy: dict[str, Any] = in_order(json.loads(text))
        return policy

    def token(self, secret_arn: str) -> str:
        """Returns the token in a secret."""
        value: str = json.loads(self.secretsmanager.get_secret_value(SecretId=secret_arn)["SecretString"])[MEMBER]
        return value

    def location(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.mediatailor.describe_source_location(SourceLocationName=name)
        return found

    def location_names(self) -> list[str]:
        pages = self.mediatailor.get_paginator("list_source_locations").paginate()
        return [item["SourceLocationName"] for page in pages for item in page["Items"]]

    def grants(self, key_arn: str) -> list[dict[str, Any]]:
        """Returns every grant of a key, from all pages."""
        pages = self.kms.get_paginator("list_grants").paginate(KeyId=key_arn)
        return [grant for page in pages for grant in page["Grants"]]

    def await_later_second(self) -> None:
        """Waits until the current time of KMS, which has whole seconds, is later than now."""
        now = datetime.now(UTC)

        def is_later() -> bool:
            answer = self.kms.list_keys(Limit=1)
            return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]) > now

        until(is_later, "the next second", 10)

    def await_old_grants(self, *keys: str) -> None:
        """Waits until all grants on keys are older than the current time of KMS, which has whole seconds."""

        def are_old() -> bool:
            answers = [self.kms.list_grants(KeyId=key, Limit=1) for key in keys]
            times = [parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]) for answer in answers]
            return all(grant["CreationDate"] < now for key, now in zip(keys, times, strict=True) for grant in self.grants(key))

        until(are_old, "grants that are older than now", 10)

    def new_key(self, consent: bool = True, statements: tuple[dict[str, Any], ...] = (), **changes: Any) -> str:
        """Creates a key without Latchkey and returns its ARN."""
        root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [root | {"Sid": "Owner"}, *statements]})
        tags = [{"TagKey": "latchkey:consent", "TagValue": "adopt"}] if consent else []
        arn: str = self.kms.create_key(**({"Policy": policy, "Tags": tags} | changes))["KeyMetadata"]["Arn"]
        return arn

    def new_secret(self, value: str, consent: str | None = "adopt", region: str = REGION, **changes: Any) -> str:
        """Creates a secret without Latchkey, by default under aws/secretsmanager, and returns its ARN."""
        tags = [{"Key": "latchkey:consent", "Value": consent}] if consent else []
        client = self.aws.client("secretsmanager", region_name=region)
        made = client.create_secret(Name=f"theirs/{uuid.uuid4()}/token", SecretString=value, Tags=tags, **changes)
        arn: str = made["ARN"]
        return arn

    def consent(self, secret_arn: str, consent: str = "adopt") -> None:
        """Tags a secret as its owner does."""
        self.secretsmanager.tag_resource(SecretId=secret_arn, Tags=[{"Key": "latchkey:consent", "Value": consent}])

    def executions(self, machine: str, **only: Any) -> list[dict[str, Any]]:
        """Returns the executions of a state machine. `machine` is its logical id without the suffix, such as `Onboard`."""
        stepfunctions = self.aws.client("stepfunctions")
        [arn] = [
            found["stateMachineArn"]
            for found in stepfunctions.list_state_machines()["stateMachines"]
            if found["name"].startswith(f"latchkey-{machine}StateMachine")
        ]
        pages = stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=arn, **only)
        return [execution for page in pages for execution in page["executions"]]

    def start_reconciliation(self) -> None:
        """Starts a reconciliation as the schedule does."""
        events = self.aws.client("events")
        [rule] = [one["Name"] for one in events.list_rules()["Rules"] if "SweepIsDue" in one["Name"]]
        [target] = events.list_targets_by_rule(Rule=rule)["Targets"]
        self.aws.client("stepfunctions").start_execution(stateMachineArn=target["Arn"], input=target["Input"])

    def successes(self, function: str, text: str = "", since: float = 0) -> int:
        """Returns how often a function has succeeded since a time, by its log. With `text`, only if it logged that."""
        logs = self.aws.client("logs").get_paginator("filter_log_events")
        pages = logs.paginate(logGroupName="/aws/lambda/latchkey", startTime=int(since * 1000))
        lines = [event["message"] for page in pages for event in page["events"]]
        return sum(function in line and "step succeeded" in line and text in line for line in lines)

    def settle(self) -> None:
        """Waits until no execution is running."""

        def has_settled() -> bool:
            return not any(self.executions(machine, statusFilter="RUNNING") for machine in _MACHINES)

        until(has_settled, "the end of all executions", 240)

    def sweep(self) -> None:
        """Requests a sweep, and waits for the end of everything that it starts."""
        # MiniStack returns only the first 10,000 events of a group.
        began = time.time()
        self.put({"requestId": f"sweep-{uuid.uuid4().hex[:12]}"}, "Reconciliation Requested")
        until(lambda: self.successes("sweep_grants", since=began), "the sweep")
        self.settle()

    def account_snapshot(self) -> dict[str, Any]:
        """Returns everything that a request could change: keys, aliases, secrets and locations, with policies and settings."""
        keys = [key["KeyArn"] for page in self.kms.get_paginator("list_keys").paginate() for key in page["Keys"]]
        secrets = [s for page in self.secretsmanager.get_paginator("list_secrets").paginate() for s in page["SecretList"]]
        locations = self.mediatailor.get_paginator("list_source_locations").paginate()
        return {
            "keys": {arn: (self.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"], self.key_policy(arn)) for arn in keys},
            "aliases": sorted(a["AliasName"] for p in self.kms.get_paginator("list_aliases").paginate() for a in p["Aliases"]),
            "secrets": {s["ARN"]: (s.get("KmsKeyId"), s.get("DeletedDate"), self.secret_policy(s["ARN"])) for s in secrets},
            "locations": [item for page in locations for item in page["Items"]],
        }
