"""``orcastra new``: the beginnings of things."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from string import Template

import click

import orcastra_core
from orcastra_core.cli.terminal import console
from orcastra_core.plugins import survey
from orcastra_core.plugins.loader import BROKERS, CONFORMANCE

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 30
_OURS = {"core", "conformance", "redis", "kafka", "postgres"}
_SUFFIX = ".tmpl"


@click.group("new", short_help="Begin a backend.", no_args_is_help=False, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Begin something new.

    Start with: orcastra new backend acme
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("backend", short_help="Write the skeleton of a broker's package.")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    default=Path(),
    metavar="DIR",
    help="Where to write it, instead of here.",
)
def backend(name: str, directory: Path) -> None:
    """Write the skeleton of a backend's package: DIR/orcastra_NAME.

    It installs at once, and the conformance suite runs on it, red: every
    method that has to be written says what it owes.
    """
    package, scheme = f"orcastra_{name}", name.replace("_", "-")
    _check_name(name)
    _check_free(scheme, package)
    target = directory / package
    if os.path.lexists(target):
        raise click.ClickException(f"{target} exists already; take another name, or another --directory")
    written = _write(target, _words(name))
    _tell(target, scheme, written)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise click.UsageError(
            f"{name!r} is no name for a backend; expected lower-case letters and digits, a letter first, for example acme"
        )
    if len(name) > _LONGEST:
        raise click.UsageError(f"{name!r} is too long; at most {_LONGEST} characters")


def _check_free(scheme: str, package: str) -> None:
    for group, what in ((BROKERS, f"{scheme}://"), (CONFORMANCE, f"the harness {scheme!r}")):
        for plugin in survey(group):
            if plugin.name == scheme:
                raise click.ClickException(f"{what} is taken by {plugin.dist or plugin.target}; take another name")
    if package.removeprefix("orcastra_") in _OURS or find_spec(package) is not None:
        raise click.ClickException(f"there is another package called {package}; take another name")


def _words(name: str) -> dict[str, str]:
    """Return what the templates' placeholders stand for."""
    return {
        "name": name,
        "scheme": name.replace("_", "-"),
        "dist": f"orcastra-{name.replace('_', '-')}",
        "package": f"orcastra_{name}",
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "version": orcastra_core.__version__,
    }


def _write(target: Path, words: Mapping[str, str]) -> list[PurePosixPath]:
    """Write all of it beside its place, then move it there: it is whole, or it is not there."""
    written: list[PurePosixPath] = []
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        root = beside / target.name  # of the usual mode, which mkdtemp's is not
        for path, text in _templates(files("orcastra_conformance") / "skeleton", PurePosixPath()):
            place = PurePosixPath(*(words["package"] if part == "package" else part for part in path.parts))
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_text(Template(text).substitute(words), encoding="utf-8")
            written.append(place)
        root.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return sorted(written)


def _templates(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _templates(each, at / each.name)
        elif each.name.endswith(_SUFFIX):
            name = each.name.removesuffix(_SUFFIX)
            yield at / (f".{name}" if name == "gitignore" else name), each.read_text(encoding="utf-8")


def _tell(target: Path, scheme: str, written: list[PurePosixPath]) -> None:
    out = console()
    for path in written:
        out.print(f"written  {target / path}", soft_wrap=True, highlight=False)
    shown = target if target.is_absolute() else f".{os.sep}{target}"
    out.print("\nNext:", style="bold")
    for line in (
        f"pip install -e {shown}",
        f"orcastra conformance run {scheme}",
        f"$EDITOR {shown}/src/{target.name}/broker.py",
    ):
        out.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
