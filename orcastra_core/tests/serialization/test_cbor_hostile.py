"""Bytes that nobody of ours wrote: DeserializationError or a value, in bounded time and memory, and nothing else."""

from __future__ import annotations

import functools
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orcastra_core.model.errors import DeserializationError, OrcastraError
from orcastra_core.model.result import Outcome, Result
from orcastra_core.serialization.cbor import CborSerializer
from orcastra_core.serialization.cbor_decode import decode
from orcastra_core.serialization.cbor_items import head
from orcastra_core.serialization.envelope_codec import decode_envelope
from orcastra_core.serialization.event_codec import decode_events
from orcastra_core.serialization.json import JsonSerializer
from orcastra_core.serialization.result_codec import decode_result, encode_result

CBOR, JSON = CborSerializer(), JsonSerializer()
READERS: dict[str, Callable[[bytes], Any]] = {
    "cbor": CBOR.loads,
    "json": JSON.loads,
    "envelope": decode_envelope,
    "result": decode_result,
    "events": decode_events,
}
bounded = settings(max_examples=400, deadline=None, derandomize=True)

SAMPLES = [
    bytes.fromhex(sample)
    for sample in (
        "a70001015001920f5e7c007a3b8d4e5f60718293a402fb41d9bef208100000"
        "03646d61696c047573686f702e7461736b732e67726565745f75736572054f828165416c696365a16361676518190662633 7".replace(
            " ", ""
        ),
        "b40001015001920f5e7c007a3b8d4e5f60718293a402fb41d9bef20800000003617104617405475b5b5d2c7b7d5d0662633707706170706c69"
        "636174696f6e2f6a736f6e082209fb41d9bef2170000000afb41d9bef58c0000000b8365616c69636502fb404e0000000000000c65616c6963"
        "650dfb403e0000000000000efb00000000000000000f5001920f5e7c007a3b8d4e5f60718293a5108301000211021863"
        "81656c617465726d782d73686f702d74656e616e74656e6f727468",
        "a60001015001920f5e7c007a3b8d4e5f60718293a4020003fb41d9bef20860000004fb40ac2000000000000542182a",
        "8605fb41d9bef2086000005001920f5e7c007a3b8d4e5f60718293a400627331f6",
        "84c074323032362d30332d32395430323a33303a30305ad903eaa2013a0001517f2505c482211896d8255001920f5e7c007a3b8d4e5f60718293a4",
        "a3d9010283010203f9010282fbbfb999999999999af6c2490100000000000000006161f5",
    )
] + [b'{"$set":[1,{"$decimal":"1.5"}],"a":[{"$map":[[1,2]]},{"$bytes":"AP8="}]}']


def outcome(read: Callable[[bytes], Any], data: bytes) -> Any:
    """The value, or DeserializationError; anything else that is raised fails the test."""
    try:
        return read(data)
    except DeserializationError as error:
        message = str(error)
    assert 0 < len(message) < 1000
    return DeserializationError


@pytest.mark.parametrize("name", READERS)
@bounded
@given(st.binary(max_size=200))
def test_random_bytes(name: str, data: bytes) -> None:
    outcome(READERS[name], data)


# Heads drawn as often as contents: gets far deeper than random bytes do.
tokens = st.one_of(
    st.builds(head, st.integers(0, 7), st.integers(0, 40)),
    st.builds(head, st.integers(0, 7), st.sampled_from([255, 2**16, 2**32, 2**62, 2**64 - 1])),
    st.sampled_from([b"\x9f", b"\xbf", b"\x5f", b"\x7f", b"\xff", b"\xf7", b"\xf8\x20", b"\xd8\x1c", b"\xd8\x1d\x00"]),
    st.binary(max_size=9),
    st.sampled_from([b"x-shop-a", b"2026-03-29T02:30:00Z", b"\xfb" + struct.pack(">d", 1e300)]),
)


@pytest.mark.parametrize("name", ["cbor", "envelope", "result", "events"])
@bounded
@given(st.lists(tokens, max_size=25).map(b"".join))
def test_random_items(name: str, data: bytes) -> None:
    outcome(READERS[name], data)


@pytest.mark.parametrize("name", READERS)
def test_mutated_bytes(name: str) -> None:
    rng = random.Random(20260329)
    for _ in range(4000):
        data = bytearray(rng.choice(SAMPLES))
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(1, 5)]
                case 2:
                    data[at:at] = rng.randbytes(rng.randrange(1, 5))
                case _:
                    data[at] ^= 1 << rng.randrange(8)
            if not data:
                break
        outcome(READERS[name], bytes(data))


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_truncation_is_refused(sample: bytes) -> None:
    for reader in (CBOR.loads, decode):
        for size in range(len(sample)):
            assert outcome(reader, sample[:size]) is DeserializationError
    for read in (decode_envelope, decode_result):
        for size in range(len(sample)):
            assert outcome(read, sample[:size]) is DeserializationError


