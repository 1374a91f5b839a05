"""Print the figures of brokers: ``python -m benchmarks [memory] [sqlite] [redis] [postgres] [kafka] [--rounds 5] [--tasks 50000]``.

One process, no-op tasks, results and events on. Every figure is the median of
the rounds, with the lowest and the highest beside it, because machines are noisy;
the ceiling is the store without the runtime, measured in the same rounds. Servers are those that
``ORCASTRA_TEST_REDIS_URL`` and its like name, as ``scripts/services run redis -- …`` sets them.
``PGQUEUER_PYTHON=venv/bin/python`` has pgqueuer measured beside our Postgres, ``FASTSTREAM_PYTHON`` faststream beside our
Kafka, if that Python has it. Give Kafka's JVM both its compilers: ``ORCASTRA_KAFKA_JIT=full scripts/services run kafka -- …``.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import ceiling, ceiling_kafka, ceiling_postgres, ceiling_redis, measures, peer
from orcastra_core.cli.event_loop import run

Step: TypeAlias = "Callable[[str, int], Coroutine[Any, Any, dict[str, float]]]"

EMBEDDED = ("memory", "sqlite")
SERVERS = {
    "redis": "ORCASTRA_TEST_REDIS_URL",
    "postgres": "ORCASTRA_TEST_POSTGRES_URL",
    "kafka": "ORCASTRA_TEST_KAFKA_URL",
}
BROKERS = (*EMBEDDED, *SERVERS)
CEILINGS = {
    "sqlite": ceiling.raw_store,
    "redis": ceiling_redis.raw_redis,
    "postgres": ceiling_postgres.raw_postgres,
    "kafka": ceiling_kafka.raw_kafka,
}
# a fetch is dear there: large ones pay
DRAINS: Mapping[str, Sequence[Step]] = {"kafka": [measures.drains, partial(measures.drains, concurrency=1000)]}
PEERS = {"postgres": peer.pgqueuer, "kafka": peer.faststream}


def url_of(broker: str, folder: str, number: int) -> str:
    """Return the URL of a fresh store."""
    if broker in SERVERS:
        variable = SERVERS[broker]
        if variable not in os.environ:
            hint = f"scripts/services run {broker} -- python -m benchmarks {broker}"
            raise SystemExit(f"{variable} is not set; run: {hint}")
        return f"{os.environ[variable]}?domain=bench-{os.getpid()}-{number}"
    return f"memory://bench{number}" if broker == "memory" else f"sqlite:///{Path(folder) / f'bench{number}.db'}"


def spread(values: list[float]) -> tuple[float, float, float]:
    """Return the median, the lowest and the highest."""
    return statistics.median(values), min(values), max(values)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "brokers",
        nargs="*",
        choices=[*BROKERS, []],
        metavar="BROKER",
        help=f"{', '.join(BROKERS)}; the embedded ones if none",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--tasks", type=int, default=50_000, help="tasks of the bulk measures")
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {platform.machine()}; {options.rounds} rounds of {options.tasks} tasks\n"
    )
    for broker in options.brokers or EMBEDDED:
        figures: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory(prefix="orcastra-bench-") as folder:
            for number in range(options.rounds):
                steps: list[Step] = [
                    CEILINGS.get(broker, ceiling.nothing),
                    PEERS.get(broker, ceiling.nothing),
                    ceiling.broker_alone,
                    measures.submits,
                    *DRAINS.get(broker, [measures.drains]),
                    measures.latency,
                ]
                for place, step in enumerate(steps):
                    found = run(step(url_of(broker, folder, number * 10 + place), options.tasks))
                    for name, figure in found.items():
                        figures.setdefault(name, []).append(figure)
                print(f"  {broker}: round {number + 1} of {options.rounds} done", file=sys.stderr)
        print(f"{broker:<72}{'median':>12}{'lowest':>12}{'highest':>12}")
        for name, values in figures.items():
            shown = [f"{figure:>12,.2f}" if " ms" in name else f"{figure:>12,.0f}" for figure in spread(values)]
            print(f"  {name:<70}{''.join(shown)}")
        print()


if __name__ == "__main__":
    main()
