"""Family C: an answer that keeps the contract and is false."""

from collections.abc import Iterator
from typing import Any

from agentroute.testing.scenario.catalogue.row import SOME, Document, Row, healthy, scenario

ALONE, AGREE = "primary only", "primary+backup agree"

SEEN = "postcondition/read-back -> reroute (in_range_wrong: needs cross-check, else report as undetected)"
NOT_A_SUCCESS = "escalate, or counted undetected; never counted success"


def false_answers() -> Iterator[Row]:
    """C01 to C10."""
    for number, (kind, variant, document) in enumerate(_cases(), 1):
        expected = SEEN if variant == ALONE else NOT_A_SUCCESS
        yield Row(id=f"C{number:02}", kind=kind, variant=variant, expected=expected, document=document)


def _cases() -> Iterator[tuple[str, str, Document]]:
    yield "stale", ALONE, _stale()
    yield "stale", AGREE, _stale_both()
    yield "out_of_range", ALONE, _out_of_range()
    yield "out_of_range", AGREE, _out_of_range_both()
    yield "in_range_wrong", ALONE, _wrong()
    yield "in_range_wrong", AGREE, _wrong_both()
    yield "wrong_entity", ALONE, _stranger()
    yield "wrong_entity", AGREE, _stranger_both()
    yield "silent_noop_write", ALONE, _noop()
    yield "silent_noop_write", AGREE, _noop_both()


# -------------------------------------------------------------------- seen by a postcondition

SENSORS = "agents/sensors.py:agent"
HARBOUR: Document = {"Place": {"name": "harbour"}}
MEASURED = healthy("measured", calls={"read_primary": 1, "read_backup": 0}, left_behind=[])

_HOW_STALE = (
    "A measurement takes six seconds, and its postcondition wants it younger than five. The first answer is lost, so "
    "that there is an old one to repeat."
)


def _old(tool: str) -> list[Document]:
    return [
        {"type": "ack_lost", "target": tool, "attempts": 1},
        {"type": "stale", "target": tool, "attempts": "2-"},
    ]


def _stale() -> Document:
    return scenario(
        "A sensor repeats an old measurement: its age gives it away, and the other one is read",
        description=_HOW_STALE,
        agent=SENSORS,
        inputs=HARBOUR,
        steady=MEASURED,
        method=tuple(_old("read_primary")),
        expect={
            "retries": 1,
            "reroutes": 1,
            "triggered": 2,
            "undetectable": 0,
            "calls": {"read_primary": 2, "read_backup": 1},
        },
    )


def _stale_both() -> Document:
    return scenario(
        "Both sensors repeat old measurements: nothing is passed off as new, a person is told",
        description=_HOW_STALE,
        agent=SENSORS,
        inputs=HARBOUR,
        steady=MEASURED,
        method=(*_old("read_primary"), *_old("read_backup")),
        expect={
            "outcome": "escalated",
            "retries": 2,
            "reroutes": 1,
            "escalations": 1,
            "triggered": 4,
            "undetectable": 0,
            "calls": {"read_primary": 2, "read_backup": 2},
        },
    )


def _impossible(tool: str) -> Document:
    return {"type": "wrong", "target": tool, "set": {"celsius": 999.0}}


def _out_of_range() -> Document:
    return scenario(
        "A sensor measures 999 degrees: its postcondition does not hold, and the other one is read",
        agent=SENSORS,
        inputs=HARBOUR,
        steady=MEASURED,
        method=(_impossible("read_primary"),),
        expect={"reroutes": 1, "undetectable": 0, "calls": {"read_primary": 1, "read_backup": 1}},
    )


def _out_of_range_both() -> Document:
    return scenario(
        "Both sensors measure 999 degrees: that they agree does not make it true",
        agent=SENSORS,
        inputs=HARBOUR,
        steady=MEASURED,
        method=(_impossible("read_*"),),
        expect={
            "outcome": "escalated",
            "reroutes": 1,
            "escalations": 1,
            "triggered": 2,
            "undetectable": 0,
            "calls": {"read_primary": 1, "read_backup": 1},
        },
    )


