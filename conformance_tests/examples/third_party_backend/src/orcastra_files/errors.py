"""The one edge at which the system's errors become Orcastra's."""

from __future__ import annotations

import errno

from orcastra_core.model.errors import BrokerError, BrokerUnavailable, StoreFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def translate(error: Exception, directory: str) -> BrokerError:
    """Return what to raise from ``error``, which is none of ours."""
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return StoreFull(f"{directory}: no room left ({error.strerror})")
        if error.errno in _FORBIDDEN:
            return BrokerError(f"{directory}: {error.strerror}; check the directory's permissions")
        return BrokerUnavailable(f"{directory}: {error}")
    return BrokerError(f"{directory}: {type(error).__name__}: {error}")
