"""Discovery by entry points: the only place that knows stevedore.

Groups: ``orcastra.brokers`` (by URL scheme), ``orcastra.serializers``,
``orcastra.triggers``, ``orcastra.middleware``, ``orcastra.commands``,
``orcastra.conformance``. A plugin that does not load is reported and never takes
the others down.
"""

from orcastra_core.plugins.brokers import load_broker
from orcastra_core.plugins.loader import Plugin, load, survey
from orcastra_core.plugins.triggers import parse_trigger, trigger_text

__all__ = ["Plugin", "load", "load_broker", "parse_trigger", "survey", "trigger_text"]
