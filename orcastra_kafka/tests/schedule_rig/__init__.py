"""What the scheduler's tests share: brokers with a clock of their own, what was fired, and promoters in processes of their own."""

from schedule_rig.clock import MovedClock
from schedule_rig.fired import fired
from schedule_rig.making import PLAN, deferred, due, recurring
from schedule_rig.promoters import Promoter, promoter

__all__ = ["PLAN", "MovedClock", "Promoter", "deferred", "due", "fired", "promoter", "recurring"]
