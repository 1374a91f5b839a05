"""What backend and plugin authors implement, as prose that a test can quote.

``Broker``, ``Session``, ``Scheduler`` and the stores are abstract classes, so
that new methods can arrive with a default; ``Serializer``, ``Trigger``,
``Clock`` and ``Middleware`` are protocols.
"""

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.interfaces.events import EventLog
from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.interfaces.trigger import Trigger

__all__ = [
    "Broker",
    "Clock",
    "DeadLetterStore",
    "EventLog",
    "Middleware",
    "ResultFeed",
    "ResultStore",
    "Scheduler",
    "Serializer",
    "Session",
    "SettlingTransaction",
    "Trigger",
]
