"""From ``module:app`` to the Orcastra it names, or to one line that says what is wrong."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from orcastra_core.app.orca import Orca
from orcastra_core.app.orcastra import Orcastra


def load_app(target: str, url: str | None = None) -> Orcastra:
    """Import an app, from the current directory or the module path.

    Args:
        target: ``module:attribute``.
        url: The broker to use instead of the app's own.

    Raises:
        click.UsageError: ``target`` is not of that form.
        click.ClickException: There is no such module or app, or importing it failed; says where.
    """
    module_name, colon, attribute = target.partition(":")
    if not colon or not attribute or not module_name:
        raise click.UsageError(f"{target!r} does not name an app; expected MODULE:APP, for example shop.tasks:app")
    if "/" in module_name or module_name.endswith(".py"):
        meant = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise click.UsageError(f"{module_name!r} is a file, not a module; did you mean {meant}:{attribute}?")
    if not all(part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))):
        raise click.UsageError(f"{target!r} does not name an app; expected MODULE:APP, for example shop.tasks:app")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    app = _find(_import(module_name), module_name, attribute)
    if url is not None:
        app.use(url)
    return app


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise click.ClickException(_missing(name, error.name)) from error
        raise click.ClickException(f"importing {name} failed: {_where(error)}") from error
    except SystemExit as error:
        raise click.ClickException(
            f"importing {name} ended the program (SystemExit: {error.code}): "
            f'put what it runs under if __name__ == "__main__":'
        ) from error
    except Exception as error:
        raise click.ClickException(f"importing {name} failed: {_where(error)}") from error


def _missing(name: str, part: str) -> str:
    message = f"there is no module {part!r} in {os.getcwd()} or on PYTHONPATH"
    if "." not in part:
        names = [path.stem for path in Path.cwd().iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    else:
        parent = sys.modules.get(part.rpartition(".")[0])
        folders = [Path(folder) for folder in getattr(parent, "__path__", ())]
        names = [path.stem for folder in folders if folder.is_dir() for path in folder.iterdir()]
    near = difflib.get_close_matches(part.rpartition(".")[2], names, n=1)
    if near:
        meant = ".".join(filter(None, (part.rpartition(".")[0], near[0])))
        return f"{message}; did you mean {name.replace(part, meant, 1)!r}?"
    return f"{message}: change to the directory that holds it, or pip install it"


def _where(error: BaseException) -> str:
    """Say what was raised, and in which line of the user's own files."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen ") and frame.filename != __file__
    ]
    # importlib itself has files, too, on some versions
    frames = [frame for frame in frames if Path(frame.filename).parent.name != "importlib"]
    own = [frame for frame in frames if _is_own(frame.filename)] or frames
    return f"{_shown(own[-1].filename)}, line {own[-1].lineno}: {said}" if own else said


def _is_own(filename: str) -> bool:
    libraries = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]))
    return not filename.startswith(libraries)


def _shown(filename: str) -> str:
    relative = os.path.relpath(filename)
    return filename if relative.startswith("..") else relative


def _find(module: ModuleType, name: str, attribute: str) -> Orcastra:
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise click.ClickException(_no_attribute(module, name, attribute)) from None
    if not isinstance(found, Orcastra):
        what = "a task" if isinstance(found, Orca) else f"of type {type(found).__name__}"
        raise click.ClickException(f"{name}:{attribute} is {what}, not an Orcastra{_apps(module, name)}")
    return found


def _no_attribute(module: ModuleType, name: str, attribute: str) -> str:
    return f"module {name} ({_shown(module.__file__ or '?')}) has no {attribute!r}{_apps(module, name)}"


def _apps(module: ModuleType, name: str) -> str:
    apps = [f"{name}:{key}" for key, value in vars(module).items() if isinstance(value, Orcastra)]
    return f"; did you mean {' or '.join(apps)}?" if apps else "; it has no Orcastra at its top level"
