"""Hedged calls: what takes too long is not waited for where another way pays."""

import math
from typing import Any

import anyio
import pytest

from agentroute.errors import DefinitionError
from agentroute.graph.cost import Rates
from agentroute.guard.budget import Budget
from agentroute.ids import RunId
from agentroute.routing.health import Health
from agentroute.run.events import AttemptAbandoned, AttemptStarted, Hedged, Rerouted, RouteChosen
from agentroute.testing.fakes import After, fake_tool
from agentroute.testing.faults import Fault
from tests.laboratory import Bench, Experiment, bench, experiment, in_virtual_time

SEARCH = fake_tool("search", ["start"], ["found"], usd=0.01, seconds=0.1, latency_s=0.1, timeout_s=10)
BACKUP = fake_tool("backup", ["start"], ["found"], usd=0.011, seconds=0.1, latency_s=0.1, timeout_s=10)
WRITE = fake_tool("write", ["found"], ["written"], usd=0.01, seconds=0.1, latency_s=0.1, timeout_s=10)
GOALS = {"written": ["written"]}
HURRY = Budget(deadline_s=10.0)
OK = After(0.1, "ok")
HANG = Fault(type="timeout", target="search", attempts=(1, 1))


async def warmed(tried: Bench) -> Bench:
    """Make a run, so that it is known how long calls take."""
    await tried.run("warm-up")
    return tried


def shown(done: Experiment) -> tuple[str, float]:
    return done.result.outcome, round(done.result.duration_s, 3)


# -------------------------------------------------------------------- when it pays


@in_virtual_time
async def test_a_read_that_hangs_is_gone_round_before_the_deadline_is_lost() -> None:
    tried = await warmed(bench([SEARCH, BACKUP, WRITE], GOALS, scripts={"search": [OK, After(math.inf)]}, budget=HURRY))
    done = await tried.run("second")
    (hedge,) = done.of(Hedged)
    assert (hedge.tool, hedge.before, hedge.after) == ("search", ("search", "write"), ("backup", "write"))
    assert hedge.reason == "no answer in 0.50 s; to wait for it could cost the deadline"
    assert shown(done) == ("succeeded", 0.7)
    assert list(done.result.route) == ["backup", "write"]
    assert [(event.tool, event.called) for event in done.of(AttemptAbandoned)] == [("search", True)]


@in_virtual_time
async def test_without_hedging_the_same_run_loses_its_deadline() -> None:
    tried = bench(
        [SEARCH, BACKUP, WRITE],
        GOALS,
        scripts={"search": [OK, After(math.inf)]},
        budget=HURRY,
        health=Health(hedge=False),
    )
    done = await (await warmed(tried)).run("second")
    assert not done.of(Hedged)
    assert done.result.outcome == "escalated"


@in_virtual_time
async def test_where_time_is_worth_nothing_nothing_is_hedged() -> None:
    tried = bench([SEARCH, BACKUP, WRITE], GOALS, scripts={"search": [OK, After(3.0, "late")]})
    done = await (await warmed(tried)).run("second")
    assert not done.of(Hedged)
    assert shown(done) == ("succeeded", 3.1)


@in_virtual_time
async def test_a_deadline_far_away_is_no_reason_to_pay_twice() -> None:
    budget = Budget(deadline_s=100.0)
    tried = bench([SEARCH, BACKUP, WRITE], GOALS, scripts={"search": [OK, After(3.0, "late")]}, budget=budget)
    done = await (await warmed(tried)).run("second")
    assert not done.of(Hedged)


@pytest.mark.parametrize(("usd_per_second", "hedged_at"), [(0.001, None), (0.004, 4.0), (0.05, 0.5)])
def test_the_price_of_time_says_when_a_second_call_pays(usd_per_second: float, hedged_at: float | None) -> None:
    """It costs about a cent more: at 0.4 cents a second that is worth it after some three seconds of waiting."""

    @in_virtual_time
    async def main() -> None:
        tools = [SEARCH, fake_tool("backup", ["start"], ["found"], usd=0.02, seconds=0.1, latency_s=0.1), WRITE]
        rates = Rates(usd_per_second=usd_per_second)
        tried = bench(tools, GOALS, scripts={"search": [OK, After(8.0, "late")]}, rates=rates)
        done = await (await warmed(tried)).run("second")
        assert [round(hedge.at, 3) for hedge in done.of(Hedged)] == ([] if hedged_at is None else [hedged_at])

    main()


