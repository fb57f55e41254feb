"""The origin serves manifests only with the current, previous or pending token of the source location."""

import hashlib
import json
import urllib.error
import urllib.request

from tests.local_aws.conftest import HEADER, SECRET_KEY, TOKEN, Access


def get(access: Access, path: str = "/film/index.m3u8", token: str | None = None, header: str = HEADER) -> int:
    headers = {header: token} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(access.base_url + path, headers=headers), timeout=5) as answer:
            assert answer.read().startswith(b"#EXTM3U")
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_only_requests_with_the_token_are_served(access: Access) -> None:
    access.create()
    assert get(access, token=TOKEN) == 200
    assert get(access) == 403
    assert get(access, token="something-else") == 403
    assert get(access, token=TOKEN, header="X-Other") == 403
    assert get(access, "/film/segment.ts", TOKEN) == 404


def test_path_without_location_is_not_served(access: Access) -> None:
    assert get(access, token=TOKEN) == 404
    access.create()
    access.local.client("mediatailor").delete_source_location(SourceLocationName=access.name)
    assert get(access, token=TOKEN) == 404


def test_location_without_a_token_is_public(access: Access) -> None:
    settings = access.settings()
    del settings["AccessConfiguration"]
    access.local.client("mediatailor").create_source_location(**settings)
    assert get(access) == 200


def test_previous_token_is_accepted_until_the_second_rotation(access: Access) -> None:
    access.create()
    for number in (1, 2):
        secret = json.dumps({SECRET_KEY: f"new-token-{number}"})
        access.local.client("secretsmanager").put_secret_value(SecretId=access.secret, SecretString=secret)
        assert get(access, token=TOKEN) == (200 if number == 1 else 403)
        assert get(access, token=f"new-token-{number}") == 200


def _stage(access: Access, token: str) -> None:
    secret = json.dumps({SECRET_KEY: token})
    client = access.local.client("secretsmanager")
    client.put_secret_value(SecretId=access.secret, SecretString=secret, VersionStages=["AWSPENDING"])


def test_pending_token_is_accepted(access: Access) -> None:
    access.create()
    _stage(access, "new-token-1")
    assert [get(access, token=token) for token in (TOKEN, "new-token-1")] == [200, 200]


def test_configured_origin_learns_of_a_token_only_when_it_is_configured_again(access: Access) -> None:
    access.create()
    access.local.control("PUT", "origin")
    _stage(access, "new-token-1")
    assert [get(access, token=token) for token in (TOKEN, "new-token-1")] == [200, 403]
    access.local.control("PUT", "origin")
    assert [get(access, token=token) for token in (TOKEN, "new-token-1")] == [200, 200]


def test_recorded_requests_do_not_contain_the_token(access: Access) -> None:
    access.create()
    access.local.control("DELETE", "origin")
    get(access, token=TOKEN)
    get(access)
    path = f"/{access.name}/film/index.m3u8"
    assert access.local.control("GET", "origin") == [
        {"path": path, "status": 200, "header": HEADER, "valueSha256": hashlib.sha256(TOKEN.encode()).hexdigest()},
        {"path": path, "status": 403, "header": None, "valueSha256": None},
    ]
    assert TOKEN not in access.local.log()
