"""Family H: what steers a run is wrong: monitors, prices, clocks, and the model that is asked."""

from collections.abc import Iterator
from typing import Any

from agentroute.testing.scenario.catalogue.graphs import goals, graph, pair, tool
from agentroute.testing.scenario.catalogue.row import AT_MOST_ONE, Document, Row, family, healthy, scenario

CONTROL = "control plane"


def control_plane() -> Iterator[Row]:
    """H01 to H10."""
    return family(
        "H",
        CONTROL,
        ("monitor_dead", "stale health expires to neutral", _monitor_dead()),
        ("monitor_late", "decision logged with age", _monitor_late()),
        ("monitor_lies_healthy", "call outcome overrides", _monitor_lies()),
        ("monitors_contradict", "priority order deterministic", _contradiction()),
        ("cost_nan_neg_inf", "rejected; inf path = no path", _costs()),
        ("cost_ties", "stable order", _ties()),
        ("clock_jump_fwd_back", "monotonic timers unaffected", _clock()),
        ("llm_down_or_invalid_choice", "human escalation, bounded", _model_down()),
        ("llm_repeats_dead_choice", "loop cap -> escalate", _dead_choice()),
        ("two_escalations_at_once", "each answered once", _two_at_once()),
    )


def _lookup() -> dict[str, Any]:
    return graph("lookup", pair("look_up", ["query"], ["answer"]), goals(("answered", ["answer"])))


# -------------------------------------------------------------------- monitors

ANSWERED = healthy("answered", calls={"look_up_backup": 0})

PROBES: list[Document] = [{"name": "probe", "about": "look_up_primary"}]


def _monitor_dead() -> Document:
    """Down for the first run; the monitor dies then, so nobody says that the tool is well again at the third.

    Sooner than a call is let through to see whether a monitor is right (five minutes), so that it is for the fading.
    """
    return scenario(
        "A monitor says that a tool is down, and dies: after a while its word counts no more",
        description=(
            "The monitor's last word, at 4 s, is that look_up_primary is down. It is dead when the tool is well again; "
            "the run two minutes later uses the tool all the same."
        ),
        runs=3,
        every="2m",
        agent=_lookup(),
        monitors=PROBES,
        steady=ANSWERED,
        method=(
            {"type": "monitor_dead", "from": "5s"},
            {"type": "down", "target": "look_up_primary", "until": "6s"},
        ),
        expect={
            "retries": {"max": 2},
            "reroutes": AT_MOST_ONE,
            "calls": {"look_up_primary": AT_MOST_ONE, "look_up_backup": AT_MOST_ONE},
            "known_age_s": {"max": "60s"},
        },
    )


def _monitor_late() -> Document:
    """The look-up comes 40 s after the start. What is known of it by then was measured half a minute before."""
    prepare = tool("prepare", ["query"], ["question"], seconds=40.0, timeout_s=60.0)
    tools = [prepare, *pair("look_up", ["question"], ["answer"])]
    return scenario(
        "A monitor's signals come half a minute late: decisions that rest on them say how old they were",
        description="Each signal arrives 30 s after it was measured; the journal's decisions carry its age.",
        agent=graph("lookup", tools, goals(("answered", ["answer"])), deadline_s=100.0),
        monitors=PROBES,
        steady=ANSWERED,
        method=(
            {"type": "monitor_late", "latency": "30s"},
            {"type": "down", "target": "look_up_primary", "until": "30s"},
        ),
        expect={
            "retries": 0,
            "reroutes": 0,
            "calls": {"look_up_primary": 0, "look_up_backup": 1},
            "known_age_s": {"min": "30s", "max": "40s"},
            "triggered": 2,
        },
    )


def _monitor_lies() -> Document:
    return scenario(
        "A monitor says that a dead tool is well: what calls meet weighs more",
        runs=5,
        every="1s",
        agent=_lookup(),
        monitors=PROBES,
        steady=ANSWERED,
        method=({"type": "monitor_lies"}, {"type": "down", "target": "look_up_primary"}),
        expect={
            "retries": {"max": 2},
            "reroutes": AT_MOST_ONE,
            "calls": {"look_up_primary": {"max": 3}, "look_up_backup": 1},
        },
    )


def _contradiction() -> Document:
    return scenario(
        "Two monitors contradict each other: what one finds amiss counts, whatever the other finds well, each time",
        description=(
            "One monitor (intent, priority 0.9) says that look_up_primary is to be avoided, another (tool outage, "
            "0.99) that it is well. That all is well outranks nobody: the first is believed in every run."
        ),
        runs=10,
        every="1s",
        agent=_lookup(),
        monitors=[
            {"name": "a-desk", "kind": "intent", "about": "look_up_primary"},
            {"name": "z-status", "kind": "outage", "about": "look_up_primary"},
        ],
        steady=healthy("answered"),
        method=({"type": "monitor_lies", "target": "a-desk"},),
        expect={"reroutes": 0, "escalations": 0, "calls": {"look_up_primary": 0, "look_up_backup": 1}},
    )


