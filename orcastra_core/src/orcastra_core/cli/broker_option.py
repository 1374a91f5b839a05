"""``--url`` and ``--app``: which broker a command talks to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

from orcastra_core.app.orcastra import Orcastra
from orcastra_core.cli.app_loading import load_app

F = TypeVar("F", bound=Callable[..., Any])


def broker_options(command: F) -> F:
    """Add ``--url`` and ``--app`` to a command, passed to it as ``url`` and ``target``."""
    url = click.option("--url", envvar="ORCASTRA_URL", help="The broker's URL.  [env: ORCASTRA_URL]")
    app = click.option("--app", "target", metavar="MODULE:APP", help="Take the broker of this app instead.")
    return url(app(command))


def app_of(url: str | None, target: str | None) -> Orcastra:
    """Return an app on the broker that the options name.

    Raises:
        click.UsageError: They name none.
    """
    if target is not None:
        return load_app(target)
    if not url:
        raise click.UsageError("name a broker: --url sqlite:///orcastra.db, --app MODULE:APP, or set ORCASTRA_URL")
    return Orcastra(url)


if TYPE_CHECKING:
    FloatParam = click.ParamType[float]
else:  # generic in recent versions of click only
    FloatParam = click.ParamType


class Duration(FloatParam):
    """Seconds, or a number with a unit: ``90``, ``15m``, ``2h``, ``7d``."""

    name = "duration"
    _UNITS: ClassVar[dict[str, float]] = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).strip().lower()
        unit = self._UNITS.get(text[-1:])
        try:
            seconds = float(text[:-1]) * unit if unit is not None else float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is no duration; expected for example 90, 15m, 2h or 7d", param, ctx)
        return seconds


DURATION = Duration()
