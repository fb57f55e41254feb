"""The steps of an onboarding in the order of the state machine, its rollback, and a snapshot of the account."""

import json
from typing import Any

from latchkey.registry import registry
from latchkey.requests.parsing import parse_onboarding
from latchkey.tags import DEFAULT_TENANT
from tests.functions.account import Account
from tests.functions.onboarding_requests import EXECUTION, Run, check_event, onboarding


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [*statements]})


class Onboarding:
    """One request, its steps, and its rollback."""

    def __init__(self, run: Run, account: Account, **members: Any) -> None:
        self.run, self.account = run, account
        self.request = onboarding(**members)
        # Each request has an execution of its own.
        self.execution = f"{EXECUTION}-{self.request['requestId']}"
        self.key, self.secret, self.resource = "", "", ""
        self.recorded, self.left = False, list[str]()

    def run_through(self, until: str = "configure_access") -> "Onboarding":
        steps = (self.check_request, self.create_key, self.create_secret, self.attach_policies, self.configure_access)
        for step in (*steps, self.record_access):
            step()
            if step.__name__ == until:
                break
        return self

    def check_request(self) -> None:
        known = {"contentHash": self.request["requestId"].ljust(64, "-"), "executionArn": self.execution}
        access_id = parse_onboarding(self.request).access_id
        self.checked = self.run("check_request", check_event(self.request, accessId=access_id, **known))

    def create_key(self) -> None:
        self.key = self.run("create_key", {"request": self.request})["arn"]

    def create_secret(self) -> None:
        self.secret = self.checked["secretArn"] or ""
        if self.checked["needsSecret"]:
            found = self.checked["ownSecretArn"]
            event = {"request": self.request, "key": {"arn": self.key, "changed": False}, "ownSecretArn": found}
            self.secret = self.run("create_secret", event)["arn"]

    def attach_policies(self) -> None:
        self.run("attach_policies", self._step_event)

    def configure_access(self) -> None:
        if self.checked["hasResource"]:
            self.resource = self.run("configure_access", self._step_event)["arn"]

    def record_access(self) -> None:
        resources = {"keyArn": self.key, "secretArn": self.secret or None, "resourceArn": self.resource or None}
        status = "active" if self.checked["hasResource"] else "handed-off"
        event = {"request": self.request, "companions": self.checked["companions"]}
        self.run("record_access", event | {"resources": resources, "status": status})
        self.recorded = True
        self.end()

    def end(self) -> None:
        """Settles the journal and unlocks the accesses as report_outcome does."""
        access_id = self.checked["accessId"]
        journal = registry().journal.of(self.execution, access_id, DEFAULT_TENANT)
        changed = {access_id, *journal.access_ids()}
        journal.settle(keep_open=not self.recorded)
        for one in sorted(changed):
            registry().locks.unlock(one, self.execution)

    @property
    def _step_event(self) -> dict[str, Any]:
        event = {"request": self.request, "companions": self.checked["companions"]}
        return event | {"key": {"arn": self.key, "changed": False}, "secretArn": self.secret or None}

    @property
    def undo_event(self) -> dict[str, Any]:
        return {"request": self.request, "executionArn": self.execution}

    def undo(self) -> list[str]:
        """Rolls the request back twice. The second run must change nothing and return the same steps."""
        answer = self.run("undo_onboarding", self.undo_event)
        before = _without_evidence(account_snapshot(self.account))
        assert self.run("undo_onboarding", self.undo_event) == answer
        assert _without_evidence(account_snapshot(self.account)) == before
        self.left = answer["left"]
        undone: list[str] = answer["undone"]
        return undone


def _without_evidence(snapshot: dict[str, Any]) -> dict[str, Any]:
    """The snapshot without the reads and the times of attempts, which are repeated as long as something stays."""
    repeated = {"evidence", "runningSince"}
    items = [{name: value for name, value in item.items() if name not in repeated} for item in snapshot["table"]]
    return snapshot | {"table": items}


def account_snapshot(account: Account) -> dict[str, Any]:
    """Everything in the account; for a key that is pending deletion, only its state."""
    keys = {
        key["KeyArn"]: account.kms.describe_key(KeyId=key["KeyArn"])["KeyMetadata"] for key in account.kms.list_keys()["Keys"]
    }
    policies = {arn: key_statements(account, arn) for arn, key in keys.items() if key["KeyState"] == "Enabled"}
    secrets = {
        secret["ARN"]: account._secret(secret["ARN"], True) for secret in account.secretsmanager.list_secrets()["SecretList"]
    }
    names = [alias["AliasName"] for alias in account.kms.list_aliases()["Aliases"]]
    return {
        "keys": {arn: key["KeyState"] for arn, key in keys.items()},
        "policies": policies,
        "aliases": [name for name in names if not name.startswith("alias/aws/")],
        "secrets": secrets,
        # An item with only its key is empty.
        "table": sorted((item for item in account.table() if len(item) > 2), key=json.dumps),
        "locations": json.loads(json.dumps(account.mediatailor.locations)),
        "resources": account.resources(),
        "roles": {role["RoleName"]: account.role_state(role["RoleName"]) for role in account.iam.list_roles()["Roles"]},
    }


def key_statements(account: Account, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(account.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])["Statement"]
    return found


def secret_statements(account: Account, secret: str) -> list[dict[str, Any]]:
    text = account.secretsmanager.get_resource_policy(SecretId=secret).get("ResourcePolicy")
    found: list[dict[str, Any]] = json.loads(text)["Statement"] if text else []
    return found


def references(account: Account) -> dict[str, list[str]]:
    return {item["id"]["S"]: item["accesses"]["SS"] for item in account.items("resource") if "accesses" in item}