def test_a_call_that_nobody_knows_the_duration_of_gets_half_the_time_there_is() -> None:
    tools = [fake_tool("search", ["start"], ["found"], timeout_s=30), fake_tool("spare", ["start"], ["found"])]
    done = experiment(tools, {"found": ["found"]}, faults=[HANG], budget=HURRY)
    assert [hedge.at for hedge in done.of(Hedged)] == [5.0]
    assert shown(done) == ("succeeded", 5.0)


def test_the_first_call_may_have_to_wait_for_a_process_to_start() -> None:
    """What is declared is not held against a cold start; it gets half the time as well."""
    done = experiment([SEARCH, BACKUP, WRITE], GOALS, scripts={"search": [After(3.0, "cold")]}, budget=HURRY)
    assert not done.of(Hedged)
    assert list(done.result.route) == ["search", "write"]


# -------------------------------------------------------------------- the second call


@in_virtual_time
async def test_without_another_way_the_same_call_is_made_a_second_time() -> None:
    tried = bench([SEARCH, WRITE], GOALS, scripts={"search": [OK, After(math.inf), "second"]}, budget=HURRY)
    done = await (await warmed(tried)).run("second")
    assert [hedge.after for hedge in done.of(Hedged)] == [("search", "write")]
    assert shown(done) == ("succeeded", 0.6)
    assert done.result.artifacts["found"] == "second"
    assert [started.number for started in done.of(AttemptStarted) if started.tool == "search"] == [1, 2]


@in_virtual_time
async def test_the_first_answer_counts_and_the_other_call_is_abandoned() -> None:
    scripts = {"search": [OK, After(0.55, "overdue")], "backup": [After(5.0, "too late")]}
    tried = bench([SEARCH, BACKUP, WRITE], GOALS, scripts=scripts, budget=HURRY)
    done = await (await warmed(tried)).run("second")
    assert done.result.artifacts["found"] == "overdue"
    assert list(done.result.route) == ["search", "write"]
    assert [event.tool for event in done.of(AttemptAbandoned)] == ["backup"]
    assert done.of(RouteChosen)[-1].reason == "search answered after all"


@in_virtual_time
async def test_two_answers_at_the_same_moment_are_one_answer() -> None:
    scripts = {"search": [OK, After(0.6, "first")], "backup": [After(0.1, "second")]}
    tried = bench([SEARCH, BACKUP, WRITE], GOALS, scripts=scripts, budget=HURRY)
    done = await (await warmed(tried)).run("second")
    assert done.result.outcome == "succeeded"
    assert len([name for name in done.result.route if name in ("search", "backup")]) == 1


@in_virtual_time
async def test_when_the_second_call_fails_the_first_is_still_waited_for() -> None:
    scripts = {"search": [OK, After(0.9, "overdue")], "backup": [ConnectionError("down")] * 3}
    tried = bench([SEARCH, BACKUP, WRITE], GOALS, scripts=scripts, budget=HURRY, health=Health(max_attempts=1))
    done = await (await warmed(tried)).run("second")
    assert shown(done) == ("succeeded", 1.0)
    assert list(done.result.route) == ["search", "write"]


@in_virtual_time
async def test_when_the_first_call_fails_after_all_that_is_answered_like_any_failure() -> None:
    scripts = {"search": [OK, After(0.6, ConnectionError("down"))], "backup": [After(2.0, "good")]}
    tried = bench([SEARCH, BACKUP, WRITE], GOALS, scripts=scripts, budget=HURRY)
    done = await (await warmed(tried)).run("second")
    (reroute,) = done.of(Rerouted)
    assert (reroute.before, reroute.after) == (("search", "write"), ("backup", "write"))
    assert shown(done) == ("succeeded", 2.6)


