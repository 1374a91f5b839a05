"""The checkers: each finds what it is there for in a history written by hand, and bears the good ones beside it."""

from __future__ import annotations

from histories import Story, complete, dead, delivery, id_of, release, retry, task

from orcastra_conformance.history.checkers import (
    counts,
    judged,
    key_order,
    one_holder,
    queue_order,
    results,
    settled_once,
    total,
    total_queue,
)
from orcastra_core.model.counts import Counts
from orcastra_core.model.errors import BrokerUnavailable
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED, Duplicate, Refused, Unknown
from orcastra_core.model.result import Absence, Outcome, Result
from orcastra_core.model.settlement import STALE
from orcastra_core.model.task_state import Cancelled

A, B = delivery("a", 1), delivery("b", 2)


def ended() -> Story:
    """Return the shortest whole life."""
    return Story().publish("a").fetch("s", A).settle("s", complete(A))


def found(findings: list[str], *words: str) -> bool:
    """Whether there is one finding, and it says all of these."""
    return len(findings) == 1 and all(word in findings[0] for word in words)


# -- the total queue


def test_what_is_stored_and_ended_is_no_loss() -> None:
    story = ended().publish("b").cancel("b", Cancelled.REMOVED).publish("c")
    assert total_queue(story.records, left=[id_of("c")]) == []
    assert total(story.records).stored == {id_of("a"), id_of("b"), id_of("c")}


def test_what_is_stored_and_never_ends_is_lost() -> None:
    assert found(total_queue(ended().publish("b").records), "000062 was Stored (record 7)", "lost")
    assert found(total_queue(Story().publish("a").fetch("s", A).records), "lost"), "handed out is not ended"
    stale = Story().publish("a").fetch("s", A).settle("s", complete(A), answer=[STALE])
    assert found(total_queue(stale.records), "lost"), "STALE ended nothing"


def test_a_repeat_confirms_that_a_publish_without_an_answer_was_stored() -> None:
    story = Story().publish("a", answer=None).publish("a", answer=[Duplicate(id_of("a"))])
    assert found(total_queue(story.records), "000061", "lost")
    assert total_queue(story.fetch("s", A).settle("s", complete(A)).records) == []


def test_what_nobody_knows_to_be_stored_may_be_lost_or_found() -> None:
    lost = Story().publish("a", answer=None).publish("b", answer=[Unknown(BrokerUnavailable("gone"))])
    assert total_queue(lost.records) == []
    recovered = lost.fetch("s", A).settle("s", complete(A))
    assert total_queue(recovered.records) == []
    assert total(recovered.records).recovered == {id_of("a")}


def test_a_settlement_without_an_answer_may_have_ended_a_task() -> None:
    story = Story().publish("a").fetch("s", A).settle("s", complete(A), answer=None)
    assert total_queue(story.records) == []


def test_a_purge_may_have_taken_anything_of_its_queue() -> None:
    assert total_queue(Story().publish("a", "b").purge(2).records) == []


def test_what_was_never_sent_or_refused_is_unexpected() -> None:
    assert found(total_queue(Story().fetch("s", A).records), "000061 was handed out (record 1)", "nobody")
    refused = Story().publish("a", answer=[Refused("no")]).fetch("s", A)
    assert found(total_queue(refused.records), "000061", "nobody")
    early = Story().fetch("s", A).publish("a").settle("s", complete(A))
    assert found(total_queue(early.records), "000061", "nobody"), "handed out before it was published"
    assert total_queue(Story().publish("a", at=(1, 4)).fetch("s", A, at=(2, 3)).settle("s", complete(A)).records) == []


def test_what_is_emitted_is_sent() -> None:
    story = Story().publish("a").fetch("s", A).settle("s", complete(A, emit=[task("b")]))
    assert found(total_queue(story.records), "000062", "lost")
    assert total_queue(story.fetch("s", B).settle("s", complete(B), number=2).records) == []


def test_what_ends_twice_is_a_duplicate() -> None:
    twice = ended().fetch("z", A).settle("z", complete(A))
    assert found(total_queue(twice.records), "000061 ended more than once (records 5, 9)")
    replayed = Story().publish("a").fetch("s", A).settle("s", dead(A)).replay("a").fetch("z", A)
    assert total_queue(replayed.settle("z", complete(A)).records) == []


# -- one holder


