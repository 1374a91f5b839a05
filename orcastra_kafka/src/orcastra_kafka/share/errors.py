"""What a broker answers instead of what was asked for."""

from __future__ import annotations

import enum

from orcastra_kafka.share.private import KafkaError


class KafkaCode(enum.IntEnum):
    """The protocol's error codes that somebody here decides by; aiokafka does not know the newer ones."""

    UNKNOWN_SERVER_ERROR = -1
    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    UNKNOWN_TOPIC_OR_PARTITION = 3
    LEADER_NOT_AVAILABLE = 5
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    REPLICA_NOT_AVAILABLE = 9
    NETWORK_EXCEPTION = 13
    COORDINATOR_LOAD_IN_PROGRESS = 14
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_COORDINATOR = 16
    INVALID_TOPIC = 17
    UNKNOWN_MEMBER_ID = 25
    TOPIC_AUTHORIZATION_FAILED = 29
    GROUP_AUTHORIZATION_FAILED = 30
    CLUSTER_AUTHORIZATION_FAILED = 31
    TOPIC_ALREADY_EXISTS = 36
    INVALID_CONFIG = 40
    NOT_CONTROLLER = 41
    INVALID_REQUEST = 42
    POLICY_VIOLATION = 44
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
    KAFKA_STORAGE_ERROR = 56
    FENCED_LEADER_EPOCH = 74
    UNKNOWN_LEADER_EPOCH = 75
    UNKNOWN_TOPIC_ID = 100
    INCONSISTENT_TOPIC_ID = 103
    FENCED_MEMBER_EPOCH = 110
    GROUP_MAX_SIZE_REACHED = 81
    INVALID_RECORD_STATE = 121
    SHARE_SESSION_NOT_FOUND = 122
    INVALID_SHARE_SESSION_EPOCH = 123
    FENCED_STATE_EPOCH = 124
    SHARE_SESSION_LIMIT_REACHED = 133


COORDINATOR_MOVED = frozenset(
    {
        KafkaCode.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaCode.COORDINATOR_NOT_AVAILABLE,
        KafkaCode.NOT_COORDINATOR,
        KafkaCode.UNKNOWN_SERVER_ERROR,
    }
)
"""The group's coordinator is elsewhere or still loading: look it up and try again."""

LEADER_MOVED = frozenset(
    {
        KafkaCode.UNKNOWN_TOPIC_OR_PARTITION,
        KafkaCode.LEADER_NOT_AVAILABLE,
        KafkaCode.NOT_LEADER_OR_FOLLOWER,
        KafkaCode.REPLICA_NOT_AVAILABLE,
        KafkaCode.KAFKA_STORAGE_ERROR,
        KafkaCode.FENCED_LEADER_EPOCH,
        KafkaCode.UNKNOWN_LEADER_EPOCH,
        KafkaCode.UNKNOWN_TOPIC_ID,
        KafkaCode.INCONSISTENT_TOPIC_ID,
    }
)
"""Somebody else leads the partition now, or nobody does: read the metadata again."""

TOPIC_GONE = frozenset(
    {
        KafkaCode.UNKNOWN_TOPIC_OR_PARTITION,
        KafkaCode.UNKNOWN_TOPIC_ID,
        KafkaCode.INCONSISTENT_TOPIC_ID,
    }
)
"""Somebody removed the topic, and may have made another of its name."""

SESSION_LOST = frozenset(
    {
        KafkaCode.SHARE_SESSION_NOT_FOUND,
        KafkaCode.INVALID_SHARE_SESSION_EPOCH,
        KafkaCode.SHARE_SESSION_LIMIT_REACHED,
    }
)
"""The share session is gone, and with it all that it held."""

REJOIN = frozenset({KafkaCode.UNKNOWN_MEMBER_ID, KafkaCode.FENCED_MEMBER_EPOCH})
"""The group does not know this member any more: join it again."""

DENIED = frozenset(
    {
        KafkaCode.TOPIC_AUTHORIZATION_FAILED,
        KafkaCode.GROUP_AUTHORIZATION_FAILED,
        KafkaCode.CLUSTER_AUTHORIZATION_FAILED,
        KafkaCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)


def code_of(number: int) -> KafkaCode | int:
    """Return the code by its name where it has one here."""
    try:
        return KafkaCode(number)
    except ValueError:
        return number


class ShareError(KafkaError):  # type: ignore[misc]  # aiokafka is not typed
    """A broker's refusal.

    Attributes:
        code: Which.
    """

    def __init__(self, code: int, message: str | None = None, *, doing: str = "") -> None:
        self.code = code_of(code)
        name = self.code.name if isinstance(self.code, KafkaCode) else "error"
        super().__init__(f"{doing + ': ' if doing else ''}{name} ({int(code)}){': ' + message if message else ''}")


class VersionNotOffered(ShareError):
    """The server does not speak a version that this needs."""

    def __init__(self, name: str, key: int, version: int, least: int, most: int) -> None:
        offered = f"versions {least} to {most}" if most >= 0 else "no version"
        super().__init__(35, f"{name} (API {key}) is needed in version {version}; the broker offers {offered}")


class SessionLost(ShareError):
    """The connection or the share session that held records is gone."""


def check(code: int, message: str | None = None, *, doing: str = "") -> None:
    """Raise ShareError unless ``code`` is 0."""
    if code:
        raise ShareError(code, message, doing=doing)
