"""The proxy: what passes it, and every way in which it breaks a connection."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from power.served.harness import Harness

from orcastra_conformance import Outcome, run_case
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.proxy import Proxy, before, proxied
from orcastra_conformance.faults.valve import Way
from orcastra_conformance.suite import started
from orcastra_core.backends.memory.conformance import Harness as MemoryHarness

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """Gives every chunk back, and keeps what it heard; ends with its client."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.ended = asyncio.Event()
        self.said = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while chunk := await reader.read(65536):
                self.heard += chunk
                self.said.set()
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        self.ended.set()
        writer.close()


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[Echo, Proxy]]:
    server = Echo()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        async with before(listener.sockets[0].getsockname()) as proxy, asyncio.timeout(5):
            yield server, proxy
        await asyncio.gather(*(writer.wait_closed() for writer in server.writers), return_exceptions=True)


@asynccontextmanager
async def client(proxy: Proxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(*proxy.address)
    try:
        yield reader, writer
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


async def exchange(streams: Streams, text: bytes = b"ping") -> None:
    streams[1].write(text)
    assert await streams[0].readexactly(len(text)) == text


async def reset(reader: asyncio.StreamReader) -> None:
    with pytest.raises(ConnectionResetError):
        await reader.read(1)


async def test_bytes_pass_both_ways_and_are_counted() -> None:
    async with echo() as (_, proxy), client(proxy) as streams:
        big = bytes(range(256)) * 4096
        await exchange(streams, big)
        assert {way: passed.size for way, passed in proxy.passed.items()} == {Way.UP: len(big), Way.DOWN: len(big)}
        assert min(passed.chunks for passed in proxy.passed.values()) >= 16
        assert proxy.connections == 1


async def test_an_end_passes_too() -> None:
    async with echo() as (server, proxy), client(proxy) as (reader, writer):
        writer.write_eof()
        assert await reader.read() == b""
        await server.ended.wait()
        while proxy.connections:
            await turns(1)


async def test_cut_resets_both_ends_and_new_connections_pass() -> None:
    async with echo() as (server, proxy):
        async with client(proxy) as streams:
            await exchange(streams)
            proxy.cut()
            await reset(streams[0])
            await server.ended.wait()
        async with client(proxy) as streams:
            await exchange(streams)


async def test_refuse_resets_each_connection_until_healed() -> None:
    async with echo() as (_, proxy):
        proxy.refuse()
        async with client(proxy) as (reader, _writer):
            await reset(reader)
        proxy.heal()
        async with client(proxy) as streams:
            await exchange(streams)


async def test_what_is_swallowed_is_gone_and_healing_resets_the_connection() -> None:
    async with echo() as (server, proxy), client(proxy) as streams, client(proxy) as other:
        await exchange(streams)
        await exchange(other)
        proxy.swallow(Way.UP)
        streams[1].write(b"lost")
        async with client(proxy) as (late, late_writer):
            late_writer.write(b"lost too")
            await turns(20)
            assert bytes(server.heard) == b"pingping"
            proxy.heal()
            await reset(late)
        await reset(streams[0])
        await exchange(other)  # it lost nothing


async def test_what_is_held_comes_later() -> None:
    async with echo() as (server, proxy), client(proxy) as streams:
        await exchange(streams)
        proxy.hold(Way.DOWN)
        server.said.clear()
        streams[1].write(b"late")
        await server.said.wait()
        await turns(20)
        assert proxy.passed[Way.DOWN].size == 4
        proxy.heal()
        assert await streams[0].readexactly(4) == b"late"


@pytest.mark.parametrize("way", Way)
async def test_half_closed_one_way_it_passes_the_other(way: Way) -> None:
    async with echo() as (server, proxy), client(proxy) as (reader, writer):
        await exchange((reader, writer))
        proxy.half_close(way)
        if way is Way.UP:
            await server.ended.wait()
            assert await reader.read() == b""
        else:
            assert await reader.read() == b""
            server.said.clear()
            writer.write(b"still heard")
            await server.said.wait()
            assert server.heard.endswith(b"still heard")


@pytest.mark.parametrize("part, heard", [(0.0, b""), (0.5, b"he"), (1.0, b"here")])
async def test_a_trap_goes_off_at_its_pattern_with_part_of_the_chunk(part: float, heard: bytes) -> None:
    async with echo() as (server, proxy), client(proxy) as streams:
        await exchange(streams)
        trap = proxy.trap(b"er", Way.UP, part=part)
        await exchange(streams)
        assert not trap.sprung.is_set()
        streams[1].write(b"here")
        await reset(streams[0])
        await server.ended.wait()
        assert trap.sprung.is_set()
        assert bytes(server.heard) == b"pingping" + heard


async def test_a_trap_counts_the_chunks_after_its_pattern_on_that_connection() -> None:
    async with echo() as (server, proxy), client(proxy) as streams, client(proxy) as other:
        trap = proxy.trap(b"start", Way.UP, at=2)
        await exchange(streams, b"start")  # 0 and 1
        await exchange(other, b"start")
        await exchange(other)
        streams[1].write(b"never")  # 2
        await reset(streams[0])
        assert trap.sprung.is_set()
        assert b"never" not in server.heard


async def test_a_pattern_may_lie_across_chunks() -> None:
    async with echo() as (_, proxy), client(proxy) as streams:
        trap = proxy.trap(b"pattern", Way.UP, part=1.0)
        await exchange(streams, b"xxpat")
        await exchange(streams, b"te")
        assert not trap.sprung.is_set()
        streams[1].write(b"rn")
        await trap.sprung.wait()


async def test_a_trap_may_do_something_else_than_cut() -> None:
    async with echo() as (server, proxy), client(proxy) as streams:
        proxy.trap(b"last", Way.DOWN, part=1.0, then=lambda: proxy.swallow(Way.UP))
        await exchange(streams, b"last")
        streams[1].write(b"unheard")
        await turns(20)
        assert bytes(server.heard) == b"last"


@pytest.fixture
def closed_port() -> Iterator[tuple[str, int]]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


async def test_where_no_server_listens_the_client_is_reset(closed_port: tuple[str, int]) -> None:
    async with before(closed_port) as proxy, client(proxy) as (reader, _):
        await reset(reader)


@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.swallow, Proxy.hold, Proxy.refuse])
async def test_leaving_ends_everything_whatever_goes_on(fault: object) -> None:
    server = Echo()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        async with asyncio.timeout(5), before(listener.sockets[0].getsockname()) as proxy:
            reader, writer = await asyncio.open_connection(*proxy.address)
            await exchange((reader, writer))
            assert callable(fault)
            fault(proxy)
            writer.write(b"more")
        await reset(reader)
        await server.ended.wait()
        writer.close()
        for one in (writer, *server.writers):
            try:
                await one.wait_closed()
            except ConnectionError:
                pass
    await turns(3)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*proxy.address)


