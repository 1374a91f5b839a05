"""``files:///path/to/directory``: an Orcastra broker without a server, for several processes on one host.

Read ``state`` first (what there is), then ``store`` (how one step of it is made and kept), then
``intake``, ``handover`` and ``settling`` (the steps), and at last ``broker`` and ``session``.
"""

from orcastra_files.broker import FilesBroker

__all__ = ["FilesBroker"]