def test_two_sessions_never_hold_one_task() -> None:
    both = Story().publish("a").fetch("s", A).fetch("z", delivery("a", 9))
    assert found(one_holder(both.records), "000061", "handed out to z (record 5)", "while s held it (record 3)")
    settled_later = both.settle("s", complete(A))
    assert found(one_holder(settled_later.records), "000061")


def test_a_holder_may_follow_another() -> None:
    for end in ("settle", "expire", "sweep", "leave"):
        story = Story().publish("a").fetch("s", A)
        if end == "settle":
            story.settle("s", retry(A))
        elif end == "sweep":
            story.sweep("s", "a")
        else:
            getattr(story, end)("s")
        assert one_holder(story.fetch("z", delivery("a", 9)).records) == [], end


def test_a_settlement_without_an_answer_may_have_let_go() -> None:
    story = Story().publish("a").fetch("s", A).settle("s", retry(A), answer=None)
    assert one_holder(story.fetch("z", delivery("a", 9)).records) == []


def test_hand_overs_that_overlap_a_reap_may_follow_it() -> None:
    story = Story().publish("a").fetch("s", A, at=(3, 4))
    story.fetch("z", delivery("a", 9), at=(5, 8)).expire("s", at=(6, 7))
    assert one_holder(story.records) == []


def test_one_session_does_not_hold_a_task_twice() -> None:
    twice = Story().publish("a").fetch("s", A).fetch("s", delivery("a", 9))
    assert found(one_holder(twice.records), "000061")
    again = Story().publish("a").fetch("s", A).fetch("s", A)
    assert one_holder(again.records) == [], "the same hand-over, after a lost reply"


# -- settled once


def test_a_delivery_is_settled_once() -> None:
    assert settled_once(ended().records) == []
    twice = ended().settle("s", complete(A), number=2)
    assert found(settled_once(twice.records), "000061 was settled twice (records 5 and 7)")
    assert settled_once(ended().settle("s", complete(A), number=2, answer=[STALE]).records) == []
    assert settled_once(ended().settle("s", complete(A)).records) == [], "the same number: the same settlement"


def test_a_repeat_gets_the_same_answers() -> None:
    other = ended().settle("s", complete(A), answer=[STALE])
    assert found(settled_once(other.records), "s repeated #1", "records 5 and 7")
    assert settled_once(ended().expire("s", 0).settle("s", complete(A), answer=[STALE]).records) == []


def test_what_is_held_can_be_settled() -> None:
    refused = Story().publish("a").fetch("s", A).settle("s", complete(A), answer=[STALE])
    assert found(settled_once(refused.records), "000061 was held by s", "STALE (record 5)")
    given_up = Story().publish("a").fetch("s", A).settle("s", complete(A), answer=None)
    given_up.settle("s", complete(A), answer=[STALE])
    assert found(settled_once(given_up.records), "STALE"), "nobody reaped it: the repeat ought to have the answer"


def test_after_a_reap_stale_says_nothing_of_what_came_before_it() -> None:
    story = Story().publish("a").fetch("s", A).settle("s", complete(A), answer=None).expire("s")
    story.settle("s", complete(A), answer=[STALE])
    assert settled_once(story.records) == []
    assert total_queue(story.records) == [], "it may have ended"


def test_a_reaped_session_settles_nothing() -> None:
    late = Story().publish("a").fetch("s", A).expire("s").settle("s", complete(A))
    assert found(settled_once(late.records), "000061 was settled by s (record 7) after that session was reaped")
    assert settled_once(late.records, fenced=False) == []
    overlapping = Story().publish("a").fetch("s", A, at=(3, 4)).expire("s", at=(5, 8))
    assert settled_once(overlapping.settle("s", complete(A), at=(6, 7)).records) == []


def test_an_end_is_the_end() -> None:
    again = ended().fetch("z", delivery("a", 9))
    assert found(settled_once(again.records), "000061 was handed out (record 7) after its end (record 5)")
    cancelled = Story().publish("a").cancel("a", Cancelled.REMOVED).fetch("s", A)
    assert found(settled_once(cancelled.records), "000061", "after its end")
    assert settled_once(Story().publish("a").fetch("s", A).settle("s", retry(A)).fetch("z", A).records) == []


