"""The golden vectors of docs/reference/wire-format.md, read from that page, in both directions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.result import ErrorInfo, Outcome, Result
from orcastra_core.serialization import envelope_fields
from orcastra_core.serialization.cbor import CborSerializer
from orcastra_core.serialization.cbor_decode import decode
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_core.serialization.event_codec import decode_events, encode_event
from orcastra_core.serialization.json import JsonSerializer
from orcastra_core.serialization.result_codec import decode_result, encode_result
from orcastra_core.serialization.tags import ADMITTED, SET

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "wire-format.md"
TEXT = PAGE.read_text(encoding="utf-8")
CBOR, JSON = CborSerializer(), JsonSerializer()


def blocks(kind: str) -> list[tuple[str, str]]:
    """The left and right sides of all blocks of a kind."""
    found = re.findall(rf"^```golden-{kind}\n(.*?)\n=\n(.*?)\n```$", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"the page has no {kind} block"
    return found


def vectors(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "raw, value", [(bytes.fromhex(left), JSON.loads(right.encode())) for left, right in blocks(kind)]
    )


def test_every_block_is_read_by_one_of_the_tests() -> None:
    kinds = set(re.findall(r"^```golden-(\w+)$", TEXT, re.MULTILINE))
    assert kinds == {"envelope", "result", "events", "value", "json"}
    assert len(re.findall(r"^```golden-", TEXT, re.MULTILINE)) == sum(len(blocks(kind)) for kind in kinds)


def envelope_of(fields: dict[str, Any]) -> Envelope:
    made = dict(fields)
    made["body"] = bytes.fromhex(made["body"])
    if "dedup" in made:
        key, mode, window = made["dedup"]
        made["dedup"] = Dedup(key, DedupMode(mode), window)
    if "counts" in made:
        made["counts"] = Counts(*made["counts"])
    return Envelope(**made)


@vectors("envelope")
def test_envelopes(raw: bytes, value: dict[str, Any]) -> None:
    envelope = envelope_of(value)
    assert encode_envelope(envelope) == raw
    assert decode_envelope(raw) == envelope


def test_the_envelope_shown_byte_by_byte_is_the_first_vector() -> None:
    shown = re.search(r"Byte by byte:\n\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert shown is not None
    assert bytes.fromhex(re.sub(r";.*", "", shown[1])) == bytes.fromhex(blocks("envelope")[0][0])


@vectors("result")
def test_results(raw: bytes, value: dict[str, Any]) -> None:
    made = dict(value, outcome=Outcome(value["outcome"]), value=bytes.fromhex(value["value"]))
    if "error" in made:
        made["error"] = ErrorInfo(*made["error"])
    result = Result(**made)
    assert encode_result(result) == raw
    assert decode_result(raw) == result


@vectors("events")
def test_events(raw: bytes, value: list[list[Any]]) -> None:
    events = [
        Event(EventKind(kind), at, task_id, attempt, session, detail or {})
        for kind, at, task_id, attempt, session, detail in value
    ]
    assert b"".join(map(encode_event, events)) == raw
    assert decode_events(raw) == events


@vectors("value")
def test_values(raw: bytes, value: Any) -> None:
    assert CBOR.dumps(value) == raw
    for read in (CBOR.loads, decode):
        loaded = read(raw)
        assert loaded == value
        assert repr(loaded) == repr(value)  # 1 == 1.0 == Decimal(1) would pass otherwise


@pytest.mark.parametrize("text, raw", [(left, bytes.fromhex(right)) for left, right in blocks("json")])
def test_json_values(text: str, raw: bytes) -> None:
    value = CBOR.loads(raw)
    assert JSON.dumps(value).decode() == text
    assert JSON.loads(text.encode()) == value


def test_the_table_of_keys_is_the_code() -> None:
    section = TEXT.split("## Envelope", 1)[1].split("## Body", 1)[0]
    rows = dict(re.findall(r"^\| (\d+) \| `(\w+)`", section, re.MULTILINE))
    assert {int(key): name for key, name in rows.items()} == {f.key: f.name for f in envelope_fields.FIELDS}
    reserved = dict(re.findall(r"^\| (\d+) \| \*([\w ]+)\*", section, re.MULTILINE))
    assert {int(k): name.replace(" ", "_") for k, name in reserved.items()} == dict(envelope_fields.RESERVED)


def test_the_table_of_tags_is_the_code() -> None:
    section = TEXT.split("### Tags", 1)[1].split("###", 1)[0]
    listed = {int(n) for row in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for n in row.split(",")}
    assert listed == {*ADMITTED, SET}


def test_the_list_of_kinds_is_the_code() -> None:
    section = TEXT.split("## Events", 1)[1]
    listed = re.search(r"^Kinds: (.*)\.$", section, re.MULTILINE)
    assert listed is not None
    pairs = [entry.split(" ", 1) for entry in listed[1].split(", ")]
    assert {int(n): name.upper().replace(" ", "_") for n, name in pairs} == {k.value: k.name for k in EventKind}
