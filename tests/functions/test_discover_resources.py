"""discover_resources: resources with a secret that Latchkey does not manage, and a request for each of them."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.discovery.found import UNKNOWN_SHAPE
from latchkey.errors import InvalidRequest
from latchkey.events.outcomes import OUTCOMES
from latchkey.registry import registry
from latchkey.registry.requests import RequestRef
from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import ACCOUNT, ADOPT, DATA_BUCKET, REGION, Account, client
from tests.functions.media_services import FLOW
from tests.functions.onboarding_requests import Run

EVENT = {"requestId": "discover-1"}
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:discover:one"


@pytest.fixture
def secrets(account: Account) -> dict[str, str]:
    """A resource of each system with a secret, by the system. Nobody has consented to anything."""
    client("s3").create_bucket(Bucket=DATA_BUCKET)
    made: dict[str, str] = {}
    for system in ("mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"):
        made[system] = account.secret(f"MediaPackage/{system}", "canary-in-the-mine", {}, key=account.key({}))
    role = account.role("Reader")
    token = {"SecretArn": made["mediatailor"], "HeaderName": "X-Token", "SecretStringKey": "token"}
    access = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}
    account.mediatailor.add("sports", access, tags={})
    account.mediatailor.add("open", None)
    for system, service in (("mediapackage", account.mediapackage), ("mediapackage-vod", account.mediapackage_vod)):
        authorization = {"CdnIdentifierSecret": made[system], "SecretsRoleArn": role}
        service.add("live", f"arn:{system}", Authorization=authorization, Tags={})
    cdn = {"CdnIdentifierSecretArns": [made["mediapackagev2"]], "SecretsRoleArn": role}
    account.mediapackagev2.add(
        "sports/one/hls", {}, Policy='{"Version": "2012-10-17", "Statement": []}', CdnAuthConfiguration=cdn
    )
    encryption = {"Algorithm": "aes256", "RoleArn": role, "SecretArn": made["mediaconnect"]}
    account.mediaconnect.add("output", "studio", "zixi-push", Encryption=encryption)
    account.mediaconnect.tags[FLOW] = {}
    return made


def read(key: str) -> str:
    text: str = client("s3").get_object(Bucket=DATA_BUCKET, Key=key)["Body"].read().decode()
    return text


def discover(run: Run, **members: Any) -> dict[str, Any]:
    """Invokes the function directly. Returns the members of the outcome."""
    answer = run("discover_resources", EVENT | members)
    assert answer["position"] is None
    result: dict[str, Any] = answer["result"]
    return result


def request(**members: Any) -> dict[str, Any]:
    """The input of the execution of a `Discovery Requested`, with small pages."""
    asked = {"requestId": "discover-1"} | members
    known = {"requestId": "discover-1", "contentHash": "c" * 64, "eventId": "event-1", "executionArn": EXECUTION, "most": 1}
    return known | {"kind": "Discovery Requested", "asked": asked, "system": members.get("system")}


def carry_out(run: Run, event: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The members of the outcome, and how often the state machine invokes the function."""
    position, times = None, 0
    while True:
        answer = run("discover_resources", event | {"position": position})
        position, times = answer["position"], times + 1
        if position is None:
            return answer["result"], times


def found(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["system"]: one for one in map(json.loads, read(answer["results"]["key"]).splitlines())}


def test_every_resource_with_a_secret_has_a_request_that_would_adopt_it(
    run: Run, account: Account, secrets: dict[str, str]
) -> None:
    before = json.dumps(account.snapshot(values=True), default=str, sort_keys=True)

    answer = discover(run)

    assert (answer["found"], answer["adoptable"], answer["unread"]) == (5, 5, [])
    resources = found(answer)
    assert {system: one["secretArn"] for system, one in resources.items()} == secrets
    for one in resources.values():
        assert parse_onboarding(one["request"]).access_id == one["accessId"]
        assert [consent["tag"] for consent in one["consents"]] == ["latchkey:consent=adopt"] * 3
        assert one["keyArn"] in one["request"]["key"]["arn"]
    assert [row["accessId"] for row in csv.DictReader(io.StringIO(read(answer["table"]["key"])))] == [
        one["accessId"] for one in resources.values()
    ]
    assert (answer["systems"], answer["missingConsents"]) == (dict.fromkeys(sorted(secrets), 1), 15)
    assert answer["obstacles"][UNKNOWN_SHAPE] == 5
    assert json.loads(read("discoveries/default/discover-1/summary.json"))["found"] == 5
    stored = client("s3").list_objects_v2(Bucket=DATA_BUCKET)["Contents"]
    assert all("canary-in-the-mine" not in read(one["Key"]) for one in stored)
    assert json.dumps(account.snapshot(values=True), default=str, sort_keys=True) == before


def test_a_managed_resource_is_not_shown_unless_its_access_is_over(run: Run, account: Account, secrets: dict[str, str]) -> None:
    known = {"system": "mediatailor", "requestId": "r", "keyArn": "k", "secretArn": secrets["mediatailor"], "version": "1"}
    access = "mediatailor/sourceLocation/sports"
    account.note("access", access, **known, status="active")
    assert "mediatailor" not in found(discover(run))

    account.note("access", access, **known, status="offboarded")
    assert "mediatailor" in found(discover(run))


