"""A chain of audit records shows every record that was changed, removed, inserted or moved, and an end that was cut off."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latchkey.access.audit_record import EMPTY, ChainedRecord, ChainHead
from latchkey.audit.chain import canonical, chained, continuation_problems, hash_of, heads_of, heads_text, problems_of
from latchkey.audit.facts import Action, Fact
from latchkey.audit.ocsf import event_of, record_of
from latchkey_cli.exported_audit import problems_in
from latchkey_cli.main import main
from tests.unit.samples import EXECUTION_ARN, KEY_ARN, PLACE

ACCESS = "mediatailor/sourceLocation/sports-origin"


def fact(number: int, **members: Any) -> Fact:
    known: dict[str, Any] = {
        "source": f"event-{number}",
        "access_id": ACCESS,
        "at": "2026-11-22T08:00:00+00:00",
        "subject": "s",
    }
    return Fact(**known | {"action": Action.CHANGE_INTENDED, "after": {"number": number, "é": 1.5}} | members)


CHAIN = chained(map(fact, range(1, 6)), EMPTY)
HEAD = CHAIN[-1].head
type Tampering = Callable[[list[ChainedRecord]], list[ChainedRecord]]


def changed(records: list[ChainedRecord]) -> list[ChainedRecord]:
    return [*records[:2], replace(records[2], text=records[2].text.replace('"number":3', '"number":33')), *records[3:]]


def changed_with_its_hash(records: list[ChainedRecord]) -> list[ChainedRecord]:
    text = records[2].text.replace('"s"', '"t"')
    return [*records[:2], replace(records[2], text=text, hash=hash_of(text)), *records[3:]]


def inserted(records: list[ChainedRecord]) -> list[ChainedRecord]:
    [forged] = chained([fact(9)], records[1].head)
    return [*records[:2], forged, *records[2:]]


def unreadable(records: list[ChainedRecord]) -> list[ChainedRecord]:
    return [*records[:2], replace(records[2], text="no JSON", hash=hash_of("no JSON")), *records[3:]]


def listed(records: list[ChainedRecord]) -> list[ChainedRecord]:
    return [*records[:2], replace(records[2], text="[]", hash=hash_of("[]")), *records[3:]]


TAMPERINGS: dict[str, Tampering] = {
    "changed": changed,
    "changed with its hash": changed_with_its_hash,
    "removed": lambda records: [*records[:2], *records[3:]],
    "the first one removed": lambda records: records[1:],
    "the end cut off": lambda records: records[:-1],
    "everything removed": lambda _: [],
    "inserted": inserted,
    "inserted at the end": lambda records: [*records, *chained([fact(9)], records[-1].head)],
    "a copy inserted": lambda records: [*records[:3], records[2], *records[3:]],
    "moved": lambda records: [records[0], records[2], records[1], *records[3:]],
    "renumbered": lambda records: [*records[:2], replace(records[2], number=4), *records[3:]],
    "under another source": lambda records: [*records[:2], replace(records[2], source="event-9"), *records[3:]],
    "unreadable": unreadable,
    "no object": listed,
}
tamperings = pytest.mark.parametrize("tampering", TAMPERINGS.values(), ids=TAMPERINGS)


def test_a_whole_chain_has_no_problem() -> None:
    assert problems_of(ACCESS, CHAIN, HEAD) == []
    assert problems_of(ACCESS, [], None)


@tamperings
def test_tampering_is_found(tampering: Tampering) -> None:
    assert problems_of(ACCESS, tampering([*CHAIN]), HEAD)


def test_records_of_another_access_are_found() -> None:
    assert problems_of("mediatailor/sourceLocation/other", CHAIN, HEAD)


def test_a_chain_without_its_head_is_found() -> None:
    assert problems_of(ACCESS, CHAIN, None)


@pytest.mark.parametrize("seed", range(50))
def test_one_changed_character_of_any_record_is_found(seed: int) -> None:
    chosen = random.Random(seed)
    record = chosen.choice(CHAIN)
    at = chosen.randrange(len(record.text))
    text = record.text[:at] + chr(ord(record.text[at]) ^ 1) + record.text[at + 1 :]

    assert problems_of(ACCESS, [replace(one, text=text) if one is record else one for one in CHAIN], HEAD)


def test_a_history_that_was_written_again_is_found_by_an_earlier_export() -> None:
    again = chained(map(fact, (1, 2, 3, 4, 7, 8)), EMPTY)

    assert problems_of(ACCESS, again, again[-1].head) == []
    assert continuation_problems(ACCESS, again, HEAD)
    assert continuation_problems(ACCESS, [*CHAIN, *chained([fact(6)], HEAD)], HEAD) == []


def test_heads_are_read_as_they_are_written() -> None:
    assert heads_of(heads_text({ACCESS: HEAD})) == {ACCESS: HEAD}


@pytest.mark.parametrize("action", Action)
def test_every_record_is_an_event_of_the_schema_from_which_it_can_be_read(action: Action) -> None:
    [record] = chained([fact(1, action=action)], EMPTY)
    event = event_of(record, PLACE)

    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event.keys() >= {"actor", "api", "category_uid", "cloud", "metadata", "severity_id", "src_endpoint", "time"}
    assert record_of(json.loads(json.dumps(event))) == record


def test_an_event_says_who_did_what_to_which_resource() -> None:
    principal = {"function": "report_clean_up", "cloudTrailPrincipal": "arn:p", "senderAccount": "111122223333"}
    one = fact(
        1,
        principal=principal,
        tenant="sports",
        subject=f"10-reference {KEY_ARN}",
        execution_arn=EXECUTION_ARN,
        before={"a": "arn:b"},
    )
    event = event_of(chained([one], EMPTY)[0], PLACE)

    assert event["actor"] == {
        "invoked_by": "report_clean_up",
        "user": {"uid": "arn:p", "account": {"uid": "111122223333"}, "org": {"name": "sports"}},
    }
    assert event["resources"] == [{"name": ACCESS}, {"uid": KEY_ARN}, {"uid": "arn:b"}]
    assert event["metadata"]["correlation_uid"] == EXECUTION_ARN
    assert event["time"] == 1795334400000


@pytest.mark.parametrize(("status", "expected"), [("failed", 2), ("rejected", 2), ("active", 1), (None, 1)])
def test_an_outcome_that_is_no_success_is_a_failure(status: str | None, expected: int) -> None:
    [record] = chained([fact(1, action=Action.OUTCOME_RECORDED, after=status and {"status": status})], EMPTY)

    assert event_of(record, PLACE)["status_id"] == expected


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Writes an export of a chain, and returns the file of its records."""

    def write(records: list[ChainedRecord], head: ChainHead = HEAD, name: str = "export") -> Path:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(event_of(record, PLACE)) + "\n" for record in records))
        (tmp_path / f"{name}.heads.json").write_text(heads_text({ACCESS: head}))
        return path

    return write