async def test_it_serves_clients_of_other_threads() -> None:
    heard: list[bytes] = []

    def talk() -> None:
        with socket.create_connection(proxy.address, timeout=5) as one:
            one.sendall(b"hello")
            heard.append(one.recv(5))

    async with echo() as (_, proxy):
        thread = threading.Thread(target=talk)
        thread.start()
        await asyncio.to_thread(thread.join)
    assert heard == [b"hello"]


def test_proxied_gives_a_case_a_broker_behind_a_proxy() -> None:
    seen: list[int] = []

    async def body(t: Trial) -> None:
        broker, proxy = await proxied(t)
        await t.stored(broker, t.envelope(body=b"through the proxy"))
        seen.append(proxy.passed[Way.UP].size)
        session = await t.session(broker)
        await t.one(session)

    case = Case("made.up", "made", Tier.CORE, frozenset(), None, "it must hold", body)
    with started(Harness()) as harness:
        assert run_case(case, harness).outcome is Outcome.PASSED
    assert seen[0] > 0
    with started(MemoryHarness()) as embedded:
        assert run_case(case, embedded).outcome is Outcome.NOT_APPLICABLE


async def test_a_trap_may_act_before_its_chunk_goes_on() -> None:
    async with echo() as (server, proxy), client(proxy) as streams:
        trap = proxy.trap((b"never", b"now"), Way.UP, part=1.0, then=lambda: proxy.hold(Way.UP), first=True)
        await exchange(streams, b"soon")
        streams[1].write(b"now")
        await trap.sprung.wait()
        await turns(20)
        assert bytes(server.heard) == b"soon"
        proxy.heal()
        assert await streams[0].readexactly(3) == b"now"


async def test_what_is_stranded_lands_late() -> None:
    async with echo() as (server, proxy), client(proxy) as streams, client(proxy) as idle:
        await exchange(idle)
        trap = proxy.trap(b"late", Way.UP, part=1.0, then=lambda: proxy.hold(Way.UP), first=True)
        streams[1].write(b"late")
        await trap.sprung.wait()
        proxy.strand()
        await reset(streams[0])
        await reset(idle[0])  # nothing of it was on its way
        async with client(proxy) as fresh:
            await exchange(fresh, b"newer")
            await proxy.land()
        assert bytes(server.heard) == b"pingnewerlate"
