"""Points about the API of MediaTailor: what a PUT does, which statuses it answers, and what it sends to Secrets Manager."""

import json
import time

from live_check.answers import Answer, UnsettledError
from live_check.check import Check, described, outcome, status_of
from live_check.patience import PROPAGATION
from live_check.points.register import point
from live_check.points.source_locations import (
    alerts,
    create_location,
    create_vod_source,
    delete_location,
    describe,
    settings,
    token_access,
)

# AWS does not document how soon alerts are raised.
_ALERTS = 600.0
# CloudTrail usually delivers within minutes, https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html
_TRAIL = 900.0


@point("source-account", "M7", "mediatailor", switch="sourceAccountSent.mediatailor", minutes=25)
def source_account(check: Check) -> Answer:
    """Does MediaTailor send aws:SourceAccount when it reads the secret?

    Seen: the alerts of VOD sources with three secrets. The policy of the first lets MediaTailor read it, that of the second
    does not, and that of the third has the condition aws:SourceAccount. The third has the alerts of the first if it is sent.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_resource-policies.html
    """
    readable = _alerts_of(check, "readable", "Token")
    unreadable = _alerts_of(check, "unreadable", "UnreadableToken")
    conditional = _alerts_of(check, "conditional", "ConditionalToken")
    if not check.until(lambda: alerts(check, *readable) != alerts(check, *unreadable), _ALERTS):
        codes = ", ".join(sorted(alerts(check, *readable))) or "no alert"
        raise UnsettledError(f"Alerts do not show whether MediaTailor could read a secret: both sources have {codes}.")
    with_secret, without = alerts(check, *readable), alerts(check, *unreadable)
    if not check.until(lambda: alerts(check, *conditional) in (with_secret, without), _ALERTS):
        raise UnsettledError("The alerts of the third VOD source equal neither those of the first nor those of the second.")
    is_sent = alerts(check, *conditional) == with_secret
    shown = f"readable: {_listed(with_secret)}; unreadable: {_listed(without)}"
    return Answer(is_sent, f"The source with the condition has the alerts of the {_as(is_sent)} secret ({shown}).")


@point("unreadable-alert", "M15", "mediatailor", minutes=25)
def unreadable_alert(check: Check) -> Answer:
    """Which alerts does MediaTailor raise if it cannot read the secret?

    Seen: ListAlerts for the source location and a VOD source of a secret whose policy does not allow MediaTailor to read it.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-alerts.html
    """
    arns = _alerts_of(check, "", "UnreadableToken")
    check.until(lambda: alerts(check, *arns), _ALERTS)
    codes = _listed(alerts(check, *arns))
    return Answer(codes, f"The alerts are: {codes}.")


def _alerts_of(check: Check, suffix: str, secret: str) -> tuple[str, str]:
    name = create_location(check, suffix, secret)
    return describe(check, name)["Arn"], create_vod_source(check, name)


def _listed(codes: frozenset[str]) -> str:
    return ", ".join(sorted(codes)) or "none"


def _as(readable: bool) -> str:
    return "readable" if readable else "unreadable"


@point("omitted-access", "M9", "mediatailor", switch="omittedOnPut")
def omitted_access(check: Check) -> Answer:
    """Does UpdateSourceLocation keep or clear a member that is omitted?

    Seen: DescribeSourceLocation after an update without AccessConfiguration and DefaultSegmentDeliveryConfiguration.
    https://docs.aws.amazon.com/mediatailor/latest/apireference/API_UpdateSourceLocation.html
    """
    segments = {"BaseUrl": f"{check.stage.origin}/segments"}
    name = create_location(check, DefaultSegmentDeliveryConfiguration=segments)
    check.client("mediatailor").update_source_location(**settings(check, name, None))
    found = describe(check, name)
    kept = {member: bool(found.get(member)) for member in ("AccessConfiguration", "DefaultSegmentDeliveryConfiguration")}
    seen = ", ".join(f"{member} was {'kept' if is_kept else 'cleared'}" for member, is_kept in kept.items())
    return Answer("keep" if kept["AccessConfiguration"] else "clear", f"{seen}.")


@point("empty-access", "M10", "mediatailor", switch="emptyAccess")
def empty_access(check: Check) -> Answer:
    """Does an empty AccessConfiguration remove the token from a source location?

    Seen: DescribeSourceLocation after an update with `"AccessConfiguration": {}`, or the error.
    https://docs.aws.amazon.com/mediatailor/latest/apireference/API_UpdateSourceLocation.html
    """
    name = create_location(check)
    empty = settings(check, name, None) | {"AccessConfiguration": {}}
    refused = outcome(lambda: check.client("mediatailor").update_source_location(**empty))
    if refused:
        return Answer("refuse", f"UpdateSourceLocation {described(refused)}.")
    access = describe(check, name).get("AccessConfiguration") or {}
    is_kept = access.get("AccessType") == token_access(check)["AccessType"]
    return Answer(
        "keep" if is_kept else "accept", f"The update succeeded, and the token was {'kept' if is_kept else 'removed'}."
    )


