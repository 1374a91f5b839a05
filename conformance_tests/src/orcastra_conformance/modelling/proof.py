"""Running the machine within a case: its thread, its seed, and what a failure says."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import attrs
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from orcastra_conformance.engine.expect import NotApplicable, Violation
from orcastra_conformance.engine.harness import Unproven
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.modelling import moves
from orcastra_conformance.modelling.agreeing import agree, agree_on_losses
from orcastra_conformance.modelling.bridge import Bridge, Halt
from orcastra_conformance.modelling.choosing import Choice, Step
from orcastra_conformance.modelling.domain import Domain
from orcastra_conformance.modelling.machine import QueueMachine
from orcastra_conformance.modelling.script import Script, shortened

_PATIENCE = 20.0
"""Times ``soon`` that a step may take, waits in earnest included."""


@attrs.frozen
class Size:
    """How much is tried.

    Attributes:
        examples: Domains, each from the start.
        steps: Steps of each.
        seconds: Time it may take: a slow store gets through the first of them only.
        shortening: Time spent on making one that fails shorter, at most, seconds.
    """

    examples: int
    steps: int
    seconds: float
    shortening: float


@attrs.frozen
class Failure:
    """What was wrong, and all that was done until then."""

    error: Exception
    script: Script
    lines: tuple[str, ...]


class Proof:
    """One run of the machine on the brokers of a trial's harness, from a seed."""

    def __init__(self, t: Trial, size: Size, *, seed: int) -> None:
        self._t = t
        self._size = size
        self._seed = seed
        self._bridge = Bridge()
        self._names = itertools.count(1)
        self._silences = False
        self._open: Domain | None = None
        self._failure: Failure | None = None
        self._ends = math.inf

    async def run(self) -> None:
        """Try sequences; of one that fails find a shorter one. Raises Violation with its steps."""
        self._silences = await _silences(self._t)
        self._ends = perf_counter() + self._size.seconds
        try:
            await self._bridge.run(self._work)
        finally:
            await self._close()
        if self._failure is not None:
            self._ends = perf_counter() + self._size.shortening
            await shortened(self._failure.script, self._repeat, enough=self._over)
            raise _told(self._failure)

    # -- from the thread

    def begin(self) -> Domain:
        """Open a fresh domain."""
        domain: Domain = self._bridge.await_(self._begin)
        return domain

    def step(self, machine: QueueMachine, step: Step) -> None:
        """Await one step and the comparison after it. Raises Halt when that fails, for one failure is enough, or time is over."""
        if self._over():
            self._t.note(f"its time was over in example {next(self._names) - 1} of {self._size.examples}")
            raise Halt

        async def whole() -> bool:
            return await self._fails(machine.domain, machine.script, step)

        if self._bridge.await_(whole):
            machine.broken = True
            raise Halt

    def end(self, machine: QueueMachine) -> None:
        """Compare what is left, if nothing failed before, and remove the domain."""
        if not machine.broken and not self._over():
            self.step(machine, lambda: _finish(machine.domain))
            self._bridge.await_(self._close)

    def _work(self) -> None:
        """Let Hypothesis choose, until it has tried enough or found something."""
        chosen = settings(
            max_examples=self._size.examples,
            stateful_step_count=self._size.steps + 1,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
            database=None,
            deadline=None,
            derandomize=False,
            print_blob=False,
        )
        try:
            with _drawn_by_the_seed_alone():
                run_state_machine_as_test(seed(self._seed)(_machine_of(self)), settings=chosen)
        except (Halt, Flaky):  # Flaky: tried again, an example ended sooner, because a failure or the time is enough
            if self._failure is None and not self._over():
                raise

    # -- in the case's loop

    def _over(self) -> bool:
        return perf_counter() > self._ends

    async def _begin(self) -> Domain:
        await self._close()  # of an example that ended in the middle, which is then tried once more
        self._open = Domain(self._t.harness, f"{self._t.domain}.{next(self._names)}", self._seed)
        self._open.silences = self._silences
        await self._open.open()
        return self._open

    async def _close(self) -> None:
        domain, self._open = self._open, None
        if domain is not None:
            await domain.close()

    async def _fails(self, domain: Domain, script: Script, step: Step) -> bool:
        domain.begin()
        ends = asyncio.timeout(_PATIENCE * self._t.harness.soon)
        try:
            async with ends:
                await step()
                await agree(domain)
        except Exception as problem:
            error = Violation("a call does not come back") if ends.expired() else problem
            if self._failure is None or len(script.steps) <= len(self._failure.script.steps):
                self._failure = Failure(error, script, tuple(domain.t.history))
            return True
        return False

    async def _repeat(self, script: Script) -> int:
        """Repeat a script: after how many steps it failed; 0 if it did not."""
        domain = await self._begin()
        try:
            domain.choose(script.kinds)
            for taken, numbers in enumerate(script.steps, 1):
                until_now = Script(script.kinds, script.steps[:taken])
                if await self._fails(domain, until_now, Choice(domain, numbers).step()):
                    return taken
            failed = await self._fails(domain, script, lambda: _finish(domain))
            return max(1, len(script.steps)) if failed else 0
        finally:
            await self._close()


def _machine_of(proof: Proof) -> type[QueueMachine]:
    class Machine(QueueMachine):
        def begin(self) -> Domain:
            return proof.begin()

        def do(self, step: Step) -> None:
            proof.step(self, step)

        def teardown(self) -> None:
            proof.end(self)

    return Machine


async def _finish(domain: Domain) -> None:
    await moves.finish(domain)
    await agree_on_losses(domain)


async def _silences(t: Trial) -> bool:
    """Whether the harness can stop a session's beats."""
    session = await t.session(await t.broker())
    try:
        await t.harness.silence(session)
        await t.harness.revive(session)
    except (Unproven, NotApplicable):
        return False
    finally:
        await session.leave()
    return True


@contextmanager
def _drawn_by_the_seed_alone() -> Iterator[None]:
    """Have a seed mean the same everywhere.

    Hypothesis mixes constants of the source files around it into what it draws, and
    keeps what it found in ``.hypothesis``.
    """
    name = "_maybe_draw_constant"
    try:
        from hypothesis.internal.conjecture.providers import HypothesisProvider as draws  # noqa: N813 - it is patched

        mixing = getattr(draws, name)
    except (ImportError, AttributeError):  # a release that does not
        yield
        return
    setattr(draws, name, lambda *_args, **_options: None)
    try:
        yield
    finally:
        setattr(draws, name, mixing)


def _told(failure: Failure) -> Exception:
    if isinstance(failure.error, (Unproven, NotApplicable)):
        return failure.error
    why = str(failure.error) if isinstance(failure.error, Violation) else f"it raised {failure.error!r}"
    violation = Violation("\n".join([why, "  after these steps:", *(f"  {line}" for line in failure.lines)]))
    violation.__cause__ = failure.error
    return violation
