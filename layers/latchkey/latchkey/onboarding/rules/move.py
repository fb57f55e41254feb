"""Rules for the move of an active access to another key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from latchkey.access.desired import Desired
from latchkey.access.lifecycle import PHASES, broken_rule
from latchkey.errors import Problem
from latchkey.onboarding.rules.evidence import CompanionEvidence, RequestEvidence
from latchkey.requests.models import ONBOARDING_REQUESTED

MOVE_PATH = "key.move"
# Every step changes all of them, and must finish within the timeout of its function.
MOST_COMPANIONS = 20
# The statuses of an access whose resource does not read the secret.
NOT_READING = frozenset(["gone", "detached", "offboarded"])


def is_move(desired: Desired, evidence: RequestEvidence) -> bool:
    """Whether the request moves the secret of the access to another key than the recorded one."""
    key, record = evidence.key.key, evidence.record
    return desired.request.key.move and record is not None and (key is None or key.arn != record.key_arn)


def move_problems(desired: Desired, evidence: RequestEvidence) -> Iterator[Problem]:
    """Only the secret that an active access reads can be moved, and only if Latchkey configures the resource.

    Some services create their grant on the new key only when the resource is updated.
    """
    if not desired.request.key.move:
        return
    record, secret = evidence.record, evidence.secret
    if record is None:
        yield Problem(MOVE_PATH, "requires an active access, but this one is not recorded: remove key.move")
        return
    status = record.reached if record.reached != "active" else record.status
    if status != "active":
        rule = f"requires an active access, but this one is {status}: onboard it again without key.move first"
        yield Problem(MOVE_PATH, rule)
    if desired.hands_off:
        rule = "requires resource.configure, so that the service uses the new key at once: set it to true"
        yield Problem(MOVE_PATH, rule)
    if secret is None or secret.secret.arn != record.secret_arn:
        yield Problem(
            MOVE_PATH, f"moves only {record.secret_arn}, which the access reads: name that secret, or remove key.move"
        )


def companion_problems(companions: Iterable[CompanionEvidence]) -> Iterator[Problem]:
    """Every other access that reads the secret has to move as well: each must be active, and configured by Latchkey."""
    found = [*companions]
    if len(found) > MOST_COMPANIONS:
        rule = (
            f"can move at most {MOST_COMPANIONS} other accesses, but {len(found)} read the secret: offboard some of them first"
        )
        yield Problem(MOVE_PATH, rule)
        return
    for one in found:
        if unable := _unable_rule(one):
            yield Problem(MOVE_PATH, f"also moves {one.access_id}, which reads the same secret but {unable}")


def _unable_rule(one: CompanionEvidence) -> str | None:
    """Why an access cannot be moved, and what its owner does about that."""
    if one.state is None or one.request is None:
        return "is not recorded: send its request again, or wait for its rollback"
    if one.state in PHASES:
        return broken_rule(ONBOARDING_REQUESTED, one.state)
    if one.state != "active" or not one.is_confirmed:
        return f"is {one.state if one.state != 'active' else 'handed off'}, not active: onboard or offboard it first"
    if not one.request.resource.configure:
        return "is configured by its owner: first send a request for it with resource.configure set to true"
    return None


def problems_of_companion(access_id: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    """The rules that the move of another access breaks, as problems of the request that moves it."""
    for problem in sorted(problems, key=lambda one: (one.path, one.rule)):
        named = f"also moves {access_id}, which reads the same secret"
        yield Problem(MOVE_PATH, f"{named}, but its {problem.path} breaks a rule: {problem.rule}")
