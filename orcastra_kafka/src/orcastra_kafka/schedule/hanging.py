"""Ending a transaction that nobody knows of any more, and that readers wait for all the same."""

from __future__ import annotations

import logging
from collections import defaultdict

from orcastra_kafka.core import Core
from orcastra_kafka.producer import Record
from orcastra_kafka.schedule.messages import DescribeProducers
from orcastra_kafka.settings import CODECS
from orcastra_kafka.transaction import Transactions

_log = logging.getLogger("orcastra.kafka")

_KEY = b"aborted"
"""Compacted topics take no record without one; nobody gets to see it."""


async def end_open(core: Core, name: str) -> None:
    """End whatever is open under a transactional id, all of it or none. Raises KafkaError, OSError or TimeoutError.

    Beginning anew has the coordinator end what it knows of. A coordinator that starts after a crash may take a transaction
    for ended whose markers it has not written (seen with 4.4, where its partitions are not known yet when it comes to them). All that
    it wrote is then unseen in every partition, for ever, and so is what others write behind it. Another transaction of the same
    producer in these partitions that is aborted takes it along.
    """
    transactions = Transactions(
        core.cluster, name, timeout=core.settings.timeout, codec=CODECS[core.settings.compression]
    )
    await transactions.begin()
    identity = transactions.identity
    assert identity is not None
    by_leader: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for topic in (await core.cluster.metadata(None)).topics.values():
        if topic.name.startswith(core.names.prefix):
            for number, leader in enumerate(topic.leaders):
                by_leader[leader][topic.name].append(number)
    hanging: list[tuple[str, int]] = []
    for leader, partitions in by_leader.items():
        said = await core.cluster.ask(leader, DescribeProducers(partitions))
        hanging += [at for at, (_, producers) in said.items() if identity.id in producers]
    if not hanging:
        return
    _log.warning("transaction %s hangs in %d partitions: it is aborted", name, len(hanging))

    async def always(_: object) -> bool:
        return True

    await transactions.commit([Record(topic, _KEY, b"", spread=number) for topic, number in hanging], unless=always)
