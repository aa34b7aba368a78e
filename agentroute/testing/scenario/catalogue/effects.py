"""Family E: what was done, and whether anybody knows. Three sorts of tools, by what a second call would do."""

from collections.abc import Iterator, Mapping
from typing import Any

from agentroute.testing.scenario.catalogue.graphs import Tools, goals, graph, remedies, tool, writing
from agentroute.testing.scenario.catalogue.row import AT_MOST_ONE, SOME, Document, Row, healthy, scenario

IDEMPOTENT, KEYED, ONCE = "read-only/idempotent", "idempotency-key tool", "non-idempotent"

EXPECTED: Mapping[str, str] = {
    IDEMPOTENT: "safe retry; 1 effect",
    KEYED: "same key; 1 effect",
    ONCE: "no blind retry: read-back or escalate; <=1 effect, compensation logged",
}

KEYS: Document = {"charge_primary": {"honours_key": True}, "charge_backup": {"honours_key": True}}


def effects() -> Iterator[Row]:
    """E01 to E12."""
    for number, (kind, variant, document) in enumerate(_cases(), 1):
        yield Row(id=f"E{number:02}", kind=kind, variant=variant, expected=EXPECTED[variant], document=document)


def _cases() -> Iterator[tuple[str, str, Document]]:
    yield "ack_lost_after_commit", IDEMPOTENT, _lost_idempotent()
    yield "ack_lost_after_commit", KEYED, _lost_keyed()
    yield "ack_lost_after_commit", ONCE, _lost_once()
    yield "late_success_after_reroute", IDEMPOTENT, _late_idempotent()
    yield "late_success_after_reroute", KEYED, _late_keyed()
    yield "late_success_after_reroute", ONCE, _late_once()
    yield "duplicate_delivery", IDEMPOTENT, _twice_idempotent()
    yield "duplicate_delivery", KEYED, _twice_keyed()
    yield "duplicate_delivery", ONCE, _twice_once()
    yield "partial_fanout_commit", IDEMPOTENT, _partial_idempotent()
    yield "partial_fanout_commit", KEYED, _partial_keyed()
    yield "partial_fanout_commit", ONCE, _partial_once()


# -------------------------------------------------------------------- a sale


def _sale(variant: str) -> dict[str, Any]:
    """Stock is reserved, the customer charged by one of two providers, and told. What can be undone is.

    The tool in question is the charge: idempotent; once, under a key that its provider honours, and it can be looked
    for; or once, with nobody to ask whether it happened.
    """
    effect = "idempotent" if variant == IDEMPOTENT else "once"
    tools = [
        *remedies(tool("reserve", ["order"], ["reservation"], effect="once")),
        *writing("charge", ["order", "reservation"], ["payment"], effect=effect, verify=variant != ONCE),
        tool("pack", ["payment"], ["parcel"], effect="idempotent", seconds=0.5),
        tool("tell", ["parcel"], ["notice"], effect="idempotent"),
    ]
    return graph("sale", tools, goals(("sold", ["notice"])))


STEADY = healthy(
    "sold",
    calls={"reserve": 1, "charge_primary": 1, "charge_backup": 0, "undo_reserve": 0},
    effects={"reserve": 1, "charge_primary": 1, "charge_backup": 0},
    left_behind=[],
)


def _of_sale(title: str, variant: str, *method: Document, expect: Document, description: str | None = None) -> Document:
    return scenario(
        title,
        description=description,
        agent=_sale(variant),
        simulate=KEYS if variant == KEYED else None,
        steady=STEADY,
        method=method,
        expect=expect,
    )


GIVEN_UP: Document = {
    "outcome": "escalated",
    "retries": 0,
    "reroutes": 0,
    "escalations": 1,
    "calls": {"reserve": 1, "charge_primary": 1, "charge_backup": 0, "undo_reserve": 1, "pack": 0},
    "effects": {"reserve": 0, "charge_primary": AT_MOST_ONE, "charge_backup": 0},
    "left_behind": ["charge_primary"],
}
"""Nobody to ask: the charge is not made again and not made elsewhere, what went before it is undone, a person is told
which charge to look at."""


# -------------------------------------------------------------------- done, and the answer is lost

LOST: Document = {"type": "ack_lost", "target": "charge_primary", "attempts": 1}


def _lost_idempotent() -> Document:
    return _of_sale(
        "The answer to an idempotent charge is lost: it is asked for again",
        IDEMPOTENT,
        LOST,
        expect={
            "retries": 1,
            "calls": {"reserve": 1, "charge_primary": 2, "charge_backup": 0, "undo_reserve": 0},
        },
    )


def _lost_keyed() -> Document:
    return _of_sale(
        "The answer to a charge that can be looked for is lost: it is found, and not made again",
        KEYED,
        LOST,
        expect={
            "calls": {"reserve": 1, "charge_primary": 1, "find_charge_primary": 1, "charge_backup": 0},
        },
    )


def _lost_once() -> Document:
    return _of_sale(
        "The answer to a charge is lost, and nobody can be asked: no second charge, a person looks",
        ONCE,
        LOST,
        expect=GIVEN_UP,
    )


