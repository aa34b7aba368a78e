"""Calls that wait for a turn, because as many as may be are under way: their tools are not to blame for that."""

import anyio
import pytest

from agentroute.graph.cost import Rates
from agentroute.guard.budget import Budget
from agentroute.ids import GoalId, RunId, ToolId
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health
from agentroute.run.events import AttemptAbandoned, AttemptSucceeded, Signalled
from agentroute.run.watching import Progress
from agentroute.testing.fakes import After, fake_tool, fake_verifier
from agentroute.testing.faults import Fault
from tests.laboratory import bench, in_virtual_time

GOALS = {"found": ["found"]}


@in_virtual_time
async def test_a_call_that_was_given_up_before_its_turn_came_is_no_failure_to_be_retried() -> None:
    search = fake_tool("search", ["start"], ["found"], seconds=0.1)
    hold = fake_tool("hold", ["key"], ["held"], seconds=1.0)
    tried = bench([search, hold], {**GOALS, "held": ["held"]}, max_concurrency=1)
    board = tried.agent._services.board
    async with anyio.create_task_group() as runs:
        runs.start_soon(lambda: tried.run("first", goal="held", inputs={"key": "given"}))
        await anyio.sleep(0.1)
        runs.start_soon(lambda: tried.run("second", goal="found"))
        await anyio.sleep(0.1)
        board.fail(board.begin(search.spec, 0.2), 0.2, rate_limited=True, retry_after_s=2.0)
    second = await tried.outcome(await tried.agent.result("second"))
    assert [event.called for event in second.of(AttemptAbandoned)] == [False]
    assert second.called().count("search") == 1
    (_, standing) = next(each for each in board.standings() if each[0].name == "search")
    assert standing.retries.tokens == board.settings.retry_reserve


@pytest.mark.parametrize("limit", [1, 4])
def test_a_crowd_that_waits_for_its_turns_does_not_make_a_healthy_tool_look_bad(limit: int) -> None:
    """A hundred runs at once: those that wait are not under way, and so they are not overdue."""

    @in_virtual_time
    async def main() -> None:
        search = fake_tool("search", ["start"], ["found"], usd=0.01, seconds=0.1, latency_s=0.1)
        tried = bench([search], GOALS, max_concurrency=limit)
        board, weights = tried.agent._services.board, set[int]()
        await tried.run("warm-up")
        async with anyio.create_task_group() as runs:
            for number in range(100):
                runs.start_soon(tried.run, f"run-{number}")
            for _ in range(20):
                await anyio.sleep(0.1)
                weights.add(board.weight(search.spec, Rates(), anyio.current_time()))
        assert weights == {10_000_000}

    main()


def test_a_call_that_waits_for_its_turn_has_its_place_with_the_tool_all_the_same() -> None:
    tool = fake_tool("search", ["start"], ["found"]).spec
    board = HealthBoard(Health())
    waiting, made = board.begin(tool, 0.0), board.begin(tool, 0.0)
    board.queued(waiting)
    (_, standing) = next(iter(board.standings()))
    standing.room.crowded(2, 0.0)
    standing.changed()
    assert not board.admits(tool, 0.0)
    board.forget(board.delayed(waiting, 0.0))
    assert board.admits(tool, 0.0)
    queued = board.begin(tool, 0.0)
    board.queued(queued)
    board.forget(queued)
    board.succeed(made, 0.0)
    assert (standing.flying, standing.queued) == ({}, set())


@in_virtual_time
async def test_what_a_call_waited_for_its_turn_is_neither_learned_nor_taken_for_being_stuck() -> None:
    search = fake_tool("search", ["start"], ["found"], seconds=0.1, latency_s=0.1)
    tried = bench([search], GOALS, max_concurrency=1, monitors=[Progress()])
    async with anyio.create_task_group() as runs:
        for number in range(20):
            runs.start_soon(tried.run, f"run-{number}")
    facts = [record.event for number in range(20) for record in await tried.journal.read(RunId(f"run-{number}"))]
    waits = sorted(round(event.waited_s, 3) for event in facts if isinstance(event, AttemptSucceeded))
    assert waits == pytest.approx([0.1 * place for place in range(20)])
    assert not [event for event in facts if isinstance(event, Signalled)]
    known = (await tried.agent.learned()).expected([search.spec], [GoalId("found")])[GoalId("found")][ToolId("search")]
    assert known.slow_s == pytest.approx(0.1, rel=0.1)