# -------------------------------------------------------------------- seen by a second source

QUOTES = "agents/quotes.py:agent"
KETTLE: Document = {"Item": {"name": "kettle"}}
QUOTED = healthy("quoted", artifacts={"Quote": {"cents": 1000}}, calls={"take_median": 0})


def _dearer(tool: str) -> Document:
    return {"type": "wrong", "target": tool, "set": {"cents": 1250}}


def _wrong() -> Document:
    return scenario(
        "One of two sources is wrong, and nothing about it looks so: they disagree, and a third decides",
        agent=QUOTES,
        inputs=KETTLE,
        steady=QUOTED,
        method=(_dearer("ask_primary"),),
        expect={"reroutes": 1, "calls": {"compare": 1, "take_median": 1}, "artifacts": {"Quote": {"cents": 1000}}},
    )


def _wrong_both() -> Document:
    return scenario(
        "Both sources are wrong in the same way: nobody can see it, and the report says so",
        agent=QUOTES,
        inputs=KETTLE,
        steady=QUOTED,
        method=(_dearer("ask_primary"), _dearer("ask_backup")),
        expect={"undetectable": 2, "triggered": 2, "artifacts": {"Quote": {"cents": 1250}}},
    )


ORDERS = "agents/orders.py:agent"
OWN_ORDER: dict[str, Any] = {"order_id": "1042"}
SHIPPED = healthy("accepted", artifacts={"Accepted": {"id": "1042"}}, calls={"look_up_backup": 0})


def _another(tool: str) -> Document:
    return {"type": "wrong", "target": tool, "set": {"id": "2077"}}


def _stranger() -> Document:
    return scenario(
        "A lookup answers with somebody else's order: held against the question, and looked up elsewhere",
        agent=ORDERS,
        inputs=OWN_ORDER,
        steady=SHIPPED,
        method=(_another("look_up_primary"),),
        expect={
            "reroutes": 1,
            "calls": {"accept_primary": 1, "look_up_backup": 1, "accept_backup": 1},
            "artifacts": {"Accepted": {"id": "1042"}},
        },
    )


def _stranger_both() -> Document:
    return scenario(
        "Both lookups answer with the same stranger's order: nothing is accepted, a person is told",
        agent=ORDERS,
        inputs=OWN_ORDER,
        steady=SHIPPED,
        method=(_another("look_up_*"),),
        expect={
            "outcome": "escalated",
            "reroutes": 1,
            "escalations": 1,
            "triggered": 2,
            "artifacts": {},
            "calls": {"accept_primary": 1, "accept_backup": 1},
        },
    )


SHELF = "agents/shelf.py:agent"
STORED = healthy("stored", calls={"read_back_primary": 1, "store_backup": 0}, left_behind=[])


def _noop() -> Document:
    return scenario(
        "A store says done and did nothing: reading it back shows it, and the other one stores",
        agent=SHELF,
        inputs={"parcel": "kettle"},
        steady=STORED,
        method=({"type": "silent_noop", "target": "store_primary"},),
        expect={
            "reroutes": SOME,
            "calls": {"store_primary": 1, "read_back_primary": 1, "store_backup": 1, "read_back_backup": 1},
            "effects": {"store_primary": 0, "store_backup": 1},
        },
    )


def _noop_both() -> Document:
    return scenario(
        "Both stores say done and did nothing: nothing is passed off as stored, a person is told",
        agent=SHELF,
        inputs={"parcel": "kettle"},
        steady=STORED,
        method=({"type": "silent_noop", "target": "store_*"},),
        expect={
            "outcome": "escalated",
            "reroutes": SOME,
            "escalations": 1,
            "triggered": 2,
            "calls": {"store_primary": 1, "read_back_primary": 1, "store_backup": 1, "read_back_backup": 1},
            "effects": {"store_primary": 0, "store_backup": 0},
        },
    )
