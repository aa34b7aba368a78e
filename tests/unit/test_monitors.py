"""Monitors: those of a run, which may stop it; and those beside the runs, which may only advise."""

import asyncio  # noqa: TID251  # what its tasks do to a monitor is what is tested
import itertools
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import anyio
import pytest

from agentroute import Agent, Artifact, Goal, tool
from agentroute.adapters.probes import Probes
from agentroute.errors import DefinitionError
from agentroute.graph.tool import Effect
from agentroute.guard.budget import Budget
from agentroute.ports import Tool
from agentroute.routing.signals import HealthSignal, SignalKind
from agentroute.run.events import AttemptAbandoned, AttemptStarted, Chosen, RouteChosen, Signalled, Suspended
from agentroute.run.watching import (
    MOST_SIGHTINGS,
    Burn,
    Intent,
    IntentRule,
    Progress,
    Risk,
    Sighting,
    View,
    script_of,
)
from agentroute.runtime import watch
from agentroute.testing.fakes import fake_compensator, fake_tool
from agentroute.testing.faults import Fault
from agentroute.testing.world import World
from tests.laboratory import bench, experiment, in_virtual_time

REFUND = [fake_tool("look_up", ["start"], ["order"], seconds=0.1), fake_tool("refund", ["order"], ["receipt"])]
GOALS = {"refunded": ["receipt"], "looked-up": ["order"]}


def large(value: object) -> bool:
    return "order" in str(value)


# -------------------------------------------------------------------- risk


def test_a_risk_stops_the_run_before_the_next_call_and_hands_it_over_without_a_model() -> None:
    monitors = [Risk("large", of="order", when=large)]
    done = experiment(REFUND, GOALS, monitors=monitors, escalate="some-model")
    assert (done.result.outcome, done.result.llm_calls) == ("escalated", 0)
    assert done.called() == ["look_up"]
    (signal,) = done.of(Signalled)
    assert (signal.kind, signal.stops, signal.reason) == ("risk", True, "order is a risk (large)")
    (chosen,) = done.of(Chosen)
    assert (chosen.choice, chosen.by) == ("hand-over", "only-option")
    assert "order is a risk" in done.result.reason


def test_a_risk_that_is_not_there_changes_nothing() -> None:
    monitors = [Risk("large", of="order", when=lambda _: False)]
    assert experiment(REFUND, GOALS, monitors=monitors).story() == experiment(REFUND, GOALS).story()


def test_a_risk_that_cannot_be_judged_is_not_waved_through() -> None:
    def broken(_: object) -> bool:
        raise KeyError("amount")

    done = experiment(REFUND, GOALS, monitors=[Risk("large", of="order", when=broken)])
    assert done.result.outcome == "escalated"
    assert "cannot be said: KeyError" in done.of(Signalled)[0].reason


def test_values_are_not_in_what_a_monitor_says() -> None:
    done = experiment(REFUND, GOALS, monitors=[Risk("large", of="order", when=large)])
    value = done.result.artifacts["order"]
    assert not any(value in str(event) for event in (*done.of(Signalled), *done.of(Chosen)))


def test_what_was_done_by_then_is_undone_when_the_case_is_handed_over() -> None:
    world = World()
    hold = fake_tool("hold", ["start"], ["order"], effect="once", compensate="release", world=world)
    tools = [hold, fake_tool("pay", ["order"], ["receipt"]), fake_compensator(hold)]
    done = experiment(tools, GOALS, monitors=[Risk("large", of="order", when=large)], world=world)
    assert done.called() == ["hold", "release"]


@in_virtual_time
async def test_a_person_who_is_asked_can_let_the_run_go_on() -> None:
    tried = bench(REFUND, GOALS, monitors=[Risk("large", of="order", when=large)], escalate="human")
    asked = await tried.run()
    assert asked.result.suspended
    (suspended,) = asked.of(Suspended)
    assert [option.choice for option in suspended.menu] == ["refunded", "looked-up", "hand-over"]
    done = await tried.outcome(await tried.agent.resume("run", "refunded"))
    assert (done.result.outcome, done.result.goal) == ("succeeded", "refunded")
    assert len(done.of(Signalled)) == 1, "it has been answered"


