"""Points about MediaConnect. The flow is never started, so it costs nothing."""

from typing import Any

from live_check.answers import Answer, UnsettledError
from live_check.check import Check, described, outcome
from live_check.patience import PROPAGATION
from live_check.points.register import point


@point("flow-source-account", "P1", "mediaconnect", switch="sourceAccountSent.mediaconnect")
def flow_source_account(check: Check) -> Answer:
    """Does MediaConnect send aws:SourceAccount when it assumes the role of a flow?

    Seen: CreateFlow with a role whose trust policy has no condition, and with one that requires aws:SourceAccount.
    https://docs.aws.amazon.com/mediaconnect/latest/ug/cross-service-confused-deputy-prevention.html
    """
    check.eventually(lambda: _flow(check, "any", "Reader"))
    denied = outcome(lambda: check.eventually(lambda: _flow(check, "conditional", "ReaderOfThisAccount"), PROPAGATION))
    return Answer(denied is None, f"With the condition aws:SourceAccount in the trust policy, CreateFlow {described(denied)}.")


@point("flow-update", "P5", "mediaconnect", switch="omittedOnFlowUpdate")
def flow_update(check: Check) -> Answer:
    """Does UpdateFlowSource keep or clear members that are omitted?

    Seen: DescribeFlow after an update that sends only a new description.
    https://docs.aws.amazon.com/mediaconnect/latest/api/v1-flows-flowarn-source-sourcearn.html
    """
    mediaconnect = check.client("mediaconnect")
    flow = check.eventually(lambda: _flow(check, "", "Reader"))
    before = flow["Source"]
    mediaconnect.update_flow_source(FlowArn=flow["FlowArn"], SourceArn=before["SourceArn"], Description="changed")
    after = mediaconnect.describe_flow(FlowArn=flow["FlowArn"])["Flow"]["Source"]
    if after.get("Description") != "changed":
        raise UnsettledError("The update did not change the description.")
    watched = [member for member in ("Decryption", "WhitelistCidr", "Transport") if before.get(member)]
    kept = {member: after.get(member) == before[member] for member in watched}
    seen = ", ".join(f"{member} was {'kept' if is_kept else 'changed'}" for member, is_kept in kept.items())
    return Answer("keep" if all(kept.values()) else "clear", f"{seen}.")


def _flow(check: Check, suffix: str, role: str) -> dict[str, Any]:
    decryption = {
        "Algorithm": "aes128",
        "KeyType": "static-key",
        "RoleArn": check.output(f"{role}Arn"),
        "SecretArn": check.output("StaticKeyArn"),
    }
    source = {
        "Name": "source",
        "Description": "Latchkey live check",
        "Protocol": "zixi-push",
        "WhitelistCidr": "192.0.2.0/24",  # https://www.rfc-editor.org/rfc/rfc5737: no host has such an address
        "Decryption": decryption,
    }
    made: dict[str, Any] = check.client("mediaconnect").create_flow(
        Name=check.name(suffix), Source=source, FlowTags=check.run.tags
    )["Flow"]
    return made