def test_an_export_of_whole_chains_is_verified(exported: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(exported(CHAIN))]) == 0
    assert "complete and unchanged" in capsys.readouterr().out


@pytest.mark.parametrize("tampering", [one for name, one in TAMPERINGS.items() if name not in ("unreadable", "no object")])
def test_tampering_with_an_export_is_found(exported: Any, tampering: Tampering, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(exported(tampering([*CHAIN])))]) == 1
    assert ACCESS in capsys.readouterr().out


def test_an_export_that_does_not_continue_an_earlier_one_is_found(exported: Any) -> None:
    exported(CHAIN, name="earlier")
    again = chained(map(fact, (1, 2, 3, 4, 7, 8)), EMPTY)
    path = exported(again, again[-1].head)

    assert main(["audit", "verify", str(path)]) == 0
    assert main(["audit", "verify", str(path), "--earlier", str(path.with_name("earlier.heads.json"))]) == 1


def test_an_earlier_chain_that_is_gone_is_found() -> None:
    assert problems_in([], {}, {ACCESS: HEAD})


@pytest.mark.parametrize("member", ["time", "actor", "resources", "class_uid"])
def test_a_member_of_an_event_that_does_not_fit_its_record_is_found(member: str) -> None:
    events = [event_of(record, PLACE) for record in CHAIN]
    events[1] |= {member: {"uid": "forged"}}

    assert problems_in(map(json.dumps, events), {ACCESS: HEAD}, {})


@pytest.mark.parametrize("line", ["", "no JSON", "{}", '{"unmapped": 1}', "[]"])
def test_a_line_without_a_record_is_found(line: str) -> None:
    [problem, *_] = problems_in([line], {}, {})

    assert problem.number == 1


def test_the_canonical_text_is_independent_of_the_order_of_members() -> None:
    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"\\u00e9","b":1}'
