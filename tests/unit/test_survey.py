"""A survey reads grants, resource and secret completely, or reports what it could not read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.access.grants import granted_resource
from latchkey.aws.clients import botocore_session
from latchkey.cleanup.survey import Surveyor
from latchkey.errors import AccessDenied, TransientAwsError
from latchkey.systems import SYSTEMS
from tests.unit.samples import ACCOUNT, EXISTING_ARN, KEY_ARN, PLACE, SECRET_ARN

SUBJECT = granted_resource("mediatailor/sourceLocation/sports", PLACE)
OTHER_KEY = f"{KEY_ARN}0"
_SESSION = boto3.session.Session(botocore_session=botocore_session())
LOCATION = {"SourceLocationName": "sports"}
READING = {"Sid": "Reading", "Effect": "Allow", "Principal": {"Service": "mediatailor.amazonaws.com"}}
POLICY = {"Statement": [READING | {"Action": "secretsmanager:GetSecretValue", "Resource": SECRET_ARN}]}


class Aws:
    """Stubs of three services. A response that is not used fails the test."""

    def __init__(self, stack: ExitStack) -> None:
        clients: dict[str, Any] = {name: _SESSION.client(name) for name in ("kms", "secretsmanager", "mediatailor")}
        self._stubs = {name: stack.enter_context(Stubber(client)) for name, client in clients.items()}
        self.looking = Surveyor(clients["kms"], clients["secretsmanager"], clients.__getitem__)

    def grants(self, key: str, *grants: dict[str, Any]) -> None:
        self._stubs["kms"].add_response("list_grants", {"Grants": [*grants]}, {"KeyId": key, "Limit": 100})

    def location(self, secret: str | None) -> None:
        response = {"Arn": SUBJECT.resource_arn, "HttpConfiguration": {"BaseUrl": "https://o.example.com"}} | LOCATION
        self._stubs["mediatailor"].add_response("describe_source_location", response | _access(secret), LOCATION)

    def no_location(self, status: int = 404) -> None:
        self.fail("mediatailor", "describe_source_location", "", status)

    def locations(self, *pages: dict[str, str | None]) -> None:
        for at, page in enumerate(pages):
            items: list[dict[str, Any]] = [
                {"Arn": "a", "HttpConfiguration": {"BaseUrl": "https://o"}, "SourceLocationName": name} | _access(secret)
                for name, secret in page.items()
            ]
            asked = {"MaxResults": 100} | ({"NextToken": str(at)} if at else {})
            more = {"NextToken": str(at + 1)} if at + 1 < len(pages) else {}
            self._stubs["mediatailor"].add_response("list_source_locations", {"Items": items} | more, asked)

    def secret(self, asked: str = SECRET_ARN, policy: dict[str, Any] | None = POLICY, **members: Any) -> None:
        described = {"ARN": SECRET_ARN, "Name": "s", "KmsKeyId": KEY_ARN} | members
        self._stubs["secretsmanager"].add_response("describe_secret", described, {"SecretId": asked})
        if "DeletedDate" in members:
            return
        names = {"ResourcePolicies": [{"PolicyName": "default"}] if policy else []}
        self._stubs["secretsmanager"].add_response("list_resource_policies", names, {"SecretId": asked})
        if policy:
            named = {"SecretId": asked, "PolicyName": "default"}
            self._stubs["secretsmanager"].add_response("get_resource_policy", {"ResourcePolicy": json.dumps(policy)}, named)

    def versions(self, *keys: str) -> None:
        """The versions of the secret: the current one under these keys, and one before it."""
        listed = [
            {"VersionId": "1" * 32, "VersionStages": ["AWSPREVIOUS"], "KmsKeyIds": ["alias/former"]},
            {"VersionId": "2" * 32, "VersionStages": ["AWSCURRENT"]} | ({"KmsKeyIds": [*keys]} if keys else {}),
        ]
        self._stubs["secretsmanager"].add_response("list_secret_version_ids", {"Versions": listed}, {"SecretId": SECRET_ARN})

    def alias(self, alias: str) -> None:
        self._stubs["kms"].add_response(
            "describe_key",
            {"KeyMetadata": {"KeyId": "k", "Arn": KEY_ARN, "KeyState": "Enabled", "CreationDate": 0}},
            {"KeyId": alias},
        )

    def fail(self, service: str, operation: str, code: str, status: int = 400) -> None:
        self._stubs[service].add_client_error(operation, code, http_status_code=status)

    def end(self) -> None:
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()


def _access(secret: str | None) -> dict[str, Any]:
    if secret is None:
        return {}
    token = {"HeaderName": "X-Token", "SecretArn": secret, "SecretStringKey": "token"}
    by_secret = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}
    return {"AccessConfiguration": by_secret}


def _grant(secret: str = SECRET_ARN) -> dict[str, Any]:
    context = {"EncryptionContextSubset": {"SecretARN": secret}}
    return {"GrantId": "g-1", "Name": f"MediaTailor-SourceLocation-{ACCOUNT}-sports", "Constraints": context}


@pytest.fixture
def aws() -> Iterator[Aws]:
    with ExitStack() as stack:
        made = Aws(stack)
        yield made
        made.end()


def test_a_survey_contains_grants_resource_and_secret(aws: Aws) -> None:
    aws.grants(KEY_ARN, _grant())
    aws.location(SECRET_ARN)
    aws.secret()
    aws.versions(KEY_ARN)

    sight = aws.looking.survey(SUBJECT, [KEY_ARN])

    assert [grant.grant_id for grant in sight.grants] == ["g-1"]
    assert (sight.resource.exists, sight.resource.secret_arn) == (True, SECRET_ARN)
    secret = sight.secrets[SECRET_ARN]
    assert (secret.exists, secret.admits, secret.key_arn, secret.arn) == (True, True, KEY_ARN, SECRET_ARN)
    assert secret.statements == ("Reading",)


def test_a_location_without_a_token_has_no_secret(aws: Aws) -> None:
    aws.grants(KEY_ARN)
    aws.location(None)

    sight = aws.looking.survey(SUBJECT, [KEY_ARN])

    assert (sight.resource.exists, sight.resource.secret_arn, sight.secrets) == (True, None, {})


def test_the_new_key_of_the_secret_is_listed_too(aws: Aws) -> None:
    aws.grants(KEY_ARN, _grant())
    aws.location(SECRET_ARN)
    aws.secret(KmsKeyId=OTHER_KEY)
    aws.versions(OTHER_KEY, KEY_ARN)
    aws.grants(OTHER_KEY, _grant() | {"GrantId": "g-2"})

    sight = aws.looking.survey(SUBJECT, [KEY_ARN])

    assert [(grant.grant_id, grant.key_arn) for grant in sight.grants] == [("g-1", KEY_ARN), ("g-2", OTHER_KEY)]


@pytest.mark.parametrize(
    ("keys", "opens"),
    [
        ((KEY_ARN,), KEY_ARN),
        ((OTHER_KEY, KEY_ARN), OTHER_KEY),
        ((KEY_ARN, OTHER_KEY), OTHER_KEY),
        ((), OTHER_KEY),
        (("DefaultEncryptionKey",), None),
    ],
)
def test_the_key_of_a_secret_is_that_of_its_current_version(aws: Aws, keys: tuple[str, ...], opens: str | None) -> None:
    """The key of a secret is that of its next version if the caller that moved it could not decrypt this one."""
    aws.secret(KmsKeyId=OTHER_KEY)
    aws.versions(*keys)

    assert aws.looking.secrets(SUBJECT, SECRET_ARN)[SECRET_ARN].key_arn == opens


def test_the_versions_of_a_missing_secret_are_not_read(aws: Aws) -> None:
    aws.secret(DeletedDate=0)

    assert not aws.looking.secrets(SUBJECT, SECRET_ARN)[SECRET_ARN].exists


def test_the_key_of_another_secret_is_not_read(aws: Aws) -> None:
    """The key can belong to another account, which would deny the read."""
    aws.grants(KEY_ARN, _grant(EXISTING_ARN))
    aws.location(SECRET_ARN)
    aws.secret(KmsKeyId=OTHER_KEY)
    aws.versions(OTHER_KEY)

    assert len(aws.looking.survey(SUBJECT, [KEY_ARN]).grants) == 1


@pytest.mark.parametrize("status", [404, 400])
def test_a_location_is_absent_only_if_a_complete_list_lacks_it(aws: Aws, status: int) -> None:
    aws.no_location(status)
    pages: list[dict[str, str | None]] = [{}, {"sports-2": SECRET_ARN}, {}, {"news": None}]
    aws.locations(*pages)
    if status == 400:
        aws.locations(*pages)

    owner = aws.looking.resource(SUBJECT)

    assert owner.exists is False
    assert owner.evidence.endswith("is not in the complete list of 2")


def test_a_recent_list_is_not_read_again(aws: Aws) -> None:
    aws.no_location()

    assert aws.looking.resource(SUBJECT, {"sports-2": None}).exists is False


def test_a_location_that_is_listed_and_not_described_is_undecided(aws: Aws) -> None:
    aws.no_location()
    aws.locations({}, {"sports": SECRET_ARN})

    with pytest.raises(TransientAwsError, match="is listed but cannot be described"):
        aws.looking.resource(SUBJECT)


def test_a_denied_read_does_not_mean_absence(aws: Aws) -> None:
    aws.fail("mediatailor", "describe_source_location", "AccessDeniedException", 403)

    with pytest.raises(ClientError, match="AccessDenied"):
        aws.looking.resource(SUBJECT)


def test_an_incomplete_list_is_an_error(aws: Aws) -> None:
    aws.locations({"sports": SECRET_ARN, "news": None})
    assert aws.looking.secrets_by_resource(SUBJECT.system) == {"sports": SECRET_ARN, "news": None}

    aws.fail("mediatailor", "list_source_locations", "InternalServiceError", 500)
    with pytest.raises(ClientError, match="InternalServiceError"):
        aws.looking.secrets_by_resource(SUBJECT.system)


def test_a_missing_key_has_no_grants_and_a_denied_key_is_unreadable(aws: Aws) -> None:
    aws.fail("kms", "list_grants", "NotFoundException")
    assert aws.looking.grants([KEY_ARN])[1] == ()

    aws.fail("kms", "list_grants", "AccessDeniedException")
    with pytest.raises(AccessDenied, match="ListGrants is denied"):
        aws.looking.grants([KEY_ARN])


def test_a_survey_lists_unreadable_keys(aws: Aws) -> None:
    aws.grants(KEY_ARN, _grant())
    aws.fail("kms", "list_grants", "AccessDeniedException")
    aws.location(SECRET_ARN)
    aws.fail("secretsmanager", "describe_secret", "AccessDeniedException")

    sight = aws.looking.survey(SUBJECT, [KEY_ARN, OTHER_KEY])

    assert [grant.grant_id for grant in sight.grants] == ["g-1"]
    assert (sight.unreadable, sight.secrets) == (frozenset({OTHER_KEY}), {})


def test_a_secret_without_suffix_is_resolved_to_its_arn(aws: Aws) -> None:
    short = SECRET_ARN[: -len("-AbCdEf")]
    aws.secret(asked=short)
    aws.versions()

    secret = aws.looking.secret(SUBJECT, short)

    assert (secret.exists, secret.admits, secret.arn) == (True, True, SECRET_ARN)


@pytest.mark.parametrize(("policy", "admits"), [(POLICY, True), (None, False), ({"Statement": []}, False)])
def test_the_policy_of_a_secret_decides_whether_it_admits_the_service(
    aws: Aws, policy: dict[str, Any] | None, admits: bool
) -> None:
    aws.secret(policy=policy)
    aws.versions(KEY_ARN)

    assert aws.looking.secret(SUBJECT, SECRET_ARN).admits is admits


def test_a_secret_that_is_missing_or_scheduled_for_deletion_does_not_exist(aws: Aws) -> None:
    aws.secret(DeletedDate=0)
    dying = aws.looking.secret(SUBJECT, SECRET_ARN)
    aws.fail("secretsmanager", "describe_secret", "ResourceNotFoundException")
    absent = aws.looking.secret(SUBJECT, SECRET_ARN)

    assert [(secret.exists, secret.admits) for secret in (dying, absent)] == [(False, False)] * 2
    assert (dying.arn, absent.arn) == (SECRET_ARN, None)


def test_the_key_of_a_secret_is_resolved_to_its_arn(aws: Aws) -> None:
    aws.secret(KmsKeyId="alias/sports")
    aws.versions()
    aws.alias("alias/sports")
    assert aws.looking.secret(SUBJECT, SECRET_ARN).key_arn == KEY_ARN

    aws.secret(KmsKeyId="alias/lost")
    aws.versions()
    aws.fail("kms", "describe_key", "NotFoundException")
    assert aws.looking.secret(SUBJECT, SECRET_ARN).key_arn == "alias/lost"


def test_a_system_without_a_configuration_creates_no_grants(aws: Aws) -> None:
    with pytest.raises(TypeError, match="mediatailor"):
        aws.looking.secrets_by_resource(replace(SYSTEMS["mediatailor"], configuration=None))