@in_virtual_time
async def test_a_call_that_is_stuck_after_its_turn_came_is_told() -> None:
    search = fake_tool("search", ["start"], ["found"], seconds=0.1, latency_s=0.1)
    scripts = {"search": [After(3.0, "long"), After(2.0, "stuck")]}
    tried = bench([search], GOALS, scripts=scripts, max_concurrency=1, monitors=[Progress(times=10.0)])
    async with anyio.create_task_group() as runs:
        for number in range(2):
            runs.start_soon(tried.run, f"run-{number}")
    second = await tried.outcome(await tried.agent.result("run-1"))
    (signal,) = second.of(Signalled)
    assert 4.0 <= signal.at <= 5.0, "it was made at 3 s"


CHAIN = [
    fake_tool("one", ["start"], ["half"], seconds=0.1, latency_s=0.1),
    fake_tool("two", ["half"], ["whole"], seconds=0.1, latency_s=0.1),
]


@in_virtual_time
async def test_under_overload_runs_that_have_begun_finish_before_others_begin() -> None:
    """A thousand runs of two calls, five seconds, sixteen at a time: first come, first served, none would finish."""
    tried = bench(CHAIN, {"whole": ["whole"]}, budget=Budget(deadline_s=5.0), max_concurrency=16, yields=False)
    outcomes: list[str] = []

    async def run(number: int) -> None:
        outcomes.append((await tried.agent.run(run_id=f"run-{number}", inputs={"start": "x"})).outcome)

    async with anyio.create_task_group() as runs:
        for number in range(1_000):
            runs.start_soon(run, number)
    assert 390 <= outcomes.count("succeeded") <= 16 / 0.1 * 5 / 2
    assert len(tried.injector.seen) <= 16 / 0.1 * 5


@in_virtual_time
async def test_what_looks_into_an_effect_comes_before_every_step() -> None:
    book = fake_tool("book", ["start"], ["booking"], effect="once", verify="find", seconds=0.1)
    tools = [book, fake_verifier(book), *CHAIN]
    lost = Fault(type="ack_lost", target="book", attempts=(1, 1))
    tried = bench(tools, {"booking": ["booking"], "whole": ["whole"]}, faults=[lost], max_concurrency=1)
    async with anyio.create_task_group() as runs:
        runs.start_soon(lambda: tried.run("booking"))
        await anyio.sleep(0.01)
        for number in range(5):
            runs.start_soon(lambda number=number: tried.run(f"run-{number}", goal="whole"))
    assert [seen.tool for seen in tried.injector.seen][:3] == ["book", "one", "find"], "as soon as it stood in line"


@in_virtual_time
async def test_a_run_whose_turn_would_come_too_late_for_the_rest_goes_elsewhere_while_there_is_time() -> None:
    """It has a second, and two calls of 0.3 s; the only place is taken for 0.8 s."""
    chain = [
        fake_tool("one", ["start"], ["half"], seconds=0.3, latency_s=0.3),
        fake_tool("two", ["half"], ["whole"], seconds=0.3, latency_s=0.3),
        fake_tool("less", ["start"], ["little"], seconds=0.1, latency_s=0.1),
        fake_tool("hold", ["key"], ["held"], seconds=0.8),
    ]
    goals = {"whole": ["whole"], "little": ["little"], "held": ["held"]}
    tried = bench(chain, goals, max_concurrency=1, budget=Budget(deadline_s=1.0))
    async with anyio.create_task_group() as runs:
        runs.start_soon(lambda: tried.run("first", goal="held", inputs={"key": "given"}))
        await anyio.sleep(0.01)
        runs.start_soon(lambda: tried.run("second"))
    second = await tried.outcome(await tried.agent.result("second"))
    assert (second.result.outcome, second.called().count("one")) == ("demoted", 0)
    assert [(each.called, each.at) for each in second.of(AttemptAbandoned)] == [(False, pytest.approx(0.4, abs=0.01))]


def test_a_call_that_stood_in_line_while_its_tool_came_back_tells_of_the_tool_as_it_is() -> None:
    spec = fake_tool("search", ["start"], ["found"]).spec
    board = HealthBoard(Health(trip_after=1, cool_down_s=1.0))
    board.fail(board.begin(spec, 0.0), 0.0)
    assert not board.admits(spec, 0.5)
    probe = board.begin(spec, 1.0)
    waiting = board.begin(spec, 2.5)  # the probe is not waited for any longer
    board.queued(waiting)
    board.succeed(probe, 2.6)
    assert board.admits(spec, 2.6)
    board.fail(board.delayed(waiting, 2.7), 2.8)
    assert not board.admits(spec, 2.8)
