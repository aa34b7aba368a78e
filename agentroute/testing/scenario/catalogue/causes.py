"""Family F: failures that come together, one upon another, or at the only place there is."""

from collections.abc import Iterator
from typing import Any

from agentroute.testing.scenario.catalogue.graphs import (
    BACKUP_TIMES,
    SIGNALS,
    Tools,
    backup,
    dag,
    fanout,
    goals,
    graph,
    pair,
    remedies,
    tool,
)
from agentroute.testing.scenario.catalogue.row import AT_MOST_ONE, SOME, Document, Row, family, healthy, scenario

CORRELATED = "correlated"


def shared_causes() -> Iterator[Row]:
    """F01 to F12."""
    return family(
        "F",
        CORRELATED,
        ("shared_provider_down", "all its edges closed at once; 1 reroute", _provider()),
        ("failover_overloads_backup", "retry budget holds; demote/escalate", _overload()),
        ("all_alternatives_of_node", "demote if optional else escalate", _no_alternative()),
        ("articulation_node_down", "escalate; no partial effect left", _articulation()),
        ("two_branches_same_instant", "both logged; siblings kept", _two_branches()),
        ("join_input_lost_k_of_n", "k met->demoted success; else escalate", _two_of_three()),
        ("second_failure_during_reroute", "reroute again", _failures(2)),
        ("third_failure_during_reroute", "feasible->success", _failures(3)),
        ("fail_recover_fail", "no oscillation beyond bound", _again()),
        ("herd_100_runs_one_backup", "concurrency+retry caps hold", _herd()),
        ("breaker_would_eject_all", "panic rule: last path kept or escalate", _eject_all()),
        ("swizzle_clog", "success after heal", _swizzle()),
    )


def _relay(*steps: str, times: float = BACKUP_TIMES) -> dict[str, Any]:
    """A chain of which one provider can do every step, and another as well, for more money."""
    tools: Tools = []
    needs = "trip"
    for step in steps:
        first = tool(f"{step}_primary", [needs], [step], provider="primary")
        tools += [first, backup(first, times=times, provider="backup")]
        needs = step
    return graph("relay", tools, goals(("finished", [steps[-1]]), ("begun", [steps[0]])))


# -------------------------------------------------------------------- one cause


def _provider() -> Document:
    """The first failure speaks of the provider, so that no other tool of it is tried."""
    return scenario(
        "A provider of four steps is down: the first step finds out, and the whole route goes elsewhere at once",
        health={"trip_after": 1},
        agent=_relay("flight", "hotel", "car", "insurance"),
        steady=healthy("finished"),
        method=({"type": "down", "provider": "primary"},),
        expect={
            "reroutes": 1,
            "triggered": 1,
            "calls": {"flight_primary": 1, "hotel_primary": 0, "car_primary": 0, "insurance_primary": 0},
        },
    )


def _overload() -> Document:
    return scenario(
        "Twenty runs fall over to a backup that breaks down under them: none insists, all settle for less",
        runs=20,
        agent=_optional(),
        steady=healthy(None),
        method=(
            {"type": "down", "target": "map_primary"},
            {"type": "error", "target": "map_backup", "status": 503},
        ),
        expect={
            "outcome": ["demoted", "escalated"],
            "attempts": {"max": 8},
            "retries": {"max": 4},
            "reroutes": {"max": 5},
            "duration_s": {"max": "30s"},
            "calls": {"map_primary": {"max": 3}, "map_backup": {"max": 3}, "describe": 1},
        },
    )


def _optional() -> dict[str, Any]:
    """A description, better with a map. The map has two providers and can be done without."""
    tools = [
        tool("describe", ["place"], ["description"]),
        *pair("map", ["place"], ["map"]),
        tool("print_both", ["description", "map"], ["leaflet"], usd=0.0),
        tool("print_text", ["description"], ["plain_leaflet"], usd=0.0),
    ]
    return graph("leaflet", tools, goals(("with-map", ["leaflet"]), ("text-only", ["plain_leaflet"])))


def _no_alternative() -> Document:
    return scenario(
        "Both providers of what can be done without are down: done without, and said so",
        agent=_optional(),
        steady=healthy("with-map"),
        method=({"type": "down", "target": "map_*"},),
        expect={
            "outcome": "demoted",
            "goal": "text-only",
            "attempts": {"max": 8},
            "retries": {"max": 4},
            "reroutes": {"max": 5},
            "calls": {"describe": 1, "map_primary": {"max": 3}, "map_backup": {"max": 3}},
        },
    )


def _articulation() -> Document:
    """Everything goes through the permit, and what was done before it can be undone."""
    tools = [
        *remedies(tool("reserve", ["order"], ["reservation"], effect="once")),
        *remedies(tool("block_funds", ["order", "reservation"], ["hold"], effect="once")),
        tool("permit", ["reservation", "hold"], ["permit"]),
        *remedies(tool("ship", ["permit"], ["shipment"], effect="once")),
    ]
    made = {"reserve": 1, "block_funds": 1, "ship": 1}
    return scenario(
        "The only way on is down after two effects: both are undone, the last one first, and a person is told",
        agent=graph("articulation", tools, goals(("shipped", ["shipment"]))),
        steady=healthy("shipped", effects=made, left_behind=[]),
        method=({"type": "error", "target": "permit", "status": 410},),
        expect={
            "outcome": "escalated",
            "escalations": 1,
            "effects": {"reserve": 0, "block_funds": 0, "ship": 0},
            "calls": {"permit": 1, "undo_reserve": 1, "undo_block_funds": 1, "ship": 0},
            "left_behind": [],
        },
    )


# -------------------------------------------------------------------- several branches


