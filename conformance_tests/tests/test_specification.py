"""What the suite set out to prove, and which of its cases prove it."""

from __future__ import annotations

import pytest
from catalogue_page import PAGE, TITLES, render

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.tiers import TIER_OF_GROUP

TOPICS: dict[str, dict[str, tuple[str, ...]]] = {
    "publish": {
        "a round trip, byte for byte": ("pub.roundtrip", "fuzz.payload"),
        "answers are aligned": ("pub.results-align",),
        "an empty batch": ("pub.empty-batch",),
        "a partly bad batch": ("pub.results-align", "pub.bad-item-alone"),
        "confirmed is visible": ("pub.confirmed-visible",),
        "confirmed survives the publisher's death": ("proc.publisher-sigkill",),
        "arguments stay untouched": ("pub.input-untouched",),
        "sizes of bodies": ("pub.body-limits", "hon.limits-true"),
    },
    "fetch": {
        "an empty wait": ("con.empty-wait",),
        "published before the first consumer": ("con.before-first-consumer",),
        "ten clients make the structures at once": ("life.declare-race",),
        "a publish wakes": ("con.wakes", "con.wakes-each"),
        "no more than was asked for": ("con.demand",),
        "competing consumers": ("con.competing", "proc.many-drain"),
        "queues never mix": ("con.queue-isolation", "fuzz.names"),
        "domains never mix": ("con.domain-isolation",),
        "no hidden buffer": ("con.no-hidden-buffer",),
    },
    "settle": {
        "done is gone": ("set.complete-removes",),
        "owed until it is settled": ("set.not-before",),
        "a mixed batch": ("set.mixed-batch", "set.bad-item-alone"),
        "a second settlement": ("set.double",),
        "a settlement after the loss": ("ses.reap-fences", "res.stale-loses"),
        "a forged receipt": ("set.forged",),
        "a failed attempt comes again": ("set.retry",),
        "a poisoned task starves nobody": ("set.retry-starves-nobody",),
        "a release burns no attempt": ("set.release", "ses.leave-releases"),
    },
    "sessions, for leases": {
        "silence ends it": ("ses.sweep-reaps-lapsed",),
        "and not before": ("ses.sweep-needs-contact", "proc.paused-not-reaped-early"),
        "beats keep it": ("ses.healthy-for-long", "proc.blocked-loop"),
        "a beat after the reap": ("ses.beat-for-another",),
        "a crash is recovered from": ("proc.consumer-sigkill",),
        "2,500 orphans": ("ses.big-backlog", "proc.big-backlog"),
        "a task five leases long": ("proc.long-task", "ses.healthy-for-long"),
        "a paused process": ("proc.paused-is-fenced", "proc.lapse-revived"),
        "fencing": ("ses.reap-fences", "num.fenced", "ses.ids-never-reused"),
        "the server's time": ("proc.clock-off",),
    },
    "order": {
        "first in, first out": ("ord.fifo",),
        "within a batch": ("ord.fifo",),
        "keys side by side": ("ord.key-one-at-a-time", "ord.key-scoped-to-queue"),
        "keys through a failure": ("ord.key-through-retry", "ord.key-after-retry", "ord.key-through-loss"),
    },
    "delay": {
        "not before": ("delay.not-before",),
        "it arrives": ("delay.arrives",),
        "the past is now": ("delay.past-is-now",),
        "by due moment": ("delay.by-due-time",),
        "clients come and go": ("delay.survives-clients",),
        "a delayed retry": ("delay.retry",),
    },
    "priority": {
        "the larger first": ("prio.high-first", "prio.in-one-fetch"),
        "publish order within": ("prio.high-first",),
        "kept when it comes again": ("prio.kept",),
    },
    "dedup": {
        "once": ("dedup.once",),
        "a race": ("dedup.race",),
        "within a batch": ("dedup.in-batch",),
        "a window ends": ("dedup.window", "dedup.window-outlives"),
        "scoped to the queue": ("dedup.scoped-to-queue",),
    },
    "dead letters": {
        "attempts exhausted": ("run.retry-then-dead",),
        "a crash loop": ("run.poison", "ses.lost-counts-up"),
        "dead at once": ("set.dead",),
        "kept whole": ("dead.keeps-everything",),
        "replay": ("dead.replay",),
        "unreadable bytes": ("con.unreadable", "run.unreadable-goes-dead-once"),
    },
    "results": {
        "a round trip": ("res.roundtrip", "run.tasks-once"),
        "absent, pending, expired": ("res.absence",),
        "a waiter is woken": ("res.pushed",),
        "a failure with its traceback": ("res.roundtrip", "run.retry-then-dead"),
        "they expire": ("res.expires", "res.expires-from-census"),
        "a late attempt loses": ("res.stale-loses",),
    },
    "smaller capabilities": {
        "cancelling": ("can.four-answers", "can.removed", "conc.cancel-vs-fetch", "run.cancel"),
        "expiry": ("run.expired",),
        "counting": ("ins.counts",),
        "all or none of a batch": (),
        "a transaction rolled back": ("tx.rollback-hides", "tx.failed-commit-hides", "tx.abandon"),
        "a transaction committed": ("tx.commit-shows", "tx.settle-together"),
    },
    "schedules": {
        "once of five": ("sch.once-of-five",),
        "misfires": ("sch.misfire", "sch.misfire-is-the-plans"),
        "the clocks change": ("sch.dst-gap-and-fold",),
        "changed and deleted": ("sch.update-and-delete",),
        "a crash as it fires": ("sch.crash-mid-fire", "sch.promote-atomic"),
        "added twice": ("sch.idempotent-add",),
    },
    "serializers": {
        "all declared types": ("ser.universe",),
        "the same bytes everywhere": ("ser.deterministic",),
        "hostile bytes": ("ser.hostile",),
        "what cannot be written": ("ser.unserialisable", "ser.unwritable-result"),
        "an unknown content type": ("ser.unknown-content-type",),
        "unknown fields": ("ser.forward-compatible",),
    },
    "concurrency": {
        "one broker, many tasks": ("life.shared-object", "conc.publish-while-fetching"),
        "settle against reap": ("conc.settle-vs-reap",),
        "a cancelled publish": ("pub.cancelled",),
        "a cancelled fetch": ("con.cancelled-fetch", "con.cancelled-wait"),
        "a cancelled settle": ("num.cancelled-settle", "num.cancelled-dead"),
    },
    "lifecycle": {
        "everything twice": ("life.idempotent",),
        "used after close": ("life.use-after-close",),
        "close frees waiters": ("life.close-frees-waiters",),
        "nothing is left": ("life.nothing-left",),
        "nothing grows": ("life.no-growth",),
        "unreachable": ("life.unreachable",),
    },
    "faults": {
        "cut during a publish": ("fault.cut-during-publish",),
        "cut during a fetch": ("fault.cut-during-receive",),
        "a half-open connection": ("fault.half-open",),
        "the server restarts": ("fault.server-restart",),
        "a killed consumer": ("proc.consumer-sigkill",),
        "structures deleted": ("fault.structures-deleted",),
        "a slow consumer": ("fault.slow-consumer",),
        "two releases": (),
    },
    "model and chance": {
        "against a model": ("model.queue",),
        "clients at the same time": ("proc.many-drain", "con.competing"),
        "any payload": ("fuzz.payload",),
        "any name": ("fuzz.names",),
    },
    "honesty": {
        "the unclaimed is refused": ("hon.refuses-delay", "hon.refuses-cancel", "hon.refuses-results"),
        "limits are true": ("hon.limits-true", "pub.batch-limit", "prio.limits", "delay.limit", "ses.least-lease"),
        "the profile is stable": ("hon.profile-within-claims", "hon.profile-stable"),
        "typed errors": ("hon.typed-errors",),
    },
}
"""Each thing that was to be proved, with the cases that do; none where the page says why."""

IDS = frozenset(case.id for case in all_cases())


@pytest.mark.parametrize("part", TOPICS)
def test_what_was_to_be_proved_has_its_cases(part: str) -> None:
    named = {case for cases in TOPICS[part].values() for case in cases}
    assert named <= IDS, "these cases are gone"


def test_nearly_all_that_was_to_be_proved_is() -> None:
    topics = [(f"{part}: {topic}", cases) for part, of_part in TOPICS.items() for topic, cases in of_part.items()]
    assert len(topics) == 111
    open_ = [topic for topic, cases in topics if not cases]
    assert open_ == [
        "smaller capabilities: all or none of a batch",
        "faults: two releases",
    ]


def test_every_group_has_a_title() -> None:
    assert TITLES.keys() == TIER_OF_GROUP.keys()


def test_the_page_lists_the_cases_there_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), (
        "the cases have changed: python conformance_tests/tests/catalogue_page.py writes the page anew"
    )
