"""discover_resources: resources with a secret that Latchkey does not manage, and a request for each of them."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import ADOPT, DATA_BUCKET, Account, client
from tests.functions.media_services import FLOW
from tests.functions.onboarding_requests import Run

EVENT = {"requestId": "discover-1"}


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


def found(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["system"]: one for one in map(json.loads, read(answer["key"]).splitlines())}


def test_every_resource_with_a_secret_has_a_request_that_would_adopt_it(
    run: Run, account: Account, secrets: dict[str, str]
) -> None:
    before = json.dumps(account.snapshot(values=True), default=str, sort_keys=True)

    answer = run("discover_resources", EVENT)

    assert (answer["found"], answer["adoptable"], answer["unread"]) == (5, 5, [])
    resources = found(answer)
    assert {system: one["secretArn"] for system, one in resources.items()} == secrets
    for one in resources.values():
        assert parse_onboarding(one["request"]).access_id == one["accessId"]
        assert [consent["tag"] for consent in one["consents"]] == ["latchkey:consent=adopt"] * 3
        assert one["keyArn"] in one["request"]["key"]["arn"]
    assert [row["accessId"] for row in csv.DictReader(io.StringIO(read(answer["tableKey"])))] == [
        one["accessId"] for one in resources.values()
    ]
    assert json.loads(read(answer["summaryKey"]))["found"] == 5
    assert "canary-in-the-mine" not in read(answer["key"]) + read(answer["tableKey"]) + read(answer["summaryKey"])
    assert json.dumps(account.snapshot(values=True), default=str, sort_keys=True) == before


def test_a_managed_resource_is_not_shown_unless_its_access_is_over(run: Run, account: Account, secrets: dict[str, str]) -> None:
    known = {"system": "mediatailor", "requestId": "r", "keyArn": "k", "secretArn": secrets["mediatailor"], "version": "1"}
    access = "mediatailor/sourceLocation/sports"
    account.note("access", access, **known, status="active")
    assert "mediatailor" not in found(run("discover_resources", EVENT))

    account.note("access", access, **known, status="offboarded")
    assert "mediatailor" in found(run("discover_resources", EVENT))


def test_resources_with_the_same_secret_name_each_other(run: Run, account: Account, secrets: dict[str, str]) -> None:
    token = {"SecretArn": secrets["mediatailor"], "HeaderName": "X-Token", "SecretStringKey": "token"}
    access = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}
    account.mediatailor.add("film", access)

    lines = map(json.loads, read(run("discover_resources", EVENT)["key"]).splitlines())

    assert {one["accessId"]: one["sharedWith"] for one in lines if one["system"] == "mediatailor"} == {
        "mediatailor/sourceLocation/film": ["mediatailor/sourceLocation/sports"],
        "mediatailor/sourceLocation/sports": ["mediatailor/sourceLocation/film"],
    }


def test_a_secret_under_the_default_key_or_without_one_is_shown(run: Run, account: Account, secrets: dict[str, str]) -> None:
    default = account.secret("MediaPackage/default", "canary-in-the-mine", ADOPT)
    account.mediapackage.resources["live"]["Authorization"]["CdnIdentifierSecret"] = default
    gone = default.replace("default", "gone")
    account.mediapackage_vod.resources["live"]["Authorization"]["CdnIdentifierSecret"] = gone

    resources = found(run("discover_resources", EVENT))

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

    answer = run("discover_resources", EVENT)

    assert answer["found"] == left
    assert any(one["subject"].startswith(unread) for one in answer["unread"])