def test_what_is_put_back_comes_again() -> None:
    story = Story().publish("a").fetch("s", A).settle("s", dead(A)).replay("a").fetch("z", delivery("a", 9))
    assert settled_once(story.records) == []
    refused = Story().publish("a").fetch("s", A).settle("s", dead(A)).replay("a", Duplicate(id_of("b")))
    assert found(settled_once(refused.fetch("z", delivery("a", 9)).records), "after its end")
    assert settled_once(ended().publish("a").fetch("z", delivery("a", 9)).records) == [], "stored anew"


# -- order


def test_first_published_first_handed_out() -> None:
    right = Story().publish("a").publish("b").fetch("s", A, B)
    assert queue_order(right.records) == []
    wrong = Story().publish("a").publish("b").fetch("s", B, A)
    assert found(queue_order(wrong.records), "000062 was handed out (record 5) before 000061", "published before it")
    later = Story().publish("a", "b").fetch("s", B).fetch("z", A)
    assert found(queue_order(later.records), "000062")


def test_order_is_asked_only_where_it_is_owed() -> None:
    overlapping = Story().publish("a", at=(1, 4)).publish("b", at=(2, 3)).fetch("s", B, A)
    assert queue_order(overlapping.records) == []
    assert queue_order(Story().publish("a").publish(task("b", priority=5)).fetch("s", B, A).records) == []
    assert queue_order(Story().publish(task("a", due=9.0)).publish("b").fetch("s", B, A).records) == []
    back = Story().publish("a").publish("b").fetch("s", B, delivery("a", 1, released=1))
    assert queue_order(back.records) == [], "somebody had it before"
    unseen = Story().publish("a", "b").fetch("z", failed=True).fetch("s", B).fetch("z", A)
    assert queue_order(unseen.records) == [], "the fetch that failed may have had it"


def test_one_of_a_key_at_a_time() -> None:
    first, second = task("a", order_by="k"), task("b", order_by="k")
    right = Story().publish(first, second).fetch("s", A).settle("s", complete(A)).fetch("s", B)
    assert key_order(right.records) == []
    wrong = Story().publish(first, second).fetch("s", A).fetch("s", B).settle("s", complete(A))
    assert found(key_order(wrong.records), "000062 was handed out (record 5) although 000061", "'k'", "had not ended")
    retried = Story().publish(first, second).fetch("s", A).settle("s", retry(A)).fetch("s", B)
    assert found(key_order(retried.records), "000062"), "a retry is no end"
    assert key_order(Story().publish(first, task("b", order_by="l")).fetch("s", A, B).records) == []
    cancelled = Story().publish(first, second).cancel("a", Cancelled.REMOVED).fetch("s", B)
    assert key_order(cancelled.records) == []


# -- counts


def test_counts_follow_what_became_of_the_hand_over_before() -> None:
    lives = {
        "retry": (Story().publish("a").fetch("s", A).settle("s", retry(A)), Counts(1, 0, 0)),
        "release": (Story().publish("a").fetch("s", A).settle("s", release(A)), Counts(0, 0, 1)),
        "expire": (Story().publish("a").fetch("s", A).expire("s"), Counts(0, 1, 0)),
        "sweep": (Story().publish("a").fetch("s", A).sweep("s", "a"), Counts(0, 1, 0)),
        "leave": (Story().publish("a").fetch("s", A).leave("s"), Counts(0, 0, 1)),
    }
    for end, (story, owed) in lives.items():
        for got in (Counts(0, 0, 0), Counts(1, 0, 0), Counts(0, 1, 0), Counts(0, 0, 1), Counts(1, 1, 0)):
            again = delivery("a", 9, got.attempt, got.lost, got.released)
            judged_ = counts([*story.records, *Story().fetch("z", again, at=(20, 21)).records])
            assert (judged_ == []) is (got == owed), f"{end} and then {got}: {judged_}"


def test_a_retry_forgets_losses_and_a_loss_adds_to_them() -> None:
    lost = delivery("a", 2, lost=1)
    story = Story().publish("a").fetch("s", A).expire("s").fetch("z", lost)
    assert counts(story.records) == []
    kept = [*story.records, *Story().settle("z", retry(lost), at=(20, 21)).records]
    wrong = Story().fetch("y", delivery("a", 3, 1, 1), at=(22, 23)).records
    right = Story().fetch("y", delivery("a", 3, 1, 0), at=(22, 23)).records
    assert found(counts([*kept, *wrong]), "000061(1/1/0) was handed out (record 22)", "ought to be 1/0/0")
    assert counts([*kept, *right]) == []


