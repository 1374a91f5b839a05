"""Arguments and values by a function's signature and annotations."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import inspect
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.errors import CodecError, DeserializationError, InvalidArguments, SerializationError
from orcastra_core.serialization.arguments import Signature
from orcastra_core.serialization.cbor import CborSerializer
from orcastra_core.serialization.json import JsonSerializer

if TYPE_CHECKING:
    from nowhere_at_run_time import Phantom  # type: ignore[import-not-found]  # that is the point

CBOR, JSON = CborSerializer(), JsonSerializer()
NOW = dt.datetime(2026, 3, 29, 2, 30, tzinfo=dt.UTC)
UserId = NewType("UserId", int)
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@attrs.frozen
class Address:
    street: str
    since: dt.date


@attrs.frozen
class User:
    name: str
    home: Address
    colours: frozenset[Colour] = frozenset()
    born: dt.datetime | None = None


@attrs.frozen
class Robot:
    serial: int


@dataclasses.dataclass
class Order:
    number: uuid.UUID
    total: Decimal
    lines: list[tuple[str, int]]
    ships_to: Optional[Address] = None  # noqa: UP045 - the old spelling is what is tried here


class Point(NamedTuple):
    x: int
    y: float


class Options(TypedDict):
    loud: bool
    at: dt.datetime


@attrs.frozen
class TwinA:
    value: int


@attrs.frozen
class TwinB:
    value: int


ALICE = User("Alice", Address("Main 1", dt.date(2020, 1, 2)), frozenset({Colour.RED, Colour.BLUE}), NOW)
ORDER = Order(uuid.UUID(int=7), Decimal("9.90"), [("nut", 2), ("bolt", 1)], ALICE.home)


@pytest.fixture(params=[CBOR, JSON], ids=["cbor", "json"])
def serializer(request: pytest.FixtureRequest) -> Serializer:
    chosen: Serializer = request.param
    return chosen


def round_trip(annotation: Any, value: Any, serializer: Serializer) -> Any:
    """What a task gets for an argument of that annotation; its value travels the same way."""

    def task(it: Any) -> Any: ...

    task.__annotations__ = {"it": annotation, "return": annotation}
    signature = Signature.of(task, "task")
    args, kwargs = signature.load(serializer, signature.dump(serializer, (value,), {}))
    assert kwargs == {}
    args_by_name, named = signature.load(serializer, signature.dump(serializer, (), {"it": value}))
    assert list(args_by_name) == []
    assert named["it"] == args[0]
    assert signature.load_result(serializer, signature.dump_result(serializer, value)) == args[0]
    return args[0]


@pytest.mark.parametrize(
    "annotation, value",
    [
        (int, 3),
        (float, 1.5),
        (float, 2),
        (str, "a"),
        (bytes, b"a"),
        (bool, True),
        (None, None),
        (list, [1]),
        (dict, {"a": 1}),
        (Any, {"a": [1]}),
        (inspect.Parameter.empty, NOW),
        (int | None, None),
        (Optional[int], 3),  # noqa: UP045
        (int | str, "x"),
        (Union[int, dt.datetime], NOW),  # noqa: UP007
        (list[int], [1, 2]),
        (dict[str, list[float]], {"a": [1.5]}),
        (dict[int, str], {1: "a"}),
        (dt.datetime, NOW),
        (dt.date, NOW.date()),
        (dt.timedelta, dt.timedelta(days=-1, microseconds=5)),
        (Decimal, Decimal("1.50")),
        (uuid.UUID, uuid.UUID(int=5)),
        (list[dt.datetime], [NOW]),
        (set[int], {1, 2}),
        (set, {1, "a"}),
        (frozenset[str], frozenset({"a"})),
        (tuple, (1, "a")),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2, 3)),
        (list[tuple[int, int]], [(1, 2)]),
        (Sequence[int], (1, 2)),
        (Mapping[str, int], {"a": 1}),
        (collections.deque[int], collections.deque([1])),
        (Literal["a", 1], 1),
        (Annotated[int, "meta"], 3),
        (Annotated[User, "meta"], ALICE),
        (list[Annotated[int, {"unhashable": []}]], [1]),
        (UserId, 7),
        (T, 5),
        (Colour, Colour.RED),
        (Level, Level.LOW),
        (list[Colour], [Colour.BLUE]),
        (dict[Colour, int], {Colour.RED: 1}),
        (User, ALICE),
        (User | None, None),
        (User | None, ALICE),
        (list[User], [ALICE]),
        (dict[str, User], {"a": ALICE}),
        (User | Robot, Robot(7)),
        (User | Robot | None, ALICE),
        (User | int, 7),
        (User | str, ALICE),
        (Order, ORDER),
        (Point, Point(1, 2.0)),
        (Options, {"loud": True, "at": NOW}),
    ],
    ids=str,
)
def test_a_value_comes_back_as_its_annotation_says(annotation: Any, value: Any, serializer: Serializer) -> None:
    found = round_trip(annotation, value, serializer)
    assert found == value
    assert type(found) is type(value)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.builds(
        User,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        st.builds(Address, st.just("x"), st.dates()),
        st.frozensets(st.sampled_from(Colour)),
        st.none() | st.datetimes(timezones=st.just(dt.UTC)),
    )
)
def test_nested_values(user: User) -> None:
    assert round_trip(list[User], [user], CBOR) == [user]
    assert round_trip(list[User], [user], JSON) == [user]


def greet(name: str, age: int, *, loud: bool = False, ratio: float = 1.0) -> None: ...


def collect(first: int, *rest: int, **named: str) -> None: ...


def only(a: int, b: int = 2, /, c: int = 3) -> None: ...


def nothing() -> None: ...


GREET = Signature.of(greet, "shop.greet")


def test_the_body_is_what_the_caller_gave() -> None:
    assert CBOR.loads(GREET.dump(CBOR, ("Alice",), {"age": 25})) == [["Alice"], {"age": 25}]
    assert GREET.bind(("Alice", 25), {"loud": True}) == (["Alice", 25], {"loud": True})
    assert GREET.load(CBOR, CBOR.dumps([["Alice"], {"age": 25}])) == (["Alice"], {"age": 25})


@pytest.mark.parametrize(
    "function, args, kwargs, message",
    [
        (greet, (), {}, "task 'shop' is missing parameter 'name' (it takes name, age, loud, ratio)"),
        (greet, ("Alice",), {}, "task 'shop' is missing parameter 'age'"),
        (greet, ("Alice",), {"agee": 1}, "task 'shop' has no parameter 'agee' (it takes name, age, loud, ratio)"),
        (greet, ("Alice", 1, True), {}, "task 'shop' takes 2 positional arguments, but 3 were given"),
        (greet, ("Alice", 1), {"age": 1}, "task 'shop' got parameter 'age' twice"),
        (greet, ("Alice", "25"), {}, "task 'shop': parameter 'age': expected int, got a str"),
        (greet, ("Alice", True), {}, "task 'shop': parameter 'age': expected int, got a bool"),
        (greet, (None, 1), {}, "task 'shop': parameter 'name': expected str, got None"),
        (greet, ("Alice", 1), {"loud": 1}, "task 'shop': parameter 'loud': expected bool, got an int"),
        (greet, ("Alice", 1), {"ratio": "1"}, "task 'shop': parameter 'ratio': expected float, got a str"),
        (greet, ("Alice", 1), {"ratio": True}, "task 'shop': parameter 'ratio': expected float, got a bool"),
        (collect, (), {}, "task 'shop' is missing parameter 'first'"),
        (collect, (1, 2, "x"), {}, "task 'shop': parameter '*rest': expected int, got a str"),
        (collect, (1,), {"a": 1}, "task 'shop': parameter 'a': expected str, got an int"),
        (only, (1,), {"b": 3}, "task 'shop' has no parameter 'b'"),
        (only, (), {"a": 3}, "task 'shop' has no parameter 'a'"),
        (nothing, (), {"a": 3}, "task 'shop' has no parameter 'a' (it takes none)"),
        (nothing, (1,), {}, "task 'shop' takes 0 positional arguments, but 1 were given"),
    ],
)
def test_arguments_that_do_not_fit(function: Any, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        Signature.of(function, "shop").bind(args, kwargs)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    "annotation, value, message",
    [
        (User, {"name": "Alice"}, "expected User, got a dict"),
        (User | None, 7, "expected "),
        (list[User], [7], "expected list[tests"),
        (list[int], (1, 2), "expected list[int], got a tuple"),
        (dt.date, NOW, "expected date, got a datetime"),
        (dt.datetime, NOW.date(), "expected datetime, got a date"),
        (Literal["a"], "b", "expected Literal['a'], got a str"),
        (Colour, "red", "expected Colour, got a str"),
        (Options, 7, "expected Options, got an int"),
        (TwinA | TwinB, TwinA(1), "cannot be rebuilt"),
    ],
)
def test_values_that_are_not_what_the_annotation_says(annotation: Any, value: Any, message: str) -> None:
    def task(it: Any) -> Any: ...

    task.__annotations__ = {"it": annotation}
    with pytest.raises(InvalidArguments) as refused:
        Signature.of(task, "shop").dump(CBOR, (value,), {})
    assert str(refused.value).startswith("task 'shop': parameter 'it': ")
    assert message.replace("list[tests", "list[") in str(refused.value)


def test_secrets_stay_out_of_messages() -> None:
    with pytest.raises(InvalidArguments) as refused:
        GREET.bind(("Alice", "hunter2"), {})
    assert "hunter2" not in str(refused.value)


class Plain:
    pass


def takes_anything(first: Any, second: Any = None, **rest: Any) -> Any: ...


@pytest.mark.parametrize(
    "args, kwargs, message",
    [
        ((dt.datetime(2026, 1, 1),), {}, "task 'shop': parameter 'first': value: naive datetime 2026-01-01T00:00:00"),
        ((1,), {"second": {"x": [Plain()]}}, "task 'shop': parameter 'second': value['x'][0]: a "),
        ((1,), {"more": Plain()}, "task 'shop': parameter 'more': value: a "),
        (([[dt.datetime(2026, 1, 1)]],), {}, "task 'shop': parameter 'first': value[0][0]: naive datetime"),
    ],
)
def test_a_value_that_cannot_be_written_is_located(
    args: Any, kwargs: Any, message: str, serializer: Serializer
) -> None:
    with pytest.raises(SerializationError) as refused:
        Signature.of(takes_anything, "shop").dump(serializer, args, kwargs)
    assert str(refused.value).startswith(message)


def makes_naive(user: User) -> User:
    raise NotImplementedError


def test_a_naive_datetime_within_a_typed_value_is_located() -> None:
    naive = attrs.evolve(ALICE, born=dt.datetime(2026, 1, 1))
    signature = Signature.of(makes_naive, "shop")
    with pytest.raises(SerializationError, match=r"task 'shop': parameter 'user': value\['born'\]: naive datetime"):
        signature.dump(CBOR, (naive,), {})
    with pytest.raises(SerializationError, match=r"task 'shop': its value\['born'\]: naive datetime"):
        signature.dump_result(CBOR, naive)


@pytest.mark.parametrize(
    "body, error, message",
    [
        (b"", DeserializationError, "CBOR"),
        (CBOR.dumps(1), DeserializationError, "task 'shop.greet': the body is not [positional arguments, named"),
        (CBOR.dumps([["a", 1]]), DeserializationError, "the body is not"),
        (CBOR.dumps([{}, []]), DeserializationError, "the body is not"),
        (CBOR.dumps([["a"], {}]), InvalidArguments, "task 'shop.greet' is missing parameter 'age'"),
        (CBOR.dumps([["a", 1], {"new": 1}]), InvalidArguments, "task 'shop.greet' has no parameter 'new'"),
        (CBOR.dumps([["a", 1, 2], {}]), InvalidArguments, "takes 2 positional arguments, but 3"),
        (CBOR.dumps([["a"], {1: 2}]), InvalidArguments, "has no parameter 1"),
    ],
)
def test_bodies_that_do_not_fit(body: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refused:
        GREET.load(CBOR, body)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "annotation, wire, message",
    [
        (User, {"name": "Alice"}, "'home' is missing"),
        (User, 7, ""),
        (
            list[User],
            [{"name": 1, "home": {"street": "a", "since": "2020-01-01"}}],
            "expected str, got int @ value[0].name",
        ),
        (set[int], ["1"], "expected int, got str"),
        (set[bytes], [10**15], "expected bytes, got int"),
        (Colour, "green", "'green' is not a valid"),
        (dt.datetime, "2026-01-01T00:00:00", "a datetime without a time zone"),
        (dt.datetime, "soon", "Invalid isoformat"),
        (Decimal, "many", "no Decimal"),
        (uuid.UUID, 5, "expected UUID, got int"),
        (tuple[int, int], [1], ""),
        (Point, [1], ""),
    ],
)
def test_a_body_that_is_not_what_the_annotation_says(annotation: Any, wire: Any, message: str) -> None:
    def task(it: Any) -> Any: ...

    task.__annotations__ = {"it": annotation, "return": annotation}
    signature = Signature.of(task, "shop")
    for loading in (
        lambda: signature.load(CBOR, CBOR.dumps([[wire], {}])),
        lambda: signature.load(CBOR, CBOR.dumps([[], {"it": wire}])),
        lambda: signature.load_result(CBOR, CBOR.dumps(wire)),
    ):
        with pytest.raises(DeserializationError) as refused:
            loading()
        assert str(refused.value).startswith("task 'shop': ")
        assert message in str(refused.value)


def test_plain_json_from_elsewhere() -> None:
    def task(order: Order, at: dt.datetime) -> None: ...

    body = (
        b'[[{"number":"00000000-0000-0000-0000-000000000007","total":"9.90","lines":[["nut",2],["bolt",1]],'
        b'"ships_to":{"street":"Main 1","since":"2020-01-02"}}],{"at":"2026-03-29T02:30:00Z"}]'
    )
    task.__annotations__ = {"order": Order, "at": dt.datetime}
    assert Signature.of(task, "shop").load(JSON, body) == ([ORDER], {"at": NOW})


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "home", "street"]), inner),
    max_leaves=8,
).map(lambda value: CBOR.dumps([[value], {}])))  # fmt: skip
def test_hostile_bodies(body: bytes) -> None:
    def task(user: Any) -> Any: ...

    task.__annotations__ = {"user": User | Robot, "return": list[Order]}
    signature = Signature.of(task, "shop")
    for read in (signature.load, signature.load_result):
        try:
            read(CBOR, body)
        except (CodecError, InvalidArguments):
            pass


# Annotations that cannot be evaluated -----------------------------------------------------------------------------


def half_known(ghost: Phantom, user: User, later: DefinedLater) -> Phantom: ...


class DefinedLater(NamedTuple):
    x: int


def test_an_annotation_that_cannot_be_resolved_leaves_its_parameter_untyped() -> None:
    signature = Signature.of(half_known, "shop")
    args, _ = signature.load(CBOR, signature.dump(CBOR, (7, ALICE, DefinedLater(1)), {}))
    assert args == [7, ALICE, DefinedLater(1)]
    assert type(args[2]) is DefinedLater
    assert signature.load_result(CBOR, signature.dump_result(CBOR, 7)) == 7


def test_a_message_says_that_an_annotation_could_not_be_resolved() -> None:
    signature = Signature.of(half_known, "shop")
    why = "cannot be serialized \\(its annotation could not be resolved: name 'Phantom' is not defined\\)"
    with pytest.raises(SerializationError, match=f"parameter 'ghost': value: a .*Plain {why}"):
        signature.dump(CBOR, (Plain(), ALICE, DefinedLater(1)), {})
    with pytest.raises(SerializationError, match=f"its value: a .*Plain {why}"):
        signature.dump_result(CBOR, Plain())


def test_annotations_are_looked_at_late() -> None:
    namespace: dict[str, Any] = {}
    exec("def task(it: 'Later') -> None: ...", namespace)
    signature = Signature.of(namespace["task"], "shop")
    namespace["Later"] = Colour
    assert CBOR.loads(signature.dump(CBOR, (Colour.RED,), {})) == [["red"], {}]


# Parameters that are injected -------------------------------------------------------------------------------------


def injected(pool: Plain, name: str, ctx: Plain, age: int = 3) -> None: ...


def injected_last(name: str, *, pool: Plain) -> None: ...


def test_excluded_parameters_are_no_part_of_a_call() -> None:
    signature = Signature.of(injected, "shop", exclude=["pool", "ctx"])
    body = signature.dump(CBOR, ("Alice", 4), {})
    assert CBOR.loads(body) == [["Alice", 4], {}]
    # by name: with the injected ones in place, the index of an argument is another
    assert signature.load(CBOR, body) == ([], {"name": "Alice", "age": 4})
    assert signature.load(CBOR, signature.dump(CBOR, ("Alice",), {"age": 4})) == ([], {"name": "Alice", "age": 4})
    for kwargs in ({"pool": 1, "name": "a"}, {"ctx": 1, "name": "a"}):
        with pytest.raises(InvalidArguments, match=r"has no parameter '(pool|ctx)'"):
            signature.bind((), kwargs)
    with pytest.raises(InvalidArguments, match="takes 2 positional arguments, but 3"):
        signature.bind(("a", 1, 2), {})
    with pytest.raises(InvalidArguments, match=r"missing parameter 'name' \(it takes name, age\)"):
        signature.bind((), {})
    last = Signature.of(injected_last, "shop", exclude={"pool"})
    assert last.load(CBOR, last.dump(CBOR, ("a",), {})) == (["a"], {})


def test_values_of_the_wrong_type_cannot_be_results() -> None:
    def task() -> Any: ...

    task.__annotations__ = {"return": User}
    with pytest.raises(SerializationError, match="task 'shop': its value: expected User, got an int"):
        Signature.of(task, "shop").dump_result(CBOR, 7)


def test_a_third_serializer_needs_no_paths() -> None:
    class Picky:
        content_type = "application/x-picky"

        def dumps(self, value: Any, /) -> bytes:
            if "bad" in repr(value):
                raise SerializationError("no")
            return repr(value).encode()

        def loads(self, data: bytes, /) -> Any:
            raise DeserializationError("never")

    signature = Signature.of(takes_anything, "shop")
    assert signature.dump(Picky(), (1,), {"second": 2}) == b"[[1], {'second': 2}]"
    with pytest.raises(SerializationError, match="task 'shop': parameter 'second': no"):
        signature.dump(Picky(), (1,), {"second": "bad"})


IMPORTS = """
import sys
import orcastra_core.serialization.arguments as arguments
from orcastra_core.serialization import envelope_codec, event_codec, result_codec
heavy = {"cattrs", "cattr", "cbor2", "click", "stevedore", "cronsim"}
print(sorted(heavy & set(sys.modules)))
class Bytes:
    content_type = "x"
    def dumps(self, value): return b""
    def loads(self, data): return [[], {}]
def task(name: str, age: int | None, tags: list[str], at: "datetime.datetime" = None) -> dict: ...
signature = arguments.Signature.of(task, "t")
signature.dump(Bytes(), ("a", 1, []), {})
signature.dump_result(Bytes(), {})
print(sorted(heavy & set(sys.modules)))
"""


def test_plain_tasks_never_load_cattrs() -> None:
    run = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "[]"]
