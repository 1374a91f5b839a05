"""The state machine: Hypothesis draws the numbers that choose what is done."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from orcastra_conformance.modelling.choosing import NUMBERS, Choice, Step
from orcastra_conformance.modelling.domain import Domain
from orcastra_conformance.modelling.script import Script


class QueueMachine(RuleBasedStateMachine):
    """Does to a broker and to the model what may be done, and compares after every step.

    There is one rule, which chooses from a table: Hypothesis would switch rules off at random, and what
    it left would rarely get far. Which kinds of envelopes there are differs from example to example instead.

    A subclass says how a domain is made and where coroutines are awaited.
    """

    def __init__(self) -> None:
        super().__init__()
        self.script = Script(b"")
        self.broken = False
        self.domain = self.begin()

    def begin(self) -> Domain:
        """Return a fresh domain, opened."""
        raise NotImplementedError

    def do(self, step: Step) -> None:
        """Await a step and the comparison after it."""
        raise NotImplementedError

    @initialize(kinds=st.binary(min_size=1, max_size=4))
    def choose(self, kinds: bytes) -> None:
        """Choose the kinds of envelopes of this example."""
        self.script = Script(kinds)
        self.domain.choose(kinds)

    @rule(numbers=st.binary(min_size=NUMBERS, max_size=NUMBERS))
    def act(self, numbers: bytes) -> None:
        """Take one step."""
        self.script.steps.append(numbers)
        self.do(Choice(self.domain, numbers).step())
