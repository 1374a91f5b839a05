"""Values and small drivers for this dist's tests; what they drive is the real thing, on servers of their own."""

from postgres_rig.crews import Crew, Member, crew
from postgres_rig.driving import Shop, at_work, completions, insisted, until
from postgres_rig.making import QUEUE, Open, make, taken, want
from postgres_rig.orders import Orders

__all__ = [
    "QUEUE", "Crew", "Member", "Open", "Orders", "Shop", "at_work", "completions", "crew", "insisted", "make", "taken",
    "until", "want",
]  # fmt: skip
