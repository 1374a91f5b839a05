"""Workers in processes of their own, and a client that keeps what was confirmed; the brokers are real."""

from kafka_rig.crews import Crew, Member, crew
from kafka_rig.orders import Orders, until

__all__ = ["Crew", "Member", "Orders", "crew", "until"]
