"""Who reads which partitions: nobody loses one in which he has work, nor keeps one that others could serve sooner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs
import cbor2

Place: TypeAlias = tuple[str, int]
"""A topic and a partition."""


@attrs.frozen
class Stand:
    """What a member tells when it joins.

    Attributes:
        topics: What it reads.
        generation: Of the group, when it knew what follows; an older claim yields.
        busy: Where it has deliveries in its hands.
        owned: All that it had.
        sated: It asks for nothing at the moment: whoever is hungry goes first.
        stuck: Where it tried in vain to come to an end, for others.
    """

    topics: Sequence[str]
    generation: int = -1
    busy: frozenset[Place] = frozenset()
    owned: frozenset[Place] = frozenset()
    sated: bool = False
    stuck: frozenset[Place] = frozenset()

    def dumps(self) -> bytes:
        """Return it as bytes, but for the topics, which the protocol tells."""
        return cbor2.dumps([self.generation, sorted(self.busy), sorted(self.owned), self.sated, sorted(self.stuck)])

    @classmethod
    def loads(cls, topics: Sequence[str], data: bytes) -> Stand:
        """Return what ``dumps`` was called on; bytes of anybody else tell nothing."""
        try:
            generation, busy, owned, sated, stuck = cbor2.loads(data)
            places = [frozenset(map(tuple, one)) for one in (busy, owned, stuck)]
            return cls(topics, generation, places[0], places[1], bool(sated), places[2])
        except (ValueError, TypeError, cbor2.CBORDecodeError):
            return cls(topics)


def assign(partitions: Mapping[str, Iterable[int]], members: Mapping[str, Stand]) -> Mapping[str, set[Place]]:
    """Give every partition to a member.

    In this order: a partition stays where work of it is in hand; the rest is shared evenly
    among the hungry, topic by topic, each keeping what it had up to its share; where
    nobody is hungry, among all.

    Args:
        partitions: Those of each topic.
        members: What they told, by id.
    """
    given: dict[str, set[Place]] = {member: set() for member in members}
    for topic in sorted(partitions):
        readers = [member for member in sorted(members) if topic in members[member].topics]
        if readers:
            _share([(topic, number) for number in sorted(partitions[topic])], readers, members, given)
    return given


def surplus(members: Mapping[str, Stand], given: Mapping[str, Iterable[Place]]) -> Mapping[str, set[Place]]:
    """Return which partitions each is to come to an end with, for those who got less than a share because of its work there.

    Args:
        members: What they told, by id.
        given: What ``assign`` gave them.
    """
    found: dict[str, set[Place]] = {member: set() for member in members}
    for topic in {place[0] for places in given.values() for place in places}:
        hungry = [member for member, stand in members.items() if topic in stand.topics and not stand.sated]
        has = {member: sorted(place for place in given[member] if place[0] == topic) for member in members}
        for _ in range(sum(map(len, has.values()))):
            if not hungry:
                break
            poor = min(hungry, key=lambda member: len(has[member]))
            rich = max(
                (member for member in members if set(has[member]) & members[member].busy - members[member].stuck),
                key=lambda member: len(has[member]),
                default=poor,
            )
            if len(has[rich]) < len(has[poor]) + 2:
                break
            place = max(set(has[rich]) & members[rich].busy - members[rich].stuck)
            found[rich].add(place)
            has[rich].remove(place)
            has[poor].append(place)
    return found


def _share(
    places: Sequence[Place], readers: Sequence[str], members: Mapping[str, Stand], given: dict[str, set[Place]]
) -> None:
    takers: dict[Place, str] = {}
    by_age = sorted(readers, key=lambda member: -members[member].generation)
    for member in by_age:
        for place in members[member].busy.intersection(places):
            takers.setdefault(place, member)
    hungry = [member for member in readers if not members[member].sated] or readers
    counts: dict[str, int] = defaultdict(int)
    for member in takers.values():
        counts[member] += 1
    fair = -(-len(places) // len(hungry))
    for member in by_age:
        if member in hungry:
            for place in sorted(members[member].owned.intersection(places)):
                if place not in takers and counts[member] < fair:
                    takers[place] = member
                    counts[member] += 1
    for place in places:
        if place not in takers:
            # who has least in this topic, then in all: levels of one partition each do not all go to one
            least = min(hungry, key=lambda member: (counts[member], len(given[member])))
            takers[place] = least
            counts[least] += 1
    for place, member in takers.items():
        given[member].add(place)