# -------------------------------------------------------------------- prices and clocks


def _costs() -> Document:
    return scenario(
        "Prices that are no numbers, negative or infinite are refused where they stand",
        agent="agents/impossible_costs.py:agent",
        expect={"refused": "nan: DefinitionError, -0.01: DefinitionError, inf: DefinitionError"},
    )


def _ties() -> Document:
    """Three tools alike in everything but their names: by name, each time."""
    tools = [tool(f"ask_{name}", ["query"], ["answer"]) for name in ("charlie", "alpha", "bravo")]
    return scenario(
        "Three tools cost the same: the order is by name, before and after a failure, in every run",
        runs=5,
        every="1s",
        agent=graph("ties", tools, goals(("answered", ["answer"]))),
        steady=healthy("answered", calls={"ask_alpha": 1, "ask_bravo": 0, "ask_charlie": 0}),
        method=({"type": "error", "target": "ask_alpha", "status": 404},),
        expect={"reroutes": 1, "triggered": 5, "calls": {"ask_alpha": 1, "ask_bravo": 1, "ask_charlie": 0}},
    )


def _clock() -> Document:
    """While a provider's Retry-After and a timeout run, the wall clock goes an hour ahead and then two back."""
    tools = [
        tool("ask", ["query"], ["reply"], effect="idempotent"),
        tool("read", ["reply"], ["answer"], seconds=0.5),
    ]
    return scenario(
        "The wall clock jumps an hour ahead and two hours back: waits and time limits are as long as they were",
        agent=graph("clock", tools, goals(("answered", ["answer"])), deadline_s=20.0),
        steady=healthy("answered", duration_s={"max": "1s"}),
        method=(
            {"type": "clock_jump", "jump": "1h"},
            {"type": "clock_jump", "jump": "-2h", "from": "2s"},
            {"type": "rate_limit", "target": "ask", "retry_after": "3s", "attempts": 1},
            {"type": "timeout", "target": "read", "attempts": 1},
        ),
        expect={
            "retries": 2,
            "duration_s": {"min": "5s", "max": "7s"},
            "calls": {"ask": 2, "read": 2},
        },
    )


# -------------------------------------------------------------------- the model that is asked


def _ladder() -> dict[str, Any]:
    """A report, or less: several rungs are left when the best is out of reach, so that there is something to choose."""
    tools = [
        tool("collect", ["topic"], ["facts"]),
        tool("write_report", ["facts"], ["report"]),
        tool("write_summary", ["facts"], ["summary"], usd=0.001),
        tool("write_list", ["facts"], ["list"], usd=0.001),
    ]
    rungs = goals(("report", ["report"]), ("summary", ["summary"]), ("list", ["list"]))
    return graph("writer", tools, rungs, llm_calls=4)


NO_REPORT: Document = {"type": "error", "target": "write_report", "status": 404}


def _model_down() -> Document:
    return scenario(
        "No route is left and the model that should choose is down: the policy chooses, says so, and nothing waits",
        description=(
            "The catalogue asks for a person here. agentroute takes the best goal that is left, with a note of why it "
            "was not the model that chose (docs/decisions/0011): who wants a person says escalate: human."
        ),
        escalate="model",
        agent=_ladder(),
        steady=healthy("report"),
        method=(NO_REPORT, {"type": "model_down"}),
        expect={
            "outcome": "demoted",
            "goal": "summary",
            "llm_calls": 1,
            "duration_s": {"max": "1s"},
            "calls": {"write_summary": 1, "write_list": 0},
        },
    )


def _dead_choice() -> Document:
    """What the model chose dies too; from then on it names what is not on the menu any more."""
    tools = [
        tool("collect", ["topic"], ["facts"]),
        *[tool(f"write_{rung}", ["facts"], [rung], usd=0.001) for rung in RUNGS],
    ]
    return scenario(
        "A model insists on a choice that is dead: it is asked so often and no more, then a person is",
        escalate="model",
        agent=graph("writer", tools, goals(*[(rung, [rung]) for rung in RUNGS]), llm_calls=10),
        steady=healthy("report"),
        method=(
            {"type": "error", "target": "write_*", "status": 404},
            {"type": "latency", "target": "write_*", "latency": "1s"},
            {"type": "model_invalid", "from": "2s"},
        ),
        expect={
            "outcome": "escalated",
            "llm_calls": {"min": 2, "max": 3},
            "calls": {f"write_{rung}": AT_MOST_ONE for rung in RUNGS},
            "duration_s": {"max": "30s"},
        },
    )


RUNGS = ("report", "summary", "list", "headline")


def _two_at_once() -> Document:
    return scenario(
        "Two runs have nowhere to go at the same moment: each gets one answer, its own",
        runs=2,
        escalate="model",
        agent=_ladder(),
        steady=healthy("report"),
        method=(NO_REPORT,),
        expect={
            "outcome": "demoted",
            "goal": "summary",
            "llm_calls": 1,
            "escalations": 1,
            "triggered": 2,
            "calls": {"write_summary": 1, "write_list": 0},
        },
    )
