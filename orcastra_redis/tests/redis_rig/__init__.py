"""Values and small drivers for this dist's tests; what they drive is the real thing, on servers of their own."""

from redis_rig.crews import Crew, Member, crew
from redis_rig.driving import Shop, at_work, completions, insisted, names, until
from redis_rig.making import QUEUE, Open, make, taken, want
from redis_rig.orders import Orders

__all__ = [
    "QUEUE", "Crew", "Member", "Open", "Orders", "Shop", "at_work", "completions", "crew", "insisted", "make", "names",
    "taken", "until", "want",
]  # fmt: skip