@in_virtual_time
async def test_a_person_who_is_asked_can_take_the_case() -> None:
    tried = bench(REFUND, GOALS, monitors=[Risk("large", of="order", when=large)], escalate="human")
    await tried.run()
    done = await tried.outcome(await tried.agent.resume("run", "hand-over"))
    assert done.result.outcome == "escalated"
    assert done.called() == ["look_up"]


def test_of_several_alarms_the_one_of_highest_priority_is_told() -> None:
    rule = IntentRule("anything", stop=True)
    monitors = [Intent("a", of="start", rules=[rule]), Risk("b", of="start", when=lambda _: True)]
    for order in (monitors, monitors[::-1]):
        done = experiment(REFUND, GOALS, monitors=order)
        assert done.of(Chosen)[0].reason == "stopped by a monitor: start is a risk (b)"


@dataclass(frozen=True)
class StopsAt:
    """Stops a run that was given a start at a moment, whatever it is doing."""

    at: float
    name: str = "stop"
    kind: SignalKind = "risk"

    def look(self, view: View, now: float) -> Iterable[Sighting]:
        return [Sighting("enough", stops=True)] if now >= self.at and "start" in view.artifacts else []

    def look_again_at(self, view: View, now: float) -> float | None:
        return self.at if now < self.at else None


@pytest.mark.parametrize("effect", ["read", "once"])
def test_what_stands_in_line_when_a_run_is_stopped_is_not_called_when_its_turn_comes(effect: Effect) -> None:
    @in_virtual_time
    async def main() -> None:
        tools = [
            fake_tool("hold", ["key"], ["held"], seconds=20.0),
            fake_tool("pay", ["start"], ["paid"], effect=effect),
        ]
        goals = {"paid": ["paid"], "held": ["held"]}
        tried = bench(tools, goals, monitors=[StopsAt(1.0)], max_concurrency=1, budget=Budget(usd=1.0))
        async with anyio.create_task_group() as runs:
            runs.start_soon(lambda: tried.agent.run(goal="held", inputs={"key": "given"}))
            await anyio.sleep(0.1)
            await tried.run("risky")
            assert anyio.current_time() < 2.0
        done = await tried.outcome(await tried.agent.result("risky"))
        assert "pay" not in done.called()
        assert (done.result.outcome, done.result.left_behind) == ("escalated", [])
        assert [event.called for event in done.of(AttemptAbandoned)] == [False]

    main()


@in_virtual_time
async def test_a_run_does_not_spin_in_the_last_rounding_error_before_a_monitor_wants_to_look_again() -> None:
    """0.1 + 0.7 - 0.7 is less than 0.1: what is to be seen at 0.1 s is not there yet."""
    tried = bench([fake_tool("work", ["start"], ["done"], seconds=1.0)], {"done": ["done"]}, monitors=[StopsAt(0.1)])
    await anyio.sleep(0.7)
    done = await tried.run()
    assert done.result.outcome == "escalated"
    assert done.of(Signalled)[0].at == pytest.approx(0.1, abs=1e-5)


PAID = {"paid": ["score", "paid"]}
RISKY = [Risk("bad", of="score", when=lambda _: True)]


def paying(world: World) -> list[Tool]:
    """A payment that takes longer than the check whether it should be made, and cannot be cut off."""
    pay = fake_tool("pay", ["start"], ["paid"], seconds=3.0, effect="once", compensate="refund", world=world)
    return [fake_tool("score", ["start"], ["score"], seconds=1.0, world=world), pay, fake_compensator(pay)]


def test_a_goal_that_is_reached_by_what_was_under_way_when_the_run_was_stopped_is_no_success_by_itself() -> None:
    world = World()
    done = experiment(paying(world), PAID, monitors=RISKY, world=world)
    assert sorted(done.called()) == ["pay", "refund", "score"]
    assert (done.result.outcome, done.result.left_behind) == ("escalated", [])
    assert "stopped by a monitor: score is a risk (bad)" in done.result.reason


