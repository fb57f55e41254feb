"""The rules of a rotation: whose token, whose rotation, whose consent, and who must act."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey.access.bounds import Bounds
from latchkey.access.desired import Desired
from latchkey.access.rotating import Rotating
from latchkey.aws.secrets import ObservedSecret
from latchkey.errors import Problem
from latchkey.requests.lifecycle import RotationRequested
from latchkey.rotation.choreography import choreography, token_lengths
from latchkey.rotation.rules import (
    Reader,
    RotationEvidence,
    Source,
    confirmation_problems,
    rotation_problems,
    token_problems,
)
from latchkey.systems.system import Configured
from latchkey.systems.token_formats import HEXADECIMAL, PASSWORD
from tests.unit.samples import BOUNDS, EXISTING_ARN, KEY_ARN, SETTINGS, desired

ARN = EXISTING_ARN
OURS = {"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey"}
ADOPTED = {"latchkey:consent": "adopt"}
CURRENT, NEXT, OTHER = "current-version", "next-version", "other-version"
SECRET = ObservedSecret(
    arn=ARN,
    name="origin/shared",
    kms_key_id=KEY_ARN,
    is_being_deleted=False,
    owning_service=None,
    tags=OURS,
    stages={CURRENT: ["AWSCURRENT"]},
)
ROTATING = Rotating(secretArn=ARN, version=NEXT, former=CURRENT, until=datetime(2026, 12, 1, tzinfo=UTC), isPending=True)


def access(kind: str = "mediatailor", **changes: Any) -> Desired:
    return desired({"secret.value": {"existing": {"secretArn": ARN}}} | changes, kind)


def asked(**members: Any) -> RotationRequested:
    detail = {"requestId": "rotation-1", "accessId": "mediatailor/sourceLocation/sports-origin"}
    return RotationRequested.model_validate(detail | members)


def evidence(*readers: Desired, **members: Any) -> RotationEvidence:
    known: dict[str, Any] = {"secret": SECRET, "known": frozenset([CURRENT])} | members
    return RotationEvidence(readers=[Reader(one, KEY_ARN) for one in readers or (access(),)], **known)


def problems(found: RotationEvidence, bounds: Bounds = BOUNDS, **members: Any) -> list[str]:
    return [problem.path for problem in rotation_problems(found.accesses[0], asked(**members), found, bounds)]


def rules(found: Iterator[Problem]) -> list[str]:
    return [problem.rule for problem in found]


def with_secret(**changes: Any) -> RotationEvidence:
    return evidence(secret=replace(SECRET, **changes))


def test_own_secret_can_be_rotated() -> None:
    assert problems(evidence()) == []


def test_system_without_a_token_is_told_who_rotates_its_key() -> None:
    [problem] = token_problems(desired(kind="adobe-experience-platform"))
    assert problem.path == "accessId"
    assert "365" in problem.rule
    assert [*token_problems(access())] == []


@pytest.mark.parametrize(
    "found",
    [
        evidence(secret=None),
        evidence(secret=None, hidden=True),
        with_secret(is_being_deleted=True),
        with_secret(tags=OURS | {"latchkey:tenant": "sports"}),
        with_secret(tags=OURS | {"latchkey:stack": "another"}),
        with_secret(tags={}),
        with_secret(tags=ADOPTED),
        with_secret(tags=ADOPTED | {"latchkey:rotation-consent": "yes"}),
        with_secret(owning_service="rds"),
        with_secret(primary_region="us-east-1"),
        with_secret(stages={}),
        with_secret(is_rotated=True),
        with_secret(stages={CURRENT: ["AWSCURRENT"], OTHER: ["AWSPENDING"]}),
        with_secret(stages={OTHER: ["AWSCURRENT"]}),
    ],
    ids=[
        "missing", "hidden", "deleted", "of another tenant", "of another stack", "without consent",
        "without consent to a rotation", "with another consent", "managed", "a replica", "without a value",
        "rotated by Secrets Manager", "pending for another tool", "stored by somebody else",
    ],
)  # fmt: skip
def test_secret_that_latchkey_must_leave_alone(found: RotationEvidence) -> None:
    assert set(problems(found)) == {"accessId"}


def test_adopted_secret_needs_a_second_consent() -> None:
    assert problems(with_secret(tags=ADOPTED | {"latchkey:rotation-consent": "rotate"})) == []


def test_pending_version_of_a_crashed_rotation_is_no_obstacle() -> None:
    stages = {CURRENT: ["AWSCURRENT"], OTHER: ["AWSPENDING"]}
    assert problems(evidence(secret=replace(SECRET, stages=stages), known=frozenset([CURRENT, OTHER]))) == []


def test_label_that_a_finished_rotation_left_is_not_pending() -> None:
    assert problems(with_secret(stages={CURRENT: ["AWSCURRENT", "AWSPENDING"]})) == []


def test_secret_of_an_earlier_version_of_latchkey_has_no_known_version() -> None:
    assert problems(evidence(secret=replace(SECRET, stages={OTHER: ["AWSCURRENT"]}), known=frozenset())) == []


def test_interruption_must_be_accepted() -> None:
    flow = evidence(access("mediaconnect-output"))
    flow = replace(flow, readers=[replace(flow.readers[0], present=configured(flow.accesses[0]))])
    assert problems(flow) == ["acceptsInterruption"]
    assert problems(flow, acceptsInterruption=True) == []


def configured(wanted: Desired, **changes: Any) -> Configured:
    """The resource of an access as it was onboarded."""
    configuration = wanted.system.configuration
    assert configuration
    made = Configured(
        arn="arn",
        settings=configuration.wanted(wanted.resource, wanted.reading(KEY_ARN, ARN)),
        secret_arn=ARN,
        other_settings={"entitledWhile": None},
        full_settings={},
        tags={},
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    "changes",
    [{"secret_arn": None}, {"settings": {}}, {"other_settings": {"entitledWhile": "ACTIVE"}}, None],
    ids=["without the secret", "with other settings", "of a running flow", "that is gone"],
)
def test_resource_that_cannot_read_again_stops_the_rotation(changes: dict[str, Any] | None) -> None:
    one = access("mediaconnect-source")
    present = None if changes is None else configured(one, **changes)
    found = replace(evidence(one), readers=[Reader(one, KEY_ARN, present=present)])
    assert problems(found, acceptsInterruption=True) == ["accessId"]


def test_access_that_is_changing_stops_the_rotation_of_its_secret() -> None:
    other = Reader(access("mediapackage"), KEY_ARN, changes="moving")
    found = replace(evidence(access("mediapackage-vod")), readers=[Reader(access("mediapackage-vod"), KEY_ARN), other])
    assert problems(found) == ["accessId"]


def test_access_that_is_handed_off_stops_a_rotation_only_if_its_resource_reads_once() -> None:
    one = access("mediapackage")
    for kind, stops in (("mediapackage-vod", []), ("mediaconnect-source", ["accessId"])):
        found = replace(evidence(one), readers=[Reader(one, KEY_ARN), Reader(access(kind), KEY_ARN, waits=True)])
        assert problems(found, acceptsInterruption=True) == stops, kind


@pytest.mark.parametrize(("length", "fits"), [(7, False), (8, True), (128, True), (129, False)])
def test_length_has_the_bounds_of_the_system(length: int, fits: bool) -> None:
    assert problems(evidence(), value={"generate": {"length": length}}) == ([] if fits else ["value.generate.length"])


def test_length_of_a_fixed_format_is_named() -> None:
    found = evidence(access("mediapackage"))
    assert problems(found, value={"generate": {"length": 40}}) == ["value.generate.length"]


def test_no_length_fits_two_accesses() -> None:
    both = (access("mediaconnect-output"), access("mediaconnect-source"))
    found = replace(evidence(), readers=[Reader(one, KEY_ARN, present=configured(one)) for one in both])
    assert problems(found, acceptsInterruption=True) == ["value.generate"]


def test_token_must_have_the_format_of_every_access_that_reads_it() -> None:
    """A generated password is no hexadecimal key, and a hexadecimal key is a password."""
    password, key = access("mediaconnect-srt-password"), access("mediaconnect-source")
    readers = [Reader(one, KEY_ARN, present=configured(one)) for one in (password, key)]
    assert {one.secret_shape.format for one in (password, key) if one.secret_shape} == {PASSWORD, HEXADECIMAL}

    assert problems(replace(evidence(), readers=readers), acceptsInterruption=True) == ["accessId"]
    assert problems(replace(evidence(), readers=readers[::-1]), acceptsInterruption=True) == []


SOURCE_ARN = EXISTING_ARN.replace("shared", "source")
IMPORTED = replace(SECRET, arn=SOURCE_ARN, tags={"latchkey:consent": "import"})


@pytest.mark.parametrize(
    "source",
    [
        Source(is_here=False),
        Source(is_here=True, hidden=True),
        Source(is_here=True),
        Source(is_here=True, secret=replace(IMPORTED, tags={})),
        Source(is_here=True, secret=replace(IMPORTED, tags={"latchkey:consent": "import", "latchkey:tenant": "sports"})),
        Source(is_here=True, secret=replace(IMPORTED, stages={})),
    ],
    ids=["elsewhere", "hidden", "missing", "without consent", "of another tenant", "without a value"],
)
def test_source_of_a_copy_must_be_approved(source: Source) -> None:
    assert set(problems(evidence(source=source), value={"copyFrom": {"secretArn": SOURCE_ARN}})) == {"value.copyFrom"}


def test_copied_token_goes_only_to_hosts_that_may_receive_it() -> None:
    value = {"copyFrom": {"secretArn": SOURCE_ARN}}
    hosts = frozenset(["origin.example.com"])
    found = evidence(source=Source(is_here=True, secret=IMPORTED), hosts=hosts)
    allowing = Bounds(SETTINGS.model_copy(update={"allowed_origin_hosts": ("*.example.com",)}))
    receiving = evidence(source=Source(is_here=True, secret=IMPORTED, hosts=hosts), hosts=hosts)

    assert problems(found, value=value) == ["value.copyFrom"]
    assert problems(found, allowing, value=value) == problems(receiving, value=value) == []


def pending(**changes: Any) -> RotationEvidence:
    return with_secret(**({"stages": {CURRENT: ["AWSCURRENT"], NEXT: ["AWSPENDING"]}} | changes))


def test_pending_rotation_can_be_confirmed() -> None:
    assert rules(confirmation_problems(ROTATING, pending())) == []
    promoted = {NEXT: ["AWSCURRENT", "AWSPENDING"], CURRENT: ["AWSPREVIOUS"]}
    assert rules(confirmation_problems(ROTATING, pending(stages=promoted))) == []


@pytest.mark.parametrize(
    "found",
    [
        evidence(secret=None),
        evidence(secret=None, hidden=True),
        pending(is_being_deleted=True),
        pending(is_rotated=True),
        pending(stages={OTHER: ["AWSCURRENT"], NEXT: ["AWSPENDING"]}),
        pending(stages={CURRENT: ["AWSCURRENT"], OTHER: ["AWSPENDING"]}),
        pending(stages={CURRENT: ["AWSCURRENT"]}),
        pending(tags=ADOPTED),
        pending(tags=OURS | {"latchkey:tenant": "news"}),
        replace(pending(), readers=[Reader(access(), KEY_ARN), Reader(access("mediapackage"), KEY_ARN)]),
        replace(pending(), readers=[Reader(access(), KEY_ARN), Reader(access(), KEY_ARN, changes="moving")]),
    ],
    ids=[
        "missing", "hidden", "deleted", "rotated", "changed", "pending for another tool", "withdrawn", "without consent",
        "of another tenant", "interrupting", "moving",
    ],
)  # fmt: skip
def test_rotation_that_somebody_disturbed_cannot_be_confirmed(found: RotationEvidence) -> None:
    assert len(rules(confirmation_problems(ROTATING, found))) == 1


def test_origin_that_was_not_asked_to_accept_the_token_stops_the_confirmation() -> None:
    first, second = access(), access(**{"resource.sourceLocation": "news-origin"})
    both = replace(pending(), readers=[Reader(one, KEY_ARN) for one in (first, second)])
    announced = ROTATING.model_copy(update={"readers": (first.access_id, second.access_id)})

    assert rules(confirmation_problems(announced, both)) == []
    only = announced.model_copy(update={"readers": (first.access_id,)})
    assert len(rules(confirmation_problems(only, both))) == 1
    assert rules(confirmation_problems(ROTATING, both)) == []


def test_rotation_that_runs_cannot_be_confirmed() -> None:
    running = ROTATING.model_copy(update={"is_pending": False})
    assert len(rules(confirmation_problems(running, pending()))) == 1


def test_choreography_of_systems_that_share_a_secret() -> None:
    tailor, package = access(), access("mediapackage")
    assert choreography([tailor]).interrupted == ()
    assert choreography([package]).interrupted == ()
    assert choreography([tailor, package]).interrupted == (tailor.access_id,)
    assert choreography([package, access("mediapackagev2")]).wait_seconds == 600
    assert choreography([package]).keeps_previous
    assert not choreography([tailor, package]).keeps_previous


def test_owner_of_a_resource_sends_its_settings_again() -> None:
    own, handed_off = access("mediaconnect-output"), access("mediaconnect-output", **{"resource.configure": False})
    assert choreography([own]).updates == (own.access_id,)
    assert choreography([handed_off]).updates == ()
    assert len(choreography([handed_off]).after) == len(choreography([own]).after) + 1


def test_lengths_are_those_of_the_accesses_that_read_the_same_member() -> None:
    other_member = access(**{"resource.secretKey": "Another"})
    assert token_lengths([access(), other_member]) == (8, 128)
    assert token_lengths([access("mediapackagev2")]) == (8, 256)


def test_system_without_a_secret_generates_nothing() -> None:
    adobe = desired(kind="adobe-experience-platform")
    found = RotationEvidence(secret=SECRET, readers=[Reader(access(), KEY_ARN)])
    paths = [problem.path for problem in rotation_problems(adobe, asked(), found, BOUNDS)]
    assert "value.generate" in paths
