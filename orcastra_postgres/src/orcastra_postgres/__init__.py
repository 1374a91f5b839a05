"""Orcastra's Postgres backend: applications name it by its URL, ``postgresql://…``, and never import it."""

from __future__ import annotations

from orcastra_postgres.broker import PostgresBroker

__all__ = ["PostgresBroker"]
