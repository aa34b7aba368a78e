"""Family D: slow, silent, or up and down. Nothing is plainly broken."""

from collections.abc import Iterator
from typing import Any

from agentroute.testing.scenario.catalogue.graphs import BACKUP_TIMES, backup, goals, graph, tool
from agentroute.testing.scenario.catalogue.row import AT_MOST_ONE, SOME, Document, Row, family, healthy, scenario

ONE_TOOL = "one tool"


def delays() -> Iterator[Row]:
    """D01 to D10."""
    return family(
        "D",
        ONE_TOOL,
        ("slow_x10", "reweight, finish in deadline", _slow()),
        ("ramp_1.2x_per_call", "reroute before deadline", _ramp()),
        ("hang", "deadline fires -> reroute", _hang()),
        ("hang_ignores_cancel", "abandon+fence late result", _deaf()),
        ("tail_1pct_hang", "p99 bounded, no ejection", _tail()),
        ("probe_ok_calls_fail", "passive signal wins", _lying_up()),
        ("probe_fail_calls_ok", "no outage from bad probe; at most detour", _lying_down()),
        ("flap_fast", "flaps<=damped bound", _flap_fast()),
        ("flap_slow", "re-admit after recovery", _flap_slow()),
        ("half_open_probe_hangs", "breaker not stuck", _probe_hangs()),
    )


# -------------------------------------------------------------------- graphs


def _lookup(*, times: float = BACKUP_TIMES, deadline_s: float = 30.0, **primary: Any) -> dict[str, Any]:
    """One step, with a primary and a backup; whole runs of it are short."""
    first = tool("look_up_primary", ["query"], ["answer"], **primary)
    tools = [first, backup(first, times=times)]
    return graph("lookup", tools, goals(("answered", ["answer"])), deadline_s=deadline_s)


def _relay(steps: int, *, seconds: float, deadline_s: float, times: float = BACKUP_TIMES) -> dict[str, Any]:
    """A chain, every step of which one provider can do, and another for more money."""
    tools: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        needs, makes = ["query" if step == 1 else f"part_{step - 1}"], [f"part_{step}"]
        first = tool(f"step_{step}_primary", needs, makes, provider="primary", seconds=seconds, timeout_s=deadline_s)
        tools += [first, backup(first, times=times, provider="backup")]
    ladder = goals(("finished", [f"part_{steps}"]), ("begun", ["part_1"]))
    return graph("relay", tools, ladder, deadline_s=deadline_s)


# -------------------------------------------------------------------- slow


def _slow() -> Document:
    """Four steps of 0.2 s; ten times as slow, four of them would not fit into the deadline, one does."""
    return scenario(
        "A provider is ten times as slow: after one slow step the others go elsewhere, and all is done in time",
        agent={**_relay(4, seconds=0.2, deadline_s=5.0), "rates": {"usd_per_second": 0.01}},
        steady=healthy("finished", duration_s={"max": "1s"}),
        method=({"type": "latency", "target": "*_primary", "latency": "1800ms"},),
        expect={"reroutes": AT_MOST_ONE, "duration_s": {"max": "5s"}, "calls": {"step_4_primary": 0}},
    )


RAMP_RUNS, RAMP_EVERY_S, RAMP_FROM_S, RAMP_FACTOR = 20, 10, 0.1, 1.2


def _ramp() -> Document:
    """Each run calls the tool once, 20% slower than the run before; only the deadline ends a call that is too slow."""
    windows: list[Document] = [
        {
            "type": "latency",
            "target": "look_up_primary",
            "latency": round(RAMP_FROM_S * RAMP_FACTOR**run, 3),
            "from": f"{run * RAMP_EVERY_S}s",
            "until": f"{(run + 1) * RAMP_EVERY_S}s",
        }
        for run in range(RAMP_RUNS)
    ]
    return scenario(
        "A tool gets a fifth slower with each call: the others are asked before a deadline is missed",
        description="A `ramp` counts the calls of one run. Here each run makes one, so the ramp is written as windows.",
        runs=RAMP_RUNS,
        every=f"{RAMP_EVERY_S}s",
        agent={**_lookup(deadline_s=2.5, timeout_s=2.5), "rates": {"usd_per_second": 0.01}},
        steady=healthy("answered"),
        method=tuple(windows),
        expect={"reroutes": AT_MOST_ONE, "duration_s": {"max": "2500ms"}},
    )


def _hang() -> Document:
    return scenario(
        "A tool never answers: its time is up, and the work goes elsewhere",
        agent=_lookup(times=1.4, deadline_s=10.0),
        steady=healthy("answered"),
        method=({"type": "timeout", "target": "look_up_primary"},),
        expect={
            "reroutes": 1,
            "retries": 0,
            "duration_s": {"min": "2s", "max": "3s"},
            "calls": {"look_up_primary": 1, "look_up_backup": 1},
        },
    )


