"""``orcastra``: the group of all commands that are installed."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import orcastra_core
from orcastra_core.cli.reporting import exit_code_of, prepare_streams
from orcastra_core.model.errors import OrcastraError, PluginError, PluginLoadFailed
from orcastra_core.plugins import load, survey
from orcastra_core.plugins.loader import COMMANDS
from orcastra_core.runtime.shutdown import leave_process


class Commands(click.Group):
    """Commands by entry point; each is imported when it is first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({plugin.name for plugin in survey(COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            command = load(COMMANDS, cmd_name)
            if not isinstance(command, click.Command):
                raise PluginLoadFailed(f"command {cmd_name!r} is a {type(command).__name__}, not a click command")
        except OrcastraError as error:
            return _broken(cmd_name, error)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            near = difflib.get_close_matches(args[0], names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none installed'}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


def _broken(name: str, error: OrcastraError) -> click.Command:
    """Return what stands for a command that does not load: visible in ``--help``, an error when it is run."""

    def refuse(**_: Any) -> NoReturn:
        raise error if isinstance(error, PluginError) else PluginLoadFailed(str(error))

    return click.Command(
        name,
        callback=refuse,
        params=[click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        short_help="(does not load; see: orcastra plugins)",
        add_help_option=False,
    )


@click.group(
    "orcastra",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(orcastra_core.__version__, "--version", message="orcastra %(version)s")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """One task queue for Python, any broker underneath.

    Start with: orcastra demo
    """
    ctx.ensure_object(dict)["debug"] = debug
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process.

    Exit codes: 0 done; 1 it failed; 2 the command line is wrong; 130 Ctrl-C.
    """
    prepare_streams()
    state: dict[str, Any] = {"debug": False}
    try:
        answer = cli.main(
            args=list(sys.argv[1:] if argv is None else argv), prog_name="orcastra", standalone_mode=False, obj=state
        )
        sys.stdout.flush()
        code = answer if isinstance(answer, int) else 0
    except BaseException as error:  # noqa: BLE001 - the edge of the program: whatever it is becomes one line
        code = exit_code_of(error, debug=state["debug"])
    leave_process(code)
