"""Two tenants on one bus, with every role enforced: neither can change or learn anything of the other's."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.outcomes import BUS
from tests.workflow.documented_policies import sender_policy
from tests.workflow.onboarding import MEMBER, Onboarding

NOT_ALLOWED = "not allowed for this tenant"
TRUST = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}


@dataclass(frozen=True)
class Tenant:
    """A tenant with a document, and a role that can send its requests and nothing else."""

    name: str
    onboarding: Onboarding
    events: Any

    @property
    def source(self) -> str:
        return f"latchkey.requests.{self.name}"

    def put(self, detail: dict[str, Any], kind: str = "Onboarding Requested", source: str | None = None) -> str:
        """Puts a request on the bus and returns the id of its event."""
        entry = {"EventBusName": BUS, "Source": source or self.source, "DetailType": kind, "Detail": json.dumps(detail)}
        answer = self.events.put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        return str(answer["Entries"][0]["EventId"])

    def send(self, detail: dict[str, Any], kind: str = "Onboarding Requested") -> dict[str, Any]:
        """Puts a request on the bus under a new id and returns its outcome event."""
        detail = {name: value for name, value in detail.items() if name != "requestId"}
        event: dict[str, Any] = self.onboarding.outcomes.wait_for(self.put(detail, kind), 120)
        assert event["detail"]["tenant"] == self.name
        return event

    def onboard(self, detail: dict[str, Any]) -> dict[str, Any]:
        event = self.send(detail)
        assert event["detail-type"] == "Access Onboarded", json.dumps(event["detail"], indent=2)
        return dict(event["detail"])

    def rejection(self, detail: dict[str, Any], kind: str = "Onboarding Requested") -> dict[str, str]:
        """Sends a request that must be rejected and returns the rules by path."""
        event = self.send(detail, kind)
        assert event["detail-type"] == "Request Rejected", json.dumps(event["detail"], indent=2)
        return {error["place"]: error["rule"] for error in event["detail"]["errors"]}

    def detail(self, name: str | None = None, **changes: Any) -> dict[str, Any]:
        """A request for a new location, with the default alias and the default name of the secret."""
        return self.onboarding.detail(name, **({"key": None, "managementRoles": None} | changes))


def _document(onboarding: Onboarding, name: str, document: object) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    client = onboarding.aws.client("ssm")
    client.put_parameter(Name=f"/latchkey/tenants/{name}", Type="String", Value=text, Overwrite=True)


def _sender(onboarding: Onboarding, name: str, source: str) -> Any:
    """A client with a role that the documented policy lets send requests of one tenant."""
    iam, role = onboarding.aws.client("iam"), f"sender-{name}"
    document = {"Version": "2012-10-17", "Statement": [TRUST]}
    made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="send", PolicyDocument=sender_policy(source))
    given = onboarding.aws.client("sts").assume_role(RoleArn=made, RoleSessionName="tests")["Credentials"]
    return onboarding.aws.client(
        "events",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def _tenant(onboarding: Onboarding, document: object = None) -> Tenant:
    # The functions cache documents, so every test has tenants of its own.
    name = f"t-{secrets.token_hex(6)}"
    _document(onboarding, name, document or {})
    return Tenant(name, onboarding, _sender(onboarding, name, f"latchkey.requests.{name}"))


@pytest.fixture
def sports(fast_onboarding: Onboarding) -> Tenant:
    return _tenant(fast_onboarding, {"accounts": [ACCOUNT], "originHosts": ["*"]})


@pytest.fixture
def news(fast_onboarding: Onboarding) -> Tenant:
    return _tenant(fast_onboarding)


def test_what_a_tenant_creates_is_named_and_tagged_after_it(fast_onboarding: Onboarding, sports: Tenant) -> None:
    made = sports.onboard(sports.detail("own-location"))["resources"]

    secret = fast_onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])
    key_tags = fast_onboarding.kms.list_resource_tags(KeyId=f"{made['keyArn']}")["Tags"]
    aliases = fast_onboarding.kms.list_aliases(KeyId=made["keyArn"])["Aliases"]
    assert secret["Name"] == f"latchkey/{sports.name}/mediatailor/own-location/token"
    assert [alias["AliasName"] for alias in aliases] == [f"alias/latchkey/{sports.name}/mediatailor"]
    assert {"Key": "latchkey:tenant", "Value": sports.name} in secret["Tags"]
    assert {"TagKey": "latchkey:tenant", "TagValue": sports.name} in key_tags
    assert fast_onboarding.location("own-location")["Tags"]["latchkey:tenant"] == sports.name


@pytest.mark.parametrize("source", ["latchkey", "latchkey.requests", "latchkey.requests.other", "latchkey.requests.", "other"])
def test_a_sender_of_a_tenant_can_put_no_other_events(sports: Tenant, source: str) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        sports.put({}, source=source)
    mixed = [{"EventBusName": BUS, "Source": one, "DetailType": "a", "Detail": "{}"} for one in (sports.source, source)]
    with pytest.raises(ClientError, match="AccessDenied"):
        sports.events.put_events(Entries=mixed)


def _requests(news: Tenant, detail: dict[str, Any], made: dict[str, Any], victim: Tenant) -> Iterator[tuple[str, Any, str]]:
    """What another tenant can ask of an access and its resources: a name, the request, and the path of its rejection."""
    secret = {"secretArn": made["secretArn"]}
    own_key = {"alias": f"alias/latchkey/{news.name}/own"}
    yield "repeat the request", detail, "resource"
    yield "change the request", detail | {"key": own_key, "secret": {"name": f"latchkey/{news.name}/x/token"}}, "resource"
    yield "name the key by alias", news.detail(key={"alias": f"alias/latchkey/{victim.name}/mediatailor"}), "key.alias"
    yield "name the key by ARN", news.detail(key={"arn": made["keyArn"]}), "key.arn"
    yield "take an alias first", news.detail(key={"alias": f"alias/latchkey/{victim.name}/new"}), "key.alias"
    yield "adopt the secret", news.detail(secret={"value": {"existing": secret}}), "secret.value.existing.secretArn"
    yield "copy the secret", news.detail(secret={"value": {"copyFrom": secret}}), "secret.value.copyFrom.secretArn"
    name = f"latchkey/{victim.name}/mediatailor/{detail['resource']['sourceLocation']}/token"
    yield "name the secret", news.detail(secret={"name": name}), "secret.name"
    yield "take a name first", news.detail(secret={"name": f"latchkey/{victim.name}/mediatailor/x/token"}), "secret.name"


def test_a_tenant_can_do_nothing_with_what_another_one_has(fast_onboarding: Onboarding, sports: Tenant, news: Tenant) -> None:
    detail = sports.detail()
    made = sports.onboard(detail)["resources"]
    fast_onboarding.secretsmanager.tag_resource(
        SecretId=made["secretArn"], Tags=[{"Key": "latchkey:consent", "Value": "adopt"}]
    )
    before, registry = fast_onboarding.account_snapshot(), _accesses(fast_onboarding)

    for name, request, path in _requests(news, detail, made, sports):
        assert news.rejection(request) == {path: NOT_ALLOWED}, name
        assert fast_onboarding.account_snapshot() == before, name
    confirmation = {"accessId": f"mediatailor/sourceLocation/{detail['resource']['sourceLocation']}"}
    assert news.rejection(confirmation, "Handoff Confirmed") == {"accessId": NOT_ALLOWED}
    assert news.rejection(confirmation, "Reconciliation Requested") == {"accessId": NOT_ALLOWED}

    assert fast_onboarding.account_snapshot() == before
    assert _accesses(fast_onboarding)[confirmation["accessId"]] == registry[confirmation["accessId"]]
    assert sports.onboard(detail)["status"] == "unchanged"


def _accesses(onboarding: Onboarding) -> dict[str, Any]:
    client = onboarding.aws.client("dynamodb")
    [table] = [name for name in client.list_tables()["TableNames"] if "AccessTable" in name]
    items = client.scan(TableName=table)["Items"]
    return {item["id"]["S"]: item for item in items if item["kind"]["S"] == "access"}


def test_the_default_tenant_and_another_one_are_apart_as_well(fast_onboarding: Onboarding, sports: Tenant) -> None:
    own = fast_onboarding.detail()
    made = fast_onboarding.onboard(own)["resources"]
    theirs = sports.detail()
    sports.onboard(theirs)
    before = fast_onboarding.account_snapshot()

    assert fast_onboarding.reject(theirs) == {"resource": NOT_ALLOWED}
    assert sports.rejection(own) == {"resource": NOT_ALLOWED}
    assert sports.rejection(sports.detail(key=own["key"])) == {"key.alias": NOT_ALLOWED}
    assert sports.rejection(sports.detail(key={"arn": made["keyArn"]})) == {"key.arn": NOT_ALLOWED}
    assert sports.rejection(sports.detail(key={"alias": "alias/latchkey/mediatailor"})) == {"key.alias": NOT_ALLOWED}
    assert fast_onboarding.account_snapshot() == before


def test_what_an_owner_approves_for_one_tenant_is_closed_to_the_others(
    fast_onboarding: Onboarding, sports: Tenant, news: Tenant
) -> None:
    arn = fast_onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}))
    tags = [{"Key": "latchkey:tenant", "Value": sports.name}]
    fast_onboarding.secretsmanager.tag_resource(SecretId=arn, Tags=tags)
    adoption = {"value": {"existing": {"secretArn": arn}}}

    assert news.rejection(news.detail(secret=adoption)) == {"secret.value.existing.secretArn": NOT_ALLOWED}
    sports.onboard(sports.detail(secret=adoption))
    fast_onboarding.secretsmanager.tag_resource(SecretId=arn, Tags=[{"Key": "latchkey:tenant", "Value": news.name}])
    assert news.rejection(news.detail(secret=adoption)) == {"secret.value.existing.secretArn": NOT_ALLOWED}


def test_each_tenant_has_its_own_request_ids(fast_onboarding: Onboarding, sports: Tenant, news: Tenant) -> None:
    names = [f"loc-{secrets.token_hex(4)}" for _ in range(2)]
    details = [tenant.detail(name) | {"requestId": "deploy-42"} for tenant, name in zip((sports, news), names, strict=True)]

    events = [sports.put(details[0]), news.put(details[1])]

    outcomes = [fast_onboarding.outcomes.wait_for_event(event_id) for event_id in events]
    assert [outcome["detail-type"] for outcome in outcomes] == ["Access Onboarded"] * 2
    assert [outcome["detail"]["tenant"] for outcome in outcomes] == [sports.name, news.name]
    assert [outcome["detail"]["accessId"].rpartition("/")[2] for outcome in outcomes] == names


def _without(name: str, onboarding: Onboarding) -> None:
    onboarding.aws.client("ssm").delete_parameter(Name=f"/latchkey/tenants/{name}")


BAD_DOCUMENTS: dict[str, tuple[object, str]] = {
    "not JSON": ("{", "tenant"),
    "no object": ("[]", "tenant"),
    "unknown member": ({"everything": True}, "tenant.<name>"),
    "wrong type": ({"originHosts": "*"}, "tenant.originHosts"),
    "wrong account": ({"accounts": ["1"]}, "tenant.accounts.0"),
    "foreign principals": ({"trustedPrincipals": ["arn:aws:iam::*:role/*"]}, "tenant.trustedPrincipals.0"),
    "wider principals": ({"trustedPrincipals": ["arn:aws:iam::111122223333:role/*"]}, "tenant.trustedPrincipals.0"),
    "wider accounts": ({"partnerAccounts": ["999999999999"]}, "tenant.partnerAccounts.0"),
    "wider prefix": ({"secretPrefix": "theirs/"}, "tenant.secretPrefix"),
    "another account": ({"accounts": ["111122223333"]}, "account"),
}


@pytest.mark.parametrize(("document", "path"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
def test_a_bad_document_rejects_every_request(fast_onboarding: Onboarding, document: object, path: str) -> None:
    tenant = _tenant(fast_onboarding, document)
    before = fast_onboarding.account_snapshot()

    for kind in ("Onboarding Requested", "Handoff Confirmed", "Reconciliation Requested"):
        assert set(tenant.rejection(tenant.detail(), kind)) == {path}
    assert fast_onboarding.account_snapshot() == before


@pytest.mark.parametrize("suffix", [".unknown", ".UPPER", ".", ".a.b", ".mediatailor", ".default", f".{'a' * 33}"])
def test_a_source_that_names_no_tenant_is_rejected(fast_onboarding: Onboarding, suffix: str) -> None:
    before = fast_onboarding.account_snapshot()
    entry = {"EventBusName": BUS, "Source": f"latchkey.requests{suffix}", "DetailType": "Onboarding Requested"}
    detail = {**fast_onboarding.detail(), "requestId": None}
    detail.pop("requestId")

    answer = fast_onboarding.events.put_events(Entries=[entry | {"Detail": json.dumps(detail)}])
    outcome = fast_onboarding.outcomes.wait_for(answer["Entries"][0]["EventId"], 60)

    assert outcome["detail-type"] == "Request Rejected"
    assert [error["place"] for error in outcome["detail"]["errors"]] == ["source"]
    assert fast_onboarding.account_snapshot() == before


def _role(onboarding: Onboarding, name: str) -> str:
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = onboarding.aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    return str(made["Role"]["Arn"])


def test_a_document_bounds_principals_resources_aliases_names_and_hosts(fast_onboarding: Onboarding) -> None:
    ours, theirs = _role(fast_onboarding, "sports-origin"), _role(fast_onboarding, "news-origin")
    bounds = {
        "trustedPrincipals": [f"arn:aws:iam::{ACCOUNT}:role/sports-*"],
        "originHosts": ["sports.example.com"],
        "partnerAccounts": [],
        "resources": ["mediatailor/sourceLocation/sports-*"],
        "keyAliases": ["alias/sports/*"],
        "secretPrefix": "latchkey/sports/",
    }
    tenant = _tenant(fast_onboarding, bounds)
    own = partial(tenant.detail, "sports-1", key={"alias": "alias/sports/one"})
    secret: Callable[..., dict[str, Any]] = lambda **more: {"name": "latchkey/sports/one/token"} | more  # noqa: E731
    before = fast_onboarding.account_snapshot()

    assert tenant.rejection(own(secret=secret(originReaders=[theirs]))) == {"secret.originReaders.0": NOT_ALLOWED}
    assert tenant.rejection(own(secret={"name": "latchkey/news/one/token"})) == {"secret.name": NOT_ALLOWED}
    assert tenant.rejection(own(secret=secret(), key={"alias": "alias/news/one"})) == {"key.alias": NOT_ALLOWED}
    other = tenant.detail("news-1", key={"alias": "alias/sports/one"}, secret=secret())
    assert tenant.rejection(other) == {"resource": NOT_ALLOWED}
    assert fast_onboarding.account_snapshot() == before
    made = tenant.onboard(own(secret=secret(originReaders=[ours])))["resources"]
    moved = own(secret=secret(originReaders=[ours]))
    moved["resource"]["baseUrl"] = "https://news.example.com/vod"
    assert set(tenant.rejection(moved)) == {"resource.baseUrl"}
    assert ours in json.dumps(fast_onboarding.secret_policy(made["secretArn"]))
