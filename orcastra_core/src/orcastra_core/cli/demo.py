"""``orcastra demo``: real work on any broker, with no server on the embedded one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from orcastra_core.cli.app_loading import load_app
from orcastra_core.cli.demo_files import source_files
from orcastra_core.cli.demo_report import package_table, problems
from orcastra_core.cli.demo_run import DemoRun, Progress, Run
from orcastra_core.cli.event_loop import run
from orcastra_core.cli.logs import set_up
from orcastra_core.cli.terminal import console
from orcastra_core.cli.worker import URL_FOR_CHILDREN, WorkerArguments
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import DEFAULT_DOMAIN, BrokerUrl
from orcastra_core.model.profile import Durability
from orcastra_core.plugins import load_broker
from orcastra_core.runtime.shepherd import Shepherd, ShepherdOptions
from orcastra_core.runtime.shutdown import StopSignals

_TARGET = "orcastra_core.cli.demo_tasks:app"
_DOMAIN = "orcastra-demo"
_THREADS = 1
_GRACE = 5.0
_SHOWN_PROBLEMS = 20


@click.command("demo", short_help="Real work on the embedded broker: start here.")
@click.option("--url", envvar="ORCASTRA_URL", help="Another broker than a temporary file.  [env: ORCASTRA_URL]")
@click.option("-c", "--concurrency", type=click.IntRange(1), default=16, show_default=True, help="Tasks at a time.")
@click.option("-p", "--processes", type=click.IntRange(1), default=2, show_default=True, help="Worker processes.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many files.")
@click.option("--keep", is_flag=True, help="Keep the temporary file, to look into it.")
@click.option("--chaos", is_flag=True, help="kill -9 a worker process at a third and at two thirds of the work.")
def command(url: str | None, concurrency: int, processes: int, limit: int | None, keep: bool, chaos: bool) -> int:
    """Parse every Python file of the standard library and of this environment.

    Submits a task a file, starts worker processes that read it and count what
    is in it, and prints what they found, how fast, and that nothing was lost.
    With --chaos workers are killed in the middle, and still nothing is lost.
    """
    set_up("warning", as_json=False)
    with _broker_url(url, keep=keep) as chosen:
        return run(_demo(chosen, concurrency, processes, limit, chaos=chaos), fast=False)


@contextmanager
def _broker_url(url: str | None, *, keep: bool) -> Iterator[str]:
    if url is not None:
        if keep:
            raise click.UsageError("--keep is about the temporary file, and --url names another broker")
        # our own domain: a demo's tasks meet nobody else's
        if BrokerUrl.parse(url).domain == DEFAULT_DOMAIN:
            url += f"{'&' if '?' in url else '?'}domain={_DOMAIN}"
        yield url
    elif keep:
        folder = tempfile.mkdtemp(prefix="orcastra-demo-")
        yield _file_url(folder)
        click.echo(f"kept: orcastra dead list --url {_file_url(folder)}")
    else:
        with tempfile.TemporaryDirectory(prefix="orcastra-demo-") as folder:
            yield _file_url(folder)


def _file_url(folder: str) -> str:
    return f"sqlite:///{Path(folder, 'demo.db')}"


async def _demo(url: str, concurrency: int, processes: int, limit: int | None, *, chaos: bool) -> int:
    out = console()
    app = load_app(_TARGET, url)
    async with app:
        alone = app.profile.durability is Durability.NONE
        if alone and chaos:
            raise click.ClickException(
                f"--chaos kills worker processes, and {app.url.scheme}:// has none: it lives in this one"
            )
        files = source_files(limit)
        out.print(f"broker   {app.profile.server} at {app.url}, durability {app.profile.durability.name}")
        out.print(
            f"files    {len(files):,} of the standard library and the environment" + (" (--limit)" if limit else "")
        )
        workers = (
            app.worker(concurrency=concurrency, threads=_THREADS, grace=_GRACE)
            if alone
            else _herd(url, concurrency, processes)
        )
        with _progress(out) as progress:
            demo = DemoRun(app, workers, progress, chaos=chaos)
            with StopSignals(demo.interrupt) as signals:
                found = await demo.execute(files)
        if found.interrupted:
            return signals.exit_code or 1
        _print(out, found, "a worker in this process" if alone else f"{processes} worker processes")
    return 1 if found.lost or found.failed or found.refused or found.twice else 0


def _herd(url: str, concurrency: int, processes: int) -> Shepherd:
    arguments = WorkerArguments(
        target=_TARGET, concurrency=concurrency, threads=_THREADS, grace=_GRACE, log_level="warning"
    )
    # odd source files make the parser warn; that is theirs, not news
    env = {URL_FOR_CHILDREN: url, "PYTHONWARNINGS": "ignore"}
    options = ShepherdOptions(command=arguments.for_child(), processes=processes, env=env, grace=_GRACE)
    return Shepherd(options, load_broker, clock=SystemClock())


@contextmanager
def _progress(out: Console) -> Iterator[Progress]:
    """Show bars on a terminal, a line every fifth elsewhere."""
    if out.is_terminal:
        columns = (TextColumn("{task.description:9}"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn())
        with Bars(*columns, console=out, transient=True) as bars:
            known = {}

            def advance(what: str, done: int, total: int) -> None:
                if what not in known:
                    known[what] = bars.add_task(what, total=total)
                bars.update(known[what], completed=done)

            yield advance
        return
    told: dict[str, int] = {}

    def tell(what: str, done: int, total: int) -> None:
        fifth = done * 5 // max(total, 1)
        if fifth > told.get(what, 0):
            told[what] = fifth
            out.print(f"{what:9} {done:,} of {total:,}")

    yield tell


def _print(out: Console, found: Run, workers: str) -> None:
    out.print()
    out.print(package_table(found.reports.values()))
    bad = problems(found.reports.values())
    if bad:
        out.print()
        out.print(f"{len(bad)} files do not parse, most of them on purpose:")
        for report in bad[:_SHOWN_PROBLEMS]:
            out.print(f"  {report.path}: {report.problem}", soft_wrap=True)
        if len(bad) > _SHOWN_PROBLEMS:
            out.print(f"  and {len(bad) - _SHOWN_PROBLEMS} more")
    for why in [*found.refused, *(f"task {task_id} failed: {why}" for task_id, why in found.failed.items())]:
        out.print(why, style="red", soft_wrap=True)
    count = len(found.submitted)
    out.print()
    out.print(f"submit   {_rate(count, found.submit_seconds)}")
    out.print(f"run      {_rate(found.ended, found.run_seconds)} by {workers}, from the first that was ready")
    if found.killed:
        out.print(f"chaos    kill -9 of {len(found.killed)} worker processes: {', '.join(map(str, found.killed))}")
    twice = "" if found.twice is None else f", {found.twice} completed twice"
    out.print(
        f"result   {count:,} submitted, {found.ended:,} ended, {found.recoveries} recovered, {found.lost} lost{twice}",
        style="red" if found.lost or found.twice else "green",
    )


def _rate(count: int, seconds: float) -> str:
    return f"{count:,} tasks in {seconds:.2f} s ({count / seconds:,.0f} tasks/s)" if seconds else f"{count:,} tasks"
