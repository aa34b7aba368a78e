"""asyncio's own cancellation (`wait_for`, `timeout`, a server that ends a request) goes through anyio's shields.

Runs are cut off by it at every turn of the event loop, with journals that wait: what was called is on record, ended
once, and costs the run what it costs its quota.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agentroute.adapters.cancellation import uninterrupted
from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.adapters.outcome_log import read_outcomes
from agentroute.adapters.step_router import StepRouter
from agentroute.agent import Agent
from agentroute.graph.cost import NOTHING
from agentroute.graph.goal import Goal
from agentroute.graph.tool import StepTier
from agentroute.guard.budget import Quota
from agentroute.guard.ledger import Ledger
from agentroute.ids import RunId, dollars
from agentroute.ports import Record, is_at_once
from agentroute.run.events import AttemptStarted, Event, RunFinished
from agentroute.run.state import RunState, fold
from agentroute.testing.fakes import YieldingJournal, fake_tool
from tests.properties.money_cases import Deal, House, Settled, known_ledgers

RUNS = 3

AGAIN = (None, 0, 2, 5)
"""Turns of the event loop after which a run is cancelled once more, as impatient callers do."""


def deal(mode: str) -> Deal:
    """Runs that call each other, models and a tool, some of which behave as told; calls wait for each other."""
    return Deal(
        runs=RUNS,
        budget=(20, 500, 4, 10),
        quotas=(((30, 700, 7, 20), None), ((30, None, None, None), 60.0)),
        inner_quotas=(((20, None, None, None), None),),
        modes=(("fair",), ("fair",), (mode,), ("fair",), (mode,)),
        concurrency=1,
        seconds=0.0,
    )


def told(agent: Agent, run: RunId, records: Sequence[Record]) -> Iterator[str]:
    """What is wrong with a record: it cannot be read, is not ended, leaves attempts open."""
    try:
        state = fold(record.event for record in records)
    except Exception as error:  # noqa: BLE001  # whatever it is
        yield f"{agent.name}: the journal of {run} cannot be folded: {error!r}"
        return
    if state.in_flight:
        yield f"{agent.name}: attempts {list(state.in_flight)} of {run} have no end"
    if sum(isinstance(record.event, RunFinished) for record in records) != 1:
        yield f"{agent.name}: {run} has no end, or several"


async def books(agents: Sequence[Agent]) -> list[str]:
    """What is wrong with the journals, by themselves and next to the quotas that forget nothing."""
    found, states = list[str](), dict[str, list[RunState]]()
    for agent in agents:
        journal = agent._services.journal
        for run in await journal.runs():
            records = await journal.read(run)
            complaints = list(told(agent, run, records))
            found += complaints
            if not complaints:
                states.setdefault(agent.name, []).append(fold(record.event for record in records))
    if not found:
        for agent in agents:
            said = sum(state.spent for state in states.get(agent.name, []))
            found += [
                f"{agent.name}: the journals say {said}, the quota {quota.spent.usd}"
                for quota in agent._services.quotas
                if type(quota) is Ledger and quota.spent.usd != said
            ]
    return found


async def cut(mode: str, turns: int, again: int | None) -> tuple[bool, list[str]]:
    """Cancel the runs after so many turns; whether they were over by then, and what is wrong afterwards."""
    with known_ledgers() as ledgers:
        house = House(deal(mode))
        runs = [asyncio.create_task(house.run(number)) for number in range(RUNS)]
        for _ in range(turns):
            await asyncio.sleep(0)
        over = all(run.done() for run in runs)
        for run in runs:
            run.cancel()
        if again is not None:
            for _ in range(again):
                await asyncio.sleep(0)
            for run in runs:
                run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        settled = Settled(house.till, house.outer, house.within, house.agents, Counter(), ledgers)
        found = settled.wrong() + await books(house.agents)
        found += [f"{agent.name} has turns away" for agent in house.agents if agent._services.turns.free != 1]
    return over, found


@pytest.mark.parametrize("again", AGAIN)
@pytest.mark.parametrize("mode", ["fair", "greedy", "lost"])
def test_cut_off_at_every_turn_of_the_event_loop(mode: str, again: int | None) -> None:
    for turns in range(0, 120, 1 if again is None else 4):
        over, found = asyncio.run(cut(mode, turns, again))
        assert found == [], f"cancelled after {turns} turns"
        if over:
            assert turns > 20  # and not cut off before it began
            return


class OnDisk(MemoryJournal):
    """Takes a while before and after a fact is safe, as a store on disk does."""

    async def append(self, run: RunId, event: Event) -> None:
        await asyncio.sleep(0.002)
        await super().append(run, event)
        await asyncio.sleep(0.002)


def test_a_call_that_was_made_is_paid_for_whenever_its_run_is_cut_off() -> None:
    async def main(seconds: float) -> tuple[int, int]:
        tool = fake_tool("look", ["start"], ["a"], seconds=0.004, usd=0.02)
        agent = Agent(
            name="a", tools=[tool], goals=[Goal("g", ["a"])], journal=OnDisk(), quotas=[Quota(usd=1)], trace=False
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(agent.run(inputs={"start": "x"}, run_id="r"), seconds)
        result = await agent.result("r")
        (quota,) = agent._services.quotas
        assert quota.reserved == NOTHING
        assert result.cost_usd == dollars(quota.spent.usd)
        assert result.tool_calls == quota.spent.tool_calls
        records = await agent._services.journal.read(RunId("r"))
        assert [*told(agent, RunId("r"), records)] == []
        return result.tool_calls, sum(isinstance(record.event, AttemptStarted) for record in records)

    ends = {asyncio.run(main(0.001 * turn)) for turn in range(1, 36)}
    assert {(0, 0), (1, 1)} <= ends


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_is_uninterrupted_ends_and_only_then_is_cut_off(backend: str) -> None:
    async def main() -> None:
        done = list[str]()

        async def work() -> str:
            for part in "abc":
                await anyio.lowlevel.checkpoint()
                done.append(part)
            return "".join(done)

        assert await uninterrupted(work()) == "abc"
        done.clear()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await uninterrupted(work())
            await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert done == ["a", "b", "c"]

    anyio.run(main, backend=backend)


def test_an_error_is_told_unless_a_cancellation_comes_first() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def main() -> None:
        with pytest.raises(ValueError):  # noqa: PT011  # nothing but that
            await uninterrupted(fails())
        task = asyncio.create_task(uninterrupted(fails()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main(), debug=True)


def test_only_what_never_waits_does_without_a_task_of_its_own() -> None:
    """A journal that builds on the one in memory, and waits, is not taken for it."""
    assert is_at_once(MemoryJournal())
    assert not is_at_once(YieldingJournal())
    assert not is_at_once(OnDisk())


def test_a_timeout_around_a_run_is_told_as_one() -> None:
    """What was kept back is passed on as it was: callers see their own timeout."""

    async def main() -> Any:
        tool = fake_tool("look", ["start"], ["a"], seconds=9.0)
        agent = Agent(name="a", tools=[tool], goals=[Goal("g", ["a"])], journal=OnDisk(), trace=False)
        async with asyncio.timeout(0.005):
            await agent.run(inputs={"start": "x"})

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_what_a_run_has_taken_is_in_the_log_however_impatient_its_caller(tmp_path: Path) -> None:
    async def main() -> None:
        answers = [
            fake_tool(name, ["start"], ["a"], usd=usd, calls_model=True, tier=StepTier("a", name))
            for name, usd in (("small", 0.001), ("large", 0.01))
        ]
        agent = Agent(
            name="a",
            tools=[*answers, fake_tool("look", ["a"], ["b"], seconds=9.0)],
            goals=[Goal("g", ["b"])],
            step_router=StepRouter(log=tmp_path / "log.jsonl"),
            trace=True,
        )
        run = asyncio.create_task(agent.run(inputs={"start": "x"}, run_id="r"))
        await asyncio.sleep(0.05)
        while not run.done():
            run.cancel()
            await asyncio.sleep(0)

    asyncio.run(main())
    assert [outcome.tier for outcome in read_outcomes(tmp_path / "log.jsonl")] == ["small"]
