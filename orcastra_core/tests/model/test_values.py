"""Counts, profiles and limits."""

from __future__ import annotations

import attrs
import pytest

from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.profile import Cap, Durability, Limits, Profile
from orcastra_core.model.queue import QueueSpec


def test_the_three_counts() -> None:
    assert Counts() == FRESH
    assert FRESH.bereaved().bereaved() == Counts(lost=2)
    assert Counts(1, 2, 3).retried() == Counts(attempt=2, lost=0, released=3), "lost is since the last settlement"
    assert Counts(1, 2, 3).handed_back() == Counts(attempt=1, lost=0, released=4)
    assert Counts(1, 2, 3).bereaved() == Counts(attempt=1, lost=3, released=3)


def test_values_are_frozen() -> None:
    envelope = Envelope(IdFactory()(), QueueName("q"), TaskName("t"), b"")
    for value, name in (
        (envelope, "queue"),
        (FRESH, "lost"),
        (Limits(), "max_body"),
        (QueueSpec(QueueName("q")), "max_lost"),
    ):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, name, "x")
    with pytest.raises(TypeError):
        envelope.headers["x-a-b"] = 1  # type: ignore[index]


def test_defaults_that_the_docs_name() -> None:
    assert Limits().max_body == 256 * 1024
    assert QueueSpec(QueueName("q")).max_lost == 5


def test_a_missing_capability_says_who_and_why() -> None:
    profile = Profile(
        server="Testbroker 1.2",
        capabilities=frozenset({Cap.DEDUP}),
        limits=Limits(),
        durability=Durability.NONE,
        notes={Cap.DELAY: "needs release 2"},
    )
    profile.require(Cap.DEDUP)
    with pytest.raises(Unsupported, match=r"Testbroker 1.2 does not offer DELAY \(.*due\): needs release 2") as caught:
        profile.require(Cap.DELAY)
    assert caught.value.cap is Cap.DELAY
    with pytest.raises(Unsupported, match=r"does not offer PAUSE \([^)]*\)$"):
        profile.require(Cap.PAUSE)


def test_durability_levels_include_one_another() -> None:
    assert sorted(Durability) == [
        Durability.NONE,
        Durability.PROCESS,
        Durability.SERVER_CRASH,
        Durability.POWER_LOSS,
        Durability.REPLICATED,
    ]
