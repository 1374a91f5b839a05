"""Settles a task in the transaction that it wrote in."""

from __future__ import annotations

from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.errors import BrokerClosed, BrokerError, TransactionRolledBack
from orcastra_core.model.result import Outcome
from orcastra_core.model.settlement import STALE, Complete, Failed, Settled, Settlement
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.tenure import Tenure


async def conclude(
    transaction: SettlingTransaction, settlement: Settlement, tenure: Tenure, patience: Patience
) -> Settlement | None:
    """Commit a completion with the task's rows; roll them back for everything else.

    Returns:
        What is still to be settled, outside of the transaction.

    Raises:
        TransactionRolledBack: It could not be committed; the delivery is still held.
    """
    if not isinstance(settlement, Complete) or settlement.result.outcome is not Outcome.COMPLETED:
        await transaction.abandon()
        return settlement
    answer = await _commit(transaction, settlement, tenure, patience)
    if answer is STALE:
        tenure.discard([settlement])
    elif isinstance(answer, Failed):
        return tenure.refused(settlement, answer.error)
    return None


async def _commit(
    transaction: SettlingTransaction, settlement: Settlement, tenure: Tenure, patience: Patience
) -> Settled:
    while not tenure.fenced:
        try:
            answer = await transaction.settle(settlement)
        except (TransactionRolledBack, BrokerClosed):
            raise
        except BrokerError as error:
            await patience.pause(error)
        else:
            patience.success()
            return answer
    return STALE
