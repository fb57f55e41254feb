"""create_secret: the value format of each system, generated or checked, and never revealed."""

import io
import json
import re
import string
from typing import Any
from uuid import UUID

import pytest

from latchkey.errors import InvalidRequest
from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import ADOPT, IMPORT, OURS, Account
from tests.functions.onboarding_requests import Run, copied, existing, onboarding

V1, V2 = "MediaPackageCDNIdentifier", "MediaPackageV2CDNIdentifier"
SRT: dict[str, Any] = {"algorithm": None, "keyType": "srt-password"}
SYMBOLS = "!@#$%^&*()_+-=[]{}|'"


def to_create(account: Account, system: str, **members: Any) -> dict[str, Any]:
    return {"request": onboarding(system, **members), "key": {"arn": account.key(), "changed": False}}


def created_value(run: Run, account: Account, event: dict[str, Any]) -> str:
    """The value of the created secret; a second run changes nothing."""
    made = run("create_secret", event)
    before = account.snapshot()
    assert run("create_secret", event) == made
    assert account.snapshot() == before
    return account.value(made["arn"])


@pytest.mark.parametrize(("algorithm", "digits"), [("aes128", 32), ("aes192", 48), ("aes256", 64)])
def test_a_static_key_is_hexadecimal_text_with_the_length_of_its_algorithm(
    run: Run, account: Account, algorithm: str, digits: int
) -> None:
    value = created_value(run, account, to_create(account, "mediaconnect", resource={"algorithm": algorithm}))

    assert re.fullmatch(f"[0-9a-f]{{{digits}}}", value)


@pytest.mark.parametrize("length", [10, 40, 79])
def test_an_srt_password_has_characters_of_every_class(run: Run, account: Account, length: int) -> None:
    value = {"value": {"generate": {"length": length}}}

    password = created_value(run, account, to_create(account, "mediaconnect", resource=SRT, secret=value))

    assert len(password) == length
    for members in (string.ascii_uppercase, string.ascii_lowercase, string.digits, SYMBOLS):
        assert set(password) & set(members)
    assert set(password) <= set(string.ascii_letters + string.digits + SYMBOLS)


@pytest.mark.parametrize(("system", "member"), [("mediapackage", V1), ("mediapackage-vod", V1), ("mediapackagev2", V2)])
def test_a_cdn_identifier_is_a_random_uuid_and_the_only_member(run: Run, account: Account, system: str, member: str) -> None:
    [(name, token)] = json.loads(created_value(run, account, to_create(account, system))).items()

    assert name == member
    assert (UUID(token).version, str(UUID(token))) == (4, token)


@pytest.mark.parametrize(
    ("system", "resource", "length"),
    [
        ("mediapackage", {}, 40),
        ("mediapackagev2", {}, 35),
        ("mediaconnect", {}, 32),
        ("mediaconnect", {"algorithm": "aes128"}, 64),
        ("mediaconnect", SRT, 80),
    ],
)
def test_a_length_that_the_format_does_not_support_is_rejected(system: str, resource: dict[str, Any], length: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_onboarding(onboarding(system, resource=resource, secret={"value": {"generate": {"length": length}}}))

    assert [problem.path for problem in caught.value.problems] == ["secret.value.generate.length"]


def test_a_request_of_an_earlier_version_keeps_its_length(run: Run, account: Account) -> None:
    """Version 0.2.0 generated SRT passwords of up to 80 characters."""
    event = to_create(account, "mediaconnect", resource=SRT, secret={"value": {"generate": {"length": 80}}})

    assert len(created_value(run, account, event)) == 80


HEX = "0123456789abcDEF"
FLAWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "129 characters in v1": ("mediapackage", {}, json.dumps({V1: "a" * 129})),
    "7 characters in VOD": ("mediapackage-vod", {}, json.dumps({V1: "a" * 7})),
    "257 characters in v2": ("mediapackagev2", {}, json.dumps({V2: "a" * 257})),
    "two members in v2": ("mediapackagev2", {}, json.dumps({V2: "a" * 20, "b": "canary"})),
    "the member of v1 in v2": ("mediapackagev2", {}, json.dumps({V1: "a" * 20})),
    "plain text in v1": ("mediapackage", {}, "a" * 20),
    "a list in v2": ("mediapackagev2", {}, json.dumps([V2])),
    "31 digits": ("mediaconnect", {"algorithm": "aes128"}, (HEX * 2)[1:]),
    "an AES-128 key for AES-256": ("mediaconnect", {}, HEX * 2),
    "a letter beyond F": ("mediaconnect", {"algorithm": "aes128"}, (HEX * 2)[1:] + "g"),
    "a newline": ("mediaconnect", {"algorithm": "aes128"}, (HEX * 2)[1:] + "\n"),
    "JSON around a key": ("mediaconnect", {}, json.dumps({"key": HEX * 4})),
    "JSON with the length of a key": ("mediaconnect", {}, json.dumps({"key": "a" * 53})),
    "a newline after a password": ("mediaconnect", SRT, "quietriverboat\n"),
    "JSON around a password": ("mediaconnect", SRT, json.dumps({"password": "quietriverboat"})),
    "80 characters": ("mediaconnect", SRT, "Aa!]" * 20),
    "0x before a key": ("mediaconnect", {"algorithm": "aes128"}, "0x" + HEX * 2),
    "a number in v1": ("mediapackage", {}, json.dumps({V1: 8765432198})),
    "an empty object in v2": ("mediapackagev2", {}, "{}"),
    "9 characters": ("mediaconnect", SRT, "Aa1!Aa1!A"),
}
flaws = pytest.mark.parametrize(("system", "resource", "value"), FLAWS.values(), ids=FLAWS)


