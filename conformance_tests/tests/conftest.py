"""What the suite's own tests share."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent

# `power` is what test modules import from, and child processes too: they are no package themselves
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))