@pytest.mark.parametrize(("choice", "outcome", "undone"), [("paid", "succeeded", 0), ("hand-over", "escalated", 1)])
def test_a_person_decides_whether_a_goal_that_was_reached_after_an_alarm_stands(
    choice: str, outcome: str, undone: int
) -> None:
    @in_virtual_time
    async def main() -> None:
        world = World()
        tried = bench(paying(world), PAID, monitors=RISKY, world=world, escalate="human")
        asked = await tried.run()
        (suspended,) = asked.of(Suspended)
        assert [option.choice for option in suspended.menu] == ["paid", "hand-over"]
        assert sorted(asked.called()) == ["pay", "score"]
        done = await tried.outcome(await tried.agent.resume("run", choice))
        assert (done.result.outcome, done.called().count("refund")) == (outcome, undone)
        assert len(done.of(Signalled)) == 1

    main()


def test_a_risk_that_the_very_last_step_brings_is_seen() -> None:
    done = experiment(
        [fake_tool("look_up", ["start"], ["order"])],
        {"known": ["order"]},
        monitors=[Risk("large", of="order", when=large)],
    )
    assert done.result.outcome == "escalated"
    assert "order is a risk" in done.result.reason


def test_what_monitors_see_at_the_very_end_without_stopping_the_run_is_not_told() -> None:
    intent = Intent("about", of="order", rules=[])
    done = experiment([fake_tool("look_up", ["start"], ["order"])], {"known": ["order"]}, monitors=[intent])
    assert (done.result.outcome, done.of(Signalled)) == ("succeeded", [])


# -------------------------------------------------------------------- intent

WAYS = [fake_tool("quick", ["start"], ["answer"], usd=0.01), fake_tool("thorough", ["start"], ["answer"], usd=0.05)]
RULES = [
    IntentRule("complaint", pattern=r"\bcomplain", prefer=["thorough"]),
    IntentRule("russian", script="cyrillic", prefer=["thorough"]),
    IntentRule("essay", longer_than=500, avoid=["quick"]),
    IntentRule("empty", shorter_than=2, stop=True),
    IntentRule("greeting", pattern="^hello"),
]


@pytest.mark.parametrize(
    ("text", "intent", "route"),
    [
        ("I want to COMPLAIN about it", "complaint", ["thorough"]),
        ("Здравствуйте, где мой заказ?", "russian", ["thorough"]),
        ("word " * 200, "essay", ["thorough"]),
        ("", "empty", []),
        ("hello there", "greeting", ["quick"]),
        ("what is the weather", "unknown", ["quick"]),
    ],
)
def test_an_intent_changes_what_tools_weigh(text: str, intent: str, route: list[str]) -> None:
    done = experiment(
        WAYS, {"answered": ["answer"]}, inputs={"start": text}, monitors=[Intent("what", of="start", rules=RULES)]
    )
    assert done.result.route == route
    assert [signal.reason for signal in done.of(Signalled)] == [f"start is about: {intent}"]


def test_unknown_is_a_signal_too() -> None:
    careful = IntentRule("unknown", avoid=["quick"])
    monitors = [Intent("what", of="start", rules=[], unknown=careful)]
    assert experiment(WAYS, {"answered": ["answer"]}, monitors=monitors).result.route == ["thorough"]


def test_a_text_that_cannot_be_read_is_unknown() -> None:
    def broken(_: object) -> str:
        raise AttributeError

    careful = IntentRule("unknown", avoid=["quick"])
    monitors = [Intent("what", of="start", rules=RULES, unknown=careful, text=broken)]
    assert experiment(WAYS, {"answered": ["answer"]}, monitors=monitors).result.route == ["thorough"]


def test_the_outage_of_a_tool_outranks_an_intent_that_speaks_for_it() -> None:
    down = HealthSignal("thorough", "outage", "status page", factor=10.0)

    @in_virtual_time
    async def main() -> None:
        monitors = [Intent("what", of="start", rules=RULES), Says([down])]
        tried = bench(WAYS, {"answered": ["answer"]}, monitors=monitors)
        async with tried.agent:
            await anyio.sleep(0.1)
            done = await tried.run(inputs={"start": "I complain"})
        assert done.result.route == ["quick"]
        weighed = {str(factors.tool): factors for factors in done.of(RouteChosen)[0].weighed}
        assert weighed["thorough"].monitor == "status page"

    main()