def value_problems(run: Run, request: dict[str, Any]) -> list[tuple[str, str]]:
    """The problems that the value check finds before there is a key; a second check finds the same."""
    checked = run("create_secret", {"request": request})
    assert run("create_secret", {"request": request}) == checked
    return [(finding["place"], finding["rule"]) for finding in checked["findings"]]


@flaws
def test_an_adopted_value_in_another_format_is_rejected_without_the_value(
    run: Run, account: Account, log: io.StringIO, system: str, resource: dict[str, Any], value: str
) -> None:
    request = onboarding(system, resource=resource, secret=existing(account.secret("theirs", value, ADOPT)))

    [(path, rule)] = value_problems(run, request)

    assert path == "secret.value.existing"
    assert not any(part in rule + log.getvalue() for part in secret_parts(value))


def secret_parts(value: str) -> set[str]:
    """The value, and the values of its members if it is JSON."""
    try:
        document = json.loads(value)
    except ValueError:
        return {value}
    return {value, *(map(str, document.values()) if isinstance(document, dict) else ())}


# Only the token is copied, without its member name and the other members.
COPIED = {name: flaw for name, flaw in FLAWS.items() if flaw[0] == "mediaconnect"}


@pytest.mark.parametrize(("system", "resource", "value"), COPIED.values(), ids=COPIED)
def test_a_copied_value_in_another_format_is_rejected_without_the_value(
    run: Run, account: Account, log: io.StringIO, system: str, resource: dict[str, Any], value: str
) -> None:
    secret = copied(account.secret("theirs", value, IMPORT))

    [(path, rule)] = value_problems(run, onboarding(system, resource=resource, secret=secret))
    assert path == "secret.value.copyFrom"

    with pytest.raises(InvalidRequest) as caught:
        run("create_secret", to_create(account, system, resource=resource, secret=secret))
    assert not any(part in rule + str(caught.value) + log.getvalue() for part in secret_parts(value))


@flaws
def test_the_value_of_a_secret_that_is_found_by_name_is_checked(
    run: Run, account: Account, system: str, resource: dict[str, Any], value: str
) -> None:
    request = onboarding(system, resource=resource, secret={"name": "latchkey/there"})
    access = parse_onboarding(request).access_id
    account.secret("latchkey/there", value, OURS | {"latchkey:access": access})

    [(path, _)] = value_problems(run, request)

    assert path == "secret.name"


FITTING: dict[str, tuple[str, dict[str, Any], str]] = {
    "128 characters in v1, with another member": ("mediapackage", {}, json.dumps({V1: "a" * 128, "b": "c"})),
    "8 characters in VOD": ("mediapackage-vod", {}, json.dumps({V1: "a" * 8})),
    "256 characters in v2": ("mediapackagev2", {}, json.dumps({V2: "a" * 256})),
    "a key in both cases": ("mediaconnect", {}, HEX * 4),
    "three classes": ("mediaconnect", SRT, "Small12345"),
    "hexadecimal digits for a password": ("mediaconnect", SRT, HEX.lower() * 4),
    "words for a password": ("mediaconnect", SRT, "quietriverboat2024"),
    "other symbols in a password": ("mediaconnect", SRT, "Quiet.River,2024 ~"),
    "79 characters": ("mediaconnect", SRT, "Aa!]" * 19 + "abc"),
}


@pytest.mark.parametrize(("system", "resource", "value"), FITTING.values(), ids=FITTING)
def test_a_value_in_the_right_format_is_adopted(
    run: Run, account: Account, system: str, resource: dict[str, Any], value: str
) -> None:
    request = onboarding(system, resource=resource, secret=existing(account.secret("theirs", value, ADOPT)))

    assert value_problems(run, request) == []


@pytest.mark.parametrize("key", [None, "password"])
def test_an_imported_static_key_is_plain_text(run: Run, account: Account, key: str | None) -> None:
    value = json.dumps({"password": HEX * 4, "other": "x"}) if key else HEX * 4
    source = account.secret("theirs", value, IMPORT, region="eu-west-1")

    assert created_value(run, account, to_create(account, "mediaconnect", secret=copied(source, key))) == HEX * 4


def test_an_import_replaces_the_only_member_of_a_secret(run: Run, account: Account) -> None:
    source = account.secret("theirs", json.dumps({V1: "a" * 20, "b": "c"}), IMPORT)
    event = to_create(account, "mediapackagev2", secret=copied(source, V1))
    own = OURS | {"latchkey:access": "mediapackagev2/originEndpoint/sports/one/hls"}
    event["ownSecretArn"] = account.secret(
        "latchkey/mediapackagev2/sports/one/hls/token", json.dumps({V2: "d" * 20, "e": "f"}), own
    )

    made = run("create_secret", event)

    assert json.loads(account.value(made["arn"])) == {V2: "a" * 20}
    assert run("create_secret", event) == made | {"changed": False}


def test_a_system_without_a_secret_has_no_value_to_check(run: Run) -> None:
    assert run("create_secret", {"request": onboarding("adobe-experience-platform")}) == {
        "findings": [],
        "unreadable": False,
        "replacesValue": None,
    }
