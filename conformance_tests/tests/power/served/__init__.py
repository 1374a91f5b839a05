"""The reference broker behind a socket: ``served://host:port?domain=…``.

Neither embedded broker has a network, so the cases of cut connections, lost
replies and servers that stand still would have nothing to be proved on. This one
has: a server in a thread keeps a memory store for each domain, and an honest
client talks to it over TCP. It is for tests: pickled frames, loopback only.
"""
