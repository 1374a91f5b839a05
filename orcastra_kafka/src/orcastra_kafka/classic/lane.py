"""The classic lane as the broker takes it: whether, what it offers, and its sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Profile
from orcastra_kafka.classic.session import ClassicSession
from orcastra_kafka.core import Core
from orcastra_kafka.server import offers_share
from orcastra_kafka.settings import Settings
from orcastra_kafka.share.cluster import Cluster


def takes_classic(settings: Settings, cluster: Cluster) -> bool:
    """Whether sessions are to be members of consumer groups: because the URL says so, or the brokers offer nothing else."""
    if settings.lane == "auto":
        return settings.transactions or not offers_share(cluster)
    return settings.lane == "classic"


async def open_session(
    core: Core,
    profile: Profile,
    session_id: SessionId,
    queues: Sequence[QueueName],
    lease: float,
    *,
    opened: Callable[[ClassicSession], None],
    ended: Callable[[ClassicSession], None],
) -> ClassicSession:
    """Begin a session. Raises BrokerError, and InvalidOption for a lease that the brokers do not grant.

    Args:
        core: Of the broker.
        profile: Of this lane.
        session_id: Never used before.
        queues: What it will read.
        lease: Seconds.
        opened: Called with it before it begins.
        ended: Called when it is over.
    """
    if not lease >= profile.limits.min_lease:
        raise InvalidOption(
            f"a lease of {lease:g} s is below this broker's least, {profile.limits.min_lease:g} s"
            " (group.min.session.timeout.ms); add lease= to the URL"
        )
    session = ClassicSession(core, session_id, lease, ended)
    opened(session)
    await session.begin(queues)
    return session
