"""Values and small drivers for this dist's tests; what they drive is the real thing, on servers of their own."""

from redis_rig.driving import Shop, at_work, completions, insisted, until
from redis_rig.making import QUEUE, make, taken, want

__all__ = ["QUEUE", "Shop", "at_work", "completions", "insisted", "make", "taken", "until", "want"]
