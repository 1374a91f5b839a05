"""``orcastra plugins``: what is installed, and what of it loads."""

from __future__ import annotations

import click

from orcastra_core.cli.terminal import as_json, console, table
from orcastra_core.plugins import survey
from orcastra_core.plugins.loader import GROUPS


@click.command("plugins", short_help="List what is installed.")
@click.option("--json", "json_", is_flag=True, help="One JSON object a line.")
def command(json_: bool) -> None:
    """List all plugins by group, with the dist that brings them and why one does not load."""
    found = [plugin for group in GROUPS for plugin in survey(group, importing=True)]
    if json_:
        for plugin in found:
            click.echo(
                as_json(
                    {
                        "group": plugin.group,
                        "name": plugin.name,
                        "target": plugin.target,
                        "dist": plugin.dist,
                        "error": plugin.error,
                    }
                )
            )
        return
    listed = table("group", "name", "from", "loads")
    previous = ""
    for plugin in found:
        listed.add_row(
            plugin.group if plugin.group != previous else "",
            plugin.name,
            plugin.dist or plugin.target,
            "yes" if plugin.error is None else f"no: {plugin.error}",
            style=None if plugin.error is None else "red",
        )
        previous = plugin.group
    console().print(listed)
