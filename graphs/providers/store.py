"""The ground truth: one SQLite database per domain, written by its providers and read by whoever judges a run."""

import json
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

BUSY_MS = 10_000
"""Milliseconds to wait for another provider's write."""

NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

COMMON_SCHEMA = f"""
CREATE TABLE calls (
  id INTEGER PRIMARY KEY, provider TEXT, endpoint TEXT, run_id TEXT, key TEXT, status INTEGER, at TEXT DEFAULT ({NOW})
);
CREATE TABLE answers (
  provider TEXT, endpoint TEXT, key TEXT, fields TEXT, body TEXT, PRIMARY KEY (provider, endpoint, key)
);
"""
"""`calls`: every request that arrived (`status` stays empty if none was answered). `answers`: for repeated keys."""

Row: TypeAlias = dict[str, Any]


class RefusedError(Exception):
    """A provider says no. Nothing happened."""

    def __init__(self, status: int, why: str) -> None:
        """Keep the HTTP status."""
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What a provider is asked.

    Attributes:
        provider: Name of the provider that is asked.
        fields: Path, query and body as one.
        run_id: The run that asks; recorded with every row.
        key: Idempotency key, empty if none was sent; recorded with every row.
    """

    provider: str
    fields: Mapping[str, Any]
    run_id: str
    key: str

    def __getitem__(self, name: str) -> Any:
        """One field.

        Raises:
            RefusedError: It was not sent.
        """
        if name not in self.fields:
            raise RefusedError(422, f"{name} is missing")
        return self.fields[name]


def effect_table(name: str, columns: str, status: str = "made") -> str:
    """Return the SQL of a table whose rows are effects, each with its provider, status, run, key and time."""
    return (
        f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, provider TEXT, {columns}, status TEXT DEFAULT '{status}', "
        f"run_id TEXT, key TEXT, at TEXT DEFAULT ({NOW}));\n"
    )


def connect(path: Path) -> sqlite3.Connection:
    """Open the database; transactions are explicit (see `transaction`)."""
    db = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def create(path: Path, schema: str) -> None:
    """Make the database anew, with the reference data that `schema` inserts."""
    with closing(connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(COMMON_SCHEMA + schema)


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """Hold the write lock from the first statement on: what is read inside stays true until the commit."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def rows(db: sqlite3.Connection, table: str, **equals: Any) -> list[Row]:
    """Rows of `table` whose columns have these values, oldest first."""
    where = " AND ".join(f"{column} IS ?" for column in equals) or "1"
    found = db.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY rowid", tuple(equals.values()))  # noqa: S608  # names come from this package
    return [dict(row) for row in found]


def one(db: sqlite3.Connection, table: str, **equals: Any) -> Row:
    """Return the first such row.

    Raises:
        RefusedError: There is none (404).
    """
    found = rows(db, table, **equals)
    if not found:
        raise RefusedError(404, f"nothing in {table} with {equals}")
    return found[0]


def insert(db: sqlite3.Connection, table: str, request: Request, **columns: Any) -> Row:
    """Record an effect with its provider, run and key; returns the row."""
    values = {**columns, "provider": request.provider, "run_id": request.run_id, "key": request.key}
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    made = db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608  # as above
    return one(db, table, id=made.lastrowid)


def find(db: sqlite3.Connection, table: str, request: Request) -> Row:
    """Return what this provider made under a key or for a run, undone rows left out: ``{"found": [...]}``."""
    asked = {name: request.fields[name] for name in ("key", "run_id") if request.fields.get(name)}
    if not asked:
        raise RefusedError(422, "key or run_id is missing")
    return {"found": rows(db, table, provider=request.provider, status="made", **asked)}


def undo(db: sqlite3.Connection, table: str, request: Request, status: str) -> Row:
    """Set the row with this id to `status`; undoing twice is like undoing once."""
    row = one(db, table, provider=request.provider, id=request["id"])
    db.execute(f"UPDATE {table} SET status = ? WHERE id = ?", (status, row["id"]))  # noqa: S608  # as above
    return {**row, "status": status}


def remembered(db: sqlite3.Connection, endpoint: str, request: Request) -> Row | None:
    """Return the answer that was given to this key before, None if it is new.

    Raises:
        RefusedError: The key was used for another request (409).
    """
    for row in rows(db, "answers", provider=request.provider, endpoint=endpoint, key=request.key):
        if row["fields"] != _canonical(request):
            raise RefusedError(409, "this Idempotency-Key belongs to a different request")
        return json.loads(row["body"])
    return None


def remember(db: sqlite3.Connection, endpoint: str, request: Request, body: Row) -> None:
    """Keep the answer for the next request with this key."""
    db.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
        (request.provider, endpoint, request.key, _canonical(request), json.dumps(body)),
    )


def _canonical(request: Request) -> str:
    return json.dumps(request.fields, sort_keys=True)