def _two_branches() -> Document:
    return scenario(
        "Two of three parallel branches fail in the same instant: each is answered, the third is left alone",
        agent=fanout(),
        steady=healthy("full-verdict"),
        method=(
            {"type": "error", "target": "image_primary", "status": 404},
            {"type": "error", "target": "text_primary", "status": 404},
        ),
        expect={
            "reroutes": 2,
            "triggered": 2,
            "calls": {
                "image_primary": 1,
                "image_backup": 1,
                "text_primary": 1,
                "text_backup": 1,
                "history_primary": 1,
                "history_backup": 0,
            },
        },
    )


def _two_of_three() -> Document:
    return scenario(
        "One of three signals is not to be had anywhere: a degraded verdict from the other two, and called that",
        agent=fanout(),
        steady=healthy("full-verdict"),
        method=({"type": "error", "target": "image_*", "status": 404},),
        expect={
            "outcome": "demoted",
            "goal": "degraded-verdict",
            "reroutes": 1,
            "calls": {
                "image_primary": 1,
                "image_backup": 1,
                "decide": 0,
                "decide_degraded": 1,
                **{f"{signal}_primary": 1 for signal in SIGNALS[1:]},
            },
        },
    )


# -------------------------------------------------------------------- one upon another

NAMES = ("first", "second", "third", "fourth")


def _failures(count: int) -> Document:
    tools = [tool(f"ask_{name}", ["query"], ["answer"], usd=0.001 * 2**index) for index, name in enumerate(NAMES)]
    gone = NAMES[:count]
    return scenario(
        f"{'Two' if count == 2 else 'Three'} of four providers are gone, each found out on the way to the next",
        agent=graph("lookup", [*tools, tool("use", ["answer"], ["result"])], goals(("done", ["result"]))),
        steady=healthy("done"),
        method=tuple({"type": "error", "target": f"ask_{name}", "status": 404} for name in gone),
        expect={
            "reroutes": count,
            "triggered": count,
            "calls": {f"ask_{name}": 1 if index <= count else 0 for index, name in enumerate(NAMES)},
        },
    )


def _again() -> Document:
    """Runs at 0, 60 and 120 s: the first and the last meet a provider that is down, the second one that is well."""
    return scenario(
        "A provider fails, recovers and fails again: each run turns away from it once, or not at all",
        runs=3,
        every="60s",
        agent=_relay("flight", "hotel", "car", times=3.0),
        steady=healthy("finished", calls={"flight_primary": 1, "flight_backup": 0}),
        method=(
            {"type": "down", "provider": "primary", "until": "30s"},
            {"type": "down", "provider": "primary", "from": "100s"},
        ),
        expect={
            "retries": {"max": 2},
            "reroutes": AT_MOST_ONE,
            "flaps": 0,
            "escalations": 0,
            "triggered": {"min": 2},
            "calls": {"flight_primary": {"min": 1, "max": 3}, "flight_backup": AT_MOST_ONE},
        },
    )


def _herd() -> Document:
    return scenario(
        "A hundred runs at once lose their provider and share one backup: nobody tries too often, all get through",
        runs=100,
        agent=_crowd(),
        steady=healthy("answered"),
        method=({"type": "down", "target": "look_up_primary"},),
        expect={
            "retries": {"max": 2},
            "reroutes": AT_MOST_ONE,
            "escalations": 0,
            "duration_s": {"max": "10s"},
            "calls": {"look_up_primary": {"max": 3}, "look_up_backup": 1},
        },
    )


def _crowd() -> dict[str, Any]:
    return graph("lookup", pair("look_up", ["query"], ["answer"]), goals(("answered", ["answer"])), deadline_s=10.0)


def _eject_all() -> Document:
    """Both ways fail for a second. Breakers that open at the first failure, and for longer than anybody waits."""
    return scenario(
        "Everything fails for a second, which would shut every way for a minute: the last is kept, or a person is told",
        health={"trip_after": 1, "cool_down_s": "60s"},
        agent=_crowd(),
        steady=healthy("answered"),
        method=({"type": "error", "target": "look_up_*", "status": 503, "until": "1s"},),
        expect={
            "outcome": ["succeeded", "escalated"],
            "retries": {"max": 5},
            "reroutes": {"max": 2},
            "duration_s": {"max": "10s"},
            "calls": {"look_up_primary": {"max": 3}, "look_up_backup": {"max": 3}},
        },
    )


def _swizzle() -> Document:
    """Connections clog one after the other and clear up in another order; for a while nothing gets through at all."""
    clogs = {
        "flights_primary": (0.0, 3.0),
        "flights_backup": (0.0, 5.0),
        "hotels_primary": (1.0, 9.0),
        "hotels_backup": (2.0, 7.0),
        "weather": (0.0, 4.0),
        "hold_primary": (2.0, 12.0),
        "hold_backup": (3.0, 11.0),
    }
    return scenario(
        "Connections clog and clear in changing order: once they have, the run gets through",
        health={"max_attempts": 8, "trip_after": 3, "cool_down_s": "1s"},
        agent=_hasty(dag()),
        steady=healthy("planned", left_behind=[]),
        method=tuple(
            {"type": "timeout", "target": name, "from": begin, "until": end} for name, (begin, end) in clogs.items()
        ),
        expect={
            "retries": SOME,
            "reroutes": SOME,
            "escalations": 0,
            "duration_s": {"max": "30s"},
            "effects": {"hold_primary": AT_MOST_ONE, "hold_backup": AT_MOST_ONE},
        },
    )


def _hasty(document: dict[str, Any]) -> dict[str, Any]:
    """The same with half a second of patience for each call."""
    return {**document, "tools": [{**entry, "timeout_s": 0.5} for entry in document["tools"]]}
