"""The tree of errors is the one that the docstring draws."""

from __future__ import annotations

import inspect
import pickle
import re

import attrs
import pytest

from orcastra_core.model import errors
from orcastra_core.model.errors import (
    BrokerError,
    BrokerUnavailable,
    GiveUp,
    OrcastraError,
    RetryLater,
    Snooze,
    TaskFailed,
    TaskTimeout,
    Unsupported,
)
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import ErrorInfo


@attrs.frozen
class Drawn:
    parent: str | None
    builtin: str | None
    text: str


def drawn_tree() -> dict[str, Drawn]:
    """What the docstring draws, by class name."""
    tree: dict[str, Drawn] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    (?P<lead>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<rest>.*)$", line)
        if match is None:
            continue
        level = len(match["lead"])
        while path and path[-1][0] >= level:
            path.pop()
        builtin = re.match(r"\s+\((\w+)\)", match["rest"])
        tree[match["name"]] = Drawn(path[-1][1] if path else None, builtin and builtin[1], match["rest"])
        path.append((level, match["name"]))
    return tree


def real_classes() -> dict[str, type[OrcastraError]]:
    return {
        name: cls
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, OrcastraError) and cls.__module__ == errors.__name__
    }


def test_all_are_drawn_and_all_drawn_are_there() -> None:
    tree = drawn_tree()
    assert len(tree) > 25, "the parser of this test has lost its way"
    assert set(tree) == set(real_classes())


@pytest.mark.parametrize("name", sorted(real_classes()))
def test_parents_are_as_drawn(name: str) -> None:
    drawn, bases = drawn_tree()[name], [base.__name__ for base in real_classes()[name].__bases__]
    expected = [drawn.parent or "Exception", *([drawn.builtin] if drawn.builtin else [])]
    assert bases == expected


@pytest.mark.parametrize("name", sorted(real_classes()))
def test_retryable_is_as_drawn(name: str) -> None:
    cls = real_classes()[name]
    if issubclass(cls, BrokerError):
        assert cls.retryable is bool(re.search(r"(?<!`)retryable", drawn_tree()[name].text))


def test_an_instance_may_say_otherwise() -> None:
    assert BrokerUnavailable("x").retryable
    assert not BrokerUnavailable("x", retryable=False).retryable
    assert BrokerError("x", retryable=True).retryable
    assert not BrokerError.retryable


def test_steering_exceptions_are_no_errors_of_ours() -> None:
    for steer in (RetryLater(5), GiveUp("why"), Snooze(3)):
        assert not isinstance(steer, OrcastraError)
    assert (RetryLater(5).after, RetryLater().after, Snooze(3).after, GiveUp("why").reason) == (5, 0, 3, "why")
    assert GiveUp().reason


def test_a_remote_failure_shows_its_traceback() -> None:
    error = TaskFailed(ErrorInfo("shop.Broken", "no stock", "Traceback …\n  line 3\n"))
    assert str(error).splitlines()[0] == "shop.Broken: no stock"
    assert "Remote traceback:\nTraceback …" in str(error)
    assert str(TaskTimeout(ErrorInfo("TaskTimeout"))) == "TaskTimeout"


def test_errors_survive_pickling() -> None:
    """A program may send them between its own processes."""
    failed = pickle.loads(pickle.dumps(TaskFailed(ErrorInfo("a.B", "text", "trace"))))
    assert failed.error == ErrorInfo("a.B", "text", "trace")
    gone = pickle.loads(pickle.dumps(BrokerUnavailable("gone", retryable=False)))
    assert isinstance(gone, BrokerUnavailable)
    assert not gone.retryable
    unsupported = pickle.loads(pickle.dumps(Unsupported(Cap.DELAY, "not here")))
    assert (unsupported.cap, str(unsupported)) == (Cap.DELAY, "not here")
    for steer in (RetryLater(5, "why"), Snooze(3), GiveUp("why")):
        again = pickle.loads(pickle.dumps(steer))
        assert (type(again), vars(again), str(again)) == (type(steer), vars(steer), str(steer))
