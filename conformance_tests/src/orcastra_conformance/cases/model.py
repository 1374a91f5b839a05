"""The whole queue at once: sequences and clients that nobody writes down."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.modelling.crowd import Crowd
from orcastra_conformance.modelling.domain import moves_time
from orcastra_conformance.modelling.proof import Proof, Size

USUAL = Size(examples=100, steps=60, seconds=15.0, shortening=0.4)
IN_EARNEST = Size(examples=25, steps=40, seconds=6.0, shortening=2.0)
"""Where every call takes its time."""


@case(
    "model.queue",
    budget=30.0,
    why="whatever is done in whatever order, the broker does as a queue with sessions does",
    hint="the steps are the shortest that were found: write them down as a case of their own",
)
async def _(t: Trial) -> None:
    size = USUAL if moves_time(t.harness) else IN_EARNEST
    await Proof(t, size, seed=t.rng.getrandbits(64)).run()


@case(
    "model.parallel",
    budget=20.0,
    why="whatever many clients do at once, and whoever of them dies: nothing is lost, made up, held or settled twice",
    hint="the numbers in the findings are those of the records in the history",
)
async def _(t: Trial) -> None:
    await Crowd(t).run()
