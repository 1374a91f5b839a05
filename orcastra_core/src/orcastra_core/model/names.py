"""Names of queues, tasks, domains and sessions.

A name is 1 to 200 bytes of UTF-8 without control characters and without
white space at either end. Everything else is allowed, ``: . * /`` and inner
spaces included: a backend must keep two different names apart whatever they
are made of.
"""

from __future__ import annotations

from typing import NewType

from orcastra_core.model.errors import InvalidName

QueueName = NewType("QueueName", str)
TaskName = NewType("TaskName", str)
DomainName = NewType("DomainName", str)
SessionId = NewType("SessionId", str)

MAX_NAME_BYTES = 200


def check_name(kind: str, name: object) -> str:
    """Return ``name`` if it is admissible.

    Args:
        kind: What it names («queue», «task» …), for the message.
        name: The candidate.

    Raises:
        InvalidName: It is not; the message says why.
    """
    if not isinstance(name, str):
        raise InvalidName(f"a {kind} name must be a str, not {type(name).__name__}")
    if not name:
        raise InvalidName(f"a {kind} name must not be empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidName(f"{kind} name {name!r} is not valid Unicode text") from None
    if size > MAX_NAME_BYTES:
        raise InvalidName(f"{kind} name {name[:40]!r}… has {size} bytes; at most {MAX_NAME_BYTES} are allowed")
    if not name.isprintable() or name != name.strip():
        raise InvalidName(f"{kind} name {name!r} has control characters, or white space at an end")
    return name


def queue_name(name: object) -> QueueName:
    """Return a checked queue name. Raises InvalidName."""
    return QueueName(check_name("queue", name))


def task_name(name: object) -> TaskName:
    """Return a checked task name. Raises InvalidName."""
    return TaskName(check_name("task", name))


def domain_name(name: object) -> DomainName:
    """Return a checked domain name. Raises InvalidName."""
    return DomainName(check_name("domain", name))
