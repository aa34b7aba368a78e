"""Graphs that the scenarios of the catalogue play on: a chain, one with joins, and parallel branches.

Each step of interest has a primary and a backup at almost twice its price: dear enough that one failure is answered
by a second try, and that a second one is not.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PRIMARY_USD = 0.002
PRIMARY_S, BACKUP_S = 0.1, 0.2
BACKUP_TIMES = 1.9
TIMEOUT_S = 2.0
DEADLINE_S = 30.0

Tools = list[dict[str, Any]]


def tool(
    name: str,
    requires: Iterable[Any],
    produces: Iterable[str],
    *,
    usd: float = PRIMARY_USD,
    seconds: float = PRIMARY_S,
    effect: str = "read",
    timeout_s: float = TIMEOUT_S,
    usd_max: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A tool of a graph.

    Args:
        name: Its name.
        requires: What it needs.
        produces: What it returns.
        usd: Price of a call.
        seconds: How long a call takes.
        effect: What a second call does.
        timeout_s: When a call is given up.
        usd_max: Worst price.
        **more: Further keys: ``provider``, ``verify``, ``compensate``.
    """
    cost: dict[str, Any] = {"usd": usd, "latency_s": seconds}
    if usd_max is not None:
        cost["usd_max"] = usd_max
    entry: dict[str, Any] = {"name": name, "requires": list(requires), "produces": list(produces), "cost": cost}
    entry |= {"effect": effect, **more, "timeout_s": timeout_s}
    return {key: value for key, value in entry.items() if value}


def backup(
    entry: Mapping[str, Any], *, name: str | None = None, times: float = BACKUP_TIMES, **more: Any
) -> dict[str, Any]:
    """Another tool for the same, at so many times the price."""
    cost = entry["cost"]
    dearer = {**cost, "usd": round(cost["usd"] * times, 6), "latency_s": BACKUP_S}
    return {**entry, "name": name or entry["name"].replace("primary", "backup"), "cost": dearer, **more}


def pair(step: str, requires: Iterable[Any], produces: Iterable[str], **more: Any) -> Tools:
    """A primary and a backup."""
    first = tool(f"{step}_primary", requires, produces, **more)
    return [first, backup(first)]


def remedies(entry: Mapping[str, Any], *, verify: bool = True, compensate: bool = True) -> Tools:
    """A tool that changes something, with those that look for its effect and undo it."""
    name, found = entry["name"], {**entry}
    extra: Tools = []
    if verify:
        found["verify"] = f"find_{name}"
        extra.append(tool(f"find_{name}", entry["requires"], entry["produces"], usd=0.0, seconds=0.05))
    if compensate:
        found["compensate"] = f"undo_{name}"
        extra.append(tool(f"undo_{name}", entry["produces"], [], usd=0.0, seconds=0.05, effect="idempotent"))
    timeout_s = found.pop("timeout_s")
    return [{**found, "timeout_s": timeout_s}, *extra]


def writing(step: str, requires: Iterable[Any], produces: Iterable[str], *, effect: str, **more: Any) -> Tools:
    """A primary and a backup that change something, each with its remedies."""
    verify, compensate = more.pop("verify", True), more.pop("compensate", True)
    return [
        entry
        for each in pair(step, requires, produces, effect=effect, **more)
        for entry in remedies(each, verify=verify, compensate=compensate)
    ]


def goals(*ladder: tuple[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """A ladder: each rung is worth less than the one before."""
    worth = [1.0, 0.6, 0.3, 0.2, 0.1]
    return [
        {"name": name, "requires": list(requires), "utility": utility}
        for (name, requires), utility in zip(ladder, worth, strict=False)
    ]


def graph(name: str, tools: Tools, ladder: list[dict[str, Any]], **budget: Any) -> dict[str, Any]:
    """A graph, written out within a scenario."""
    limits = {"deadline_s": DEADLINE_S, **budget}
    return {"version": "1", "name": name, "tools": tools, "goals": ladder, "budget": limits}


# -------------------------------------------------------------------- the three topologies


def linear() -> dict[str, Any]:
    """A chain: order, price, record, notice. The price has a primary and a backup, and so has the record."""
    tools = [
        tool("look_up_order", ["order_id"], ["order"]),
        *pair("price", ["order"], ["quote"]),
        *writing("save", ["quote"], ["record"], effect="idempotent"),
        tool("notify", ["record"], ["notice"], effect="idempotent"),
    ]
    return graph("linear", tools, goals(("told", ["notice"]), ("saved", ["record"]), ("priced", ["quote"])))


def dag() -> dict[str, Any]:
    """Joins: flights, then hotels for their dates, and the weather; all three are needed to hold a trip."""
    tools = [
        *pair("flights", ["trip"], ["flights"]),
        *pair("hotels", ["trip", "flights"], ["hotels"]),
        tool("weather", ["trip"], ["forecast"]),
        *writing("hold", ["flights", "hotels", "forecast"], ["hold"], effect="idempotent"),
        tool("itinerary", ["hold", "forecast"], ["itinerary"]),
    ]
    ladder = goals(("planned", ["itinerary"]), ("held", ["hold"]), ("informed", ["flights", "hotels"]))
    return graph("dag", tools, ladder)


SIGNALS = ("image", "text", "history")


def fanout() -> dict[str, Any]:
    """Parallel branches: three signals, all for a verdict, any two of them for a degraded one."""
    tools: Tools = [entry for signal in SIGNALS for entry in pair(signal, ["post"], [f"{signal}_signal"])]
    needed = [f"{signal}_signal" for signal in SIGNALS]
    tools += [
        tool("decide", needed, ["verdict"], usd=0.0),
        tool("decide_degraded", [{"at_least": 2, "of": needed}], ["degraded_verdict"], usd=0.0),
    ]
    return graph("fanout", tools, goals(("full-verdict", ["verdict"]), ("degraded-verdict", ["degraded_verdict"])))