def test_resources_with_the_same_secret_name_each_other(run: Run, account: Account, secrets: dict[str, str]) -> None:
    token = {"SecretArn": secrets["mediatailor"], "HeaderName": "X-Token", "SecretStringKey": "token"}
    access = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}
    account.mediatailor.add("film", access)

    lines = map(json.loads, read(discover(run)["results"]["key"]).splitlines())

    assert {one["accessId"]: one["sharedWith"] for one in lines if one["system"] == "mediatailor"} == {
        "mediatailor/sourceLocation/film": ["mediatailor/sourceLocation/sports"],
        "mediatailor/sourceLocation/sports": ["mediatailor/sourceLocation/film"],
    }


def test_a_secret_under_the_default_key_or_without_one_is_shown(run: Run, account: Account, secrets: dict[str, str]) -> None:
    default = account.secret("MediaPackage/default", "canary-in-the-mine", ADOPT)
    account.mediapackage.resources["live"]["Authorization"]["CdnIdentifierSecret"] = default
    gone = default.replace("default", "gone")
    account.mediapackage_vod.resources["live"]["Authorization"]["CdnIdentifierSecret"] = gone

    resources = found(discover(run))

    assert resources["mediapackage"]["keyArn"] is None
    assert "key" not in resources["mediapackage"]["request"]
    assert resources["mediapackage-vod"]["request"] is None


@pytest.mark.parametrize(
    ("service", "operation", "unread", "left"),
    [("mediaconnect", "list_flows", "mediaconnect", 4), ("secretsmanager", "describe_secret", "mediatailor {", 0)],
)
def test_what_cannot_be_read_is_listed_and_concludes_nothing(
    run: Run, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch, service: str, operation: str, unread: str, left: int
) -> None:
    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)

    find: Callable[[str], Any] = clients.client_for
    monkeypatch.setattr(find(service), operation, denied)

    answer = discover(run)

    assert answer["found"] == left
    assert any(one["subject"].startswith(unread) for one in answer["unread"])


def test_a_request_reads_one_page_at_a_time_and_finds_the_same(run: Run, account: Account, secrets: dict[str, str]) -> None:
    account.mediatailor.add("film", account.mediatailor.locations["sports"]["AccessConfiguration"])
    direct = discover(run)

    requested, times = carry_out(run, request())

    assert times == 6
    assert read(requested["results"]["key"]) == read(direct["results"]["key"])
    assert requested["results"]["key"] == "discoveries/default/one/found.jsonl"
    common = {"requestId": "discover-1", "outcomeId": "one", "changed": False, "executionArn": EXECUTION}
    OUTCOMES["Discovery Completed"].model_validate_json(json.dumps(common | requested))


def test_a_request_for_one_system_reads_no_other(run: Run, secrets: dict[str, str]) -> None:
    requested, times = carry_out(run, request(system="mediaconnect"))

    assert (requested["systems"], times) == ({"mediaconnect": 1}, 1)


def test_a_page_that_is_read_again_changes_nothing(run: Run, account: Account, secrets: dict[str, str]) -> None:
    """As after a crash: the resources can have changed since the page was first read."""
    first = run("discover_resources", request())
    account.mediatailor.locations.clear()
    assert run("discover_resources", request()) == first

    requested, _ = carry_out(run, request())

    assert "mediatailor" not in requested["systems"]
    assert requested["found"] == 4


def test_a_request_that_has_ended_or_has_problems_is_rejected(run: Run, secrets: dict[str, str]) -> None:
    problems = [{"place": "system", "rule": "must be one of mediatailor"}]
    with pytest.raises(InvalidRequest):
        run("discover_resources", request() | {"asked": None, "problems": problems})
    registry().requests.record_outcome(RequestRef("discover-1", "c" * 64), "outcome", "Request Failed", "{}")

    with pytest.raises(InvalidRequest):
        run("discover_resources", request())


def test_a_tenant_is_shown_no_name_of_others(
    run: Run, account: Account, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account.mediatailor.add("film", account.mediatailor.locations["sports"]["AccessConfiguration"])
    document = {"resources": ["mediatailor/sourceLocation/film"]}
    client("ssm").put_parameter(Name="/latchkey/tenants/movies", Type="String", Value=json.dumps(document))
    endpoint = account.mediapackage.resources["live"]["Authorization"]
    endpoint["CdnIdentifierSecret"] = "not-an-arn"

    answer = discover(run, tenant="movies")

    assert [one["accessId"] for one in found(answer).values()] == ["mediatailor/sourceLocation/film"]
    assert found(answer)["mediatailor"]["sharedWith"] == ["a resource that this tenant is not allowed to name"]
    shown = read(answer["results"]["key"]) + read(answer["table"]["key"]) + json.dumps(answer)
    assert "sports" not in shown
    assert "live" not in shown
