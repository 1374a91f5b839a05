"""``orcastra conformance harnesses``: what there is to prove."""

from __future__ import annotations

import attrs
import click

from orcastra_conformance.harnesses import installed
from orcastra_core.cli.terminal import as_json, console, table


@click.command("harnesses", short_help="List what can be proved.")
@click.option("--json", "json_", is_flag=True, help="One JSON object a line.")
def harnesses(json_: bool) -> None:
    """List the installed harnesses, with their modes and why one does not load."""
    found = installed()
    if json_:
        for harness in found:
            click.echo(as_json(attrs.asdict(harness)))
        return
    listed = table("name", "modes", "from", "loads")
    for harness in found:
        listed.add_row(
            harness.name,
            ", ".join(harness.modes),
            harness.dist,
            "yes" if harness.error is None else f"no: {harness.error}",
            style=None if harness.error is None else "red",
        )
    console().print(listed)