def canonical(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return f"set{sorted(map(canonical, value))}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}{list(map(canonical, value))}"
    if isinstance(value, dict):
        return f"dict{[(canonical(k), canonical(v)) for k, v in value.items()]}"
    return repr(value)


@bounded
@given(st.lists(tokens, max_size=25).map(b"".join) | st.binary(max_size=60))
@example(b"\x81\xf7")
@example(b"\xa1\x61a\xf0")
@example(b"\x01\x02")
@example(b"\xd8\x1c\x81\xd8\x1d\x00")
def test_the_short_cut_and_the_rule_agree(data: bytes) -> None:
    fast, rule = outcome(CBOR.loads, data), outcome(decode, data)
    assert canonical(fast) == canonical(rule)


TAGS = [5, 21, 22, 24, 25, 28, 29, 30, 35, 36, 52, 54, 100, 256, 259, 260, 261, 43000, 55799, 2**63]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("content", ["80", "00", "6161", "4161", "8101", "a0", "f6", "d81d00"])
def test_other_tags_are_refused(tag: int, content: str) -> None:
    data = head(6, tag) + bytes.fromhex(content)
    for wrapped in (data, b"\x81" + data, b"\xa1\x61a" + data, b"\xa1" + data + b"\x00", b"\xd9\x01\x02\x81" + data):
        assert outcome(CBOR.loads, wrapped) is DeserializationError


@pytest.mark.parametrize(
    "bad",
    [
        "c000", "c06161", "c074323032362d31332d32395430323a33303a30305a", "c073323032362d30332d32395430323a33303a3030",
        "c1f97e00", "c1fb7fefffffffffffff", "c16161", "c201", "c28101", "c40102", "c481", "c48161", "c482016161",
        "c4821a0000271101", "c482f50a", "d8254161", "d82501", "d90102a0", "d9010200", "d901028201f901",
        "d9010282010 1", "d90102820101", "d9010281a0", "d903ea01", "d903eaa0", "d903eaa1016161", "d903eaa1011bffffffffffffffff",
        "d903eaa2010125 1a000f4240", "d903eaa2010a0201", "d903ec6161", "d903ec6a323032362d30322d3330",
        "c2c24101", "c0c06161", "a2010101 02", "a201020103", "a2f5010102", "a1a00 1", "f7", "f0", "f820", "e0", "fc", "1c", "1f", "ff",
        "9f01ff", "bf6161 01ff", "5f4101ff", "7f6161ff", "61ff", "62c328", "0101", "", "81", "a161", "19ff", "fb00",
    ],
)  # fmt: skip
def test_crafted_bytes_are_refused(bad: str) -> None:
    data = bytes.fromhex(bad.replace(" ", ""))
    assert outcome(CBOR.loads, data) is DeserializationError
    assert outcome(decode, data) is DeserializationError


P61 = 2**61 - 1


def colliding_ints(count: int) -> list[bytes]:
    """Bignums of one and the same hash: CPython reduces ints by a known prime."""
    return [b"\xc2" + head(2, 12) + (P61 * (2**32 + i)).to_bytes(12, "big") for i in range(count)]


def colliding_tuples(count: int) -> list[bytes]:
    """Pairs of one and the same hash: CPython mixes tuples without a secret, so the second can be solved for."""
    prime1, prime2, prime5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
    mask = 2**64 - 1
    inverse1, inverse2 = pow(prime1, -1, 2**64), pow(prime2, -1, 2**64)

    def step(acc: int, lane: int) -> int:
        acc = (acc + lane * prime2) & mask
        return ((acc << 31 | acc >> 33) & mask) * prime1 & mask

    wanted = 0x1234_5678_9ABC_DEF0
    found: list[bytes] = []
    first = 0
    while len(found) < count:
        first += 1
        acc = step(prime5, first)
        unmixed = wanted * inverse1 & mask
        unmixed = (unmixed >> 31 | unmixed << 33) & mask
        lane = (unmixed - acc) * inverse2 & mask
        if lane < P61:
            found.append(b"\x82" + head(0, first) + head(0, lane))
    return found


def test_the_colliding_keys_really_collide() -> None:
    for keys in ([tuple(decode(pair)) for pair in colliding_tuples(5)], [decode(n) for n in colliding_ints(5)]):
        assert len({hash(key) for key in keys}) == 1
        assert len(set(keys)) == 5


@functools.cache
def bombs() -> dict[str, bytes]:
    tuples = colliding_tuples(8000)
    return {
        "deep arrays": b"\x81" * 300_000,
        "deep arrays, closed": b"\x81" * 300_000 + b"\x00",
        "deep maps": b"\xa1\x00" * 150_000,
        "deep keys": b"\xa1" * 300_000,
        "deep tags": b"\xc2" * 300_000,
        "deep sets": b"\xd9\x01\x02\x81" * 75_000,
        "huge array": b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
        "huge map": b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
        "huge text": b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
        "huge bytes": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xffx",
        "huge arrays in one another": b"\x9a\x00\x10\x00\x00" * 50_000,
        "a flood of empty maps": b"\x9a\x00\x04\x00\x00" + b"\xa0" * 0x40000,
        "huge exponent": bytes.fromhex("c4821b7fffffffffffffff01"),
        "huge mantissa": b"\xc4\x82\x00\xc2\x5a\x00\x04\x00\x00" + b"\xff" * 0x40000,
        "huge number": b"\xc2\x5a\x00\x04\x00\x00" + b"\xff" * 0x40000,
        "shared": b"\xd8\x1c\x82\x01\xd8\x1d\x00",
        "doubling": b"\x82" + (b"\xd8\x1c\x82\xd8\x1d\x00\xd8\x1d\x00") * 1000,
        "regex": b"\xd8\x23\x78\x20" + b"(a+)+" * 6 + b"$$",
        "colliding numbers": head(5, 16000) + b"".join(number + b"\xf6" for number in colliding_ints(16000)),
        "colliding set": b"\xd9\x01\x02" + head(4, 8000) + b"".join(tuples),
        "colliding keys": head(5, 8000) + b"".join(pair + b"\xf6" for pair in tuples),
        "too many numbers": head(5, 40_000) + b"".join(head(0, i << 20) + b"\xf6" for i in range(40_000)),
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs_cost_no_more_than_their_size(name: str) -> None:
    data = bombs()[name]
    tracemalloc.start()
    begun = time.process_time()
    try:
        result = outcome(CBOR.loads, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    spent = time.process_time() - begun
    del result
    assert peak < 2**20 + 150 * len(data)
    assert spent < 5.0  # a guard against quadratic work, an order of magnitude above what is seen


JSON_BOMBS = {
    "deep": b"[" * 500_000,
    "deep objects": b'{"a":' * 200_000,
    "deeper than a hundred": b"[" * 101 + b"]" * 101,
    "long number": b"9" * 1_000_000,
    "long negative number": b"-" + b"9" * 1_000_000,
    "infinite": b"1e999",
    "infinite in an object": b'{"a":[-1e999]}',
    "NaN": b"[NaN]",
    "Infinity": b"-Infinity",
    "surrogate": b'"\\ud800"',
    "surrogate key": b'{"\\ud800":1}',
    "twice": b'{"a":1,"a":2}',
    "BOM": b'\xef\xbb\xbf"a"',
    "UTF-16": '"a"'.encode("utf-16"),
    "not UTF-8": b'"\xff"',
    "trailing": b"1 2",
    "empty": b"",
    "unknown tag": b'{"$eval":"1"}',
    "bad base64": b'{"$bytes":"a"}',
    "bad base64 characters": b'{"$bytes":"!!!!"}',
    "bad type": b'{"$bytes":1}',
    "naive": b'{"$datetime":"2026-01-01T00:00:00"}',
    "bad date": b'{"$date":"2026-02-30"}',
    "decimal NaN": b'{"$decimal":"NaN"}',
    "decimal exponent": b'{"$decimal":"1E99999"}',
    "decimal dots": b'{"$decimal":"1.2.3"}',
    "bad int": b'{"$int":"0x10"}',
    "spaced int": b'{"$int":" 1"}',
    "bad duration": b'{"$duration":[1,1000000]}',
    "long duration": b'{"$duration":[99999999999999999999,0]}',
    "set of dicts": b'{"$set":[{}]}',
    "set twice": b'{"$set":[1,1]}',
    "map twice": b'{"$map":[[1,1],[1,2]]}',
    "map of what": b'{"$map":[[1]]}',
    "bad uuid": b'{"$uuid":"1"}',
    "colliding": b'{"$set":[' + b",".join(b"%d" % (i * P61) for i in range(1, 9000)) + b"]}",
}


@pytest.mark.parametrize("name", JSON_BOMBS)
def test_json_bombs(name: str) -> None:
    assert outcome(JSON.loads, JSON_BOMBS[name]) is DeserializationError


def test_errors_are_of_the_one_tree() -> None:
    with pytest.raises(OrcastraError):
        CBOR.loads(b"\xff")


def test_a_result_of_an_unknown_outcome_is_refused() -> None:
    raw = encode_result(Result("01920f5e-7c00-7a3b-8d4e-5f60718293a4", Outcome.COMPLETED))  # type: ignore[arg-type]
    assert outcome(decode_result, raw.replace(b"\x02\x00\x03", b"\x02\x09\x03")) is DeserializationError