@point("sources-first", "M11", "mediatailor", switch="sourcesFirst")
def sources_first(check: Check) -> Answer:
    """Does DeleteSourceLocation refuse a source location that has sources?

    Seen: the answer to DeleteSourceLocation for a location with a VOD source.
    https://docs.aws.amazon.com/mediatailor/latest/apireference/API_DeleteSourceLocation.html
    """
    name = create_location(check, secret=None)
    create_vod_source(check, name)
    refused = outcome(lambda: delete_location(check, name))
    return Answer(refused is not None, f"DeleteSourceLocation {described(refused)}.")


@point("missing-status", "M12", "mediatailor", switch="missingStatus")
def missing_status(check: Check) -> Answer:
    """Which HTTP status does MediaTailor answer for a source location that does not exist?

    Seen: the answers to DescribeSourceLocation and DeleteSourceLocation.
    https://docs.aws.amazon.com/mediatailor/latest/apireference/API_DescribeSourceLocation.html
    """
    missing = check.name()
    described_as, deleted_as = outcome(lambda: describe(check, missing)), outcome(lambda: delete_location(check, missing))
    if described_as is None:
        raise UnsettledError("DescribeSourceLocation found the source location.")
    seen = f"DescribeSourceLocation {described(described_as)}, DeleteSourceLocation {described(deleted_as)}."
    return Answer(status_of(described_as), seen)


@point("denial-status", "M13", "mediatailor", "kms", switch="denialStatus")
def denial_status(check: Check) -> Answer:
    """Which HTTP status does MediaTailor answer if its caller lacks kms:CreateGrant?

    Seen: the answer to CreateSourceLocation by a role without the permission, after another role succeeded.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-configuring.html
    """
    complete, lacking = check.client_as("Caller", "mediatailor"), check.client_as("CallerWithoutGrant", "mediatailor")
    ours, theirs = check.name("complete"), check.name("lacking")
    tags = {"Tags": check.run.tags}
    check.eventually(lambda: complete.create_source_location(**settings(check, ours), **tags))
    denied = outcome(lambda: lacking.create_source_location(**settings(check, theirs), **tags))
    if denied is None:
        raise UnsettledError("CreateSourceLocation succeeded without kms:CreateGrant.")
    return Answer(status_of(denied), f"Without kms:CreateGrant, CreateSourceLocation {described(denied)}.")


@point("location-lag", "M14", "mediatailor", switch="locationLagSeconds")
def location_lag(check: Check) -> Answer:
    """How many seconds after its creation can a source location be described?

    Seen: DescribeSourceLocation until it succeeds.
    https://docs.aws.amazon.com/mediatailor/latest/apireference/API_DescribeSourceLocation.html
    """
    mediatailor, name = check.client("mediatailor"), check.name()
    members = settings(check, name, None) | {"Tags": check.run.tags}
    check.eventually(lambda: mediatailor.create_source_location(**members))
    start, last = time.monotonic(), 0.0

    def is_described() -> bool:
        nonlocal last
        asked = time.monotonic() - start
        if outcome(lambda: describe(check, name)):
            last = asked
            return False
        return True

    if not check.until(is_described, PROPAGATION):
        raise UnsettledError(f"The source location could not be described within {PROPAGATION:g} seconds.")
    return Answer(round(last, 1), f"The last DescribeSourceLocation that failed was {last:.1f} seconds after the creation.")


@point("trail-member-case", "A10", "mediatailor", "sqs", switch="trailMemberCase", minutes=20)
def trail_member_case(check: Check) -> Answer:
    """Does the CloudTrail record of DeleteSourceLocation have members in upper or lower camel case?

    Seen: the event of a deletion, which EventBridge sends to the queue of the stack. This needs a trail that logs write events.
    https://docs.aws.amazon.com/mediatailor/latest/ug/logging-using-cloudtrail.html
    """
    name = create_location(check, secret=None)
    delete_location(check, name)
    record = check.until(lambda: _record_of(check, name), _TRAIL)
    if not record:
        raise UnsettledError(
            f"No event arrived within {_TRAIL / 60:g} minutes. The account needs a trail in this Region that logs write events."
        )
    [member] = [member for member in record if member.casefold() == "sourcelocationname"]
    return Answer("pascal" if member[0].isupper() else "camel", f"The member of requestParameters is {member}.")


def _record_of(check: Check, name: str) -> dict[str, str] | None:
    """Returns requestParameters of the record about a source location, or None if it has not arrived."""
    sqs, url = check.client("sqs"), check.output("RecordsUrl")
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0, VisibilityTimeout=5)
    for message in answer.get("Messages", []):
        parameters: dict[str, str] = json.loads(message["Body"])["detail"].get("requestParameters") or {}
        if name in parameters.values():
            return parameters
    return None
