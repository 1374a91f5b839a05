"""``orcastra conformance``: prove a broker, and read what has to be proved."""

from __future__ import annotations

import click

from orcastra_conformance.cli.explain import explain
from orcastra_conformance.cli.harnesses import harnesses
from orcastra_conformance.cli.listing import list_cases
from orcastra_conformance.cli.run import run


@click.group(
    "conformance",
    short_help="Prove that a backend keeps the contract.",
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Prove that a backend keeps what the contract promises.

    Start with: orcastra conformance run memory
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for each in (run, list_cases, explain, harnesses):
    command.add_command(each)
