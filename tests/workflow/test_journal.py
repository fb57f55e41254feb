"""A failed request is rolled back from its own journal: what others use or changed since stays, and nothing is forgotten."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.fault_injection import LATE, UNDO, Detail, FaultInjection
from tests.workflow.onboarding import MEMBER, ORIGIN


class Requests:
    """Requests whose calls are held or fail, and what the registry holds about them."""

    def __init__(self, injection: FaultInjection) -> None:
        self.injection = injection

    def fault(self, request: Detail, **fault: Any) -> None:
        self.injection.aws.control("POST", "faults", fault | {"request": request["requestId"]})

    def clear(self) -> None:
        self.injection.aws.control("DELETE", "faults")

    def hold(self, request: Detail, service: str, operation: str) -> None:
        """Sends a request and waits until it makes this call, which is held until `clear`."""
        self.fault(request, service=service, operation=operation, error="hold", times=1000)
        self.injection.put(request)

        def is_held() -> bool:
            return any(call["operation"] == operation for call in self.injection.aws.control("GET", "faults"))

        until(is_held, f"{operation} of the request", 60)

    def fail(self, request: Detail) -> Detail:
        """Sends a request that fails after everything is created, and returns its outcome."""
        self.fault(request, **LATE)
        return self.outcome(self.injection.send(request))

    def outcome(self, event: Detail) -> Detail:
        assert event["detail-type"] == "Request Failed", event
        detail: Detail = event["detail"]
        return detail

    def accesses(self, resource: str) -> set[str]:
        """The accesses that refer to a resource in the registry."""
        return {*self.injection.item("resource", resource).get("accesses", {}).get("SS", [])}

    def key_state(self, key: str) -> str:
        state: str = self.injection.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
        return state


@pytest.fixture
def requests(fault_injection: FaultInjection) -> Requests:
    return Requests(fault_injection)


def adopting(injection: FaultInjection, secret_arn: str, **changes: Any) -> Detail:
    existing = {"value": {"existing": {"secretArn": secret_arn}}}
    return injection.detail(secret=existing, managementRoles=None, **changes)


def new_value() -> str:
    return json.dumps({MEMBER: secrets.token_hex(10)})


def test_a_key_is_kept_while_another_request_has_moved_a_secret_to_it(
    fault_injection: FaultInjection, requests: Requests
) -> None:
    theirs = fault_injection.new_secret(new_value())
    first = fault_injection.detail()
    requests.hold(first, "mediatailor", "CreateSourceLocation")
    second = requests.fail(adopting(fault_injection, theirs, key=first["key"]))
    key = fault_injection.secretsmanager.describe_secret(SecretId=theirs)["KmsKeyId"]
    assert (second["changed"], requests.accesses(key) >= {second["accessId"]}) == (True, True)

    requests.clear()
    requests.fault(first, **LATE)
    outcome = requests.outcome(fault_injection.outcomes.wait_for(first["requestId"], 180))

    assert requests.key_state(key) == "Enabled"
    assert fault_injection.secretsmanager.get_secret_value(SecretId=theirs)["SecretString"]
    assert outcome["changed"]
    assert any(key in text for text in outcome["left"])


def test_a_key_without_its_alias_does_not_leak(fault_injection: FaultInjection, requests: Requests) -> None:
    request = fault_injection.detail()
    before = fault_injection._keys()
    requests.hold(request, "kms", "CreateAlias")
    [created] = fault_injection._keys() - before
    foreign = fault_injection.new_key(consent=False)
    fault_injection.kms.create_alias(AliasName=request["key"]["alias"], TargetKeyId=foreign)

    requests.clear()
    outcome = requests.outcome(fault_injection.outcomes.wait_for(request["requestId"], 180))

    assert (outcome["failure"]["name"], outcome["changed"]) == ("Conflict", False)
    assert (requests.key_state(created), requests.key_state(foreign)) == ("PendingDeletion", "Enabled")
    assert fault_injection.kms.describe_key(KeyId=request["key"]["alias"])["KeyMetadata"]["Arn"] == foreign
    assert requests.accesses(foreign) == set()


def _theirs(injection: FaultInjection) -> str:
    """A secret of an owner that MediaTailor can read."""
    arn = injection.new_secret(new_value(), consent=None, KmsKeyId=injection.new_key(consent=False))
    statement = {"Sid": "MT", "Effect": "Allow", "Principal": {"Service": "mediatailor.amazonaws.com"}}
    statement |= {"Action": "secretsmanager:GetSecretValue", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    injection.secretsmanager.put_resource_policy(SecretId=arn, ResourcePolicy=policy)
    return arn


def _point(injection: FaultInjection, request: Detail, secret_arn: str) -> Callable[[], str]:
    """Points the location of a request at a secret, as its owner does. Returns a function that reads the present secret."""
    resource = request["resource"]
    token = {"HeaderName": "X-Origin-Token", "SecretArn": secret_arn, "SecretStringKey": MEMBER}
    injection.mediatailor.update_source_location(
        SourceLocationName=resource["sourceLocation"],
        HttpConfiguration={"BaseUrl": resource["baseUrl"]},
        AccessConfiguration={"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token},
    )

    def present() -> str:
        access = injection.location(resource["sourceLocation"]).get("AccessConfiguration", {})
        return str(access.get("SecretsManagerAccessTokenConfiguration", {}).get("SecretArn"))

    return present


def test_each_request_restores_the_settings_that_it_found(fault_injection: FaultInjection, requests: Requests) -> None:
    former, repaired = _theirs(fault_injection), _theirs(fault_injection)
    first = fault_injection.detail()
    first["secret"] |= {"replacesToken": True}
    fault_injection.mediatailor.create_source_location(
        SourceLocationName=first["resource"]["sourceLocation"],
        HttpConfiguration={"BaseUrl": first["resource"]["baseUrl"]},
        Tags={"latchkey:consent": "adopt"},
    )
    _point(fault_injection, first, former)
    requests.fault(
        first, service="mediatailor", operation="UpdateSourceLocation", caller=UNDO, error="AccessDeniedException", lasting=True
    )
    assert requests.fail(first)["changed"]
    fault_injection.settle()
    requests.clear()
    present = _point(fault_injection, first, repaired)

    second = requests.fail(first | {"requestId": f"second-{first['requestId']}"})

    assert (second["changed"], present()) == (False, repaired)
    requests.clear()
    fault_injection.sweep()
    assert present() == repaired
    assert fault_injection.journal() == []
    assert fault_injection.left(first) == {
        "aliases": [],
        "keys": [],
        "secrets": [],
        "locations": [first["resource"]["sourceLocation"]],
    }


def test_a_later_success_does_not_forget_the_key_of_a_failed_request(
    fault_injection: FaultInjection, requests: Requests
) -> None:
    first = fault_injection.detail()
    requests.fault(first, service="kms", operation="ScheduleKeyDeletion", caller=UNDO, error="AccessDenied", lasting=True)
    assert requests.fail(first)["changed"]
    [key] = fault_injection.left(first)["keys"]
    fault_injection.settle()
    requests.clear()
    later = first | {"requestId": f"later-{first['requestId']}", "key": {"alias": f"{first['key']['alias']}-later"}}
    made = fault_injection.onboard(later)["resources"]
    assert made["keyArn"] != key

    fault_injection.sweep()

    assert (requests.key_state(key), requests.key_state(made["keyArn"])) == ("PendingDeletion", "Enabled")
    assert requests.accesses(key) == set()
    assert fault_injection.journal() == []
    assert len(fault_injection.outcomes.of(first["requestId"])) == 1
    again = later | {"requestId": f"again-{later['requestId']}"}
    assert fault_injection.onboard(again)["status"] == "unchanged"


def test_a_rollback_keeps_a_statement_that_a_person_adds_before_its_write(
    fault_injection: FaultInjection, requests: Requests
) -> None:
    first = fault_injection.detail()
    key = fault_injection.onboard(first)["resources"]["keyArn"]
    request = fault_injection.detail(key=first["key"], managementRoles=[ORIGIN])
    requests.fault(request, **LATE)
    # The last call before the policy is read and written.
    requests.fault(request, service="kms", operation="GetKeyPolicy", caller=UNDO, error="hold", call=2)
    fault_injection.put(request)

    def is_held() -> bool:
        return any(UNDO in call["principal"] for call in fault_injection.aws.control("GET", "faults"))

    until(is_held, "the rollback", 60)
    policy = fault_injection.key_policy(key)
    auditors = {
        "Sid": "Auditors",
        "Effect": "Allow",
        "Principal": {"AWS": ORIGIN},
        "Action": "kms:DescribeKey",
        "Resource": "*",
    }
    policy["Statement"].append(auditors)
    fault_injection.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    requests.clear()

    requests.outcome(fault_injection.outcomes.wait_for(request["requestId"], 120))

    assert "Auditors" in [statement.get("Sid") for statement in fault_injection.key_policy(key)["Statement"]]


@pytest.mark.parametrize("operation", ["CreateRole", "PutRolePolicy", "PutOriginEndpointPolicy"])
def test_no_reference_to_a_reader_role_remains(fault_injection: FaultInjection, requests: Requests, operation: str) -> None:
    consumer = CONSUMERS["mediapackagev2"](fault_injection.aws)
    request = consumer.detail
    service = "mediapackagev2" if operation.startswith("PutOrigin") else "iam"
    requests.fault(request, service=service, operation=operation, error="SomethingInvalid")

    outcome = requests.outcome(fault_injection.send(request))

    assert outcome["changed"] is False
    scan = fault_injection.dynamodb.scan(TableName=fault_injection.table)["Items"]
    referring = {item["id"]["S"] for item in scan if item["kind"]["S"] == "resource" and "accesses" in item}
    assert [one for one in referring if ":role/" in one or consumer.name.split("/")[-1] in one] == []
    assert fault_injection.journal() == []


def test_the_reference_to_a_key_stays_while_a_secret_is_under_it(fault_injection: FaultInjection, requests: Requests) -> None:
    theirs = fault_injection.new_secret(new_value())
    request = adopting(fault_injection, theirs)

    outcome = requests.fail(request)

    key = fault_injection.secretsmanager.describe_secret(SecretId=theirs)["KmsKeyId"]
    assert requests.accesses(key) == {outcome["accessId"]}
    assert (outcome["changed"], requests.key_state(key)) == (True, "Enabled")
    assert {read["resource"] for read in outcome["evidence"] if theirs in read["secrets"]} == {key}
    # The owner moves the secret away. A copy of its version is under another enabled key, so nothing uses this one.
    fault_injection.settle()
    requests.clear()
    fault_injection.secretsmanager.update_secret(SecretId=theirs, KmsKeyId=fault_injection.new_key())
    fault_injection.sweep()
    assert (requests.key_state(key), requests.accesses(key)) == ("PendingDeletion", set())
