"""Is a queue that was asked for one that anybody knows?"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from orcastra_core.app.orcastra import Orcastra
from orcastra_core.model.profile import Cap


async def doubts(app: Orcastra, queues: Sequence[str]) -> list[str]:
    """Return a warning for each queue that neither a task of the app nor the store knows. The app is open."""
    known = {str(name) for name in app.queues()}
    if set(queues) <= known:
        return []
    if app.profile.offers(Cap.INSPECT):
        known |= {depth.queue for depth in await app.broker.inspect()}
    warnings = []
    for queue in queues:
        if queue not in known:
            near = difflib.get_close_matches(queue, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            warnings.append(f"nobody knows a queue {queue!r}; {hint} Waiting for it all the same")
    return warnings
