"""Real workers, orders and a shop, for the tests of backends that have a server of their own."""

from server_rig.crews import Crew, Member, crew
from server_rig.driving import Shop, at_work, completions, insisted, until
from server_rig.making import QUEUE, make, taken, want
from server_rig.orders import Orders

__all__ = [
    "QUEUE", "Crew", "Member", "Orders", "Shop", "at_work", "completions", "crew", "insisted", "make", "taken", "until", "want",
]  # fmt: skip
