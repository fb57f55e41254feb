"""Points about CDN authorization: how MediaPackage assumes the role that reads the secret, and what a PUT does."""

import secrets
import time
import urllib.error
import urllib.request
from typing import Any

from botocore.exceptions import ClientError

from live_check.answers import Answer, UnsettledError
from live_check.check import Check, described, outcome
from live_check.patience import PROPAGATION
from live_check.points.register import point

_HEADER = "X-MediaPackage-CDNIdentifier"
# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-rotate.html
_CACHE = 600.0


@point("live-source-account", "P1", "mediapackage", switch="sourceAccountSent.mediapackage")
def live_source_account(check: Check) -> Answer:
    """Does MediaPackage v1 send aws:SourceAccount when it assumes the role of a live endpoint?

    Seen: CreateOriginEndpoint with a role whose trust policy has no condition, and with one that requires aws:SourceAccount.
    https://docs.aws.amazon.com/mediapackage/latest/ug/setting-up-create-trust-rel-policy-cdn.html
    """
    channel = _channel(check)
    return _is_sent(check, lambda suffix, role: _endpoint(check, channel, suffix, _authorization(check, role)))


@point("vod-source-account", "P1", "mediapackage-vod", switch="sourceAccountSent.mediapackage-vod")
def vod_source_account(check: Check) -> Answer:
    """Does MediaPackage VOD send aws:SourceAccount when it assumes the role of a packaging group?

    Seen: CreatePackagingGroup with a role whose trust policy has no condition, and with one that requires aws:SourceAccount.
    https://docs.aws.amazon.com/mediapackage/latest/ug/setting-up-create-trust-rel-policy-cdn.html
    """
    vod = check.client("mediapackage-vod")

    def create(suffix: str, role: str) -> None:
        vod.create_packaging_group(Id=check.name(suffix), Authorization=_authorization(check, role), Tags=check.run.tags)

    return _is_sent(check, create)


@point("v2-source-account", "P1", "mediapackagev2", switch="sourceAccountSent.mediapackagev2")
def v2_source_account(check: Check) -> Answer:
    """Does MediaPackage v2 send aws:SourceAccount when it assumes the role of an endpoint?

    Seen: PutOriginEndpointPolicy with a role whose trust policy has no condition, and with one that requires aws:SourceAccount.
    https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html
    """
    v2, name = check.client("mediapackagev2"), check.name()
    group = {"ChannelGroupName": name}
    channel = group | {"ChannelName": "channel"}
    endpoint = channel | {"OriginEndpointName": "endpoint"}
    v2.create_channel_group(**group, Tags=check.run.tags)
    v2.create_channel(**channel, Tags=check.run.tags)
    arn = v2.create_origin_endpoint(**endpoint, ContainerType="TS", Tags=check.run.tags)["Arn"]
    policy = f"""{{"Version": "2012-10-17", "Statement": [{{"Sid": "Cdn", "Effect": "Allow", "Principal": "*",
        "Action": "mediapackagev2:GetObject", "Resource": "{arn}",
        "Condition": {{"Bool": {{"mediapackagev2:RequestHasMatchingCdnAuthHeader": "true"}}}}}}]}}"""

    def put(_: str, role: str) -> None:
        cdn = {"CdnIdentifierSecretArns": [check.output("CdnIdentifierV2Arn")], "SecretsRoleArn": check.output(f"{role}Arn")}
        v2.put_origin_endpoint_policy(**endpoint, Policy=policy, CdnAuthConfiguration=cdn)

    return _is_sent(check, put)


def _is_sent(check: Check, configure: Any) -> Answer:
    """Configures a resource with both roles. The second counts only after the first was accepted, so both are effective."""
    try:
        check.eventually(lambda: configure("any", "Reader"))
    except ClientError as error:
        raise UnsettledError(f"The role without condition was not accepted: the call {described(error)}.") from None
    denied = outcome(lambda: check.eventually(lambda: configure("conditional", "ReaderOfThisAccount"), PROPAGATION))
    return Answer(denied is None, f"With the condition aws:SourceAccount in the trust policy, the call {described(denied)}.")


@point("live-needs-decrypt", "P2", "mediapackage")
def live_needs_decrypt(check: Check) -> Answer:
    """Does the role of MediaPackage v1 need kms:Decrypt if the secret has a customer managed key?

    Seen: CreateOriginEndpoint with a role that lacks the permission, after one that has it.
    https://docs.aws.amazon.com/mediapackage/latest/ug/setting-up-create-trust-rel-policy-cdn.html
    """
    channel = _channel(check)
    check.eventually(lambda: _endpoint(check, channel, "complete", _authorization(check, "Reader")))
    lacking = _authorization(check, "ReaderWithoutDecrypt")
    denied = outcome(lambda: check.eventually(lambda: _endpoint(check, channel, "lacking", lacking), PROPAGATION))
    return Answer(denied is not None, f"With a role that lacks kms:Decrypt, CreateOriginEndpoint {described(denied)}.")