@in_virtual_time
async def test_a_way_round_may_be_longer() -> None:
    tools = [
        SEARCH,
        fake_tool("ask", ["start"], ["hint"], usd=0.0005, seconds=0.1, latency_s=0.1),
        fake_tool("guess", ["hint"], ["found"], usd=0.0105, seconds=0.1, latency_s=0.1),
        WRITE,
    ]
    scripts = {"search": [OK, After(math.inf)]}
    done = await (await warmed(bench(tools, GOALS, scripts=scripts, budget=HURRY))).run("second")
    assert done.called()[2:] == ["search", "ask", "guess", "write"]
    assert shown(done) == ("succeeded", 0.8)


# -------------------------------------------------------------------- what is never hedged


@pytest.mark.parametrize("effect", ["idempotent", "once"])
def test_what_changes_something_is_never_called_twice_for_the_sake_of_speed(effect: Any) -> None:
    pay = fake_tool(
        "pay", ["start"], ["paid"], effect=effect, seconds=0.1, latency_s=0.1, timeout_s=10, honours_key=True
    )
    other = fake_tool("pay_too", ["start"], ["paid"], effect=effect, usd=0.1, seconds=0.1, latency_s=0.1)

    @in_virtual_time
    async def main() -> None:
        slow = Fault(type="latency", target="pay", latency_s=3.0, from_s=0.05)
        tried = await warmed(bench([pay, other], {"paid": ["paid"]}, budget=HURRY, faults=[slow]))
        done = await tried.run("second")
        assert not done.of(Hedged)
        assert done.called()[1:] == ["pay"]

    main()


@in_virtual_time
async def test_a_second_call_that_cannot_be_afforded_is_not_made() -> None:
    budget = Budget(usd=0.025, deadline_s=10.0)
    scripts = {"search": [OK, After(3.0, "late")]}
    tried = bench([SEARCH, BACKUP, WRITE], GOALS, scripts=scripts, budget=budget)
    done = await (await warmed(tried)).run("second")
    assert done.called()[2:] == ["search", "write"]


@in_virtual_time
async def test_a_way_round_that_would_have_to_be_waited_for_is_none_yet() -> None:
    """The backup is closed for two seconds: till then the call that hangs is left alone."""
    scripts, once = {"search": [OK, After(math.inf)]}, Health(max_attempts=1)
    tried = await warmed(bench([SEARCH, BACKUP, WRITE], GOALS, scripts=scripts, budget=HURRY, health=once))
    board, now = tried.agent._services.board, anyio.current_time()
    board.fail(board.begin(BACKUP.spec, now), now, rate_limited=True, retry_after_s=2.0)
    done = await tried.run("second")
    (hedge,) = done.of(Hedged)
    assert 2.0 <= hedge.at <= 4.0
    assert shown(done) == ("succeeded", round(hedge.at + 0.2, 3)), "as soon as it is chosen, it can be called"


@in_virtual_time
async def test_a_call_that_waits_for_its_turn_is_not_overdue() -> None:
    tools = [SEARCH, BACKUP, WRITE]
    tried = await warmed(bench(tools, GOALS, budget=HURRY, max_concurrency=1))
    done: list[Experiment] = []

    async def one(name: str) -> None:
        done.append(await tried.run(name))

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(one, f"run-{number}")
    assert [hedge for each in done for hedge in each.of(Hedged)] == []


# -------------------------------------------------------------------- what health learns

DEARER = fake_tool("backup", ["start"], ["found"], usd=0.02, seconds=0.1, latency_s=0.1, timeout_s=10)


@in_virtual_time
async def test_a_tool_that_hangs_is_known_to_be_down_even_if_nobody_waits_for_its_timeout() -> None:
    tried = await warmed(
        bench([SEARCH, DEARER, WRITE], GOALS, scripts={"search": [OK, *[After(math.inf)] * 50]}, budget=HURRY)
    )
    runs = [await tried.run(f"run-{number}") for number in range(6)]
    assert all(done.result.outcome == "succeeded" for done in runs)
    assert sum(len(done.of(Hedged)) for done in runs[:2]) in (2, 3)
    assert not [hedge for done in runs[2:] for hedge in done.of(Hedged)]
    assert all(list(done.result.route) == ["backup", "write"] for done in runs[2:])


