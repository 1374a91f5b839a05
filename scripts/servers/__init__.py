"""Private servers for tests and benchmarks: loopback, a free port, a temporary directory, stopped exactly as started.

Standard library only, for it runs before anything is installed. To add a server, write a ``Service`` (see ``service.py``,
and ``redis.py`` for a whole one) and list it in ``main.py``.
"""
