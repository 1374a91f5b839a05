"""How long we have been in touch with the server, and with which incarnation of it."""

from __future__ import annotations

_TELLING = 0.55
"""The part of a lease that may pass in silence without doubt about who was silent. A session beats four times within a lease."""
_JUMP = 0.3
"""Seconds by which the server's clock may stray from ours between two answers without being said to have jumped."""


class Contact:
    """What the server's answers tell about the time in which we heard it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._answered = 0.0
        self._started = 0.0
        self._drift = 0.0
        self._gaps: list[
            tuple[float, float]
        ] = []  # silences: when each ended, and how long it was; later ones are shorter

    def heard(self, now: float, server_now: float, server_started: float, usual: float) -> None:
        """Note an answer.

        Args:
            now: Our monotonic clock.
            server_now: The server's Unix time.
            server_started: When it was started.
            usual: Seconds that may lie between two answers.
        """
        drift = server_now - now
        if self._since is None or server_started != self._started or abs(drift - self._drift) > _JUMP:
            self._since, self._gaps = now, []
        elif now - self._answered > usual:
            length = now - self._answered
            self._gaps = [gap for gap in self._gaps if gap[1] > length]
            self._gaps.append((now, length))
        self._answered, self._started, self._drift = now, server_started, drift

    @property
    def started(self) -> float:
        """When the server that was heard was started: another one after a restart, or a failover."""
        return self._started

    def lost(self) -> None:
        """Note that the connection was lost."""
        self._since = None

    def unbroken(self, now: float, lease: float) -> bool:
        """Whether the server was heard for a whole lease, without a silence in which a healthy session could have lapsed."""
        if self._since is None:
            return False
        silences = [*self._gaps, (now, now - self._answered)]
        return now - self._since >= lease and not any(
            length > lease * _TELLING and now - ended < lease for ended, length in silences
        )
