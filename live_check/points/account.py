"""Points about KMS, Secrets Manager and EventBridge."""

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from live_check.answers import Answer, UnsettledError
from live_check.check import Check, code_of, described, outcome
from live_check.patience import CONSISTENCY, PROPAGATION
from live_check.points.register import point

_ALLOWED, _OTHER = "live-check.allowed", "live-check.other"


@point("grant-lag", "A5", "kms", switch="grantLagSeconds", minutes=20)
def grant_lag(check: Check) -> Answer:
    """How many seconds does KMS need to list a new grant, and to stop listing a revoked one?

    Seen: ListGrants after CreateGrant and after RevokeGrant.
    https://docs.aws.amazon.com/kms/latest/developerguide/grants.html#terms-eventual-consistency
    """
    kms, key = check.client("kms"), check.output("SecondKeyArn")
    grant = _grant(check, check.name())

    def is_listed() -> bool:
        pages = kms.get_paginator("list_grants").paginate(KeyId=key)
        return any(found["GrantId"] == grant for page in pages for found in page["Grants"])

    appeared = _last_before(check, is_listed, "The grant")
    kms.revoke_grant(KeyId=key, GrantId=grant)
    vanished = _last_before(check, lambda: not is_listed(), "The revocation")
    seen = f"The new grant was missing for {appeared:.1f} seconds, and the revoked one listed for {vanished:.1f} seconds."
    return Answer(round(max(appeared, vanished), 1), seen)


@point("tag-lag", "A6", "kms", switch="tagLagSeconds", minutes=15)
def tag_lag(check: Check) -> Answer:
    """How many seconds does a new tag of a key need to be effective in authorization?

    Seen: DescribeKey by a role that has the permission only for keys with the tag.
    https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html
    """
    key = check.output("SecondKeyArn")
    reader = check.client_as("TagReader", "kms")
    denied = outcome(lambda: reader.describe_key(KeyId=key))
    if denied is None:
        raise UnsettledError("The role could describe the key before it had the tag.")
    check.client("kms").tag_resource(KeyId=key, Tags=[{"TagKey": "latchkey:live-check-lag", "TagValue": "on"}])
    last = _last_before(check, lambda: outcome(lambda: reader.describe_key(KeyId=key)) is None, "The tag")
    return Answer(round(last, 1), f"The last DescribeKey that was denied was {last:.1f} seconds after TagResource.")


def _last_before(check: Check, probe: Callable[[], bool], what: str) -> float:
    """Returns after how many seconds `probe` was last false. Raises UnsettledError if it does not become true."""
    start, last = time.monotonic(), 0.0

    def holds() -> bool:
        nonlocal last
        asked = time.monotonic() - start
        if probe():
            return True
        last = asked
        return False

    check.appears(holds, 2 * CONSISTENCY, what)
    return last


@point("empty-pages", "A7", "kms", switch="emptyPages")
def empty_pages(check: Check) -> Answer:
    """Do lists have empty pages before the last page?

    Seen: the pages of ListGrants with one grant a page, for a key with three grants. A page without grants settles it.
    Without one, it is only probable that there are none.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_ListGrants.html
    """
    kms, key = check.client("kms"), check.output("SecondKeyArn")
    made = {_grant(check, check.name(str(number))) for number in range(3)}

    def pages() -> list[dict[str, Any]]:
        paginator = kms.get_paginator("list_grants")
        found = list(paginator.paginate(KeyId=key, PaginationConfig={"PageSize": 1}))
        return found if made <= {grant["GrantId"] for page in found for grant in page["Grants"]} else []

    found = check.appears(pages, CONSISTENCY, "The list of the three grants")
    empty = [page for page in found[:-1] if not page["Grants"]]
    return Answer(bool(empty), f"{len(empty)} of {len(found)} pages of ListGrants before the last were empty.")


def _grant(check: Check, name: str) -> str:
    """Creates a grant that allows nothing but DescribeKey, to a role of the stack."""
    kms, key, grantee = check.client("kms"), check.output("SecondKeyArn"), check.output("ReaderArn")
    made = check.eventually(
        lambda: kms.create_grant(KeyId=key, GranteePrincipal=grantee, Operations=["DescribeKey"], Name=name)
    )
    return str(made["GrantId"])


@point("lockout-check", "A3", "kms", minutes=15, switch="lockoutCountsTagConditions")
def lockout_check(check: Check) -> Answer:
    """Does the lockout check of PutKeyPolicy accept a caller whose only permission is an identity policy with a tag condition?

    Seen: PutKeyPolicy with a policy that delegates to IAM, by a role that can write the policies of keys with a tag.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html
    """
    key = check.output("SecondKeyArn")
    writer = check.client_as("PolicyWriter", "kms")
    failures: list[str] = []

    def is_decided() -> bool:
        """Waits until the permission is effective. A malformed policy is the answer of the lockout check."""
        failure = outcome(lambda: writer.put_key_policy(KeyId=key, PolicyName="default", Policy=_key_policy(check)))
        failures[:] = [described(failure)]
        return failure is None or code_of(failure) == "MalformedPolicyDocumentException"

    check.appears(is_decided, CONSISTENCY, "The permission for PutKeyPolicy")
    return Answer(failures[0] == "succeeded", f"PutKeyPolicy {failures[0]}.")


