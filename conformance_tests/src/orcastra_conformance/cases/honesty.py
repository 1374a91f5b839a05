"""What is not claimed is refused, before any side effect."""

from __future__ import annotations

from orcastra_conformance.engine.case import CaseBody, case
from orcastra_conformance.engine.refusals import REFUSABLE, check_refusal
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.profile import Cap


def _refuses(cap: Cap) -> CaseBody:
    async def body(t: Trial) -> None:
        await check_refusal(t, cap)

    return body


for _cap in REFUSABLE:
    _why = f"{_cap.name} is optional; not claimed, its use is refused before any side effect"
    case(f"hon.refuses-{_cap.name.lower().replace('_', '-')}", unclaimed=_cap, why=_why)(_refuses(_cap))
