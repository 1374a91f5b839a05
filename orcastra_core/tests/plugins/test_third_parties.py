"""Dists of other people, truly from installed metadata: found, ambiguous, or broken without harm to others."""

from __future__ import annotations

from typing import Any

GOOD = """
    from orcastra_core.backends.memory import MemoryBroker
    class Broker(MemoryBroker):
        '''A third party's.'''
    """


def test_a_third_partys_broker(site: Any) -> None:
    site.install("acme-queue", {"orcastra.brokers": {"acme": "acme_queue:Broker"}}, acme_queue=GOOD)
    printed = site.run("""
        import asyncio
        from orcastra_core import Orcastra, Until
        app = Orcastra("acme://anywhere")
        @app.task
        async def double(n: int) -> int:
            return 2 * n
        async def main():
            async with app:
                handle = await double.submit(21)
                await app.worker(until=Until.EMPTY).run()
                print(type(app.broker).__module__, await handle)
        asyncio.run(main())
        """)
    assert printed.split() == ["acme_queue", "42"]


def test_a_broken_plugin_harms_no_other(site: Any) -> None:
    site.install(
        "broken-dist", {"orcastra.brokers": {"broken": "broken_dist:Broker"}}, broken_dist="import no_such_module"
    )
    site.install("gone-dist", {"orcastra.brokers": {"gone": "gone_dist:Broker"}})
    site.install("bad-dist", {"orcastra.brokers": {"bad": "bad_dist:NoSuchName"}}, bad_dist="x = 1")
    site.install("exit-dist", {"orcastra.brokers": {"exit": "exit_dist:Broker"}}, exit_dist="raise SystemExit(3)")
    printed = site.run("""
        from orcastra_core.model.errors import BackendNotFound, PluginLoadFailed
        from orcastra_core.plugins import load_broker, survey
        print(type(load_broker("memory://")).__name__)
        for name in ("broken", "gone", "bad", "exit"):
            try:
                load_broker(f"{name}://x")
            except PluginLoadFailed as error:
                print(name, "|", error, "|", type(error.__cause__).__name__)
        try:
            load_broker("nothing://")
        except BackendNotFound as error:
            print(error)
        for plugin in survey("orcastra.brokers", importing=True):
            print("survey", plugin.name, "|", plugin.dist, "|", plugin.error)
        """)
    lines = printed.splitlines()
    assert lines[0] == "MemoryBroker"
    assert lines[1].startswith("broken | 'broken' of orcastra.brokers is installed, but its import failed")
    assert "ModuleNotFoundError: No module named 'no_such_module'" in lines[1]
    assert [line.split()[0] for line in lines[1:5]] == ["broken", "gone", "bad", "exit"]
    assert "broken://" in lines[5]
    surveyed = {line.split()[1]: line for line in lines[6:]}
    assert surveyed["memory"].endswith("| None")
    assert "broken-dist 1.0" in surveyed["broken"]
    assert "no_such_module" in surveyed["broken"]
    assert "SystemExit" in surveyed["exit"]


def test_two_dists_that_claim_one_name(site: Any) -> None:
    site.install("first-dist", {"orcastra.brokers": {"twice": "first_dist:Broker"}}, first_dist=GOOD)
    site.install("second-dist", {"orcastra.brokers": {"twice": "second_dist:Broker"}}, second_dist=GOOD)
    printed = site.run("""
        from orcastra_core.model.errors import AmbiguousPlugin
        from orcastra_core.plugins import load_broker
        load_broker("memory://")
        try:
            load_broker("twice://x")
        except AmbiguousPlugin as error:
            print(error)
        """)
    assert "'twice' of orcastra.brokers is claimed by first-dist 1.0 and second-dist 1.0: uninstall one" in printed


def test_what_is_no_broker(site: Any) -> None:
    site.install("odd-dist", {"orcastra.brokers": {"odd": "odd_dist:make"}}, odd_dist="def make(url): return 5")
    printed = site.run("""
        from orcastra_core.model.errors import PluginLoadFailed
        from orcastra_core.plugins import load_broker
        try:
            load_broker("odd://x")
        except PluginLoadFailed as error:
            print(error)
        """)
    assert "odd:// made a int, which is no Broker" in printed


def test_only_the_wanted_one_is_imported(site: Any) -> None:
    site.install(
        "loud-dist",
        {"orcastra.brokers": {"loud": "loud_dist:Broker"}, "orcastra.serializers": {"loud": "loud_dist:Broker"}},
        loud_dist="print('imported')",
    )
    printed = site.run("""
        from orcastra_core import Orcastra
        from orcastra_core.plugins import load_broker
        load_broker("memory://")
        """)
    assert printed == ""


def test_a_third_partys_serializer_and_trigger(site: Any) -> None:
    site.install(
        "acme-extras",
        {"orcastra.serializers": {"acme": "acme_extras:Acme"}, "orcastra.triggers": {"acme": "acme_extras:Never"}},
        acme_extras="""
            import json
            class Acme:
                content_type = "application/x-acme"
                def dumps(self, value):
                    return b"A" + json.dumps(value).encode()
                def loads(self, data):
                    return json.loads(data[1:])
            class Never:
                @classmethod
                def parse(cls, text):
                    return cls()
                def next_after(self, moment):
                    return None
                def __str__(self):
                    return "ever"
            """,
    )
    printed = site.run("""
        import asyncio
        from orcastra_core import Orcastra, Until
        from orcastra_core.plugins import parse_trigger, trigger_text
        app = Orcastra("memory://", serializer="acme")
        @app.task
        async def double(n: int) -> int:
            return 2 * n
        async def main():
            async with app:
                handle = await double.submit(21)
                await app.worker(until=Until.EMPTY).run()
                print(await handle)
        asyncio.run(main())
        print(trigger_text(parse_trigger("acme:ever")))
        """)
    assert printed.split() == ["42", "acme:ever"]
