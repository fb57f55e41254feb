"""The demo: an onboarding with its plan, a rotation, an offboarding and its restoration, and the clean-up of a leaked grant."""

import hashlib
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from local_aws.tools.embedded_aws import REPOSITORY, STACK, Embedded, until
from local_aws.tools.outcomes import Outcomes

_SAMPLE = REPOSITORY / "events/requests/onboard-mediatailor.json"


class Demo:
    """Uses the deployed stack as its users do, and prints every step."""

    def __init__(self, aws: Embedded, console: Console) -> None:
        self._aws, self._console, self._start = aws, console, time.monotonic()
        self._outcomes = Outcomes(aws)
        self._mediatailor = aws.client("mediatailor")

    def run(self) -> None:
        self._print("[bold]1. Onboard[/]")
        entry, detail = self._request()
        detail["planHash"] = self._plan(entry, detail)
        entry["Detail"] = json.dumps(detail)
        self._print(
            f"sent request [bold]{detail['requestId']}[/] for source location {detail['resource']['sourceLocation']} "
            f"to event bus {entry['EventBusName']}"
        )
        self._aws.client("events").put_events(Entries=[entry])
        self._follow_execution(detail["requestId"])
        event = self._outcomes.wait_for(detail["requestId"])
        outcome = event["detail"]
        self._print(f"received outcome [bold]{event['detail-type']}[/] with status {outcome['status']}")
        _require(event["detail-type"] == "Access Onboarded", json.dumps(outcome, indent=2))
        self._report(outcome)
        self._fetch(detail)
        self._print("[bold]2. Rotate, offboard and restore[/]")
        self._rotate(detail, outcome["accessId"])
        self._offboard(detail, outcome)
        self._restore(detail, outcome)
        self._print("[bold]3. Clean up[/]")
        self._delete(detail["resource"]["sourceLocation"], outcome["resources"])

    def _request(self) -> tuple[dict[str, Any], dict[str, Any]]:
        entry = json.loads(_SAMPLE.read_text())[0]
        detail = json.loads(entry["Detail"])
        detail["requestId"] = f"demo-{uuid.uuid4().hex[:8]}"
        detail["resource"]["baseUrl"] = f"{self._aws.origin_url}/vod"
        return entry | {"Detail": json.dumps(detail)}, detail

    def _plan(self, entry: dict[str, Any], detail: dict[str, Any]) -> str:
        """Prints what the request would do, and returns the hash of its plan."""
        planned = detail | {"requestId": f"{detail['requestId']}-plan", "mode": "plan"}
        self._aws.client("events").put_events(Entries=[entry | {"Detail": json.dumps(planned)}])
        event = self._outcomes.wait_for(planned["requestId"])
        plan = event["detail"]
        self._print(f"received outcome [bold]{event['detail-type']}[/]: ${plan.get('monthlyCost')} per month")
        _require(event["detail-type"] == "Access Planned", json.dumps(plan, indent=2))
        return self._show_plan(plan)

    def _show_plan(self, plan: dict[str, Any]) -> str:
        """Prints what a request would do, and returns the hash of its plan."""
        _require(not plan["permissions"], f"a permission is missing: {plan['permissions']}")
        changes = Table("action", "kind", "name", show_header=False, box=None, padding=(0, 2))
        for change in plan["changes"]:
            changes.add_row(change["action"], change["kind"], change["name"])
        self._console.print(changes)
        self._print(f"  calls: {', '.join(call['operation'] for call in plan['calls'])}")
        return str(plan["planHash"])

    def _follow_execution(self, request_id: str) -> None:
        machine = self._output("OnboardStateMachineArn")
        execution = until(lambda: self._execution_of(machine, request_id), "execution of the request", 60) or ""
        entered = time.monotonic()
        for event in self._history(execution):
            details = event.get("stateExitedEventDetails")
            if details and event["type"] == "TaskStateExited":
                now = time.monotonic()
                self._print(f"  {details['name']:<20} [dim]{now - entered:5.1f} s[/]")
                entered = now

    def _execution_of(self, machine: str, request_id: str) -> str | None:
        name = hashlib.sha256(json.dumps(request_id).encode()).hexdigest()[:32]
        listed = self._aws.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
        return next((found["executionArn"] for found in listed if found["name"].startswith(name)), None)

    def _history(self, execution: str) -> Iterator[dict[str, Any]]:
        """Yields the events of an execution as they happen, until it ends."""
        stepfunctions, seen = self._aws.client("stepfunctions"), 0
        while True:
            running = stepfunctions.describe_execution(executionArn=execution)["status"] == "RUNNING"
            events = stepfunctions.get_execution_history(executionArn=execution, maxResults=1000)["events"]
            yield from events[seen:]
            seen = len(events)
            if not running:
                return
            time.sleep(0.1)

    def _report(self, outcome: dict[str, Any]) -> None:
        resources = Table("resource", "ARN", show_header=False, box=None, padding=(0, 2))
        for name, arn in outcome["resources"].items():
            resources.add_row(name, arn)
        checks = Table("check", "result", "evidence", box=None, padding=(0, 2))
        for check in outcome["checks"]:
            checks.add_row(check["name"], "passed" if check["passed"] else "FAILED", check["evidence"])
        self._console.print(resources, checks)
        _require(all(check["passed"] for check in outcome["checks"]), "a check failed")

    def _fetch(self, detail: dict[str, Any]) -> None:
        """Shows that the origin rejects requests without the token and serves MediaTailor, which reads the secret."""
        location, url = detail["resource"]["sourceLocation"], f"{detail['resource']['baseUrl']}/film/index.m3u8"
        status = _status(url)
        self._print(f"request to the origin without token: status [bold]{status}[/]")
        _require(status == 403, "the origin served a request without token")
        package = {"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
        made = self._mediatailor.create_vod_source(
            SourceLocationName=location, VodSourceName="film", HttpPackageConfigurations=[package]
        )
        fetched = until(lambda: self._fetches(detail["resource"]["header"]), "MediaTailor's fetch")[-1]
        self._print(f"request of MediaTailor with header {fetched['header']}: status [bold]{fetched['status']}[/]")
        _require(fetched["status"] == 200, "the origin rejected the request of MediaTailor")
        alerts = self._mediatailor.list_alerts(ResourceArn=made["Arn"])["Items"]
        _require(not alerts, f"MediaTailor has alerts: {alerts}")

    def _fetches(self, header: str) -> list[dict[str, Any]]:
        return [request for request in self._aws.control("GET", "origin") if request["header"] == header]

    def _rotate(self, detail: dict[str, Any], access_id: str) -> None:
        """Rotates the token, and shows that the origin serves MediaTailor with the old token until it sends the new one."""
        location, header = detail["resource"]["sourceLocation"], detail["resource"]["header"]
        self._aws.control("PUT", "origin")
        pending = self._ask("Rotation Requested", access_id, "Token Pending")
        self._print(f"the new token waits as version {pending['token']['versionId'][:12]}…, {pending['token']['versionStage']}")
        old = self._fetch_again(location, header)
        self._aws.control("PUT", "origin")
        self._print("configured the origin to accept both tokens")
        self._ask("Rotation Confirmed", access_id, "Token Rotated")
        new = self._fetch_again(location, header)
        for name, fetched in (("old", old), ("new", new)):
            token, status = fetched["valueSha256"][:12], fetched["status"]
            self._print(f"request of MediaTailor with the {name} token (SHA-256 {token}…): status [bold]{status}[/]")
        _require(old["valueSha256"] != new["valueSha256"], "MediaTailor still sends the old token")
        _require(old["status"] == new["status"] == 200, "the origin rejected a request of MediaTailor")

    def _offboard(self, detail: dict[str, Any], outcome: dict[str, Any]) -> None:
        """Offboards the access: MediaTailor sends no token and has no grant, and the secret can be restored for some days."""
        header = detail["resource"]["header"]
        access_id, days = outcome["accessId"], {"recoveryDays": 7}
        plan = self._ask("Offboarding Requested", access_id, "Access Planned", mode="plan", **days)
        follows = {"planHash": self._show_plan(plan)}
        offboarded = self._ask("Offboarding Requested", access_id, "Access Offboarded", **days, **follows)
        for done in offboarded["undone"]:
            self._print(f"  {done}")
        for scheduled in offboarded["scheduled"]:
            self._print(f"  scheduled for deletion at {scheduled['at'][:10]}: {scheduled['resource']}")
        seen = len(self._fetches(header))
        self._request_manifest(detail["resource"]["sourceLocation"])
        _require(len(self._fetches(header)) == seen, "MediaTailor still sends the token")
        self._print("request of MediaTailor: without a token")
        _require(not self._grants(outcome["resources"]["keyArn"]), "the grant still exists")

    def _restore(self, detail: dict[str, Any], outcome: dict[str, Any]) -> None:
        """Restores the access, and shows that the origin serves MediaTailor again."""
        restored = self._ask("Restoration Requested", outcome["accessId"], "Access Onboarded")
        _require(restored["resources"]["secretArn"] == outcome["resources"]["secretArn"], "the access has another secret")
        _require(all(check["passed"] for check in restored["checks"]), "a check failed")
        fetched = self._fetch_again(detail["resource"]["sourceLocation"], detail["resource"]["header"])
        token, status = fetched["valueSha256"][:12], fetched["status"]
        self._print(f"request of MediaTailor with the token (SHA-256 {token}…): status [bold]{status}[/]")
        _require(fetched["status"] == 200, "the origin rejected the request of MediaTailor")

    def _ask(self, kind: str, access_id: str, expected: str, **members: Any) -> dict[str, Any]:
        """Sends a request about the access, and returns the detail of its outcome."""
        request_id = f"demo-{uuid.uuid4().hex[:8]}"
        entry = json.loads(_SAMPLE.read_text())[0] | {"DetailType": kind}
        sent = json.dumps({"requestId": request_id, "accessId": access_id} | members)
        self._aws.client("events").put_events(Entries=[entry | {"Detail": sent}])
        event = self._outcomes.wait_for(request_id)
        self._print(f"sent {kind}, received outcome [bold]{event['detail-type']}[/]")
        _require(event["detail-type"] == expected, json.dumps(event["detail"], indent=2))
        detail: dict[str, Any] = event["detail"]
        return detail

    def _fetch_again(self, location: str, header: str) -> dict[str, Any]:
        """Lets MediaTailor request the manifest again, and returns its request as the origin saw it."""
        self._request_manifest(location)
        return self._fetches(header)[-1]

    def _request_manifest(self, location: str) -> None:
        package = {"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
        self._mediatailor.update_vod_source(
            SourceLocationName=location, VodSourceName="film", HttpPackageConfigurations=[package]
        )

    def _delete(self, location: str, resources: dict[str, str]) -> None:
        known = len(self._cleaned_up(location))
        until(lambda: self._has_old_grants(resources["keyArn"]), "a grant that is older than a second", 10)
        self._aws.control("PUT", "assumptions", {"mediatailorRetires": "never"})
        self._mediatailor.delete_vod_source(SourceLocationName=location, VodSourceName="film")
        self._mediatailor.delete_source_location(SourceLocationName=location)
        self._print(f"deleted source location {location}; MediaTailor does not retire its grant")
        event = until(lambda: next(iter(self._cleaned_up(location)[known:]), None), "Grants Cleaned Up", 60) or {}
        [removed] = event["detail"]["removed"]
        self._print(
            f"received outcome [bold]{event['detail-type']}[/]: {removed['removedBy']} revoked grant {removed['grantId'][:12]}…"
        )
        for read in removed["evidence"]:
            self._print(f"  {read}")
        _require(not self._grants(resources["keyArn"]), "the grant still exists")

    def _cleaned_up(self, location: str) -> list[dict[str, Any]]:
        outcomes = [event for event in self._outcomes.all() if event["detail-type"] == "Grants Cleaned Up"]
        return [event for event in outcomes if event["detail"]["accessId"].endswith(f"/{location}")]

    def _has_old_grants(self, key_arn: str) -> bool:
        """Whether all grants are older than the time of KMS in whole seconds. A cleanup leaves younger ones to the sweep."""
        answer = self._aws.client("kms").list_grants(KeyId=key_arn)
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return all(grant["CreationDate"] < now for grant in answer["Grants"])

    def _grants(self, key_arn: str) -> set[str]:
        return {grant["GrantId"] for grant in self._aws.client("kms").list_grants(KeyId=key_arn)["Grants"]}

    def _output(self, name: str) -> str:
        stack = self._aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        return str(next(output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == name))

    def _print(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._start:6.1f} s[/]  {text}", highlight=False)


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _require(holds: bool, failure: str) -> None:
    if not holds:
        raise SystemExit(f"demo: failed: {failure}")


def main() -> None:
    console = Console(width=None if Console().is_terminal else 200, emoji=False)
    started = time.monotonic()
    with console.status("starting the embedded AWS and deploying the stack"), Embedded(deploy=True) as aws:
        console.print(
            f"embedded AWS with stack {STACK} at {aws.url} [dim]({time.monotonic() - started:.1f} s)[/]", highlight=False
        )
        Demo(aws, console).run()
    console.print("demo: ok", highlight=False)
