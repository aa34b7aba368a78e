"""A run can be cut off at any moment: one terminal event, no attempt left open, no effect forgotten."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import math
from collections.abc import Callable, Sequence

import anyio
import pytest

from agentroute.agent import Agent
from agentroute.errors import UnknownRunError
from agentroute.graph.goal import Goal
from agentroute.guard.budget import Budget
from agentroute.ids import RunId
from agentroute.ports import Record, Tool
from agentroute.run.events import AttemptAbandoned, AttemptFailed, AttemptStarted, RunFinished
from agentroute.runtime.services import DirectCalls
from agentroute.testing.fakes import YieldingJournal, fake_compensator, fake_tool, fake_verifier
from agentroute.testing.faults import Fault, FaultyCalls
from agentroute.testing.invariants import Case, check_run
from agentroute.testing.virtual_time import VirtualClock, run_virtual
from agentroute.testing.world import World


def trip(world: World) -> list[Tool]:
    """Parallel steps, a join, an effect to verify, one to undo: every await of the loop is passed."""
    book = fake_tool(
        "book", ["found"], ["booking"], world=world, effect="once", usd=0.01, verify="find", compensate="undo"
    )
    pack = fake_tool(
        "pack", ["booking", "sky"], ["bag"], world=world, effect="idempotent", usd=0.01, compensate="unpack"
    )
    return [
        fake_tool("search", ["start"], ["found"], world=world, usd=0.01),
        fake_tool("weather", ["start"], ["sky"], world=world, usd=0.01),
        book,
        fake_verifier(book),
        fake_compensator(book),
        pack,
        fake_compensator(pack),
        fake_tool("leave", ["bag"], ["gone"], world=world, usd=0.01),
    ]


TROUBLE = (
    Fault(type="error", target="search", status=500, attempts=(1, 1)),
    Fault(type="ack_lost", target="book", attempts=(1, 1)),
    Fault(type="error", target="leave", status=404),
)


class Lab:
    """One run that is going to be cut off, and what is known about it from outside."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.world = World()
        self.journal = YieldingJournal(seconds=seconds)
        clock = VirtualClock()
        self.injector = FaultyCalls(DirectCalls(), TROUBLE, clock=clock)
        self.agent = Agent(
            name="trip",
            tools=trip(self.world),
            goals=[Goal("gone", ["gone"]), Goal("found", ["found"], 0.5)],
            budget=Budget(usd=1.0),
            journal=self.journal,
            executor=self.injector,
            clock=clock,
            seed=1,
        )

    async def run(self) -> None:
        await self.agent.run(inputs={"start": "x"}, run_id="run")

    async def records(self) -> Sequence[Record]:
        try:
            return await self.journal.read(RunId("run"))
        except UnknownRunError:
            return []

    async def check(self) -> list[Record]:
        """Hold what is there against the invariants."""
        records = list(await self.records())
        case = Case(
            run="run",
            graph=self.agent.graph,
            records=records,
            budget_usd=1.0,
            triggered=self.injector.triggered,
            seen=self.injector.seen,
            world=self.world,
        )
        if records:
            assert check_run(case) == [], "\n".join(str(record.event) for record in records)
            assert isinstance(records[-1].event, RunFinished)
        else:
            assert self.injector.seen == []
        assert self.agent._services.turns.free == 64
        return records


async def after_steps(count: int, lab: Lab) -> bool:
    """Cut the run off at the `count`-th turn of the event loop; whether it was still under way."""
    over = False

    async def run() -> None:
        nonlocal over
        await lab.run()
        over = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for _ in range(count):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    return not over


def outcomes(records: Sequence[Record]) -> str:
    finished = records[-1].event if records else None
    return finished.outcome if isinstance(finished, RunFinished) else ""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cut_off_at_every_turn_of_the_event_loop(backend: str) -> None:
    """No virtual time, so that every backoff is passed in real time: a few milliseconds in all."""
    seen: set[str] = set()

    async def main(count: int) -> bool:
        lab = Lab()
        under_way = await after_steps(count, lab)
        seen.add(outcomes(await lab.check()))
        return under_way

    for count in range(40):
        assert anyio.run(main, count, backend=backend)
    assert "cancelled" in seen
    assert seen <= {"", "cancelled"}


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_cut_off_at_every_moment(seconds: float) -> None:
    """In virtual time, with a journal that takes some of it: at every event, just before, and just after."""

    async def whole() -> list[float]:
        lab = Lab(seconds)
        await lab.run()
        return sorted({record.event.at for record in await lab.check()})

    async def cut(moment: float) -> str:
        lab = Lab(seconds)
        with anyio.CancelScope(deadline=moment):
            await lab.run()
        return outcomes(await lab.check())

    moments = run_virtual(whole)
    assert len(moments) > 1
    cuts = [moment + nudge for moment in moments for nudge in (-1e-6, 0.0, 1e-6, seconds / 2)]
    ends = [run_virtual(cut, max(0.0, moment)) for moment in cuts]
    assert ends.count("cancelled") > len(ends) // 2
    assert set(ends) <= {"", "cancelled", "demoted"}


