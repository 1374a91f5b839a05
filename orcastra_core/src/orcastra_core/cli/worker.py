"""``orcastra worker``: runs an app's tasks."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

import attrs
import click

from orcastra_core.app.orcastra import Orcastra
from orcastra_core.cli.app_loading import load_app
from orcastra_core.cli.broker_option import DURATION
from orcastra_core.cli.event_loop import run
from orcastra_core.cli.logs import LEVELS, set_up
from orcastra_core.cli.queue_check import doubts
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.profile import Durability
from orcastra_core.plugins import load_broker
from orcastra_core.runtime.leash import Leash
from orcastra_core.runtime.shepherd import Shepherd, ShepherdOptions
from orcastra_core.runtime.shutdown import StopSignals
from orcastra_core.runtime.stats import Stats
from orcastra_core.runtime.worker_options import Until

_log = logging.getLogger("orcastra.cli")

URL_FOR_CHILDREN = "ORCASTRA_WORKER_URL"
"""Where a child finds ``--url``: its command line may be read by everyone on the machine."""


@attrs.frozen(kw_only=True)
class WorkerArguments:
    """The command line of a worker."""

    target: str
    queues: tuple[str, ...] = ()
    concurrency: int = 200
    threads: int = 32
    lease: float | None = None
    until: Until = Until.STOPPED
    grace: float = 30.0
    url: str | None = None
    log_level: str = "info"
    json_logs: bool = False

    def for_child(self) -> list[str]:
        """Return what a shepherd starts its processes with."""
        command = [sys.executable, "-m", "orcastra_core.cli", "worker", self.target]
        for queue in self.queues:
            command += ["-q", queue]
        command += ["-c", str(self.concurrency), "--threads", str(self.threads), "--grace", repr(self.grace)]
        if self.lease is not None:
            command += ["--lease", repr(self.lease)]
        if self.until is not Until.STOPPED:
            command.append("--burst" if self.until is Until.EMPTY else "--drain")
        command += ["--log-level", self.log_level]
        return [*command, "--json-logs"] if self.json_logs else command


@click.command("worker", short_help="Run an app's tasks.")
@click.argument("target", metavar="MODULE:APP")
@click.option(
    "-q", "--queue", "queues", multiple=True, metavar="NAME", help="Only these queues: -q mail,bulk or repeated."
)
@click.option("-c", "--concurrency", type=click.IntRange(1), default=200, show_default=True, help="Tasks at a time.")
@click.option("-p", "--processes", type=click.IntRange(1), help="Worker processes, supervised.")
@click.option("--threads", type=click.IntRange(1), default=32, show_default=True, help="Threads for plain functions.")
@click.option("--lease", type=DURATION, help="Silence after which the worker counts as dead; the URL's if not given.")
@click.option("--burst", is_flag=True, help="End when nothing is ready and nothing runs.")
@click.option("--drain", is_flag=True, help="End when nothing is ready, delayed or running.")
@click.option("--grace", type=DURATION, default=30.0, show_default=True, help="What running tasks get at the end.")
@click.option("--url", envvar=URL_FOR_CHILDREN, help="The broker, instead of the app's own.")
@click.option("--log-level", type=click.Choice(LEVELS, case_sensitive=False), default="info", show_default=True)
@click.option("--json-logs", is_flag=True, help="One JSON object a log line.")
@click.option("--leash", type=int, hidden=True)
def command(
    processes: int | None, burst: bool, drain: bool, leash: int | None, queues: tuple[str, ...], **rest: Any
) -> int:
    """Run the tasks of MODULE:APP, for example shop.tasks:app.

    The module is found from the current directory and PYTHONPATH. Ctrl-C or
    SIGTERM: fetch nothing more, let running tasks end within the grace, hand
    the rest back. A second one hurries, a third ends at once.

    With -p the supervising process keeps that many worker processes running,
    beats for them, and has the tasks of one that dies taken up at once.
    """
    if burst and drain:
        raise click.UsageError("--burst and --drain exclude each other")
    arguments = WorkerArguments(
        queues=tuple(name for text in queues for name in text.split(",") if name),
        until=Until.EMPTY if burst else Until.DRAINED if drain else Until.STOPPED,
        **rest,
    )
    if queues and not arguments.queues:
        raise click.UsageError("-q names no queue")
    if processes is not None:
        set_up(arguments.log_level, as_json=arguments.json_logs)
        return run(_supervise(arguments, processes), fast=False)
    held = Leash(leash) if leash is not None else None
    app = load_app(arguments.target, arguments.url)
    set_up(arguments.log_level, as_json=arguments.json_logs)
    if not app.tasks:
        raise click.ClickException(
            f"{arguments.target} has no tasks: decorate functions with @app.task, "
            f"and let this module import those that define them"
        )
    return run(_work(app, arguments, held))


async def _work(app: Orcastra, arguments: WorkerArguments, leash: Leash | None) -> int:
    async with app:
        in_process = app.profile.durability is Durability.NONE
        if in_process and leash is not None:
            raise click.ClickException(
                f"{app.url.scheme}:// lives in one process, so -p has nothing to share: "
                f"take sqlite:///… or a server, or leave -p out"
            )
        if in_process:
            _log.warning("%s:// lives in this process: no other program can submit to it", app.url.scheme)
        for doubt in await doubts(app, arguments.queues):
            _log.warning("%s", doubt)
        worker = app.worker(
            queues=arguments.queues or None,
            concurrency=arguments.concurrency,
            threads=arguments.threads,
            lease=arguments.lease,
            until=arguments.until,
            grace=arguments.grace,
            on_session=leash.on_session if leash is not None else None,
        )
        if leash is not None:
            leash.say(url=app.url.raw)
            leash.watch(worker.stop)
        with StopSignals(worker.stop) as signals:
            began = time.monotonic()
            _log.info(
                "worker %d started: %s, queues %s, %d at a time",
                os.getpid(),
                app.url,
                ", ".join(worker.options.queues),
                worker.options.concurrency,
            )
            stats = await worker.run()
            _log.info("worker %d stopped: %s", os.getpid(), _summary(stats, time.monotonic() - began))
    if leash is not None:
        leash.end(stats)
    return signals.exit_code


async def _supervise(arguments: WorkerArguments, processes: int) -> int:
    shepherd = Shepherd(
        ShepherdOptions(
            command=arguments.for_child(),
            processes=processes,
            env={} if arguments.url is None else {URL_FOR_CHILDREN: arguments.url},
            grace=arguments.grace,
            finite=arguments.until is not Until.STOPPED,
        ),
        load_broker,
        clock=SystemClock(),
    )
    with StopSignals(shepherd.stop) as signals:
        began = time.monotonic()
        _log.info("shepherd %d started: %d worker processes of %s", os.getpid(), processes, arguments.target)
        code = await shepherd.run()
        summary = _summary(shepherd.stats, time.monotonic() - began)
        _log.info(
            "shepherd %d stopped: %s; %d processes replaced, %d tasks of dead ones handed out again",
            os.getpid(),
            summary,
            shepherd.restarts,
            shepherd.recovered,
        )
    return code or signals.exit_code


def _summary(stats: Stats, seconds: float) -> str:
    counts = {
        "completed": stats.completed,
        "failed": stats.failed,
        "released": stats.released,
        "cancelled": stats.cancelled,
        "stale": stats.stale,
    }
    shown = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name in ("completed", "failed"))
    return f"{shown} in {seconds:.1f} s"
