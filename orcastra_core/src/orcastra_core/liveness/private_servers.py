"""What a harness needs to start servers of its own: free ports, and an end of them with ours."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

# Reads «+ pid» and «- pid», and ends what is left, and its children, when nobody can write any more.
_GUARD = """
pids=
while read -r sign pid; do
  left=
  for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done
  pids=$left
  [ "$sign" = - ] || pids="$pids $pid"
done
for one in $pids; do
  kill -9 "$one" $(cat /proc/"$one"/task/"$one"/children 2>/dev/null) 2>/dev/null
done
rm -rf -- "$1"
"""


class ProcessGuard:
    """Ends processes, and removes a directory, once it is closed or we have died, even by SIGKILL.

    Args:
        directory: What is removed in the end, with all that is in it.
    """

    def __init__(self, directory: Path) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def watch(self, pid: int) -> None:
        """End this process too."""
        self._tell(f"+ {pid}")

    def forget(self, pid: int) -> None:
        """This process has ended: its number may be somebody else's from now on."""
        self._tell(f"- {pid}")

    def close(self) -> None:
        """End what is left, remove the directory, and return when that is done. Idempotent."""
        if self._shell.stdin is not None and not self._shell.stdin.closed:
            self._shell.stdin.close()
            self._shell.wait()

    def _tell(self, line: str) -> None:
        if self._shell.stdin is not None and not self._shell.stdin.closed:
            self._shell.stdin.write(f"{line}\n")
            self._shell.stdin.flush()


def is_free(port: int) -> bool:
    """Return whether nobody listens at a port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
