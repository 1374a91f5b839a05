"""Triggers to and from their text: ``<entry point>:<what its parse reads>``."""

from __future__ import annotations

from orcastra_core.interfaces.trigger import Trigger
from orcastra_core.model.errors import InvalidOption, PluginNotFound
from orcastra_core.plugins.loader import TRIGGERS, load, survey


def parse_trigger(text: str) -> Trigger:
    """Return the trigger that ``text`` describes.

    Raises:
        InvalidOption: Its scheme is not installed, or its plugin refuses the rest.
    """
    scheme, colon, rest = text.partition(":")
    if not colon:
        raise InvalidOption(f"{text!r} is not a trigger; expected for example 'cron:0 4 * * * Europe/Berlin'")
    try:
        trigger: Trigger = load(TRIGGERS, scheme).parse(rest)
    except PluginNotFound as error:
        raise InvalidOption(f"trigger {text!r}: {error}") from None
    return trigger


def trigger_text(trigger: Trigger) -> str:
    """Return the text that ``parse_trigger`` reads back.

    Raises:
        InvalidOption: No entry point offers the trigger's class.
    """
    cls = type(trigger)
    target = f"{cls.__module__}:{cls.__qualname__}"
    for plugin in survey(TRIGGERS):
        if plugin.target == target:
            return f"{plugin.name}:{trigger}"
    raise InvalidOption(f"{target} is in no entry point of {TRIGGERS}: a schedule must outlive this process")