@point("duplicate-sids", "A4", "kms")
def duplicate_sids(check: Check) -> Answer:
    """Does KMS accept a key policy in which two statements have the same Sid?

    Seen: the answer to PutKeyPolicy.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
    """
    twin = _statement(check, "Same", "kms:DescribeKey")
    policy = _key_policy(check, twin, twin | {"Action": "kms:GetKeyPolicy"})
    put = check.client("kms").put_key_policy
    refused = outcome(lambda: put(KeyId=check.output("SecondKeyArn"), PolicyName="default", Policy=policy))
    if refused and code_of(refused) != "MalformedPolicyDocumentException":
        raise refused
    return Answer(refused is None, f"PutKeyPolicy {described(refused)}.")


def _statement(check: Check, sid: str, action: str | list[str]) -> dict[str, Any]:
    root = f"arn:{check.run.partition}:iam::{check.run.account}:root"
    return {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": root}, "Action": action, "Resource": "*"}


def _key_policy(check: Check, *more: dict[str, Any]) -> str:
    """Returns a policy that delegates to IAM and keeps the permissions of the person who runs the check."""
    actions = ["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKey", "ListGrants", "PutKeyPolicy", "RevokeGrant"]
    actions += ["ScheduleKeyDeletion", "TagResource", "UntagResource"]
    runner = _statement(check, "RunnerChecks", [f"kms:{action}" for action in actions])
    runner |= {"Principal": {"AWS": check.run.caller_arn}}
    statements = [_statement(check, "AccountDelegatesToIAM", "kms:*"), runner, *more]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@point("forced-deletion", "A14", "secretsmanager", switch="forcedDeletionSeconds")
def forced_deletion(check: Check) -> Answer:
    """For how many seconds does the name of a secret stay taken after a deletion without recovery window?

    Seen: CreateSecret with the same name until it succeeds. The secrets have no value.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
    """
    manager, name = check.client("secretsmanager"), f"{check.run.secret_prefix}/{check.point}"
    tags = [{"Key": key, "Value": value} for key, value in check.run.tags.items()]
    manager.create_secret(Name=name, Tags=tags)
    manager.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    failures: list[str] = []

    def is_created() -> bool:
        failure = outcome(lambda: manager.create_secret(Name=name, Tags=tags))
        if failure:
            failures.append(code_of(failure))
        return failure is None

    last = _last_before(check, is_created, "The name of the secret")
    codes = ", ".join(sorted(set(failures))) or "no error"
    return Answer(round(last, 1), f"CreateSecret failed for {last:.1f} seconds ({codes}).")


@point("policy-order", "A17", "secretsmanager", switch="policyOrder")
def policy_order(check: Check) -> Answer:
    """Do reads of a policy return principals and actions in the order in which they were written?

    Seen: twenty reads of the trust policy of a role, and of the resource policy of a secret.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    manager, iam = check.client("secretsmanager"), check.client("iam")
    name = f"{check.run.secret_prefix}/{check.point}"
    tags = [{"Key": key, "Value": value} for key, value in check.run.tags.items()]
    secret = manager.create_secret(Name=name, Tags=tags)["ARN"]
    readers = [check.output(f"{role}Arn") for role in ("Reader", "TagReader", "Caller", "ReaderOfThisAccount")]
    actions = [f"secretsmanager:{action}" for action in ("ListSecretVersionIds", "DescribeSecret", "GetResourcePolicy")]
    statement = {"Effect": "Allow", "Principal": {"AWS": readers}, "Action": actions, "Resource": secret}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    check.eventually(lambda: manager.put_resource_policy(SecretId=secret, ResourcePolicy=policy, BlockPublicPolicy=True))
    role = check.output("ReaderArn").rpartition("/")[2]
    of_secret, of_role = set(), set()
    for _ in range(20):
        [found] = json.loads(manager.get_resource_policy(SecretId=secret)["ResourcePolicy"])["Statement"]
        of_secret.add((*found["Principal"]["AWS"], *found["Action"]))
        of_role.add(json.dumps(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]))
    seen = f"{len(of_secret)} orders of the policy of the secret, and {len(of_role)} of that of the role were read."
    is_kept = of_secret == {(*readers, *actions)} and len(of_role) == 1
    return Answer("kept" if is_kept else "shuffled", seen)


@point("events-source", "A1", "events", minutes=15)
def events_source(check: Check) -> Answer:
    """Is events:source compared with the sources of all entries of a PutEvents call?

    Seen: two calls of a role that can send from one source. The first call has an entry from this source, the second one also
    an entry from another source. `absent` means that the first call is denied, `per-call` that the second is denied as a whole,
    and `per-entry` that only the entry from the other source fails.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    """
    sender, bus = check.client_as("Sender", "events"), check.output("BusName")

    def put(*sources: str) -> list[str]:
        entries = [{"EventBusName": bus, "Source": source, "DetailType": "Live Check", "Detail": "{}"} for source in sources]
        try:
            answer = sender.put_events(Entries=entries)
        except ClientError as error:
            return [code_of(error)]
        return [entry.get("ErrorCode", "sent") for entry in answer["Entries"]]

    if not check.until(lambda: put(_ALLOWED) == ["sent"], PROPAGATION):
        return Answer("absent", f"An entry of the allowed source got {put(_ALLOWED)[0]}.")
    mixed = put(_ALLOWED, _OTHER)
    if len(mixed) == 1:
        return Answer("per-call", f"A call with entries of two sources got {mixed[0]}.")
    form = "per-entry" if mixed[0] == "sent" and mixed[1] != "sent" else "another"
    return Answer(form, f"The entries of a call with two sources got {mixed[0]} and {mixed[1]}.")
