"""create_key: new keys, and existing keys that stay unchanged."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.aws.clients import kms_without_retries as product_kms
from latchkey.errors import Conflict, NotYetEffective, TransientAwsError
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, ADOPT, CONFIGURE_ROLE, OURS, REGION, ROOT, TABLE, Account
from tests.functions.media_tailor import Raw
from tests.functions.onboarding_requests import Run, onboarding

ALIAS = "alias/latchkey/mediatailor"
ORIGIN = f"arn:aws:iam::{ACCOUNT}:role/media/Origin"


def references(account: Account, key: str) -> list[str]:
    """The accesses that refer to a key in the registry."""
    [item] = [item for item in account.items("resource") if item["id"]["S"] == key]
    return sorted(item["accesses"]["SS"])


def test_the_new_key_is_symmetric_single_region_tagged_and_rotates(run: Run, account: Account) -> None:
    made = run("create_key", {"request": onboarding(tags={"team": "sports"})})

    assert made["changed"] is True
    found = account.kms.describe_key(KeyId=ALIAS)["KeyMetadata"]
    assert (found["Arn"], found["KeyUsage"], found["KeySpec"]) == (made["arn"], "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT")
    assert (found["Origin"], found["MultiRegion"]) == ("AWS_KMS", False)
    tags = {tag["TagKey"]: tag["TagValue"] for tag in account.kms.list_resource_tags(KeyId=made["arn"])["Tags"]}
    own = {"latchkey:managed-by": "latchkey", "latchkey:request": "request-1", "latchkey:tenant": "default"} | {
        "latchkey:stack": "latchkey"
    }
    assert tags == own | {"team": "sports"}
    assert account.kms.get_key_rotation_status(KeyId=made["arn"])["KeyRotationEnabled"] is True


@pytest.mark.parametrize(("key", "days"), [({}, 365), ({"rotationDays": 180}, 180)])
def test_the_key_rotates_with_the_requested_period(run: Run, key: dict[str, int], days: int) -> None:
    asked: list[int] = []
    # moto does not store the period, so the call is inspected.
    product_kms().meta.events.register(
        "before-parameter-build.kms.EnableKeyRotation", lambda params, **_: asked.append(params["RotationPeriodInDays"])
    )

    run("create_key", {"request": onboarding(key=key)})

    assert asked == [days]


def test_another_period_is_applied_to_the_key_of_the_access(run: Run) -> None:
    """A request that names no period keeps the present one, which is 365 days in moto."""
    run("create_key", {"request": onboarding()})
    asked: list[int] = []
    product_kms().meta.events.register(
        "before-parameter-build.kms.EnableKeyRotation", lambda params, **_: asked.append(params["RotationPeriodInDays"])
    )

    changed = [
        run("create_key", {"request": onboarding(requestId=f"request-{days}", key={"rotationDays": days} if days else {})})
        for days in (0, 365, 180)
    ]

    assert ([one["changed"] for one in changed], asked) == ([False, False, True], [180])


def test_the_policy_of_a_new_key_delegates_to_iam_and_allows_grants_through_the_service(run: Run, account: Account) -> None:
    made = run("create_key", {"request": onboarding(managementRoles=[ORIGIN])})

    policy = json.loads(account.kms.get_key_policy(KeyId=made["arn"], PolicyName="default")["Policy"])
    first, *own = policy["Statement"]
    assert (first["Principal"], first["Action"]) == ({"AWS": ROOT}, "kms:*")
    [granting] = [statement for statement in own if statement["Action"] == "kms:CreateGrant"]
    assert granting["Principal"] == {"AWS": sorted([CONFIGURE_ROLE, ORIGIN])}
    assert granting["Condition"] == {"StringEquals": {"kms:ViaService": f"mediatailor.{REGION}.amazonaws.com"}}


def test_creating_twice_creates_one_key_and_releases_the_lease(run: Run, account: Account) -> None:
    first = run("create_key", {"request": onboarding()})
    before = account.snapshot()

    assert run("create_key", {"request": onboarding()}) == first, "a retry returns what its request changed"
    assert account.snapshot() == before
    assert run("create_key", {"request": onboarding(requestId="request-2")}) == first | {"changed": False}
    assert account.snapshot() | {"table": []} == before | {"table": []}
    assert account.items("lease") == []


def test_a_second_access_shares_the_key_of_its_alias(run: Run, account: Account) -> None:
    shared: dict[str, Any] = {"key": {"alias": "alias/latchkey/sports"}}
    first = run("create_key", {"request": onboarding(**shared)})

    second = run(
        "create_key", {"request": onboarding(requestId="request-2", resource={"sourceLocation": "news-origin"}, **shared)}
    )

    assert (second["arn"], second["changed"]) == (first["arn"], False)
    assert references(account, first["arn"]) == [
        "mediatailor/sourceLocation/news-origin",
        "mediatailor/sourceLocation/sports-origin",
    ]


def test_a_retry_enables_the_rotation_that_a_crash_left_off(run: Run, account: Account) -> None:
    key = account.key(alias=ALIAS)
    account.kms.disable_key_rotation(KeyId=key)

    finished = run("create_key", {"request": onboarding()})

    assert (finished["arn"], finished["changed"]) == (key, True)
    assert account.kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True


def test_a_retry_finds_a_key_that_a_crash_left_without_an_alias(run: Run, account: Account) -> None:
    def lose_connection(**_: object) -> None:
        raise TransientAwsError("the response was lost")

    product_kms().meta.events.register("before-call.kms.CreateAlias", lose_connection)
    with pytest.raises(TransientAwsError):
        run("create_key", {"request": onboarding()})
    [left] = account.snapshot()["keys"]

    product_kms().meta.events.unregister("before-call.kms.CreateAlias", lose_connection)
    finished = run("create_key", {"request": onboarding()})

    assert (finished["arn"], finished["changed"]) == (left, True)
    assert account.kms.describe_key(KeyId=ALIAS)["KeyMetadata"]["Arn"] == left
    assert list(account.snapshot()["keys"]) == [left]


@pytest.mark.parametrize("next_request", [{}, {"requestId": "request-2", "resource": {"sourceLocation": "news-origin"}}])
def test_a_key_whose_creation_response_was_lost_is_found_by_its_tag(
    run: Run, account: Account, next_request: dict[str, Any]
) -> None:
    def lose(**_: object) -> None:
        raise TransientAwsError("the response was lost")

    account.key()
    product_kms().meta.events.register("after-call.kms.CreateKey", lose)
    with pytest.raises(TransientAwsError):
        run("create_key", {"request": onboarding()})
    before = set(account.snapshot()["keys"])

    product_kms().meta.events.unregister("after-call.kms.CreateKey", lose)
    finished = run("create_key", {"request": onboarding(**next_request)})

    assert set(account.snapshot()["keys"]) == before
    assert account.kms.describe_key(KeyId=ALIAS)["KeyMetadata"]["Arn"] == finished["arn"]
    tags = account.kms.list_resource_tags(KeyId=finished["arn"])["Tags"]
    assert {"TagKey": "latchkey:request", "TagValue": "request-1"} in tags


def test_an_unreadable_key_does_not_hide_the_key_that_is_found_by_its_tag(run: Run, account: Account) -> None:
    closed = account.key()

    def lose(**_: object) -> None:
        raise TransientAwsError("the response was lost")

    def answer_with_error(params: dict[str, Any], **_: object) -> None:
        if closed in str(params["body"]):
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeKey")

    product_kms().meta.events.register("after-call.kms.CreateKey", lose)
    with pytest.raises(TransientAwsError):
        run("create_key", {"request": onboarding()})
    before = set(account.snapshot()["keys"])

    product_kms().meta.events.unregister("after-call.kms.CreateKey", lose)
    product_kms().meta.events.register("before-call.kms.DescribeKey", answer_with_error)
    finished = run("create_key", {"request": onboarding()})

    assert finished["arn"] in before - {closed}
    assert set(account.snapshot()["keys"]) == before


def test_create_key_is_never_sent_twice_by_botocore(run: Run) -> None:
    sent: list[str] = []

    def fail(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(request.url)
        return AWSResponse(request.url, 500, HTTPHeaders(), Raw(b"{}"))

    events: Any = product_kms().meta.events
    events.register_first("before-send.kms.CreateKey", fail)

    with pytest.raises(TransientAwsError):
        run("create_key", {"request": onboarding()})

    assert len(sent) == 1


def note(account: Account, begun: datetime, key: str) -> None:
    """Records a key as an earlier attempt that created it does."""
    item = {"kind": "resource", "id": ALIAS, "begunAt": begun.isoformat(), "begunFor": "request-0", "keyArn": key}
    account.dynamodb.put_item(TableName=TABLE, Item={name: {"S": value} for name, value in item.items()})


def test_a_new_key_that_does_not_exist_everywhere_is_not_yet_effective(run: Run, account: Account) -> None:
    unknown = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    note(account, datetime.now(UTC), unknown)

    with pytest.raises(NotYetEffective):
        run("create_key", {"request": onboarding()})

    assert account.snapshot()["keys"] == {}


def test_a_recorded_key_that_is_pending_deletion_is_replaced(run: Run, account: Account) -> None:
    dying = account.key()
    account.kms.schedule_key_deletion(KeyId=dying, PendingWindowInDays=7)
    note(account, datetime.now(UTC), dying)

    made = run("create_key", {"request": onboarding()})

    assert made["arn"] != dying
    assert account.kms.describe_key(KeyId=ALIAS)["KeyMetadata"]["Arn"] == made["arn"]


def test_a_key_that_is_being_removed_gets_no_new_access(run: Run, account: Account) -> None:
    key = account.key(alias=ALIAS)
    item = {"kind": {"S": "resource"}, "id": {"S": key}, "removing": {"S": "2026-11-22T08:00:00Z"}}
    account.dynamodb.put_item(TableName=TABLE, Item=item)

    with pytest.raises(NotYetEffective):
        run("create_key", {"request": onboarding()})


def test_a_key_that_a_rollback_removes_gets_no_new_alias(run: Run, account: Account) -> None:
    made = run("create_key", {"request": onboarding()})
    registry().resources.begin_removal(made["arn"], "mediatailor/sourceLocation/sports-origin")
    account.kms.delete_alias(AliasName=ALIAS)

    with pytest.raises(NotYetEffective):
        run("create_key", {"request": onboarding(requestId="request-2", resource={"sourceLocation": "news-origin"})})

    assert ALIAS not in [alias["AliasName"] for alias in account.kms.list_aliases()["Aliases"]]


def test_a_key_that_is_removed_before_it_is_referred_to_is_not_used(run: Run, account: Account) -> None:
    made = run("create_key", {"request": onboarding()})
    ends = [ALIAS]

    def end_removal(**_: Any) -> None:
        if ends:
            account.kms.delete_alias(AliasName=ends.pop())

    clients.dynamodb().meta.events.register("before-call.dynamodb.UpdateItem", end_removal)

    with pytest.raises(TransientAwsError):
        run("create_key", {"request": onboarding(requestId="request-2", resource={"sourceLocation": "news-origin"})})

    assert references(account, made["arn"]) == ["mediatailor/sourceLocation/sports-origin"]


def test_an_adopted_key_keeps_its_own_settings(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    account.kms.disable_key_rotation(KeyId=key)
    before = account.snapshot()

    found = run("create_key", {"request": onboarding(key={"arn": key})})

    assert (found["arn"], found["changed"]) == (key, False)
    assert references(account, key) == ["mediatailor/sourceLocation/sports-origin"]
    assert account.snapshot() == before | {"table": [*account.items("journal"), *account.items("resource")]}


@pytest.mark.parametrize("by", ["arn", "alias"])
def test_an_adopted_key_propagates_from_now_on(run: Run, account: Account, by: str) -> None:
    """Tags take minutes to propagate, and a sender who reads of a missing tag adds it and sends the request again."""
    key = account.key(tags=ADOPT)
    account.kms.create_alias(AliasName="alias/theirs", TargetKeyId=key)
    begun = datetime.now(UTC)

    found = run("create_key", {"request": onboarding(key={"arn": key} if by == "arn" else {"alias": "alias/theirs"})})

    assert found["arn"] == key
    assert begun <= datetime.fromisoformat(found["settlesFrom"]) <= datetime.now(UTC)


def test_an_adopted_key_that_was_deleted_in_the_meantime_is_a_conflict(run: Run) -> None:
    gone = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"

    with pytest.raises(Conflict):
        run("create_key", {"request": onboarding(key={"arn": gone})})


def hold(account: Account, name: str, until: float) -> None:
    """Holds a lease for another request."""
    item = {"kind": {"S": "lease"}, "id": {"S": name}, "holder": {"S": "another"}, "expiresAt": {"N": str(int(until))}}
    account.dynamodb.put_item(TableName=TABLE, Item=item)


def test_a_request_waits_while_another_one_creates_the_key(run: Run, account: Account) -> None:
    hold(account, f"alias {ALIAS}", time.time() + 60)

    with pytest.raises(NotYetEffective):
        run("create_key", {"request": onboarding()})

    assert account.snapshot()["keys"] == {}
    assert [item["holder"]["S"] for item in account.items("lease")] == ["another"]


def test_the_lease_of_a_crashed_request_expires(run: Run, account: Account) -> None:
    hold(account, f"alias {ALIAS}", time.time() - 60)

    assert run("create_key", {"request": onboarding()})["changed"] is True


def test_a_failure_releases_the_lease(run: Run, account: Account) -> None:
    def fail(**_: object) -> None:
        raise TransientAwsError("the response was lost")

    product_kms().meta.events.register("before-call.kms.EnableKeyRotation", fail)
    with pytest.raises(TransientAwsError):
        run("create_key", {"request": onboarding()})

    assert account.items("lease") == []


@pytest.mark.parametrize("tags", [{}, OURS], ids=["foreign", "with a forged tag"])
def test_a_key_that_got_the_alias_after_the_check_needs_consent(run: Run, account: Account, tags: dict[str, str]) -> None:
    """A retry finds a key that a person put under the alias."""
    key = account.key(tags=tags)
    account.kms.create_alias(AliasName="alias/latchkey/mediatailor", TargetKeyId=key)

    with pytest.raises(Conflict):
        run("create_key", {"request": onboarding()})

    assert account.items("resource") == []