def test_counts_begin_with_those_that_were_published() -> None:
    assert found(counts(Story().publish("a").fetch("s", delivery("a", 1, 1)).records), "000061(1/0/0)", "other counts")
    brought = Story().publish(task("a", counts=Counts(2, 0, 1))).fetch("s", delivery("a", 1, 2, 0, 1))
    assert counts(brought.records) == []


def test_hand_overs_that_nobody_saw_leave_room() -> None:
    story = Story().publish("a").fetch("s", failed=True).expire("s").fetch("z", delivery("a", 1, lost=1))
    assert counts(story.records) == []
    failed = Story().publish("a").fetch("s", failed=True).expire("s").fetch("z", delivery("a", 1, attempt=1))
    assert found(counts(failed.records), "000061(1/0/0)"), "but nobody could fail at it"


def test_a_settlement_without_an_answer_leaves_both_counts_open() -> None:
    for got in (delivery("a", 9, attempt=1), delivery("a", 9, lost=1)):
        story = Story().publish("a").fetch("s", A).settle("s", retry(A), answer=None).expire("s").fetch("z", got)
        assert counts(story.records) == []
    other = Story().publish("a").fetch("s", A).settle("s", retry(A), answer=None).expire("s")
    assert found(counts(other.fetch("z", delivery("a", 9, released=1)).records), "0/1/0 or 1/0/0")


def test_overlapping_hand_overs_are_put_in_their_order() -> None:
    story = Story().publish("a").fetch("z", delivery("a", 9, lost=1), at=(3, 8))
    story.fetch("s", A, at=(4, 5)).expire("s", at=(6, 7))
    assert counts(story.records) == []


# -- results

ONE = Result(id_of("a"), Outcome.COMPLETED, b"\x01")


def test_an_end_has_the_result_it_was_settled_with() -> None:
    assert results(ended().read("a", ONE).push(ONE).records) == []
    assert results(ended().read("a", Absence.EXPIRED).records) == []
    none = ended().read("a", Absence.PENDING)
    assert found(results(none.records), "000061 ended (record 5)", "no result (record 7)")
    other = ended().read("a", Result(id_of("a"), Outcome.COMPLETED, b"\x02"))
    assert found(results(other.records), "000061", "no settlement of it gave")


def test_what_has_not_ended_has_no_result() -> None:
    early = Story().publish("a").fetch("s", A).read("a", ONE).settle("s", complete(A))
    assert found(results(early.records), "000061 has a result (record 5)", "had not ended")
    stale = Story().publish("a").fetch("s", A).expire("s").settle("s", complete(A), answer=[STALE]).read("a", ONE)
    assert found(results(stale.records), "000061", "had not ended")
    assert results(Story().publish("a").read("a", Absence.PENDING).records) == []
    unknown = Story().publish("a").fetch("s", A).settle("s", complete(A), answer=None).read("a", ONE)
    assert results(unknown.records) == []


def test_a_result_is_pushed_once_and_not_before() -> None:
    assert found(results(ended().push(ONE).push(ONE).records), "more often than it ended (record 9)")
    assert found(results(Story().publish("a").push(ONE).records), "000061", "pushed (record 3)", "had not ended")
    other = ended().push(Result(id_of("a"), Outcome.COMPLETED, b"\x02"))
    assert found(results(other.records), "no settlement of it gave")
    cancelled = Result(id_of("a"), Outcome.CANCELLED)
    assert results(Story().publish("a").cancel("a", Cancelled.REMOVED).push(cancelled).records) == []


# -- all together


def test_a_broker_is_judged_by_what_it_claims() -> None:
    story = Story().publish("a", "b").fetch("s", B, A).settle("s", complete(A), complete(B))
    assert judged(story.records, []) == []
    assert found(judged(story.records, [Cap.ORDERED_QUEUE]), "000062")
    late = Story().publish("a").fetch("s", A).expire("s").settle("s", complete(A))
    assert judged(late.records, []) == []
    assert judged(late.records, [Cap.FENCED]) != []


def test_an_answer_that_is_no_repeat_of_ours_is_another_task() -> None:
    story = Story().publish("a", answer=[STORED]).publish("b", answer=[Duplicate(id_of("a"))])
    story.fetch("s", A).settle("s", complete(A))
    assert total_queue(story.records) == [], "the second was never stored"
