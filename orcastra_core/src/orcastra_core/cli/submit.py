"""``orcastra submit``: one task from the command line."""

from __future__ import annotations

import difflib
from typing import Any

import click

from orcastra_core.app.handle import Handle
from orcastra_core.app.orca import Orca
from orcastra_core.app.orcastra import Orcastra
from orcastra_core.cli.app_loading import load_app
from orcastra_core.cli.broker_option import DURATION
from orcastra_core.cli.event_loop import run
from orcastra_core.cli.terminal import as_json
from orcastra_core.model.errors import TaskFailed
from orcastra_core.model.profile import Durability
from orcastra_core.plugins import load
from orcastra_core.plugins.loader import SERIALIZERS


@click.command("submit", short_help="Submit one task.", context_settings={"ignore_unknown_options": True})
@click.argument("target", metavar="MODULE:APP")
@click.argument("task")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--kw", "named", multiple=True, metavar="NAME=JSON", help="A named argument.")
@click.option("--wait", is_flag=True, help="Wait for its end and print the value.")
@click.option("--timeout", type=DURATION, help="How long --wait waits at the most.")
@click.option("--delay", type=DURATION, help="Not before this long from now.")
@click.option("--priority", type=int, help="Larger is served first.")
@click.option("--queue", help="Where it waits, instead of the task's own queue.")
@click.option("--dedup", metavar="KEY", help="Nothing is stored while a task with this key is alive.")
@click.option("--url", help="The broker, instead of the app's own.")
def command(
    target: str,
    task: str,
    args: tuple[str, ...],
    named: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    url: str | None,
    **options: Any,
) -> int:
    """Submit TASK of MODULE:APP and print its id.

    TASK is its name, or the end of it. Arguments are JSON: 25, true, '"Alice"', '[1, 2]'.

    \b
    orcastra submit shop.tasks:app greet '"Alice"' --kw age=25 --wait
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout bounds --wait: give both")
    app = load_app(target, url)
    orca = app.orca(_resolve(app, task)).options(
        **{name: value for name, value in options.items() if value is not None}
    )
    positional, keywords = _typed(orca, [_json("an argument", text) for text in args], _named(named))
    return run(_submit(app, orca, positional, keywords, wait, timeout))


async def _submit(
    app: Orcastra, orca: Orca[..., Any], args: Any, kwargs: Any, wait: bool, timeout: float | None
) -> int:
    async with app:
        if app.profile.durability is Durability.NONE:
            raise click.ClickException(
                f"{app.url.scheme}:// lives in one process: nobody could run what is submitted from here"
            )
        handle = await orca.submit(*args, **kwargs)
        click.echo(handle.id)
        if handle.duplicate:
            click.echo("orcastra: nothing was stored: this task holds the dedup key", err=True)
        return await _report(app.handle(handle.id), timeout) if wait else 0


async def _report(handle: Handle[Any], timeout: float | None) -> int:
    result = await handle.wait(timeout)
    if result.error is None:
        click.echo(as_json(result.value, indent=2))
        return 0
    if isinstance(result.error, TaskFailed) and result.error.error.traceback:
        click.echo(result.error.error.traceback.rstrip(), err=True)
    summary = str(result.error).split("\n", 1)[0]
    click.echo(f"orcastra: task {handle.id} failed: {summary}", err=True)
    return 1


def _resolve(app: Orcastra, wanted: str) -> str:
    names = sorted(app.tasks)
    if wanted in names:
        return wanted
    matches = [name for name in names if name.endswith(f".{wanted}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise click.ClickException(f"{wanted!r} may be {' or '.join(matches)}: give more of the name")
    ends = {name.rpartition(".")[2]: name for name in names}
    near = difflib.get_close_matches(wanted, [*names, *ends], n=1)
    there = ", ".join(names) or "none: decorate functions with @app.task"
    hint = f"did you mean {near[0]!r}?" if near else f"there are {there}"
    raise click.ClickException(f"no task is named {wanted!r}; {hint}")


def _json(what: str, text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        raise click.UsageError(f"{what} is not JSON: {text!r}; a text is written '\"{_printable(text)}\"'") from None


def _printable(text: str) -> str:
    return text if text.isprintable() and '"' not in text else "…"


def _named(pairs: tuple[str, ...]) -> dict[str, Any]:
    named = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--kw {pair!r}: expected NAME=JSON")
        named[name] = _json(f"--kw {name}", text)
    return named


def _typed(orca: Orca[..., Any], args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Return arguments as the function's annotations want them, read as a worker reads a JSON body."""
    serializer = load(SERIALIZERS, "json")()
    return orca.spec.signature.load(serializer, serializer.dumps([args, kwargs]))
