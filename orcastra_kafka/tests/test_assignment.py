"""Who reads which partitions."""

from __future__ import annotations

from collections.abc import Mapping

from orcastra_kafka.classic.assignment import Place, Stand, assign, surplus

TOPICS = ("high", "normal")


def stand(*, busy: str = "", owned: str = "", generation: int = 1, sated: bool = False, stuck: str = "") -> Stand:
    return Stand(TOPICS, generation, places(busy), places(owned), sated, places(stuck))


def places(numbers: str) -> frozenset[Place]:
    return frozenset(("normal", int(number)) for number in numbers)


def normal(members: Mapping[str, Stand], partitions: int = 4) -> dict[str, str]:
    given = assign({"normal": range(partitions), "high": range(partitions)}, members)
    everything = sorted(place for member in given.values() for place in member)
    assert everything == sorted((topic, n) for topic in TOPICS for n in range(partitions)), "each to one"
    return {name: "".join(str(n) for topic, n in sorted(member) if topic == "normal") for name, member in given.items()}


def test_alone_one_reads_all() -> None:
    assert normal({"a": stand()}) == {"a": "0123"}


def test_members_share_evenly() -> None:
    assert sorted(map(len, normal({"a": stand(), "b": stand()}).values())) == [2, 2]
    assert sorted(map(len, normal({name: stand() for name in "abc"}).values())) == [1, 1, 2]


def test_whoever_joins_gets_a_share_and_nobody_else_moves() -> None:
    assert normal({"a": stand(owned="0123"), "b": stand(generation=-1)}) == {"a": "01", "b": "23"}


def test_work_in_hand_stays() -> None:
    assert normal({"a": stand(owned="0123", busy="123"), "b": stand(generation=-1)}) == {"a": "123", "b": "0"}


def test_of_two_claims_the_younger_holds() -> None:
    assert normal({"a": stand(busy="0", generation=3), "b": stand(busy="0", generation=4)})["b"].startswith("0")


def test_whoever_asks_for_nothing_keeps_only_what_he_works_on() -> None:
    assert normal({"a": stand(owned="0123", busy="2", sated=True), "b": stand()}) == {"a": "2", "b": "013"}


def test_where_nobody_asks_all_are_served_alike() -> None:
    given = normal({"a": stand(owned="01", sated=True), "b": stand(owned="23", sated=True)})
    assert given == {"a": "01", "b": "23"}


def test_levels_of_one_partition_do_not_all_go_to_one() -> None:
    given = assign({"normal": [0], "high": [0]}, {"a": stand(), "b": stand()})
    assert sorted(map(len, given.values())) == [1, 1]


def test_a_member_of_another_kind_is_told_apart_by_nothing() -> None:
    assert Stand.loads(TOPICS, b"") == Stand(TOPICS)
    assert Stand.loads(TOPICS, b"\xff\x00") == Stand(TOPICS)
    told = stand(busy="1", owned="12", generation=7, sated=True, stuck="2")
    assert Stand.loads(TOPICS, told.dumps()) == told


def wanted(members: Mapping[str, Stand]) -> dict[str, str]:
    given = assign({"normal": range(4)}, members)
    return {name: "".join(str(n) for _, n in sorted(one)) for name, one in surplus(members, given).items()}


def test_whoever_works_everywhere_comes_to_an_end_with_what_others_are_to_have() -> None:
    assert wanted({"a": stand(owned="0123", busy="0123"), "b": stand()}) == {"a": "23", "b": ""}
    assert wanted({"a": stand(owned="0123", busy="0123"), "b": stand(), "c": stand()})["a"] == "23"


def test_nobody_comes_to_an_end_for_those_who_ask_for_nothing_or_have_a_share() -> None:
    assert wanted({"a": stand(owned="0123", busy="0123"), "b": stand(sated=True)}) == {"a": "", "b": ""}
    assert wanted({"a": stand(owned="01", busy="01"), "b": stand(owned="23", busy="23")}) == {"a": "", "b": ""}
    assert wanted({"a": stand(owned="0123", busy="012"), "b": stand()}) == {"a": "2", "b": ""}


def test_what_it_cannot_end_is_left_to_it() -> None:
    assert wanted({"a": stand(owned="0123", busy="0123", stuck="13"), "b": stand()}) == {"a": "02", "b": ""}
    assert wanted({"a": stand(owned="0123", busy="0123", stuck="0123"), "b": stand()}) == {"a": "", "b": ""}
