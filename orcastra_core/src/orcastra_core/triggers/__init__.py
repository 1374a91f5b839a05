"""When a schedule fires next: pure functions of time, with a text form.

=========================  =====================================  ===============================
Trigger                    Text (with its entry point's name)     Ticks
=========================  =====================================  ===============================
``Cron(expression, tz)``   ``cron:0 4 * * * Europe/Berlin``       at matching wall-clock minutes
``Interval(seconds)``      ``interval:30``                        every so many seconds
``Once(at)``               ``once:2027-01-01T00:00:00+00:00``     one single time
=========================  =====================================  ===============================

All three are immutable and equal by value; ``next_after`` takes an aware
datetime and answers the first tick strictly after it, or None; ``parse`` reads
what ``str`` wrote and raises InvalidOption for anything else. A trigger of your
own is any class like these in the entry point group ``orcastra.triggers``.
"""

from orcastra_core.triggers.cron import Cron
from orcastra_core.triggers.interval import Interval
from orcastra_core.triggers.once import Once

__all__ = ["Cron", "Interval", "Once"]
