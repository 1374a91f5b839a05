"""Stand-ins and small drivers for the core's own tests; everything else in them is the real thing."""

from core_doubles.bench import Bench
from core_doubles.clock import ManualClock
from core_doubles.driving import at_work, attach, depth, events_of, kinds_of, until
from core_doubles.faulty import FaultyBroker
from core_doubles.graves import letters, make

__all__ = [
    "Bench",
    "FaultyBroker",
    "ManualClock",
    "at_work",
    "attach",
    "depth",
    "events_of",
    "kinds_of",
    "letters",
    "make",
    "until",
]
