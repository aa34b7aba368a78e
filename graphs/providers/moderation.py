"""Moderation: five classifiers and the queue that acts on what they say.

A post is held from the moment it arrives and is shown only once a verdict says so.
"""

import json
import sqlite3
from collections.abc import Callable

from graphs.providers.domain import Domain, Endpoint
from graphs.providers.store import Request, Row, effect_table, insert, one, rows

SCHEMA = (
    effect_table("classifications", "post_id TEXT, score REAL")
    + effect_table("verdicts", "post_id TEXT, kind TEXT, action TEXT, signals TEXT, missing TEXT")
    + effect_table("holds", "post_id TEXT, reason TEXT")
    + """
CREATE TABLE posts (id TEXT PRIMARY KEY, author TEXT, text TEXT, image TEXT);
CREATE TABLE images (name TEXT PRIMARY KEY, explicit REAL);
CREATE TABLE authors (name TEXT PRIMARY KEY, posts INTEGER, strikes INTEGER);
INSERT INTO posts VALUES
  ('p1', 'mia', 'Sunset at the harbour, no filter', 'harbour.jpg'),
  ('p2', 'rex', 'Cheap pills, click here, free money', 'pills.png'),
  ('p3', 'tom', 'I know where you live and I will kill you', 'door.jpg');
INSERT INTO images VALUES ('harbour.jpg', 0.02), ('pills.png', 0.55), ('door.jpg', 0.05);
INSERT INTO authors VALUES ('mia', 210, 1), ('rex', 12, 9), ('tom', 40, 6);
"""
)

SPAM = ("cheap", "click here", "free", "money", "pills")
THREATS = ("kill", "where you live", "hurt you", "i will find you")


def _share(text: str, words: tuple[str, ...]) -> float:
    """How much of what two such words would say the text says, 0 to 1."""
    return min(1.0, sum(word in text.lower() for word in words) / 2)


def _image(db: sqlite3.Connection, post: Row) -> float:
    return one(db, "images", name=post["image"])["explicit"]


def _history(db: sqlite3.Connection, post: Row) -> float:
    author = one(db, "authors", name=post["author"])
    return round(author["strikes"] / author["posts"], 3)


def _text(_: sqlite3.Connection, post: Row) -> float:
    return max(_share(post["text"], SPAM), _share(post["text"], THREATS))


def _toxicity(_: sqlite3.Connection, post: Row) -> float:
    return _share(post["text"], THREATS)


def _spam(_: sqlite3.Connection, post: Row) -> float:
    return _share(post["text"], SPAM)


def _classifies(score: Callable[[sqlite3.Connection, Row], float]) -> dict[str, Endpoint]:
    """Endpoint of a classifier; that it ran is on record."""

    def classify(db: sqlite3.Connection, request: Request) -> Row:
        post = one(db, "posts", id=request["post_id"])
        made = insert(db, "classifications", request, post_id=post["id"], score=score(db, post))
        return {"score": made["score"], "threat": _share(post["text"], THREATS)}

    return {"POST /classifications": classify}


def get_post(db: sqlite3.Connection, request: Request) -> Row:
    """Return the post with its state: held, until the last verdict on it says otherwise."""
    post = one(db, "posts", id=request["id"])
    verdicts = rows(db, "verdicts", post_id=post["id"])
    return {**post, "state": verdicts[-1]["action"] if verdicts else "held"}


def act(db: sqlite3.Connection, request: Request) -> Row:
    """Act on a post as a verdict says; the verdict is kept with the signals it stands on and those it lacks."""
    post = one(db, "posts", id=request["post_id"])
    lists = {name: json.dumps(request[name]) for name in ("signals", "missing")}
    return insert(db, "verdicts", request, post_id=post["id"], kind=request["kind"], action=request["action"], **lists)


def hold(db: sqlite3.Connection, request: Request) -> Row:
    """Put the post on the list of a person who looks at it; it stays invisible."""
    post = one(db, "posts", id=request["post_id"])
    return insert(db, "holds", request, post_id=post["id"], reason=request["reason"])


DOMAIN = Domain(
    SCHEMA,
    {
        "image": _classifies(_image),
        "text": _classifies(_text),
        "history": _classifies(_history),
        "toxicity": _classifies(_toxicity),
        "spam": _classifies(_spam),
        "queue": {"GET /posts/{id}": get_post, "POST /verdicts": act, "POST /holds": hold},
    },
    effects=("classifications", "verdicts", "holds"),
)
