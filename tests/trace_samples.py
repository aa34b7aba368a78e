"""Runs as lists of events, written by hand: what the trace tests are fed with."""

from collections.abc import Sequence
from pathlib import Path

from agentroute.adapters.redaction import Redactor
from agentroute.adapters.telemetry.provider import Traces
from agentroute.ids import ArtifactId, AttemptId, GoalId, NanoUsd, RunId, ToolId
from agentroute.routing.tiers.situation import Situation, sketch
from agentroute.run.events import (
    HAND_OVER,
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Compensated,
    Event,
    GuardClosed,
    Hedged,
    LateResultFenced,
    ModelAsked,
    Option,
    Quarantined,
    Rerouted,
    Resumed,
    Retried,
    Role,
    RouteChosen,
    RunFinished,
    RunStarted,
    Signalled,
    Suspended,
    TierChosen,
    Unresolved,
    Verified,
    Waiting,
)

START = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""

MILLI = 1_000_000
"""A thousandth of a dollar, in nano-dollars."""


def usd(thousandths: float) -> NanoUsd:
    """Money in thousandths of a dollar."""
    return NanoUsd(round(thousandths * MILLI))


def tools(*names: str) -> tuple[ToolId, ...]:
    return tuple(map(ToolId, names))


def begun(agent: str = "travel", goal: str = "booked", *, wall: float = START, at: float = 0.0) -> RunStarted:
    inputs = {ArtifactId("Trip"): {"to": "Lisbon"}}
    return RunStarted(at, agent, GoalId(goal), inputs, wall, usd(50), 30.0, 1, tokens=1000)


def started(
    at: float,
    attempt: int,
    tool: str,
    number: int = 1,
    *,
    key: str = "",
    reserved: float = 0,
    role: Role = "step",
    about: int | None = None,
    calls_model: bool = False,
) -> AttemptStarted:
    subject = None if about is None else AttemptId(about)
    most = 400 if calls_model else 0
    return AttemptStarted(
        at, AttemptId(attempt), ToolId(tool), number, key, usd(reserved), role, subject, calls_model, most
    )


def succeeded(
    at: float,
    attempt: int,
    tool: str,
    spent: float = 0,
    *,
    model: str | None = None,
    tokens: tuple[int, int] | None = None,
    outputs: dict[str, object] | None = None,
) -> AttemptSucceeded:
    made = {ArtifactId(name): value for name, value in (outputs or {f"made by {tool}": 1}).items()}
    used = sum(tokens or ())
    attempt_id, name = AttemptId(attempt), ToolId(tool)
    return AttemptSucceeded(at, attempt_id, name, made, usd(spent), model, tokens, used_tokens=used)


def failed(  # noqa: PLR0917  # a line of a list reads better without names
    at: float, attempt: int, tool: str, error: str, message: str, spent: float = 0, *, in_doubt: bool = False
) -> AttemptFailed:
    kind = "ambiguous" if in_doubt else "transient"
    return AttemptFailed(at, AttemptId(attempt), ToolId(tool), kind, error, message, usd(spent), in_doubt)


def finished(at: float, goal: str = "booked", *, demoted: bool = False) -> RunFinished:
    return RunFinished(at, "demoted" if demoted else "succeeded", GoalId(goal), f"reached {goal!r}")


MENU = (
    Option("options-only", 0.4, tools("summary"), usd(1)),
    Option(HAND_OVER, 0.0),
)

DETOUR: Sequence[Event] = (
    begun(),
    RouteChosen(0.0, GoalId("booked"), tools("search_a", "rate", "book"), usd(13), True, "start"),
    started(0.0, 1, "search_a", reserved=2),
    failed(0.1, 1, "search_a", "ConnectError", "connection refused", 2),
    Retried(0.1, AttemptId(1), ToolId("search_a"), "transient", 0.2, usd(14)),
    started(0.3, 2, "search_a", 2, reserved=2),
    failed(0.4, 2, "search_a", "ConnectError", "connection refused", 2),
    Rerouted(
        0.4,
        AttemptId(2),
        ToolId("search_a"),
        "transient",
        tools("search_a", "rate", "book"),
        tools("search_b", "rate", "book"),
        usd(15),
        usd(14),
        True,
        usd(46),
    ),
    started(0.4, 3, "search_b", reserved=3),
    started(0.4, 4, "rate", reserved=5, calls_model=True),
    succeeded(0.5, 4, "rate", 1, model="openai/gpt-9", tokens=(120, 30)),
    succeeded(0.6, 3, "search_b", 3, outputs={"Flights": {"count": 2}}),
    started(0.6, 5, "book", key="k5", reserved=10),
    succeeded(0.9, 5, "book", 10, outputs={"Booking": {"code": "X1"}}),
    finished(0.9),
)
"""A retry, a reroute, a model step; reaches the goal. Costs 18 thousandths of a dollar."""

