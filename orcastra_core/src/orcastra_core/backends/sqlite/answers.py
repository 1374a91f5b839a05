"""The answers to a settle, as the store keeps them for a repeat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orcastra_core.model.errors import BodyTooLarge, BrokerError, InvalidOption, OrcastraError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published, Refused
from orcastra_core.model.settlement import DONE, STALE, Done, Failed, Settled

_ERRORS: dict[str, type[OrcastraError]] = {kind.__name__: kind for kind in (InvalidOption, BodyTooLarge, BrokerError)}


def encode_answers(answers: Sequence[Settled]) -> str:
    """Return text for the store. Done alone is a number: how many of them follow one another."""
    packed: list[Any] = []
    run = 0
    for answer in answers:
        if answer is DONE:
            run += 1
            continue
        if run:
            packed.append(run)
            run = 0
        packed.append(_encode(answer))
    if run:
        packed.append(run)
    return json.dumps(packed, separators=(",", ":"))


def decode_answers(text: str) -> list[Settled]:
    """Return the answers."""
    answers: list[Settled] = []
    for item in json.loads(text):
        if isinstance(item, int):
            answers += [DONE] * item
        else:
            answers.append(_decode(item))
    return answers


def _encode(answer: Settled) -> list[Any]:
    if answer is STALE:
        return ["s"]
    if isinstance(answer, Done):
        return ["d", *map(_encode_published, answer.emitted)]
    assert isinstance(answer, Failed)
    return ["f", type(answer.error).__name__, str(answer.error)]


def _decode(item: list[Any]) -> Settled:
    if item[0] == "s":
        return STALE
    if item[0] == "d":
        return Done([_decode_published(one) for one in item[1:]])
    return Failed(_ERRORS.get(item[1], BrokerError)(item[2]))


def _encode_published(answer: Published) -> Any:
    if isinstance(answer, Duplicate):
        return {"id": answer.id}
    return answer.why if isinstance(answer, Refused) else 0


def _decode_published(item: Any) -> Published:
    if isinstance(item, dict):
        return Duplicate(TaskId(item["id"]))
    return Refused(item) if isinstance(item, str) else STORED
