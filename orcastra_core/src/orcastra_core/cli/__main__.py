"""``python -m orcastra_core.cli`` is ``orcastra``."""

from orcastra_core.cli.main import main

main()
