"""MediaTailor: source locations and their access configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.errors import Conflict, TransientAwsError
from latchkey.place import Place
from latchkey.systems.mediatailor import MEDIATAILOR, SourceLocation, SourceLocations
from latchkey.systems.system import Configured, Reading
from tests.unit.samples import ACCOUNT, KEY_ARN, KINDS, PLACE, SECRET_ARN, desired

SOURCE_LOCATION_ARN = PLACE.arn("mediatailor", "sourceLocation/sports-origin")


def test_mediatailor_reads_as_its_documented_service_principal() -> None:
    assert MEDIATAILOR.granted
    reader, _ = MEDIATAILOR.granted
    china = Place(partition="aws-cn", account=ACCOUNT, region="cn-north-1")
    assert reader.principal == "mediatailor.amazonaws.com"
    assert reader.via_service(PLACE) == "mediatailor.eu-west-1.amazonaws.com"
    assert reader.via_service(china) == "mediatailor.cn-north-1.amazonaws.com"
    assert reader.grant_name(PLACE, "sports-origin") == f"MediaTailor-SourceLocation-{ACCOUNT}-sports-origin"


READING = Reading(SECRET_ARN)
RESOURCE = SourceLocation.model_validate(KINDS["mediatailor"]["resource"])
BY_SECRET = {
    "AccessType": "SECRETS_MANAGER_ACCESS_TOKEN",
    "SecretsManagerAccessTokenConfiguration": {
        "HeaderName": "X-Origin-Token",
        "SecretArn": SECRET_ARN,
        "SecretStringKey": "MyAccessTokenIdentifier",
    },
}
NAMED = {"SourceLocationName": "sports-origin"}
WANTED: dict[str, Any] = NAMED | {
    "HttpConfiguration": {"BaseUrl": "https://origin.example.com/vod"},
    "AccessConfiguration": BY_SECRET,
}
SEGMENTS: dict[str, Any] = {
    "DefaultSegmentDeliveryConfiguration": {"BaseUrl": "https://cdn.example.com"},
    "SegmentDeliveryConfigurations": [{"Name": "second", "BaseUrl": "https://cdn2.example.com"}],
}


def described(**members: Any) -> dict[str, Any]:
    """A response of DescribeSourceLocation."""
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    return {
        "Arn": SOURCE_LOCATION_ARN,
        "SourceLocationName": "sports-origin",
        "CreationTime": moment,
        "LastModifiedTime": moment,
        "HttpConfiguration": {"BaseUrl": "https://origin.example.com/vod"},
    } | members


@pytest.fixture
def mediatailor() -> Any:
    return boto3.client("mediatailor")


@pytest.fixture
def answers(mediatailor: Any) -> Iterator[Stubber]:
    with Stubber(mediatailor) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_a_location_that_sends_our_token_has_the_wanted_settings(mediatailor: Any, answers: Stubber) -> None:
    answers.add_response("describe_source_location", described(AccessConfiguration=BY_SECRET), NAMED)
    found = SourceLocations().read(mediatailor, RESOURCE)
    assert found is not None
    assert (found.arn, found.secret_arn) == (SOURCE_LOCATION_ARN, SECRET_ARN)
    assert found.settings == SourceLocations().wanted(RESOURCE, READING)


def test_a_location_without_access_configuration_sends_no_token(mediatailor: Any, answers: Stubber) -> None:
    answers.add_response("describe_source_location", described(), NAMED)
    found = SourceLocations().read(mediatailor, RESOURCE)
    assert found is not None
    assert found.secret_arn is None
    assert found.settings["baseUrl"] == "https://origin.example.com/vod"
    assert found.settings["accessType"] == ""


def test_a_location_that_signs_requests_sends_no_token(mediatailor: Any, answers: Stubber) -> None:
    answers.add_response(
        "describe_source_location", described(AccessConfiguration=BY_SECRET | {"AccessType": "S3_SIGV4"}), NAMED
    )
    found = SourceLocations().read(mediatailor, RESOURCE)
    assert found is not None
    assert found.secret_arn is None
    assert found.settings != SourceLocations().wanted(RESOURCE, READING)


def test_a_404_means_that_there_is_no_location(mediatailor: Any, answers: Stubber) -> None:
    answers.add_client_error("describe_source_location", "NotFound", http_status_code=404)
    assert SourceLocations().read(mediatailor, RESOURCE) is None


def test_a_400_means_absence_only_if_a_complete_list_lacks_the_name(mediatailor: Any, answers: Stubber) -> None:
    answers.add_client_error("describe_source_location", "BadRequestException", http_status_code=400)
    answers.add_response("list_source_locations", {"NextToken": "1"}, {"MaxResults": 100})
    answers.add_response(
        "list_source_locations", {"Items": [_listed("sports")], "NextToken": "2"}, {"MaxResults": 100, "NextToken": "1"}
    )
    answers.add_response(
        "list_source_locations", {"Items": [_listed("sports-origin-2")]}, {"MaxResults": 100, "NextToken": "2"}
    )
    assert SourceLocations().read(mediatailor, RESOURCE) is None


def test_the_list_of_locations_has_all_of_its_pages(mediatailor: Any, answers: Stubber) -> None:
    answers.add_response("list_source_locations", {"Items": [], "NextToken": "1"}, {"MaxResults": 100})
    answers.add_response("list_source_locations", {"Items": [_listed("sports-origin")]}, {"MaxResults": 100, "NextToken": "1"})
    assert [*SourceLocations().listed(mediatailor)] == ["sports-origin"]


def test_a_400_for_a_location_on_a_later_page_is_an_error(mediatailor: Any, answers: Stubber) -> None:
    answers.add_client_error("describe_source_location", "BadRequestException", http_status_code=400)
    answers.add_response("list_source_locations", {"Items": [], "NextToken": "1"}, {"MaxResults": 100})
    answers.add_response("list_source_locations", {"Items": [_listed("sports-origin")]}, {"MaxResults": 100, "NextToken": "1"})
    with pytest.raises(ClientError, match="BadRequestException"):
        SourceLocations().read(mediatailor, RESOURCE)


@pytest.mark.parametrize("status", [403, 429, 500])
def test_other_errors_do_not_mean_absence(mediatailor: Any, answers: Stubber, status: int) -> None:
    answers.add_client_error("describe_source_location", "Something", http_status_code=status)
    with pytest.raises(ClientError, match="Something"):
        SourceLocations().read(mediatailor, RESOURCE)


def test_a_location_is_created_with_token_and_tags(mediatailor: Any, answers: Stubber) -> None:
    answers.add_response("create_source_location", described(), WANTED | {"Tags": {"team": "sports"}})
    assert SourceLocations().create(mediatailor, RESOURCE, READING, {"team": "sports"})


def test_an_existing_location_is_not_reported_as_created(mediatailor: Any, answers: Stubber) -> None:
    answers.add_client_error("create_source_location", "BadRequestException", http_status_code=400)
    answers.add_response("describe_source_location", described(), NAMED)
    assert not SourceLocations().create(mediatailor, RESOURCE, READING, {})


def test_a_location_that_cannot_be_created_is_an_error(mediatailor: Any, answers: Stubber) -> None:
    answers.add_client_error("create_source_location", "BadRequestException", "of creating", http_status_code=400)
    answers.add_client_error("describe_source_location", "NotFound", http_status_code=404)
    with pytest.raises(ClientError, match="of creating"):
        SourceLocations().create(mediatailor, RESOURCE, READING, {})


@pytest.mark.parametrize(
    ("present", "kept"),
    [
        (SEGMENTS, SEGMENTS),
        ({"SegmentDeliveryConfigurations": []}, {}),
        ({"AccessConfiguration": {"AccessType": "S3_SIGV4"}}, {}),
    ],
    ids=["segment delivery", "nothing to keep", "another way of access"],
)
def test_an_updated_location_keeps_its_other_settings(
    mediatailor: Any, answers: Stubber, present: dict[str, Any], kept: dict[str, Any]
) -> None:
    answers.add_response("describe_source_location", described(**present), NAMED)
    answers.add_response("update_source_location", described(), WANTED | kept)
    found = SourceLocations().read(mediatailor, RESOURCE)
    assert found is not None
    SourceLocations().update(mediatailor, RESOURCE, READING, found)


@pytest.mark.parametrize(
    "present",
    [
        {},
        SEGMENTS,
        {"AccessConfiguration": {"AccessType": "S3_SIGV4"}},
        SEGMENTS | {"AccessConfiguration": BY_SECRET, "HttpConfiguration": {"BaseUrl": "http://former.example.com"}},
    ],
    ids=["plain", "segment delivery", "another way of access", "another secret and host"],
)
def test_all_settings_of_a_location_are_restored(mediatailor: Any, answers: Stubber, present: dict[str, Any]) -> None:
    answers.add_response("describe_source_location", described(Tags={"team": "sports"}, **present), NAMED)
    before = SourceLocations().read(mediatailor, RESOURCE)
    assert before is not None
    # The registry stores it as JSON.
    noted = json.loads(json.dumps(before.full_settings))
    assert noted == before.full_settings
    http = {"HttpConfiguration": {"BaseUrl": "https://origin.example.com/vod"}}
    answers.add_response("update_source_location", described(), NAMED | http | present)
    SourceLocations().restore(mediatailor, noted)


BARE = {member: value for member, value in WANTED.items() if member != "AccessConfiguration"}
WITH_TOKEN = {"AccessConfiguration": BY_SECRET}
FORMER_URL = {"HttpConfiguration": {"BaseUrl": "https://former.example.com"}}


def with_token(mediatailor: Any, answers: Stubber) -> Configured:
    """The present configuration, which sends the token."""
    answers.add_response("describe_source_location", described(**WITH_TOKEN), NAMED)
    present = SourceLocations().read(mediatailor, RESOURCE)
    assert present is not None
    return present


def test_a_token_is_removed_by_omitting_the_access_configuration(mediatailor: Any, answers: Stubber) -> None:
    present = with_token(mediatailor, answers)
    answers.add_response("update_source_location", described(), BARE)
    answers.add_response("describe_source_location", described(), NAMED)
    SourceLocations().restore_from(mediatailor, present, BARE | {"AccessConfiguration": {}})


def test_a_former_url_is_restored_after_the_token_is_removed(mediatailor: Any, answers: Stubber) -> None:
    present = with_token(mediatailor, answers)
    answers.add_response("update_source_location", described(), BARE)
    answers.add_response("describe_source_location", described(**WITH_TOKEN), NAMED)
    answers.add_response("update_source_location", described(), BARE | {"AccessConfiguration": {}})
    answers.add_response("describe_source_location", described(), NAMED)
    answers.add_response("update_source_location", described(), BARE | FORMER_URL)
    SourceLocations().restore_from(mediatailor, present, BARE | FORMER_URL | {"AccessConfiguration": {}})


def test_a_location_that_is_deleted_while_its_token_is_removed_is_left_alone(mediatailor: Any, answers: Stubber) -> None:
    present = with_token(mediatailor, answers)
    answers.add_response("update_source_location", described(), BARE)
    answers.add_client_error("describe_source_location", "NotFound", http_status_code=404)
    SourceLocations().restore_from(mediatailor, present, BARE | {"AccessConfiguration": {}})


@pytest.mark.parametrize("refused", [True, False], ids=["an empty one is refused", "an empty one is ignored"])
def test_a_token_that_no_update_removes_is_a_conflict(mediatailor: Any, answers: Stubber, refused: bool) -> None:
    present = with_token(mediatailor, answers)
    answers.add_response("update_source_location", described(), BARE)
    answers.add_response("describe_source_location", described(**WITH_TOKEN), NAMED)
    if refused:
        answers.add_client_error("update_source_location", "BadRequestException", "is empty", http_status_code=400)
    else:
        answers.add_response("update_source_location", described(), BARE | {"AccessConfiguration": {}})
    answers.add_response("describe_source_location", described(**WITH_TOKEN), NAMED)
    with pytest.raises(Conflict) as caught:
        SourceLocations().restore_from(mediatailor, present, BARE | {"AccessConfiguration": {}})
    assert ("is empty" in str(caught.value)) == refused


@pytest.mark.parametrize(("status", "empty"), [(400, False), (403, True)])
def test_another_error_while_a_token_is_removed_is_raised(mediatailor: Any, answers: Stubber, status: int, empty: bool) -> None:
    present = with_token(mediatailor, answers)
    if empty:
        answers.add_response("update_source_location", described(), BARE)
        answers.add_response("describe_source_location", described(**WITH_TOKEN), NAMED)
    answers.add_client_error("update_source_location", "Denied", http_status_code=status)
    with pytest.raises(ClientError, match="Denied"):
        SourceLocations().restore_from(mediatailor, present, BARE | {"AccessConfiguration": {}})


def test_a_location_that_changes_while_its_token_is_removed_is_read_again(mediatailor: Any, answers: Stubber) -> None:
    present = with_token(mediatailor, answers)
    answers.add_response("update_source_location", described(), BARE)
    answers.add_response("describe_source_location", described(**FORMER_URL, **WITH_TOKEN), NAMED)
    with pytest.raises(TransientAwsError):
        SourceLocations().restore_from(mediatailor, present, BARE | {"AccessConfiguration": {}})


def test_another_token_is_restored_by_one_update(mediatailor: Any, answers: Stubber) -> None:
    present = with_token(mediatailor, answers)
    answers.add_response("update_source_location", described(), WANTED | FORMER_URL)
    SourceLocations().restore_from(mediatailor, present, WANTED | FORMER_URL)


def test_altered_settings_differ_in_the_case_of_the_header_only() -> None:
    altered = SourceLocations().altered(WANTED)

    assert altered is not None
    token = altered["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    assert token["HeaderName"] == "x-oRIGIN-tOKEN"
    assert SourceLocations().altered(altered) == WANTED


@pytest.mark.parametrize("header", [None, "12-34"], ids=["no token", "a header without letters"])
def test_settings_without_a_header_that_has_a_case_cannot_be_altered(header: str | None) -> None:
    token = {"SecretsManagerAccessTokenConfiguration": {"HeaderName": header}} if header else {}
    assert SourceLocations().altered(BARE | {"AccessConfiguration": token}) is None


def test_the_tags_of_a_location_are_read(mediatailor: Any, answers: Stubber) -> None:
    for tags in ({"latchkey:request": "request-1"}, None):
        answers.add_response("describe_source_location", described(**({"Tags": tags} if tags else {})), NAMED)
        found = SourceLocations().read(mediatailor, RESOURCE)
        assert found is not None
        assert found.tags == (tags or {})


def test_a_location_is_deleted_by_its_name(mediatailor: Any, answers: Stubber) -> None:
    answers.add_response("delete_source_location", {}, NAMED)
    SourceLocations().delete(mediatailor, RESOURCE)


def test_a_location_that_is_in_use_is_not_deleted(mediatailor: Any, answers: Stubber) -> None:
    answers.add_client_error("delete_source_location", "BadRequestException", http_status_code=400)
    with pytest.raises(ClientError, match="BadRequestException"):
        SourceLocations().delete(mediatailor, RESOURCE)


def test_alerts_of_all_pages_are_listed_once(mediatailor: Any, answers: Stubber) -> None:
    asked = {"ResourceArn": SOURCE_LOCATION_ARN}
    answers.add_response("list_alerts", {"Items": [_alert("UNAUTHORIZED")], "NextToken": "1"}, asked)
    answers.add_response("list_alerts", {"NextToken": "2"}, asked | {"NextToken": "1"})
    both = [_alert("NOT_PROCESSED"), _alert("UNAUTHORIZED")]
    answers.add_response("list_alerts", {"Items": both}, asked | {"NextToken": "2"})
    assert SourceLocations().alerts(mediatailor, SOURCE_LOCATION_ARN) == ("NOT_PROCESSED", "UNAUTHORIZED")


@pytest.mark.parametrize("reading", [READING, None])
def test_a_handoff_contains_the_settings_of_the_location(reading: Reading | None) -> None:
    secret_arn = reading.secret_arn if reading else ""
    handoff = MEDIATAILOR.handoff(RESOURCE, reading, KEY_ARN, PLACE)
    assert handoff.values == {
        "SourceLocationName": "sports-origin",
        "BaseUrl": "https://origin.example.com/vod",
        "AccessType": "SECRETS_MANAGER_ACCESS_TOKEN",
        "HeaderName": "X-Origin-Token",
        "SecretArn": secret_arn,
        "SecretStringKey": "MyAccessTokenIdentifier",
    }
    assert "managementRoles" in handoff.steps[0]
    assert handoff.cloud_formation
    properties = handoff.cloud_formation["SourceLocation"]["Properties"]
    assert properties["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["SecretArn"] == secret_arn


def test_the_request_names_the_member_of_the_secret() -> None:
    shape = desired({"resource.secretKey": "MediaPackageCDNIdentifier"}).secret_shape
    assert shape
    assert (shape.member, shape.generated, shape.exclusive) == ("MediaPackageCDNIdentifier", (8, 128), False)


def _listed(name: str) -> dict[str, Any]:
    return {"Arn": f"arn:{name}", "SourceLocationName": name, "HttpConfiguration": {"BaseUrl": "https://a"}}


def _alert(code: str) -> dict[str, Any]:
    return {
        "AlertCode": code,
        "AlertMessage": "",
        "LastModifiedTime": datetime(2026, 11, 22, tzinfo=UTC),
        "RelatedResourceArns": [],
        "ResourceArn": SOURCE_LOCATION_ARN,
    }


def test_settings_of_others_are_neither_those_found_nor_those_left() -> None:
    configuration = SourceLocations()
    found, left = {"HttpConfiguration": {"BaseUrl": "https://a"}}, {"HttpConfiguration": {"BaseUrl": "https://b"}}

    assert configuration.settings_of_others(found, found, left) == frozenset()
    assert configuration.settings_of_others(left, found, left) == frozenset()
    theirs = {"HttpConfiguration": {"BaseUrl": "https://c"}}
    assert configuration.settings_of_others(theirs, found, left) == {"HttpConfiguration"}