def interrupted(tool: Tool) -> list[Record]:
    """Cut a run off while it waits for `tool`."""

    async def main() -> list[Record]:
        journal = YieldingJournal()
        agent = Agent(name="a", tools=[tool], goals=[Goal("g", ["a"])], journal=journal, clock=VirtualClock())
        with anyio.move_on_after(1.0):
            await agent.run(inputs={"start": "x"}, run_id="run")
        return list(await journal.read(RunId("run")))

    return run_virtual(main)


def test_an_effect_that_was_cut_off_is_in_doubt_and_named() -> None:
    records = interrupted(fake_tool("pay", ["start"], ["a"], effect="once", seconds=9.0))
    failure, end = (record.event for record in records[-2:])
    assert isinstance(failure, AttemptFailed)
    assert (failure.in_doubt, failure.error) == (True, "Cancelled")
    assert isinstance(end, RunFinished)
    assert end.left_behind == ("pay",)
    assert "pay" in end.reason


def test_a_call_that_changes_nothing_is_abandoned() -> None:
    records = interrupted(fake_tool("look", ["start"], ["a"], seconds=9.0))
    assert isinstance(records[-2].event, AttemptAbandoned)


def test_the_worst_case_of_a_call_that_was_cut_off_is_charged() -> None:
    records = interrupted(fake_tool("look", ["start"], ["a"], seconds=9.0, usd=0.01, usd_max=0.05))
    abandoned = records[-2].event
    assert isinstance(abandoned, AttemptAbandoned)
    assert abandoned.spent == 50_000_000


def test_an_attempt_that_waits_for_its_turn_has_not_happened() -> None:
    async def main() -> None:
        journal, world = YieldingJournal(), World()
        tool = fake_tool("pay", ["start"], ["a"], world=world, effect="once", seconds=9.0, usd=0.01)
        agent = Agent(
            name="a", tools=[tool], goals=[Goal("g", ["a"])], journal=journal, clock=VirtualClock(), max_concurrency=1
        )
        with anyio.move_on_after(1.0):
            async with anyio.create_task_group() as runs:
                for run in ("first", "second"):
                    runs.start_soon(lambda run=run: agent.run(inputs={"start": "x"}, run_id=run))
        assert len(world.called) == 1
        (called,) = (run for run, _ in world.called)
        (queued,) = {"first", "second"} - {called}
        records = await journal.read(RunId(queued))
        assert [type(record.event).__name__ for record in records[-3:]] == [
            "AttemptStarted", "AttemptAbandoned", "RunFinished",
        ]  # fmt: skip
        abandoned = records[-2].event
        assert isinstance(abandoned, AttemptAbandoned)
        assert abandoned.spent == 0

    run_virtual(main)


def test_a_cancelled_run_says_which_effects_stay() -> None:
    async def main() -> None:
        journal, world = YieldingJournal(), World()
        tools = [
            fake_tool("pay", ["start"], ["a"], world=world, effect="once"),
            fake_tool("look", ["a"], ["b"], world=world, seconds=math.inf),
        ]
        agent = Agent(name="a", tools=tools, goals=[Goal("g", ["b"])], journal=journal, clock=VirtualClock())
        with anyio.move_on_after(1.0):
            await agent.run(inputs={"start": "x"}, run_id="run")
        finished = (await journal.read(RunId("run")))[-1].event
        assert isinstance(finished, RunFinished)
        assert finished.left_behind == ("pay",)

    run_virtual(main)


@pytest.mark.parametrize("shielded", [False, True], ids=["caught", "shielded"])
def test_a_tool_that_resists_cancellation_is_waited_for_but_not_believed(shielded: bool) -> None:  # noqa: FBT001
    """It holds the run up, which nothing in one process can prevent; its late answer is not taken for a timely one."""

    class Stubborn(DirectCalls):
        async def call(self, tool: Tool, inputs: object) -> dict[str, str]:  # pyright: ignore[reportIncompatibleMethodOverride]
            with anyio.CancelScope(shield=shielded):
                try:
                    await anyio.sleep(5.0)
                except anyio.get_cancelled_exc_class():
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(3.0)
                    raise
            await anyio.lowlevel.checkpoint()
            return {"a": "late"}

    async def main() -> None:
        journal = YieldingJournal()
        tool = fake_tool("t", ["start"], ["a"], timeout_s=1.0)
        agent = Agent(
            name="a",
            tools=[tool],
            goals=[Goal("g", ["a"])],
            journal=journal,
            clock=VirtualClock(),
            executor=Stubborn(),  # pyright: ignore[reportArgumentType]
            budget=Budget(deadline_s=2.0),
        )
        result = await agent.run(inputs={"start": "x"}, run_id="run")
        assert result.outcome == "escalated"
        assert "a" not in result.artifacts

    run_virtual(main)


def count(records: Sequence[Record], kind: Callable[..., object] | type) -> int:
    return sum(isinstance(record.event, kind) for record in records if isinstance(kind, type))


def test_attempts_begun_and_ended_balance() -> None:
    async def main() -> None:
        lab = Lab()
        await lab.run()
        records = await lab.check()
        begun = count(records, AttemptStarted)
        ended = sum(
            type(record.event).__name__ in ("AttemptSucceeded", "AttemptFailed", "AttemptAbandoned")
            for record in records
        )
        assert begun == ended > 5

    run_virtual(main)
