"""create_secret: each system's value in the form that its service reads, made or judged, and never told."""

import io
import json
import re
import string
from typing import Any
from uuid import UUID

import pytest

from latchkey.errors import InvalidRequest
from tests.functions.account import ADOPT, IMPORT, OURS, Account
from tests.functions.onboarding_requests import Run, copied, existing, onboarding, rejection

V1, V2 = "MediaPackageCDNIdentifier", "MediaPackageV2CDNIdentifier"
SRT: dict[str, Any] = {"algorithm": None, "keyType": "srt-password"}
SYMBOLS = "!@#$%^&*()_+-=[]{}|'"


def to_create(account: Account, system: str, **members: Any) -> dict[str, Any]:
    return {"request": onboarding(system, **members), "key": {"arn": account.key(), "changed": False}}


def made_twice(run: Run, account: Account, event: dict[str, Any]) -> str:
    """The value of the secret that is made; a second run changes nothing."""
    made = run("create_secret", event)
    before = account.snapshot()
    assert run("create_secret", event) == made
    assert account.snapshot() == before
    return account.value(made["arn"])


@pytest.mark.parametrize(("algorithm", "digits"), [("aes128", 32), ("aes192", 48), ("aes256", 64)])
def test_a_static_key_is_hexadecimal_plain_text_of_its_algorithm(
    run: Run, account: Account, algorithm: str, digits: int
) -> None:
    value = made_twice(run, account, to_create(account, "mediaconnect", resource={"algorithm": algorithm}))

    assert re.fullmatch(f"[0-9a-f]{{{digits}}}", value)


@pytest.mark.parametrize("length", [10, 40, 80])
def test_an_srt_password_is_plain_text_of_every_class(run: Run, account: Account, length: int) -> None:
    value = {"value": {"generate": {"length": length}}}

    password = made_twice(run, account, to_create(account, "mediaconnect", resource=SRT, secret=value))

    assert len(password) == length
    for members in (string.ascii_uppercase, string.ascii_lowercase, string.digits, SYMBOLS):
        assert set(password) & set(members)
    assert set(password) <= set(string.ascii_letters + string.digits + SYMBOLS)


@pytest.mark.parametrize(("system", "member"), [("mediapackage", V1), ("mediapackage-vod", V1), ("mediapackagev2", V2)])
def test_a_cdn_identifier_is_a_random_uuid_and_the_only_pair(run: Run, account: Account, system: str, member: str) -> None:
    [(name, token)] = json.loads(made_twice(run, account, to_create(account, system))).items()

    assert name == member
    assert (UUID(token).version, str(UUID(token))) == (4, token)


@pytest.mark.parametrize(
    ("system", "resource", "length", "rule"),
    [
        ("mediapackage", {}, 40, "must be 36"),
        ("mediapackagev2", {}, 35, "must be 36"),
        ("mediaconnect", {}, 32, "must be 64"),
        ("mediaconnect", {"algorithm": "aes128"}, 64, "must be 32"),
        ("mediaconnect", SRT, 81, "must be between 10 and 80"),
    ],
)
def test_a_length_that_the_form_does_not_have_is_refused(
    run: Run, account: Account, system: str, resource: dict[str, Any], length: int, rule: str
) -> None:
    event = to_create(account, system, resource=resource, secret={"value": {"generate": {"length": length}}})

    assert set(rejection(run, "create_secret", event)) == {"secret.value.generate.length"}


HEX = "0123456789abcDEF"
FORM = "the token must hold"
FLAWS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "129 characters in v1": ("mediapackage", {}, json.dumps({V1: "a" * 129}), "the token must be 8 to 128 characters long"),
    "7 characters in VOD": ("mediapackage-vod", {}, json.dumps({V1: "a" * 7}), "the token must be 8 to 128 characters long"),
    "257 characters in v2": ("mediapackagev2", {}, json.dumps({V2: "a" * 257}), "the token must be 8 to 256 characters long"),
    "two pairs in v2": (
        "mediapackagev2",
        {},
        json.dumps({V2: "a" * 20, "b": "canary"}),
        f"the secret must hold the member {V2}",
    ),
    "v1's member in v2": ("mediapackagev2", {}, json.dumps({V1: "a" * 20}), "the secret must be a JSON object with the text"),
    "plain text in v1": ("mediapackage", {}, "a" * 20, "the secret must be a JSON object with the text member"),
    "a list in v2": ("mediapackagev2", {}, json.dumps([V2]), "the secret must be a JSON object with the text member"),
    "31 digits": ("mediaconnect", {"algorithm": "aes128"}, (HEX * 2)[1:], "the token must be 32 characters long"),
    "AES-128's digits for AES-256": ("mediaconnect", {}, HEX * 2, "the token must be 64 characters long"),
    "another letter": ("mediaconnect", {"algorithm": "aes128"}, (HEX * 2)[1:] + "g", f"{FORM} hexadecimal digits only"),
    "a line's end": ("mediaconnect", {"algorithm": "aes128"}, (HEX * 2)[1:] + "\n", f"{FORM} hexadecimal digits only"),
    "JSON around a key": ("mediaconnect", {}, json.dumps({"key": HEX * 4}), "the token must be 64 characters long"),
    "JSON of a key's length": ("mediaconnect", {}, json.dumps({"key": "a" * 53}), f"{FORM} hexadecimal digits only"),
    "two classes": ("mediaconnect", SRT, "onlysmall12345", f"{FORM} three of"),
    "a symbol that is none": ("mediaconnect", SRT, "Small1234~~~", f"{FORM} three of"),
    "9 characters": ("mediaconnect", SRT, "Aa1!Aa1!A", "the token must be 10 to 80 characters long"),
}
flaws = pytest.mark.parametrize(("system", "resource", "value", "rule"), FLAWS.values(), ids=FLAWS)


