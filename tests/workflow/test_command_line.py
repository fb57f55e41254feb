"""`latchkey` as a person and as a program call it, against the embedded AWS: standard output, standard error and exit code."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.command_line import CommandLine, command_line
from tests.workflow.onboarding import Onboarding


@pytest.fixture
def latchkey(fast_onboarding: Onboarding, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return command_line(fast_onboarding.aws, capsys, monkeypatch)


def written(folder: Path, detail: dict[str, Any]) -> str:
    path = folder / "request.json"
    path.write_text(json.dumps({name: value for name, value in detail.items() if name != "requestId"}, indent=2))
    return str(path)


@pytest.mark.long
def test_an_access_from_its_plan_to_its_restoration(latchkey: CommandLine, fast_onboarding: Onboarding, tmp_path: Path) -> None:
    file = written(tmp_path, fast_onboarding.detail())

    plan = latchkey("plan", file, expect=3)
    assert "+ secret" in plan.out
    assert "to create; $1.40 more per month" in plan.out
    _, *words = plan.out.splitlines()[-1].split()
    onboarded = latchkey(*words)
    assert "is active: " in onboarded.out
    assert "✓ Create key" in onboarded.err
    access_id = next(word for word in onboarded.out.split() if "/" in word)
    assert "needs no change" in latchkey("plan", access_id).out

    [row] = latchkey("status", access_id, "--json").json
    assert (row["accessId"], row["state"], row["runningRequest"]) == (access_id, "active", None)
    assert access_id in latchkey("status").out
    described = latchkey("describe", access_id, "--json").json
    assert (described["key"]["state"], [grant["operations"] for grant in described["grants"]]) == (
        "Enabled",
        [["Decrypt", "RetireGrant"]],
    )
    assert "Who can read the token" in latchkey("describe", access_id).out
    readers = {
        one["principal"].rpartition("/")[2]: one for one in latchkey("who-can-read", access_id, "--json").json["readers"]
    }
    assert readers["Origin"]["statement"] == "LatchkeyOriginReaders"
    others = {name for name in readers if name.startswith("latchkey-")}
    assert [name.partition("FunctionRole")[0] for name in others] == ["latchkey-CreateSecret"]
    assert readers["mediatailor.amazonaws.com"]["decryptsBy"].startswith("grant MediaTailor-SourceLocation-")
    assert "LatchkeyOriginReaders" in latchkey("who-can-read", row["secretArn"], "--no-iam").out

    assert "which is not in use yet" in latchkey("rotate", access_id, "--follow").out
    assert "uses its new token" in latchkey("confirm", access_id, "--follow").out
    offboarded = latchkey("offboard", access_id, "--recovery-days", "7", "--follow", "--json").json
    assert (offboarded["outcome"], offboarded["status"]) == ("Access Offboarded", "offboarded")
    assert latchkey("status", access_id, "--due", "--json").json[0]["dueFor"] == "secret is deleted for good"
    assert "is active" in latchkey("restore", access_id, "--follow").out

    token = fast_onboarding.token(row["secretArn"])
    assert not any(token in text for text in latchkey.printed)


def test_a_request_that_is_sent_is_followed_later(latchkey: CommandLine, fast_onboarding: Onboarding, tmp_path: Path) -> None:
    sent = latchkey("onboard", written(tmp_path, fast_onboarding.detail()), "--json").json

    until(lambda: latchkey("status", "--all", "--json").json, "the access", 60)
    followed = latchkey("outcome", sent["requestId"], "--follow", "--json").json
    assert (followed["outcome"], followed["eventId"]) == ("Access Onboarded", sent["eventId"])
    assert latchkey("outcome", sent["requestId"], "--json").json == followed
    assert "no request" in latchkey("outcome", "no-such-request", expect=1).err


def test_a_rejected_and_a_failed_request_have_exit_codes_of_their_own(
    latchkey: CommandLine, fast_onboarding: Onboarding, tmp_path: Path
) -> None:
    detail = fast_onboarding.detail()
    rejected = latchkey(
        "onboard", written(tmp_path, detail | {"managementRoles": ["arn:aws:iam::999999999999:role/A"]}), "--follow", expect=2
    )
    assert "managementRoles.0" in rejected.out
    assert "nothing was changed" in rejected.out

    fault = {"service": "mediatailor", "operation": "CreateSourceLocation", "error": "SomethingInvalid", "status": 409}
    fast_onboarding.aws.control("POST", "faults", fault | {"times": 50})
    failed = latchkey("onboard", written(tmp_path, detail), "--follow", expect=1)
    assert "✗ Failed" in failed.out
    assert "Nothing of it remains" in failed.out
    assert "✗ Configure access" in failed.err


def test_a_request_that_breaks_a_rule_is_not_sent(latchkey: CommandLine, fast_onboarding: Onboarding, tmp_path: Path) -> None:
    detail = fast_onboarding.detail()
    detail["resource"]["baseURL"] = detail["resource"].pop("baseUrl")

    refused = latchkey("onboard", written(tmp_path, detail), expect=2)

    assert "did you mean baseUrl?" in refused.err
    assert latchkey("status", "--all", "--json").json == []


WRONG: dict[str, tuple[tuple[str, ...], dict[str, str], int, str]] = {
    "stopped endpoint": (("status",), {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 1, "Nothing answers at 127.0.0.1:9"),
    "wrong credentials": (("status",), {"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, 1, "rejects the credentials"),
    "wrong Region": (("status",), {"AWS_DEFAULT_REGION": "eu-west-1"}, 1, "no stack latchkey in eu-west-1"),
    "no Region": (("status",), {"AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": ""}, 1, "No Region is set"),
    "missing stack": (("status", "--stack", "other"), {}, 1, "no stack other"),
    "missing profile": (("doctor", "--profile", "nobody"), {}, 1, "no profile nobody"),
    "unknown access": (("describe", "mediatailor/sourceLocation/none"), {}, 2, "no access mediatailor/sourceLocation/none"),
    "unknown secret": (("who-can-read", "none"), {}, 2, "no secret none"),
    "unknown state": (("status", "--state", "activ"), {}, 2, "activ is no state"),
    "unknown command": (("onbord",), {}, 2, "onbord"),
    "missing file": (("onboard", "none.json"), {}, 1, "none.json"),
    "no file and no access": (("offboard", "none"), {}, 2, "no access none"),
    "invalid tenant": (("reconcile", "--tenant", "A B"), {}, 2, "no name of a tenant"),
}


@pytest.mark.parametrize(("arguments", "environment", "status", "what"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_two_lines(
    latchkey: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    status: int,
    what: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)

    ran = latchkey(*arguments, expect=status)

    said = ran.err or ran.out  # doctor reports on its standard output
    assert what in said
    assert len(said.strip().splitlines()) == 2 or not ran.err


def test_the_address_of_the_embedded_aws_is_enough(
    latchkey: CommandLine, fast_onboarding: Onboarding, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)

    assert "No access" in latchkey("status", "--endpoint-url", fast_onboarding.aws.url).out


def test_ctrl_c_ends_the_following_and_not_the_request(latchkey: CommandLine, fast_onboarding: Onboarding) -> None:
    detail = fast_onboarding.detail()
    fast_onboarding.put_held(detail)

    process = latchkey.start("outcome", detail["requestId"], "--follow")
    assert process.stderr is not None
    assert "Check request" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert (process.returncode, "goes on" in err, "Traceback" in err) == (130, True, False)
    fast_onboarding.aws.control("DELETE", "held")
    assert fast_onboarding.outcomes.wait_for(detail["requestId"], 60)["detail-type"] == "Access Onboarded"


def test_a_full_disk_is_said(latchkey: CommandLine) -> None:
    with Path("/dev/full").open("w") as full:
        process = latchkey.start("status", "--json", stdout=full)
        _, err = process.communicate(timeout=30)

    assert (process.returncode, err.splitlines()[0]) == (1, "latchkey: The disk is full: the output cannot be written.")
    assert len(err.splitlines()) == 2


def test_the_doctor_finds_what_is_missing(latchkey: CommandLine) -> None:
    found = {(one["check"], one["result"]) for one in latchkey("doctor", "--json").json}

    good = {(name, "ok") for name in ("credentials", "stack", "parameters", "alarms", "dead letters", "quotas")}
    assert good | {("subscribers", "warning"), ("sweep", "warning")} <= found
    assert "alarms notify nobody" in latchkey("doctor").out


def test_what_is_wrong_and_what_changed_is_shown(latchkey: CommandLine, fast_onboarding: Onboarding, tmp_path: Path) -> None:
    fast_onboarding.aws.control("PUT", "assumptions", {"trail": {"lose": 1}, "mediatailorRetires": "never"})
    made = fast_onboarding.onboard(fast_onboarding.detail())
    access_id, key = made["accessId"], made["resources"]["keyArn"]
    name = access_id.rpartition("/")[2]
    assert latchkey("grants", key, "--json").json["counts"] == {"in use": 1}
    assert "no findings" in latchkey("findings").out
    fast_onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    [orphaned] = latchkey("grants", "--attention", "--json").json["grants"]
    assert (orphaned["classed"], orphaned["accessId"], orphaned["keyArn"]) == ("orphaned", access_id, key)
    assert "orphaned  MediaTailor-SourceLocation-" in latchkey("grants").out

    reconciled = latchkey("reconcile", "--follow")
    assert "1 access with 1 finding" in reconciled.out
    assert "✓ Sweep grants" in reconciled.err
    [found] = latchkey("findings", "--json").json
    assert [one["kind"] for one in found["findings"]] == ["resource-missing"]
    assert "Latchkey never changes this" in latchkey("findings", name).out
    assert latchkey("findings", "--kind", "key-disabled", "--json").json == []

    assert "status-observed: gone" in latchkey("audit", "show", name).out
    assert "request-accepted" in {one["action"] for one in latchkey("audit", "show", "--since", "1h", "--json").json}
    exported = latchkey("audit", "export", "--output", str(tmp_path), "--json").json
    [records, _] = exported["files"]
    assert "every chain is complete" in latchkey("audit", "verify", records).out
    assert latchkey("audit", "verify", "--earlier", exported["headsKey"], "--json").json["problemCount"] == 0
    Path(records).write_text(Path(records).read_text().replace("access-recorded", "access-changed", 1))
    assert "was changed" in latchkey("audit", "verify", records, expect=1).out


def test_the_lines_of_a_manifest_are_checked_and_planned(
    latchkey: CommandLine, fast_onboarding: Onboarding, tmp_path: Path
) -> None:
    details = [fast_onboarding.detail() for _ in range(2)]
    lines = [json.dumps({name: value for name, value in detail.items() if name != "requestId"}) for detail in details]
    manifest = tmp_path / "channels.jsonl"
    manifest.write_text("\n".join([*lines, '{"system": "mediatailor", "resource": {}}']))

    refused = latchkey("bulk", str(manifest), expect=2)
    assert "line 3  resource.baseUrl  is missing" in refused.err
    assert "1 line of" in refused.err
    planned = latchkey("bulk", str(manifest), "--anyway", "--plan", "--follow", "--output", str(tmp_path / "results"), expect=2)
    assert [line.split() for line in planned.out.splitlines() if line.endswith((" 1", " 2"))] == [
        ["Access", "Planned", "2"],
        ["Request", "Rejected", "1"],
    ]
    assert "resource.baseUrl is missing" in planned.out
    assert len((tmp_path / "results").read_text().splitlines()) == 3


def test_what_was_set_up_by_hand_is_found_and_written_to_a_manifest(
    latchkey: CommandLine, fast_onboarding: Onboarding, tmp_path: Path
) -> None:
    key = fast_onboarding.new_key(consent=False)
    secret = fast_onboarding.new_secret('{"token": "by-hand-by-hand-by-hand-by-hand"}', None, KmsKeyId=key)
    reading = {"Effect": "Allow", "Principal": {"Service": "mediatailor.amazonaws.com"}, "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [reading | {"Action": "secretsmanager:GetSecretValue"}]}
    fast_onboarding.secretsmanager.put_resource_policy(SecretId=secret, ResourcePolicy=json.dumps(policy))
    settings = {"HeaderName": "X-Token", "SecretArn": secret, "SecretStringKey": "token"}
    fast_onboarding.mediatailor.create_source_location(
        SourceLocationName="by-hand",
        HttpConfiguration={"BaseUrl": f"{fast_onboarding.aws.origin_url}/by-hand"},
        AccessConfiguration={
            "AccessType": "SECRETS_MANAGER_ACCESS_TOKEN",
            "SecretsManagerAccessTokenConfiguration": settings,
        },
    )

    manifest = tmp_path / "found.jsonl"
    shown = latchkey("discover", "--system", "mediatailor", "--manifest", str(manifest))

    assert "mediatailor/sourceLocation/by-hand" in shown.out
    assert "1 resource found that Latchkey does not manage" in shown.out
    [request] = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert request["secret"]["value"]["existing"]["secretArn"] == secret
    latchkey("bulk", str(manifest), "--plan", "--follow", expect=2)  # nobody has consented yet


def test_dead_letters_are_listed_without_their_details_and_sent_again(
    latchkey: CommandLine, fast_onboarding: Onboarding
) -> None:
    token, detail = "s3cr3t-that-a-sender-put-into-an-event", fast_onboarding.detail()
    event = {"id": "event-1", "source": "latchkey.requests", "detail-type": "Onboarding Requested"}
    bodies = [
        {"requestPayload": event | {"detail": detail}, "responsePayload": {"errorMessage": "Task timed out"}},
        event | {"detail": {"system": "mediatailor", "token": token}},
        {"requestId": "scheduled"},
        {"requestPayload": [token]},
    ]
    sqs = fast_onboarding.aws.client("sqs")
    queue = sqs.get_queue_url(QueueName=latchkey.resource("RequestDeadLetters").rpartition("/")[2])["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))

    listed = latchkey("dlq", "list", "--json").json
    assert {(one["kind"], one["requestId"], one["redrive"].partition(":")[0]) for one in listed} == {
        ("Onboarding Requested", detail["requestId"], "send again"),
        ("Onboarding Requested", "event-1", "send again"),
        ("scheduled reconciliation", None, "delete"),
        ("unknown message", None, "not possible"),
    }
    assert "Task timed out" in latchkey("dlq", "list").out
    assert "4 requests could not be delivered" in latchkey("doctor", expect=1).out
    first = next(one["messageId"] for one in listed if one["requestId"] == detail["requestId"])
    assert "1 message done" in latchkey("dlq", "redrive", first).out
    assert "2 messages done, 1 left" in latchkey("dlq", "redrive", expect=1).out
    assert len(latchkey("dlq", "list", "--json").json) == 1

    assert latchkey("outcome", detail["requestId"], "--follow", "--json").json["outcome"] == "Access Onboarded"
    until(lambda: fast_onboarding.outcomes.of("event-1"), "the rejection", 60)
    assert "Rejected" in latchkey("outcome", "event-1", expect=2).out
    assert not any(token in text for text in latchkey.printed)


def test_the_live_check_runs_in_the_account_of_the_command(latchkey: CommandLine) -> None:
    assert "no point nothing" in latchkey("live-check", "--points", "nothing", expect=2).err
    assert "root user cannot run the check" in latchkey("live-check", "--clean", "--yes", expect=2).err