@in_virtual_time
async def test_a_run_that_is_cut_off_while_two_calls_are_under_way_blames_neither() -> None:
    """Whoever asked has gone: five times over, so that five timeouts in a row would have shut the tool."""
    hangs = [OK, *[After(math.inf)] * 5]
    tried = bench([SEARCH, BACKUP, WRITE], GOALS, scripts={"search": hangs, "backup": hangs[1:]}, budget=HURRY)
    board, rates = (await warmed(tried)).agent._services.board, Rates()
    known = [board.weight(tool.spec, rates, anyio.current_time()) for tool in (SEARCH, BACKUP)]
    for number in range(5):
        with anyio.move_on_after(0.6):
            await tried.run(f"cut-off-{number}")
        facts = [record.event for record in await tried.journal.read(RunId(f"cut-off-{number}"))]
        assert [event.tool for event in facts if isinstance(event, Hedged)] == ["search"]
        assert {event.tool for event in facts if isinstance(event, AttemptAbandoned)} == {"search", "backup"}
    assert [board.weight(tool.spec, rates, anyio.current_time()) for tool in (SEARCH, BACKUP)] == known
    assert board.admits(SEARCH.spec, anyio.current_time())


@in_virtual_time
async def test_a_way_that_reaches_the_goal_otherwise_overtakes_too() -> None:
    """The call that hangs would have made what only one of two ways needs."""
    other = fake_tool("other", ["start"], ["written"], usd=0.05, seconds=0.1, latency_s=0.1, timeout_s=10)
    scripts = {"search": [OK, *[After(math.inf)] * 9]}
    tried = await warmed(bench([SEARCH, WRITE, other], GOALS, scripts=scripts, budget=Budget(deadline_s=1.0)))
    known = tried.agent._services.board.weight(SEARCH.spec, Rates(), anyio.current_time())
    done = await tried.run("second")
    assert list(done.result.route) == ["other"]
    assert tried.agent._services.board.weight(SEARCH.spec, Rates(), anyio.current_time()) > known


@in_virtual_time
async def test_a_slow_tool_that_took_no_longer_than_it_does_is_not_to_blame_when_another_was_quicker() -> None:
    """Half of the time there is was over long before its own was; the other way took what was left of it."""
    slow = fake_tool("search", ["start"], ["found"], usd=0.01, seconds=3.0, latency_s=3.0, timeout_s=10)
    budget, health = Budget(deadline_s=4.0), Health(trip_after=1)
    tried = await warmed(bench([slow, BACKUP, WRITE], GOALS, budget=budget, health=health))
    board = tried.agent._services.board
    known = board.weight(slow.spec, Rates(), anyio.current_time())
    done = await tried.run("second")
    assert [(hedge.tool, hedge.unusual) for hedge in done.of(Hedged)] == [("search", False)]
    assert [(event.tool, event.called) for event in done.of(AttemptAbandoned)] == [("search", True)]
    assert board.admits(slow.spec, anyio.current_time())
    assert board.weight(slow.spec, Rates(), anyio.current_time()) == known


@in_virtual_time
async def test_one_call_in_fifty_that_hangs_costs_a_tool_its_place_for_a_moment_at_most() -> None:
    script = [OK, *(After(math.inf) if number % 50 == 25 else OK for number in range(150))]
    tried = await warmed(bench([SEARCH, DEARER, WRITE], GOALS, scripts={"search": script}, budget=HURRY))
    runs = [await tried.run(f"run-{number}") for number in range(100)]
    assert sum(len(done.of(Hedged)) for done in runs) == 2
    assert max(done.result.duration_s for done in runs) <= 0.75
    assert sum("backup" in done.result.route for done in runs) <= 4


def test_whether_to_hedge_is_yes_or_no() -> None:
    with pytest.raises(DefinitionError, match="hedge must be True or False, not 3"):
        Health(hedge=3)  # pyright: ignore[reportArgumentType]