@point("endpoint-put", "P4", "mediapackage", switch="omittedOnPut")
def endpoint_put(check: Check) -> Answer:
    """Does UpdateOriginEndpoint of MediaPackage v1 keep or clear a member that is omitted?

    Seen: DescribeOriginEndpoint after an update that names only the id.
    https://docs.aws.amazon.com/mediapackage/latest/apireference/origin_endpoints-id.html
    """
    channel, mediapackage = _channel(check), check.client("mediapackage")
    name = _endpoint(check, channel, "", None)
    mediapackage.update_origin_endpoint(Id=name)
    found = mediapackage.describe_origin_endpoint(Id=name)
    kept = {member: bool(found.get(member)) for member in ("Description", "HlsPackage", "TimeDelaySeconds")}
    seen = ", ".join(f"{member} was {'kept' if is_kept else 'cleared'}" for member, is_kept in kept.items())
    return Answer("keep" if kept["Description"] else "clear", f"{seen}.")


@point("cdn-authorization-delay", "P3", "mediapackage", switch="cdnAuthDelaySeconds", minutes=25)
def cdn_authorization_delay(check: Check) -> Answer:
    """How many seconds after a rotation does MediaPackage v1 accept the new value of the secret?

    Seen: requests to a live endpoint without content. MediaPackage answers 403 for a wrong value, and not for a right one.
    The check generates the values of its own secret for this, and never prints or records them.
    https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-rotate.html
    """
    mediapackage, manager = check.client("mediapackage"), check.client("secretsmanager")
    before, after = secrets.token_hex(20), secrets.token_hex(20)
    secret = f"{check.run.secret_prefix}/{check.point}"
    tags = [{"Key": key, "Value": value} for key, value in check.run.tags.items()]
    key = check.output("KeyArn")
    made = manager.create_secret(Name=secret, SecretString=_identifier(before), KmsKeyId=key, Tags=tags)["ARN"]
    _let_read(check, made)
    asked = {"CdnIdentifierSecret": made, "SecretsRoleArn": check.output("ReaderArn")}
    channel = _channel(check)
    name = check.eventually(lambda: _endpoint(check, channel, "", asked))
    url = mediapackage.describe_origin_endpoint(Id=name)["Url"]
    if not check.until(lambda: _status(url, before) != 403 and _status(url, after) == 403, _CACHE):
        raise UnsettledError("The endpoint does not distinguish the value of the secret from another value.")
    manager.put_secret_value(SecretId=made, SecretString=_identifier(after))
    start, last = time.monotonic(), 0.0

    def is_accepted() -> bool:
        nonlocal last
        asked_at = time.monotonic() - start
        if _status(url, after) == 403:
            last = asked_at
            return False
        return True

    if not check.until(is_accepted, 2 * _CACHE):
        raise UnsettledError(f"The new value was not accepted within {2 * _CACHE / 60:g} minutes.")
    return Answer(round(last, 1), f"The last request that was refused was {last:.1f} seconds after the rotation.")


def _channel(check: Check) -> str:
    name = check.name()
    check.client("mediapackage").create_channel(Id=name, Tags=check.run.tags)
    return name


def _endpoint(check: Check, channel: str, suffix: str, authorization: dict[str, str] | None) -> str:
    name = check.name(suffix)
    members: dict[str, Any] = {
        "Description": "Latchkey live check",
        "HlsPackage": {"SegmentDurationSeconds": 4},
        "TimeDelaySeconds": 5,
    }
    members |= {"Authorization": authorization} if authorization else {}
    check.client("mediapackage").create_origin_endpoint(Id=name, ChannelId=channel, Tags=check.run.tags, **members)
    return name


def _authorization(check: Check, role: str) -> dict[str, str]:
    return {"CdnIdentifierSecret": check.output("CdnIdentifierArn"), "SecretsRoleArn": check.output(f"{role}Arn")}


def _identifier(value: str) -> str:
    return f'{{"MediaPackageCDNIdentifier": "{value}"}}'


def _let_read(check: Check, secret_arn: str) -> None:
    """Lets the role read a secret that is not in the stack, by the policy of the secret."""
    actions = '["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]'
    policy = f"""{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
        "Principal": {{"AWS": "{check.output("ReaderArn")}"}}, "Action": {actions}, "Resource": "{secret_arn}"}}]}}"""
    manager = check.client("secretsmanager")
    check.eventually(lambda: manager.put_resource_policy(SecretId=secret_arn, ResourcePolicy=policy, BlockPublicPolicy=True))


def _status(url: str, value: str) -> int:
    """Returns the status of a request to an endpoint of the check with a value of its own secret."""
    request = urllib.request.Request(url, headers={_HEADER: value})  # noqa: S310 - the URL is that of the endpoint
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 403  # not reachable yet
