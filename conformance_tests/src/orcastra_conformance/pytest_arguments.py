"""What ``pytest --pyargs orcastra_conformance`` was told, read and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import attrs
import pytest

from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.harnesses import make_harness
from orcastra_conformance.reports.deviations import Deviations, DeviationsError, load_deviations
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import InvalidOption, PluginError


@attrs.frozen
class Arguments:
    """What the options say.

    Attributes:
        make: What makes the harness.
        seed: What chance is drawn from.
        deviations: The known gaps.
        again: The options that say the same, secrets left out.
    """

    make: Callable[[], BrokerHarness]
    seed: int
    deviations: Deviations | None
    again: Sequence[str]


_KEY = pytest.StashKey[Arguments]()


def arguments_of(config: pytest.Config) -> Arguments:
    """Return what the options say, read once. Raises pytest.UsageError."""
    if _KEY not in config.stash:
        config.stash[_KEY] = _read(config)
    return config.stash[_KEY]


def _read(config: pytest.Config) -> Arguments:
    name, mode, url, seed, gaps = (
        config.getoption(f"orcastra_{option}") for option in ("harness", "mode", "url", "seed", "deviations")
    )
    if not name:
        raise pytest.UsageError("orcastra_conformance: which harness? Add --orcastra-harness NAME, or MODULE:CLASS")
    make = partial(make_harness, name, mode=mode, url=url)
    try:
        make()  # a mistake is told once, not by every case
        deviations = load_deviations(Path(gaps)) if gaps is not None else None
        shown = str(BrokerUrl.parse(url)) if url is not None else None
    except (InvalidOption, PluginError, DeviationsError) as error:
        raise pytest.UsageError(f"orcastra_conformance: {error}") from error
    given = {"harness": name, "mode": mode, "url": shown, "seed": seed or None, "deviations": gaps}
    again = [f"--orcastra-{option}={value}" for option, value in given.items() if value is not None]
    return Arguments(make, seed, deviations, again)