def look(run: Run, request: dict[str, Any]) -> list[tuple[str, str]]:
    """What the function finds about a value before there is a key; asked twice, it finds the same."""
    answer = run("create_secret", {"request": request})
    assert run("create_secret", {"request": request}) == answer
    return [(finding["place"], finding["rule"]) for finding in answer["findings"]]


@flaws
def test_an_adopted_value_of_another_form_is_refused_untold(
    run: Run, account: Account, log: io.StringIO, system: str, resource: dict[str, Any], value: str, rule: str
) -> None:
    request = onboarding(system, resource=resource, secret=existing(account.secret("theirs", value, ADOPT)))

    [(place, told)] = look(run, request)

    assert place == "secret.value.existing"
    assert told.startswith(rule)
    assert not any(part in told + log.getvalue() for part in secret_parts(value))


def secret_parts(value: str) -> set[str]:
    """The value, and whatever stands in it as a value of its own."""
    try:
        document = json.loads(value)
    except ValueError:
        return {value}
    return {value, *(document.values() if isinstance(document, dict) else ())}


# What is copied comes alone: its neighbours and the name of its member stay behind.
COPIED = {name: flaw for name, flaw in FLAWS.items() if flaw[0] == "mediaconnect"}


@pytest.mark.parametrize(("system", "resource", "value", "rule"), COPIED.values(), ids=COPIED)
def test_a_copied_value_of_another_form_is_refused_untold(
    run: Run, account: Account, log: io.StringIO, system: str, resource: dict[str, Any], value: str, rule: str
) -> None:
    secret = copied(account.secret("theirs", value, IMPORT))

    [(place, told)] = look(run, onboarding(system, resource=resource, secret=secret))
    assert (place, told.startswith(rule)) == ("secret.value.copyFrom", True)

    with pytest.raises(InvalidRequest) as caught:
        run("create_secret", to_create(account, system, resource=resource, secret=secret))
    assert not any(part in told + str(caught.value) + log.getvalue() for part in secret_parts(value))


@flaws
def test_a_value_found_under_the_secrets_name_is_judged_as_well(
    run: Run, account: Account, system: str, resource: dict[str, Any], value: str, rule: str
) -> None:
    request = onboarding(system, resource=resource, secret={"name": "latchkey/there"})
    account.secret("latchkey/there", value, OURS)

    [(place, told)] = look(run, request)

    assert (place, told.startswith(rule)) == ("secret.name", True)


FITTING: dict[str, tuple[str, dict[str, Any], str]] = {
    "128 characters in v1, beside another": ("mediapackage", {}, json.dumps({V1: "a" * 128, "b": "c"})),
    "8 characters in VOD": ("mediapackage-vod", {}, json.dumps({V1: "a" * 8})),
    "256 characters in v2": ("mediapackagev2", {}, json.dumps({V2: "a" * 256})),
    "a key in both cases": ("mediaconnect", {}, HEX * 4),
    "three classes": ("mediaconnect", SRT, "Small12345"),
    "80 characters": ("mediaconnect", SRT, "Aa!]" * 20),
}


@pytest.mark.parametrize(("system", "resource", "value"), FITTING.values(), ids=FITTING)
def test_a_value_that_fits_is_adopted(run: Run, account: Account, system: str, resource: dict[str, Any], value: str) -> None:
    request = onboarding(system, resource=resource, secret=existing(account.secret("theirs", value, ADOPT)))

    assert look(run, request) == []


@pytest.mark.parametrize("key", [None, "password"])
def test_a_key_of_the_sources_owner_is_copied_as_plain_text(run: Run, account: Account, key: str | None) -> None:
    value = json.dumps({"password": HEX * 4, "other": "x"}) if key else HEX * 4
    source = account.secret("theirs", value, IMPORT, region="eu-west-1")

    assert made_twice(run, account, to_create(account, "mediaconnect", secret=copied(source, key))) == HEX * 4


def test_a_copy_into_a_secret_of_one_pair_leaves_one_pair(run: Run, account: Account) -> None:
    source = account.secret("theirs", json.dumps({V1: "a" * 20, "b": "c"}), IMPORT)
    event = to_create(account, "mediapackagev2", secret=copied(source, V1))
    own = OURS | {"latchkey:access": "mediapackagev2/originEndpoint/sports/one/hls"}
    account.secret("latchkey/mediapackagev2/sports/one/hls/token", json.dumps({V2: "d" * 20, "e": "f"}), own)

    made = run("create_secret", event)

    assert json.loads(account.value(made["arn"])) == {V2: "a" * 20}
    assert run("create_secret", event) == made | {"changed": False}


def test_a_system_that_reads_no_secret_has_no_value_to_look_at(run: Run) -> None:
    assert run("create_secret", {"request": onboarding("adobe-experience-platform")}) == {"findings": [], "unreadable": False}
