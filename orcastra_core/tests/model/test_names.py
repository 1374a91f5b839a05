"""Names: what is admitted, and what a refusal says."""

from __future__ import annotations

import pytest

from orcastra_core.model.errors import InvalidName, UsageError
from orcastra_core.model.names import MAX_NAME_BYTES, domain_name, queue_name, task_name


@pytest.mark.parametrize("name", ["mail", "a", "shop.tasks:greet", "a/b*c d", "ütf-8 ✓", "x" * MAX_NAME_BYTES])
def test_admitted(name: str) -> None:
    assert queue_name(name) == name
    assert task_name(name) == name
    assert domain_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " mail",
        "mail ",
        "a\nb",
        "a\x00b",
        "\x7f",
        "a\u200bb",
        "\ud800",
        "ü" * (MAX_NAME_BYTES // 2 + 1),
        None,
        5,
        b"mail",
    ],
)
def test_refused(name: object) -> None:
    with pytest.raises(InvalidName) as caught:
        queue_name(name)
    assert "queue" in str(caught.value)
    assert isinstance(caught.value, (UsageError, ValueError))


def test_a_long_name_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidName, match="500 bytes; at most 200") as caught:
        task_name("x" * 500)
    assert len(str(caught.value)) < 150
