"""Mishap: connections that break, and real processes that die."""
