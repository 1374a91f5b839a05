"""Values and small drivers for this dist's tests; what they drive is the real thing, on servers of their own."""

from redis_rig.driving import Shop, at_work, completions, insisted, names, until
from redis_rig.making import QUEUE, Open, make, taken, want

__all__ = ["QUEUE", "Open", "Shop", "at_work", "completions", "insisted", "make", "names", "taken", "until", "want"]