def _deaf() -> Document:
    return scenario(
        "A tool never answers and does not let go either: it is left behind, and what it says later does not count",
        description=(
            "A plain function: its thread is left behind. Async code that does not let go cannot be left behind, and "
            "is waited for, as docs/explanation/limits.md says."
        ),
        agent="agents/left_behind.py:agent",
        inputs={"query": "q"},
        steady=healthy("filed"),
        method=({"type": "hang", "target": "look_up_primary", "latency": "500ms"},),
        expect={
            "reroutes": 1,
            "retries": 0,
            "duration_s": {"max": "4s"},
            "calls": {"look_up_primary": 1, "look_up_backup": 1},
        },
    )


def _tail() -> Document:
    """A few of two hundred calls hang. One failure among many successes is no reason to go elsewhere."""
    return scenario(
        "One call in a hundred hangs: it is made again, and the tool keeps its place",
        seed=5,
        runs=200,
        every="500ms",
        agent=_lookup(deadline_s=10.0),
        steady=healthy("answered", duration_s={"max": "200ms"}),
        method=({"type": "tail", "target": "look_up_primary", "latency": "30s", "toxicity": 0.01},),
        expect={
            "retries": AT_MOST_ONE,
            "reroutes": 0,
            "duration_s": {"max": "2500ms"},
            "calls": {"look_up_backup": 0},
            "triggered": {"min": 1, "max": 10},
        },
    )


# -------------------------------------------------------------------- what probes say


PROBES: list[Document] = [{"name": "probe", "about": "look_up_primary", "every": "500ms"}]


def _lying_up() -> Document:
    return scenario(
        "Probes say that all is well while every call fails: the calls are believed",
        runs=5,
        every="1s",
        agent=_lookup(),
        monitors=PROBES,
        steady=healthy("answered"),
        method=(
            {"type": "monitor_lies"},
            {"type": "error", "target": "look_up_primary", "status": 503},
        ),
        expect={
            "retries": {"max": 2},
            "reroutes": AT_MOST_ONE,
            "calls": {"look_up_primary": {"max": 3}, "look_up_backup": 1},
        },
    )


def _lying_down() -> Document:
    return scenario(
        "Probes say that a tool is down while its calls work: no outage, at most a detour",
        runs=5,
        every="1s",
        agent=_lookup(),
        monitors=PROBES,
        steady=healthy("answered", calls={"look_up_backup": 0}),
        method=({"type": "monitor_lies"},),
        expect={"reroutes": AT_MOST_ONE, "escalations": 0, "calls": {"look_up_backup": AT_MOST_ONE}},
    )


# -------------------------------------------------------------------- up and down


def _flap_fast() -> Document:
    return scenario(
        "A provider is up and down every few hundred milliseconds: the route does not follow each turn",
        agent=_relay(5, seconds=0.1, deadline_s=5.0),
        steady=healthy("finished"),
        method=({"type": "flap", "target": "*_primary", "up": "300ms", "down": "200ms"},),
        expect={"retries": {"max": 2}, "reroutes": {"max": 2}, "flaps": {"max": 2}, "escalations": 0},
    )


def _flap_slow() -> Document:
    """Down from 0 to 30 s, up to 120 s, and so on; a run each 50 s, so the second and third find the tool up."""
    return scenario(
        "A tool is down for half a minute and then well: whoever comes later uses it again",
        runs=3,
        every="50s",
        health={"trip_after": 1, "cool_down_s": "5s"},
        agent=_lookup(),
        steady=healthy("answered"),
        method=({"type": "flap", "target": "look_up_primary", "up": "90s", "down": "30s"},),
        expect={
            "reroutes": AT_MOST_ONE,
            "triggered": 1,
            "calls": {"look_up_primary": 1, "look_up_backup": AT_MOST_ONE},
        },
    )


def _probe_hangs() -> Document:
    """Runs at 0, 20, 40 and 60 s: the first opens the breaker, the second's call is the probe, and it hangs."""
    return scenario(
        "The one call that a half-open breaker lets through hangs: the next one gets its turn all the same",
        runs=4,
        every="20s",
        health={"trip_after": 1, "cool_down_s": "5s"},
        agent=_lookup(times=5.0),
        steady=healthy("answered"),
        method=(
            {"type": "error", "target": "look_up_primary", "status": 503, "until": "10s"},
            {"type": "timeout", "target": "look_up_primary", "from": "10s", "until": "30s"},
        ),
        expect={
            "reroutes": AT_MOST_ONE,
            "triggered": 2,
            "duration_s": {"max": "3s"},
            "calls": {"look_up_primary": SOME, "look_up_backup": AT_MOST_ONE},
        },
    )