BEFORE_THE_PERSON: Sequence[Event] = (
    *DETOUR[:-3],
    GuardClosed(0.6, ToolId("express"), "its when= condition does not hold"),
    Signalled(0.6, "language", "intent", "request is about: travel", factors={"hotel": 0.1}),
    TierChosen(
        at=0.6,
        step="answer",
        policy="cascade",
        situation=Situation("answer", sketch("Which hotel is near?"), context=9),
        ranking=(ToolId("answer@small"), ToolId("answer@large")),
        weights={ToolId("answer@small"): NanoUsd(1_000_000), ToolId("answer@large"): NanoUsd(10_000_000)},
        right={ToolId("answer@small"): 0.7, ToolId("answer@large"): 0.9},
        costs={ToolId("answer@small"): NanoUsd(1_000_000), ToolId("answer@large"): NanoUsd(10_000_000)},
        usd={ToolId("answer@small"): NanoUsd(1_000_000), ToolId("answer@large"): NanoUsd(10_000_000)},
        propensities={ToolId("answer@small"): 1.0, ToolId("answer@large"): 0.0},
        worth=NanoUsd(50_000_000),
        detection=1.0,
    ),
    RouteChosen(0.6, GoalId("booked"), tools("book", "hotel"), usd(12), False, "express is closed for this run"),
    Waiting(0.6, ToolId("book"), 1.5, "every way is closed until then"),
    started(2.1, 5, "book", key="k5", reserved=10),
    failed(2.6, 5, "book", "ReadTimeout", "no answer", 10, in_doubt=True),
    started(2.6, 6, "find_booking", role="verify", about=5),
    succeeded(2.7, 6, "find_booking", outputs={"Booking": {"code": "X1"}}),
    Verified(2.7, AttemptId(5), ToolId("book"), ToolId("find_booking"), True, {ArtifactId("Booking"): {"code": "X1"}}),
    started(2.8, 7, "hotel", key="k7", reserved=1),
    failed(3.0, 7, "hotel", "ReadError", "connection lost", 1, in_doubt=True),
    started(3.0, 8, "cancel_hotel", role="compensate", about=7),
    succeeded(3.1, 8, "cancel_hotel"),
    Compensated(3.1, AttemptId(7), ToolId("hotel"), ToolId("cancel_hotel")),
    started(3.1, 9, "insure", key="k9"),
    failed(3.2, 9, "insure", "ReadTimeout", "no answer", in_doubt=True),
    Unresolved(3.2, AttemptId(9), ToolId("insure"), "the effect of insure may have happened"),
    started(3.2, 10, "news"),
    Hedged(3.25, AttemptId(10), ToolId("news"), tools("news"), tools("digest"), usd(2), True, "no answer in 0.05 s"),
    AttemptAbandoned(3.3, AttemptId(10), ToolId("news"), usd(0.5), "no longer on the route"),
    Quarantined(3.3, AttemptId(7), ToolId("hotel"), "charged 0.001000 USD, its worst case is 0.000500 USD"),
    LateResultFenced(3.4, AttemptId(7), ToolId("hotel"), True),
    Suspended(3.4, MENU, "no route to 'booked': insure (failed 1 times)"),
)

AFTER_THE_PERSON: Sequence[Event] = (
    Resumed(3.4, START + 3600.0),
    ModelAsked(3.5, "some/model", usd(0.5), 70),
    Chosen(3.5, MENU, "options-only", "human", "no route to 'booked'", note="asked by mail"),
    RouteChosen(3.5, GoalId("options-only"), tools("summary"), usd(1), True, "demoted"),
    started(3.5, 11, "summary", reserved=1),
    succeeded(3.6, 11, "summary", 1),
    finished(3.6, "options-only", demoted=True),
)

EVERYTHING: Sequence[Event] = (*BEFORE_THE_PERSON, *AFTER_THE_PERSON)
"""Every kind of event. Costs 20.5 thousandths of a dollar."""


def tell(traces: Traces, run: str, events: Sequence[Event]) -> None:
    """Let traces observe a run; what was on record when it was taken up again is restored first, as an agent does."""
    for number, event in enumerate(events):
        if isinstance(event, Resumed):
            traces.restore(RunId(run), events[:number])
        traces.observe(RunId(run), event)


def write(store: Path, *runs: tuple[str, Sequence[Event]], redactor: Redactor | None = None) -> Path:
    """Write the traces of runs into a store, and return the folder they are in. Needs AGENTROUTE_TRACE=on."""
    for run, events in runs:
        agent = events[0].agent if isinstance(events[0], RunStarted) else "travel"
        traces = Traces(agent, store=store, redactor=redactor or Redactor())
        tell(traces, run, events)
        traces.close()
    return store / "traces"
