"""What sessions are told of schedules."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary


class DueNews:
    """Something is due sooner than the promoter knows. For one event loop."""

    def __init__(self) -> None:
        self._ears: WeakKeyDictionary[asyncio.Event, bool] = WeakKeyDictionary()

    def listen(self, ear: asyncio.Event) -> None:
        """Have an event set by each piece of news, for as long as somebody has it."""
        self._ears[ear] = False

    def tell(self) -> None:
        """Tell all who listen."""
        for ear in list(self._ears):
            self._ears[ear] = True
            ear.set()

    def heard(self, ear: asyncio.Event) -> bool:
        """Whether there was news since the last time; clears the event if there was."""
        news = self._ears.get(ear, False)
        if news:
            self._ears[ear] = False
            ear.clear()
        return news