# -------------------------------------------------------------------- done after all


LATE: Document = {"type": "late_success", "target": "charge_primary", "attempts": 1, "latency": "2500ms"}
"""The first request is carried out two and a half seconds after its caller has given up."""

SILENT: Document = {"type": "timeout", "target": "charge_primary", "attempts": "2-"}

UNDONE: Document = {
    "retries": {"min": 1, "max": 2},
    "reroutes": 1,
    "calls": {
        "charge_primary": {"min": 2, "max": 3},
        "charge_backup": 1,
        "find_charge_primary": SOME,
        "undo_charge_primary": 1,
    },
    "effects": {"reserve": 1, "charge_primary": 0, "charge_backup": 1},
    "triggered": {"min": 2},
}
"""Asked for again under the same key, then made elsewhere; what came late is found before the end and undone."""


def _late_idempotent() -> Document:
    return _of_sale(
        "An idempotent charge happens after another provider has charged: it is found and undone",
        IDEMPOTENT,
        LATE,
        SILENT,
        expect=UNDONE,
    )


def _late_keyed() -> Document:
    return _of_sale(
        "A charge is asked for twice under one key and happens after another provider has charged: found and undone",
        KEYED,
        LATE,
        SILENT,
        expect=UNDONE,
    )


def _late_once() -> Document:
    return _of_sale(
        "A charge happens long after it was given up, and nobody can be asked: no other charge was made meanwhile",
        ONCE,
        LATE,
        expect=GIVEN_UP,
    )


# -------------------------------------------------------------------- delivered twice

TWICE: Document = {"type": "duplicate_delivery", "target": "charge_primary"}


def _twice_idempotent() -> Document:
    return _of_sale(
        "The network delivers an idempotent charge twice: one effect",
        IDEMPOTENT,
        TWICE,
        expect={"triggered": 1, "undetectable": 0},
    )


def _twice_keyed() -> Document:
    return _of_sale(
        "The network delivers a charge twice under one key, which its provider honours: one effect",
        KEYED,
        TWICE,
        expect={"triggered": 1, "undetectable": 0},
    )


def _twice_once() -> Document:
    return _of_sale(
        "The network delivers a charge twice to a provider that ignores keys: counted as what nobody could see",
        ONCE,
        TWICE,
        expect={
            "triggered": 1,
            "undetectable": 1,
            "calls": {"charge_primary": 1, "charge_backup": 0},
            "effects": {"reserve": 1, "charge_primary": 2, "charge_backup": 0},
        },
        description=(
            "The second charge is made by the network, after the caller's one request, whose answer is true: no caller "
            "can see it. What can be held is that the caller itself asked once, and that the report counts it."
        ),
    )


# -------------------------------------------------------------------- one of several did not get through

SHELVES = ("north", "east", "south")


def _shelves(effect: str, *, verify: bool) -> dict[str, Any]:
    """Three writes at once, and a receipt for all of them. Each can be undone."""
    tools: Tools = [
        entry
        for shelf in SHELVES
        for entry in remedies(tool(f"fill_{shelf}", ["goods"], [f"{shelf}_full"], effect=effect), verify=verify)
    ]
    tools.append(tool("sign", [f"{shelf}_full" for shelf in SHELVES], ["receipt"]))
    return graph("shelves", tools, goals(("signed", ["receipt"])))


def _partial(title: str, effect: str, expect: Document, *, verify: bool = True, keys: bool = False) -> Document:
    return scenario(
        title,
        agent=_shelves(effect, verify=verify),
        simulate={f"fill_{shelf}": {"honours_key": True} for shelf in SHELVES} if keys else None,
        steady=healthy(
            "signed",
            calls=dict.fromkeys([f"fill_{shelf}" for shelf in SHELVES], 1),
            effects=dict.fromkeys([f"fill_{shelf}" for shelf in SHELVES], 1),
            left_behind=[],
        ),
        method=({"type": "ack_lost", "target": "fill_east", "attempts": 1},),
        expect=expect,
    )


def _partial_idempotent() -> Document:
    return _partial(
        "Of three idempotent writes at once the answer to one is lost: only that one is asked again",
        "idempotent",
        {"retries": 1, "calls": {"fill_north": 1, "fill_east": 2, "fill_south": 1}},
    )


def _partial_keyed() -> Document:
    return _partial(
        "Of three writes at once the answer to one is lost: it is looked for and found, the others are kept",
        "once",
        {"calls": {"fill_north": 1, "fill_east": 1, "find_fill_east": 1, "fill_south": 1}},
        keys=True,
    )


def _partial_once() -> Document:
    return _partial(
        "Of three writes at once one may have happened and nobody knows: the other two are undone, a person looks",
        "once",
        {
            "outcome": "escalated",
            "escalations": 1,
            "calls": {"fill_east": 1, "undo_fill_north": 1, "undo_fill_south": 1, "sign": 0},
            "effects": {"fill_north": 0, "fill_east": AT_MOST_ONE, "fill_south": 0},
            "left_behind": ["fill_east"],
        },
        verify=False,
    )
