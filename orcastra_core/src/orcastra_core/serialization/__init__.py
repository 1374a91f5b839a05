"""Values, envelopes, results and events to bytes and back.

Import the module that you need; each is small, and none loads cattrs, or
cbor2, before its first use.
"""
