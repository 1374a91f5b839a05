"""The broker's harness: a directory of its own, time in earnest."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from urllib.parse import quote

from orcastra_conformance import Address, BrokerHarness, ServerFacts
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_files.broker import FilesBroker
from orcastra_files.session import FilesSession
from orcastra_files.settings import Settings
from orcastra_files.state import Task, Where
from orcastra_files.step import Step
from orcastra_files.store import Store


class Harness(BrokerHarness):
    """Brokers of one directory, which goes with ``stop``."""

    name = "files"
    lease = 0.5  # short, because time passes in earnest

    def __init__(self) -> None:
        self._beside: str | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def use(self, url: str) -> None:
        """Prove the file system of this directory, in one of the harness's own within it."""
        self._beside = os.path.dirname(Settings.of(BrokerUrl.parse(url)).directory)

    async def start(self) -> ServerFacts:
        self._directory = await asyncio.to_thread(self._make)
        return ServerFacts("files", "files:///conformance", embedded=True)

    async def stop(self) -> None:
        if self._directory is not None:
            await asyncio.to_thread(self._directory.cleanup)

    def url(self, domain: str, *, at: Address | None = None) -> str:
        assert self._directory is not None
        return f"files://{self._directory.name}?domain={quote(domain)}"

    # Powers: each makes cases provable that would be «unproven» without it.

    async def silence(self, session: Session) -> None:
        if isinstance(session, FilesSession):
            session.suspend()

    async def revive(self, session: Session) -> None:
        if isinstance(session, FilesSession):
            session.resume()

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        def work(step: Step) -> None:
            step.put("body", unreadable.id, unreadable.raw)
            step.line_up(unreadable.id, Task(unreadable.queue, Where.READY), None)

        if isinstance(broker, FilesBroker):
            await broker.store.run(work)

    async def wreck(self, domain: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._settings(domain).directory)

    async def census(self, domain: str) -> Mapping[str, int]:
        store = Store(self._settings(domain))

        def count(step: Step) -> dict[str, int]:
            state = step.state
            counts = {"tasks": len(state.tasks), "bodies": len(state.bodies), "sessions": len(state.sessions)}
            return {**counts, "files": len(store.session_names()), "remembered": len(state.ended)}

        try:
            return await store.run(count)
        finally:
            await store.close()

    def _settings(self, domain: str) -> Settings:
        return Settings.of(BrokerUrl.parse(self.url(domain)))

    def _make(self) -> tempfile.TemporaryDirectory[str]:
        if self._beside is not None:
            os.makedirs(self._beside, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix="orcastra-files-", dir=self._beside)
