"""The embedded brokers: ``memory://``, the reference, and ``sqlite:///path``, durable."""
