"""What a provider offers: endpoints by method and path, collected in a domain."""

import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from graphs.providers.store import Request, Row, find, undo

Endpoint: TypeAlias = Callable[[sqlite3.Connection, Request], Row]
"""Answers one request inside a transaction; raises `RefusedError` to say no."""

Endpoints: TypeAlias = Mapping[str, Endpoint]
"""By method and path, such as ``"POST /refunds/{id}/void"``."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Providers that share a database.

    Attributes:
        schema: SQL of its tables and reference data.
        providers: Endpoints by name of the provider.
        effects: Tables whose rows are effects; emptied by `Providers.reset`.
    """

    schema: str
    providers: Mapping[str, Endpoints]
    effects: tuple[str, ...]


def match(endpoints: Endpoints, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """Find the endpoint for a path, with the values of its ``{placeholders}``."""
    for name in endpoints:
        verb, pattern = name.split(" ")
        if verb == method and (found := re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern), path)):
            return name, found.groupdict()
    return None


def ledger(table: str, make: Endpoint, *, undo_by: str, undone: str) -> Endpoints:
    """Endpoints of a table of effects: make one, find those made under a key, undo one."""

    def find_made(db: sqlite3.Connection, request: Request) -> Row:
        return find(db, table, request)

    def undo_made(db: sqlite3.Connection, request: Request) -> Row:
        return undo(db, table, request, undone)

    return {
        f"POST /{table}": make,
        f"GET /{table}": find_made,
        f"POST /{table}/{{id}}/{undo_by}": undo_made,
    }
