"""Runs clean-ups as an event or the sweep starts them, and reads their results."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import until
from tests.workflow.onboarding import MEMBER, Onboarding

SCHEMAS = Path(__file__).parents[2] / "events/schemas"


@dataclass(frozen=True)
class Access:
    """An onboarded access."""

    name: str
    detail: dict[str, Any]
    key: str
    secret: str
    grant: str

    @property
    def access_id(self) -> str:
        return f"mediatailor/sourceLocation/{self.name}"

    @property
    def grant_name(self) -> str:
        return f"MediaTailor-SourceLocation-{ACCOUNT}-{self.name}"


class CleanUps:
    """Onboards accesses, runs their clean-ups concurrently, and reads the account as the root user."""

    def __init__(self, onboarding: Onboarding) -> None:
        self.onboarding, self.aws = onboarding, onboarding.aws
        self.kms, self.secretsmanager, self.mediatailor = onboarding.kms, onboarding.secretsmanager, onboarding.mediatailor
        self._stepfunctions = self.aws.client("stepfunctions")
        machines = self._stepfunctions.list_state_machines()["stateMachines"]
        [self._machine] = [m["stateMachineArn"] for m in machines if m["name"].startswith("latchkey-CleanUpStateMachine")]

    def onboard(self, *details: dict[str, Any]) -> list[Access]:
        """Onboards all accesses concurrently."""
        for detail in details:
            self.onboarding.put(detail)
        return [self._onboarded(detail) for detail in details]

    def new_accesses(self, number: int) -> list[Access]:
        """Onboards accesses with separate keys and secrets."""
        return self.onboard(*(self.onboarding.detail() for _ in range(number)))

    def sharing(self, access: Access, name: str) -> Access:
        """Onboards another location that reads the secret of an access."""
        self.onboarding.consent(access.secret)
        secret = {"value": {"existing": {"secretArn": access.secret}}}
        [made] = self.onboard(self.onboarding.detail(name, key=access.detail["key"], secret=secret))
        return made

    def _onboarded(self, detail: dict[str, Any]) -> Access:
        event = self.onboarding.outcomes.wait_for(detail["requestId"], 90)
        assert event["detail-type"] == "Access Onboarded", json.dumps(event["detail"], indent=2)
        made = event["detail"]["resources"]
        return Access(detail["resource"]["sourceLocation"], detail, made["keyArn"], made["secretArn"], made["grantId"])

    def start(self, access: Access, **members: Any) -> str:
        """Starts a clean-up once all grants of the access are older than the current time of KMS, which has whole seconds."""
        self.onboarding.await_old_grants(access.key)
        asked = json.dumps({"accessId": access.access_id, "keys": [], "hint": None} | members)
        arn: str = self._stepfunctions.start_execution(stateMachineArn=self._machine, input=asked)["executionArn"]
        return arn

    def finish(self, execution: str, status: str = "SUCCEEDED") -> dict[str, dict[str, Any]]:
        """Waits for the end of a clean-up and returns the details of its events by detail type."""
        described = until(lambda: self._ended(execution), f"end of {execution}", 90) or {}
        assert described["status"] == status, described
        result = [e for e in self.onboarding.outcomes.all() if e["detail"].get("executionArn") == execution]
        kinds = [event["detail-type"] for event in result]
        assert len(kinds) == len({*kinds})
        for event in result:
            schema = json.loads((SCHEMAS / f"{event['detail-type'].lower().replace(' ', '-')}.json").read_text())
            jsonschema.validate(event["detail"], schema)
        return {event["detail-type"]: event["detail"] for event in result}

    def _ended(self, execution: str) -> dict[str, Any] | None:
        described: dict[str, Any] = self._stepfunctions.describe_execution(executionArn=execution)
        return described if described["status"] != "RUNNING" else None

    def run(self, *accesses: Access) -> list[dict[str, dict[str, Any]]]:
        """Runs a clean-up for each access concurrently and returns the events of each."""
        return [self.finish(execution) for execution in [self.start(access) for access in accesses]]

    def delete_location(self, access: Access) -> None:
        self.mediatailor.delete_source_location(SourceLocationName=access.name)

    def settings(self, access: Access, secret: str | None = None) -> dict[str, Any]:
        """Returns the settings of the location, optionally with another secret."""
        token = {"HeaderName": "X-Origin-Token", "SecretArn": secret or access.secret, "SecretStringKey": MEMBER}
        return {
            "SourceLocationName": access.name,
            "HttpConfiguration": {"BaseUrl": access.detail["resource"]["baseUrl"]},
            "AccessConfiguration": {
                "AccessType": "SECRETS_MANAGER_ACCESS_TOKEN",
                "SecretsManagerAccessTokenConfiguration": token,
            },
        }

    def update_location(self, access: Access, **members: Any) -> None:
        self.mediatailor.update_source_location(**(self.settings(access) | members))

    def renew_grant(self, access: Access) -> None:
        """Lets MediaTailor create the grant again, even if it does not by assumption when no setting changes."""
        settings = self.settings(access)
        altered = json.loads(json.dumps(settings))
        token = altered["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
        token["HeaderName"] = token["HeaderName"].swapcase()
        for one in (altered, settings):
            self.mediatailor.update_source_location(**one)

    def grants(self, access: Access, key: str | None = None) -> list[str]:
        """Returns the ids of the grants with the name of the access."""
        found = self.onboarding.grants(key or access.key)
        return [grant["GrantId"] for grant in found if grant.get("Name") == access.grant_name]

    def reads(self, access: Access) -> bool:
        """Returns whether the origin receives the token when MediaTailor reads from it."""
        film = uuid.uuid4().hex[:8]
        package = {"Path": f"/{film}/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
        self.mediatailor.create_vod_source(
            SourceLocationName=access.name, VodSourceName=film, HttpPackageConfigurations=[package]
        )
        seen = [r for r in self.aws.control("GET", "origin") if r["path"] == f"/{access.name}/{film}/index.m3u8"]
        self.mediatailor.delete_vod_source(SourceLocationName=access.name, VodSourceName=film)
        return [request["status"] for request in seen] == [200]

    def items(self, kind: str, access: Access) -> list[dict[str, Any]]:
        """Returns the items of a kind in the registry that belong to an access."""
        dynamodb = self.aws.client("dynamodb")
        [table] = [name for name in dynamodb.list_tables()["TableNames"] if "AccessTable" in name]
        pages = dynamodb.get_paginator("scan").paginate(TableName=table)
        items = [item for page in pages for item in page["Items"] if item["kind"]["S"] == kind]
        return [item for item in items if item["id"]["S"].split(" ")[0] == access.access_id]

    def calls(self) -> Mapping[str, int]:
        """Returns what the functions of clean-ups have called since the last `DELETE calls`, with counts."""
        names = ("CleanUpGrants", "ObserveAccess", "ReportCleanUp")
        report = [call for call in self.aws.control("GET", "calls") if any(name in call["principal"] for name in names)]
        counts: dict[str, int] = {}
        for call in report:
            action = f"{call['service']}:{call['operation']}"
            counts[action] = counts.get(action, 0) + call["count"]
        return counts
