"""Whether a place is fit for a database that several processes share."""

from __future__ import annotations

import os

from orcastra_core.model.errors import BrokerError, BrokerUnavailable

# WAL needs memory shared between the processes, and locks that a kernel keeps:
# over a network neither can be relied on (https://www.sqlite.org/wal.html, «all
# processes must be on the same host»).
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "gfs2", "glusterfs", "gpfs", "lustre",
        "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb2", "smb3", "smbfs",
    }
)  # fmt: skip
_NETWORK_FUSE = (
    "ceph",
    "curlftpfs",
    "davfs",
    "gcsfuse",
    "gluster",
    "goofys",
    "jfs",
    "juicefs",
    "mfs",
    "rclone",
    "s3",
    "smb",
    "ssh",
)


def check_place(path: str, mounts: str | None = None) -> None:
    """Refuse a path whose directory is missing, cannot be written, or lies on a network file system.

    Args:
        path: The absolute path of the database.
        mounts: Text of the form of ``/proc/self/mounts``; read from there if None.

    Raises:
        BrokerUnavailable: The directory does not exist.
        BrokerError: It is not fit; the message says why.
    """
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise BrokerUnavailable(f"{path}: there is no directory {directory}; make it first", retryable=False)
    if os.path.isdir(path):
        raise BrokerError(f"{path} is a directory; name a file in it")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise BrokerError(f"{path}: the directory {directory} cannot be written; the journal and its locks live there")
    if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
        raise BrokerError(f"{path}: the file cannot be read and written by this user")
    kind = file_system_of(directory, mounts)
    if is_network(kind):
        raise BrokerError(
            f"{path} lies on a network file system ({kind}), where locks and shared memory cannot be trusted;"
            " take a local directory, or a server: redis:// or postgresql://"
        )


def is_network(kind: str) -> bool:
    """Whether a file system type is one that other hosts may write to."""
    if kind.startswith("fuse."):
        return kind[5:].startswith(_NETWORK_FUSE)
    return kind in NETWORK


def file_system_of(directory: str, mounts: str | None = None) -> str:
    """Return the type of the file system that holds ``directory``; empty where the system does not tell."""
    if mounts is None:
        try:
            with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
                mounts = file.read()
        except OSError:
            return ""
    real = os.path.realpath(directory)
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescaped(fields[1])
        inside = real == point or real.startswith(point if point.endswith("/") else point + "/")
        if inside and len(point) >= len(best):  # of two on one point the later covers the earlier
            best, kind = point, fields[2]
    return kind


def _unescaped(field: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field