def test_scripts_are_told_apart() -> None:
    assert [script_of(text) for text in ("abc", "да", "東京", "١٢٣ سلام", "123 !?", "")] == [
        "latin",
        "cyrillic",
        "cjk",
        "arabic",
        "",
        "",
    ]


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(DefinitionError, match="intent 'x': pattern cannot be read"):
        IntentRule("x", pattern="(")


# -------------------------------------------------------------------- progress and burn


def test_a_step_that_is_stuck_is_told_while_it_is() -> None:
    tools = [fake_tool("slow", ["start"], ["a"], latency_s=0.2)]
    done = experiment(
        tools,
        {"all": ["a"]},
        faults=[Fault(type="latency", target="slow", latency_s=3.0)],
        monitors=[Progress()],
    )
    (signal,) = done.of(Signalled)
    assert (signal.at, signal.kind) == (1.0, "progress")
    assert signal.reason == "slow has taken 1 s, where four of five calls take 0.2 s"
    assert done.result.outcome == "succeeded"


def test_what_nobody_knows_the_time_of_is_never_stuck() -> None:
    tools = [fake_tool("slow", ["start"], ["a"])]
    faults = [Fault(type="latency", target="slow", latency_s=3.0)]
    assert not experiment(tools, {"all": ["a"]}, faults=faults, monitors=[Progress()]).of(Signalled)


def test_most_of_the_time_and_most_of_the_money_are_told() -> None:
    tools = [
        fake_tool("first", ["start"], ["a"], usd=0.04, seconds=1.0),
        fake_tool("second", ["a"], ["b"], usd=0.05, seconds=8.0),
    ]
    done = experiment(
        tools,
        {"all": ["b"]},
        budget=Budget(usd=0.1, deadline_s=10.0),
        monitors=[Burn("budget"), Burn("deadline")],
    )
    told = [(signal.at, signal.monitor, signal.reason) for signal in done.of(Signalled)]
    assert told == [
        (1.0, "budget burn", "0.090000 of 0.100000 USD are spent or reserved"),
        (8.0, "deadline burn", "8 of 10 s are over"),
    ]


@pytest.mark.parametrize(
    "make",
    [lambda: Burn("risk"), lambda: Burn(share=1.5), lambda: Progress(times=0.5)],
    ids=["risk", "share", "times"],
)
def test_monitors_that_make_no_sense_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(DefinitionError):
        make()


# -------------------------------------------------------------------- monitors that are broken, or heard by nobody


@dataclass
class Odd:
    """A monitor of runs that does what it is told, each time it looks."""

    do: Callable[[int], Iterable[Sighting]]
    kind: SignalKind = "progress"
    name: str = "odd"
    again: Callable[[float], float] = lambda now: now / 0.0
    looks: int = 0

    def look(self, view: View, now: float) -> Iterable[Sighting]:
        del view, now
        self.looks += 1
        return self.do(self.looks)

    def look_again_at(self, view: View, now: float) -> float | None:
        del view
        return self.again(now)


def fails(_: int) -> Iterable[Sighting]:
    raise KeyError("oops")


def test_a_monitor_of_runs_that_fails_takes_no_run_down() -> None:
    done = experiment(REFUND, GOALS, monitors=[Odd(fails)])
    assert done.result.outcome == "succeeded"
    assert [(signal.reason, signal.stops) for signal in done.of(Signalled)] == [("odd cannot look: KeyError", False)]


def test_a_monitor_of_risks_that_fails_stops_the_run() -> None:
    done = experiment(REFUND, GOALS, monitors=[Odd(fails, kind="risk")])
    assert (done.result.outcome, done.called()) == ("escalated", [])
    assert done.of(Chosen)[0].reason == "stopped by a monitor: odd cannot look: KeyError"


def test_a_monitor_of_runs_that_says_nonsense_changes_nothing() -> None:
    nan = Odd(lambda _: [Sighting("nan", factors={"refund": math.nan, "look_up": math.inf})])
    done = experiment(REFUND, GOALS, monitors=[nan])
    assert done.result.outcome == "succeeded"
    assert [dict(signal.factors) for signal in done.of(Signalled)] == [{"look_up": 100.0}]


def test_a_monitor_of_runs_that_always_sees_something_new_does_not_keep_the_run_from_going_on() -> None:
    chatty = Odd(lambda look: [Sighting("news", about=str(look))])
    done = experiment(REFUND, GOALS, monitors=[chatty])
    assert done.result.outcome == "succeeded"
    assert len(done.of(Signalled)) == MOST_SIGHTINGS


