"""How a session's clients connect and what they wait for, in aiokafka's words."""

from __future__ import annotations

from typing import Any

from orcastra_kafka.settings import Settings

_REBALANCE = 10.0
"""Seconds that members get to join again, at least: none of them waits for a task before it does."""


def for_consumer(settings: Settings, lease: float) -> dict[str, Any]:
    """Return the options of a member whose group misses it after ``lease`` seconds."""
    return {
        **_client(settings),
        "session_timeout_ms": _ms(lease),
        "heartbeat_interval_ms": max(50, _ms(lease / 10)),
        "rebalance_timeout_ms": _ms(max(lease, _REBALANCE)),
        # a join may take as long as the slowest member
        "request_timeout_ms": _ms(max(lease, _REBALANCE) + settings.timeout),
        # a fetch that is parked keeps one for other partitions waiting, after a rebalance too
        "fetch_max_wait_ms": 100,
        "retry_backoff_ms": 50,
        "metadata_max_age_ms": 2000,  # topics come, go and grow
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
    }


def for_transactions(settings: Settings, name: str) -> dict[str, Any]:
    """Return the options of a producer whose transactions nobody else can be in the middle of.

    Args:
        settings: Of the broker.
        name: Of the session.
    """
    return {
        **_client(settings),
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": 0,
        "request_timeout_ms": _ms(settings.timeout),
        "retry_backoff_ms": 20,
        "compression_type": None if settings.compression == "none" else settings.compression,
        "transactional_id": name,
        "transaction_timeout_ms": _ms(max(2 * settings.timeout, 10.0)),
    }


def _client(settings: Settings) -> dict[str, Any]:
    how = settings.connecting()
    options: dict[str, Any] = {
        "bootstrap_servers": [f"{host}:{port}" for host, port in settings.hosts],
        "client_id": settings.client_id,
        "security_protocol": how.security_protocol,
        "ssl_context": how.ssl,
    }
    if how.sasl_mechanism is not None:
        options |= {
            "sasl_mechanism": how.sasl_mechanism,
            "sasl_plain_username": how.username,
            "sasl_plain_password": how.password,
        }
    return options


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
