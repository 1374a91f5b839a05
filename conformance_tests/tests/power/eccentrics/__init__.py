"""Brokers that are odd but legal: the guard against a suite that asks for too much."""