def test_a_risk_is_heard_however_much_was_said_before() -> None:
    def look(number: int) -> Iterable[Sighting]:
        return [Sighting("news", about=str(number), stops=number > 2 * MOST_SIGHTINGS)]

    tools = [fake_tool(f"t{step}", [f"a{step}"], [f"a{step + 1}"]) for step in range(60)]
    done = experiment(tools, {"all": ["a60"]}, inputs={"a0": "given"}, monitors=[Odd(look, kind="risk")])
    assert done.result.outcome == "escalated"
    assert done.of(Chosen)[0].reason == "stopped by a monitor: news"


@pytest.mark.parametrize(
    ("monitors", "why"),
    [
        ([Risk("large", of="ordr", when=large)], "monitor 'large': of='ordr' is no artifact of this agent"),
        ([Intent("what", of="strat", rules=[])], "monitor 'what': of='strat' is no artifact"),
        (
            [Intent("what", of="start", rules=[IntentRule("x", avoid=["re-fund"])])],
            "rule 'x' names 're-fund'",
        ),
        ([Probes({"refnd": lambda: True})], "probe: probes 'refnd', which is no tool and no provider"),
        ([Risk("large", of="order", when=large)] * 2, "monitor 'large': two monitors have this name"),
        ([Odd(fails, kind="gossip")], "monitor 'odd': kind must be one of outage, risk,"),  # pyright: ignore[reportArgumentType]
        ([object()], "is no monitor: those of tools have `name` and `watch`"),
    ],
)
def test_what_nobody_would_ever_hear_of_is_refused(monitors: list[Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(why)):
        experiment(REFUND, GOALS, monitors=monitors)
    with pytest.raises(DefinitionError, match=re.escape(why)):
        in_virtual_time(_twin_with(monitors))()


def _twin_with(monitors: list[Any]) -> Callable[[], Awaitable[object]]:
    async def main() -> object:
        return bench(REFUND, GOALS).agent.with_options(monitors=monitors)

    return main


def test_a_condition_that_would_have_to_be_awaited_is_refused() -> None:
    async def later(value: object) -> bool:
        return large(value)

    with pytest.raises(DefinitionError, match="monitor 'large': when= must be a plain function"):
        Risk("large", of="order", when=later)  # pyright: ignore[reportArgumentType]


def test_two_shares_of_one_limit_are_both_told() -> None:
    tools = [fake_tool("first", ["start"], ["a"], usd=0.09)]
    monitors = [Burn("budget"), Burn("budget", share=0.5)]
    done = experiment(tools, {"all": ["a"]}, budget=Budget(usd=0.1), monitors=monitors)
    assert sorted(signal.monitor for signal in done.of(Signalled)) == ["budget burn", "budget burn (0.5)"]


# -------------------------------------------------------------------- beside the runs


@dataclass
class Says:
    """A monitor that says its piece, and watches on in silence."""

    signals: list[HealthSignal]
    name: str = "says"

    async def watch(self, emit: Callable[[HealthSignal], None]) -> None:
        for signal in self.signals:
            emit(signal)
        await anyio.sleep_forever()


@dataclass
class Fails:
    """A monitor that fails each time."""

    name: str = "fails"
    starts: list[float] = field(default_factory=list[float])
    lasts_s: Sequence[float] = ()

    async def watch(self, emit: Callable[[HealthSignal], None]) -> None:
        del emit
        self.starts.append(anyio.current_time())
        await anyio.sleep(self.lasts_s[len(self.starts) - 1] if len(self.starts) <= len(self.lasts_s) else 0.5)
        raise RuntimeError("broken")


@in_virtual_time
async def test_a_monitor_that_fails_takes_nothing_down_and_is_started_again() -> None:
    broken = Fails()
    tried = bench(WAYS, {"answered": ["answer"]}, monitors=[broken])
    async with tried.agent:
        for run in range(3):
            assert (await tried.run(f"run-{run}")).result.outcome == "succeeded"
            await anyio.sleep(5.0)
    assert broken.starts == [0.0, 1.5, 4.0, 8.5]
    await anyio.sleep(100.0)
    assert len(broken.starts) == 4, "it ends with the agent"


@in_virtual_time
async def test_a_monitor_that_has_watched_for_a_while_is_started_again_soon() -> None:
    """What fails at once waits longer and longer; what has worked for more than a minute in between begins anew."""
    lasting = Fails(lasts_s=[0.0, 0.0, 0.0, 70.0, 0.0])
    tried = bench(WAYS, {"answered": ["answer"]}, monitors=[lasting])
    async with tried.agent:
        await anyio.sleep(100.0)
    assert lasting.starts[:6] == [0.0, 1.0, 3.0, 7.0, 78.0, 80.0], "a pause of 1, 2, 4, then 1 and 2 seconds"


async def awaits_what_is_cancelled() -> None:
    """As a pooled connection does whose reader was closed: on asyncio that looks like being cancelled oneself."""
    reader = asyncio.create_task(anyio.sleep_forever())
    await anyio.lowlevel.checkpoint()
    reader.cancel()
    await reader


async def ends_the_process() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize("ends", [awaits_what_is_cancelled, ends_the_process])
def test_a_monitor_that_brings_a_cancellation_or_an_exit_upon_itself_takes_nothing_down(
    ends: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE_S", 0.01)
    started, watches = anyio.Event(), Watches()
    starts = itertools.count(1)

    class Ends:
        name = "ends"

        async def watch(self, emit: Callable[[HealthSignal], None]) -> None:
            if next(starts) == 3:
                started.set()
                await anyio.sleep_forever()
            await ends()

    async def main() -> None:
        agent = Agent(name="watched", tools=WAYS, goals=[Goal("answered", ["answer"])], monitors=[Ends(), watches])
        async with agent:
            with anyio.fail_after(5.0):
                await started.wait()
            assert watches.now == 1, "the other one has gone on"
            assert (await agent.run(inputs={"start": "given"})).outcome == "succeeded"
        assert watches.now == 0, "to leave is a cancellation that was meant"

    anyio.run(main)
    assert sum("monitor ends failed" in record.getMessage() for record in caplog.records) == 2


def test_monitors_do_not_keep_a_process_from_ending_that_nobody_left_in_order(caplog: pytest.LogCaptureFixture) -> None:
    """What is left when the event loop ends is cancelled by it, and that is meant."""
    watches = Watches()

    async def inside() -> None:
        async with Agent(name="watched", tools=WAYS, goals=[Goal("answered", ["answer"])], monitors=[watches]):
            await anyio.sleep_forever()

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(inside())
        await anyio.wait_all_tasks_blocked()
        assert watches.now == 1
        return task

    assert asyncio.run(main()).cancelled()
    assert (watches.now, caplog.records) == (0, [])


def test_a_monitor_that_speaks_of_what_there_is_not_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def main() -> None:
        slip = HealthSignal("qiuck", "outage", "page", factor=10.0)
        tried = bench(WAYS, {"answered": ["answer"]}, monitors=[Says([slip, slip])])
        async with tried.agent:
            await anyio.sleep(0.1)

    main()
    told = [record.getMessage() for record in caplog.records if record.name == "agentroute.monitors"]
    assert told == ["monitor page speaks of 'qiuck', which is no tool and no provider"]


@in_virtual_time
async def test_runs_outside_of_the_agents_block_are_watched_as_long_as_they_last() -> None:
    down = HealthSignal("quick", "outage", "status page", factor=10.0)
    says = Says([down])
    tools = [fake_tool("before", ["start"], ["now"], seconds=0.1), *[_after(tool) for tool in ("quick", "thorough")]]
    tried = bench(tools, {"answered": ["answer"]}, monitors=[says])
    assert (await tried.run()).result.route == ["before", "thorough"]


def _after(name: str) -> Any:
    return fake_tool(name, ["now"], ["answer"], usd={"quick": 0.01, "thorough": 0.05}[name])


@in_virtual_time
async def test_an_error_out_of_a_block_with_monitors_is_the_error_itself() -> None:
    tried = bench(WAYS, {"answered": ["answer"]}, monitors=[Says([])])
    with pytest.raises(ZeroDivisionError):
        async with tried.agent:
            raise ZeroDivisionError


@in_virtual_time
async def test_cancelling_what_is_inside_ends_the_monitors_too() -> None:
    broken = Fails()
    tried = bench(WAYS, {"answered": ["answer"]}, monitors=[broken])
    with anyio.move_on_after(3.0):
        async with tried.agent:
            await anyio.sleep_forever()
    assert anyio.current_time() == 3.0
    assert broken.starts == [0.0, 1.5]


@dataclass
class Watches:
    """A monitor that says whether it watches, and how many of it do."""

    name: str = "watches"
    now: int = 0

    async def watch(self, emit: Callable[[HealthSignal], None]) -> None:
        del emit
        self.now += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.now -= 1


@in_virtual_time
async def test_runs_at_the_same_time_are_all_watched_to_their_ends_by_one_monitor() -> None:
    watches, seen = Watches(), list[int]()
    tools = [fake_tool(f"t{seconds}", [f"a{seconds}"], [f"b{seconds}"], seconds=seconds) for seconds in (1, 5, 3)]
    tried = bench(tools, {f"g{seconds}": [f"b{seconds}"] for seconds in (1, 5, 3)}, monitors=[watches])
    async with anyio.create_task_group() as runs:
        for seconds in (1, 5, 3):
            arguments = {"goal": f"g{seconds}", "inputs": {f"a{seconds}": "given"}}
            runs.start_soon(partial(tried.run, f"run-{seconds}", **arguments))
        for _ in range(6):
            await anyio.sleep(0.9)
            seen.append(watches.now)
    assert seen == [1, 1, 1, 1, 1, 0], "the last run is over at 5 s"


@in_virtual_time
async def test_who_enters_an_agent_first_may_leave_it_first() -> None:
    watches = Watches()
    tried = bench(WAYS, {"answered": ["answer"]}, monitors=[watches])

    async def inside(seconds: float) -> None:
        async with tried.agent, tried.agent:
            await anyio.sleep(seconds)

    async with anyio.create_task_group() as tasks:
        for seconds in (1.0, 3.0, 2.0):
            tasks.start_soon(inside, seconds)
        for _ in range(2):
            await anyio.sleep(1.4)
            assert watches.now == 1
    assert watches.now == 0


# -------------------------------------------------------------------- probes


def answers(*given: object) -> Callable[[], Any]:
    """A probe that gives these answers in turn, and then the last one again and again."""
    rest: Iterator[object] = iter(given)
    latest: list[object] = [None]

    async def probe() -> object:
        await anyio.sleep(0.01)
        latest[0] = next(rest, latest[0])
        if isinstance(latest[0], BaseException):
            raise latest[0]
        return latest[0]

    return probe


@in_virtual_time
async def test_a_probe_that_fails_makes_runs_take_a_detour_until_it_works_again() -> None:
    probes = Probes({"quick": answers(OSError("no"), OSError("no"), None)}, every_s=10.0)
    tried = bench(WAYS, {"answered": ["answer"]}, monitors=[probes])
    routes: list[str] = []
    async with tried.agent:
        await anyio.sleep(0.5)
        for run in range(5):
            done = await tried.run(f"run-{run}")
            routes += done.result.route
            await anyio.sleep(10.0)
    assert routes[0] == "thorough"
    assert routes[-1] == "quick"
    assert sum(one != other for one, other in itertools.pairwise(routes)) == 1


@pytest.mark.parametrize(
    ("monitors", "route"),
    [
        ([Intent("what", of="start", rules=RULES)], ["thorough"]),
        ([Says([HealthSignal("quick", "rate-limit", "status page", factor=50.0)])], ["thorough"]),
        ([], ["quick"]),
    ],
)
def test_a_probe_that_finds_a_tool_well_does_not_silence_others(monitors: list[Any], route: list[str]) -> None:
    @in_virtual_time
    async def main() -> None:
        tried = bench(WAYS, {"answered": ["answer"]}, monitors=[Probes({"quick": answers(True)}), *monitors])
        async with tried.agent:
            await anyio.sleep(0.1)
            done = await tried.run(inputs={"start": "word " * 200})
        assert done.result.route == route

    main()


@pytest.mark.parametrize("probe", [awaits_what_is_cancelled, ends_the_process])
def test_a_probe_that_brings_a_cancellation_or_an_exit_upon_itself_is_one_that_fails(
    probe: Callable[[], Awaitable[None]],
) -> None:
    async def main() -> None:
        probes, heard, both = Probes({"quick": probe, "thorough": answers(True)}), dict[str, float](), anyio.Event()

        def hear(signal: HealthSignal) -> None:
            heard[signal.subject] = signal.factor
            if len(heard) == 2:
                both.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(probes.watch, hear)
            with anyio.fail_after(5.0):
                await both.wait()
            tasks.cancel_scope.cancel()
        assert heard == {"quick": 10.0, "thorough": 1.0}, "the others are probed all the same"

    anyio.run(main)


@in_virtual_time
async def test_a_probe_that_hangs_is_a_probe_that_fails() -> None:
    probes = Probes({"quick": anyio.sleep_forever}, every_s=10.0, timeout_s=1.0)
    tried = bench(WAYS, {"answered": ["answer"]}, monitors=[probes])
    async with tried.agent:
        await anyio.sleep(1.5)
        done = await tried.run()
    assert done.result.route == ["thorough"]
    weighed = {str(factors.tool): factors for factors in done.of(RouteChosen)[0].weighed}
    assert weighed["quick"].monitor == "probe: no answer within 1 s"
    assert weighed["quick"].age_s == pytest.approx(1.5)


@in_virtual_time
async def test_what_a_dead_monitor_said_last_counts_for_nothing_after_a_while() -> None:
    last_words = Says([HealthSignal("quick", "outage", "probe", factor=10.0, fresh_s=60.0)])
    tried = bench(WAYS, {"answered": ["answer"]}, monitors=[last_words])
    routes: list[list[str]] = []
    async with tried.agent:
        for run in range(3):
            await anyio.sleep(15.0)
            routes.append((await tried.run(f"run-{run}")).result.route)
    assert routes == [["thorough"], ["thorough"], ["quick"]], "x10 until 30 s, and faded to x3.2 by 45 s"


@in_virtual_time
async def test_a_bad_probe_is_no_outage() -> None:
    probes = Probes({"quick": answers(False)}, every_s=1.0)
    tried = bench(WAYS[:1], {"answered": ["answer"]}, monitors=[probes])
    async with tried.agent:
        await anyio.sleep(5.0)
        assert (await tried.run()).result.outcome == "succeeded", "it is the only way, and it works"


def test_a_tools_own_probe_is_asked() -> None:
    asked: list[float] = []

    @in_virtual_time
    async def main() -> None:
        async def probe() -> bool:
            asked.append(anyio.current_time())
            return False

        @tool(effect="read", usd=0.01, probe=probe)
        async def quick(start: Annotated[str, Artifact("start")]) -> Annotated[str, Artifact("answer")]:
            return start

        @tool(effect="read", usd=0.05)
        async def thorough(start: Annotated[str, Artifact("start")]) -> Annotated[str, Artifact("answer")]:
            return start

        tried = bench([thorough, quick], {"answered": ["answer"]})
        async with tried.agent:
            await anyio.sleep(60.0)
            done = await tried.run()
        assert done.result.route == ["thorough"]

    main()
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert len(asked) > 3
    assert all(5.0 <= gap <= 15.0 for gap in gaps)
    assert len(set(gaps)) == len(gaps), "with jitter"


@in_virtual_time
async def test_many_short_runs_do_not_make_many_probes() -> None:
    asked: list[float] = []

    async def probe() -> None:
        asked.append(anyio.current_time())

    tools = [fake_tool("quick", ["start"], ["answer"], seconds=0.2)]
    tried = bench(tools, {"answered": ["answer"]}, monitors=[Probes({"quick": probe}, every_s=10.0)])
    for run in range(60):
        await tried.run(f"run-{run}")
        await anyio.sleep(1.0)
    assert 3 <= len(asked) <= 14


def test_a_probe_without_an_interval_is_refused() -> None:
    with pytest.raises(DefinitionError, match="every_s must be above 0"):
        Probes({}, every_s=0.0)


def test_the_loop_stays_as_it_was_without_monitors() -> None:
    assert [type(e) for e in experiment(REFUND, GOALS).of(AttemptStarted)] == [AttemptStarted] * 2
