"""The README's example does what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
ORCASTRA = Path(sys.executable).with_name("orcastra")


def _block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)
    (block,) = (block for block in blocks if containing in block)
    return block


def test_the_fifteen_lines_run(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(_block("python", "# shop.py"))
    console = _block("console", "orcastra worker shop:app")
    script = re.search(r'python -c "(.*)"', console)
    assert script is not None
    expected = console.splitlines()[-1]
    environment = {name: value for name, value in os.environ.items() if name != "ORCASTRA_URL"}
    worker = subprocess.Popen([ORCASTRA, "worker", "shop:app"], cwd=tmp_path, env=environment)
    try:
        client = subprocess.run(
            [sys.executable, "-c", script[1]], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30
        )
    finally:
        worker.terminate()
        code = worker.wait(30)
    assert client.returncode == 0, client.stderr
    assert client.stdout == expected + "\n"
    assert code == 0


def test_the_more_of_it_compiles() -> None:
    block = _block("python", "handle.wait(timeout=10)")
    compile(
        "async def more() -> None:\n" + "".join(f"    {line}\n" for line in block.splitlines()), "README.md", "exec"
    )
