"""Laws of turns to make a call: against a list of people, and in a thousand runs that are cut off at any moment."""

from functools import partial
from random import Random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute import Agent, Goal
from agentroute.guard.turns import SENIORITY, Rank, Turns, Waiter
from agentroute.ports import Tool, Values
from agentroute.testing import VirtualClock, fake_tool, run_virtual

ranks = st.builds(Rank, st.booleans(), st.integers(0, 3), st.sampled_from([1.0, 2.0, float("inf")]))
deeds = st.one_of(
    st.tuples(st.just("take"), st.none()),
    st.tuples(st.just("give back"), st.none()),
    st.tuples(st.just("join"), ranks),
    st.tuples(st.just("leave"), st.integers(0, 9)),
)


class People:
    """The same by brute force: all who wait, in the order in which they came, and how many hold a turn."""

    def __init__(self, size: int) -> None:
        self.size, self.held, self.handed_on = size, 0, 0
        self.line: list[tuple[Rank, int]] = []

    def take(self) -> bool:
        self.held += (is_free := self.held < self.size)
        return is_free

    def give_back(self) -> list[int]:
        """Who has the turn then."""
        if not self.line:
            self.held -= 1
            return []
        self.handed_on += 1
        foremost = self.line[0] if self.handed_on % SENIORITY == 0 else min(self.line, key=lambda each: each[0])
        self.line.remove(foremost)
        return [foremost[1]]


@settings(max_examples=200)
@given(size=st.integers(1, 3), done=st.lists(deeds, min_size=12, max_size=80))
def test_turns_are_handed_on_by_rank_and_none_is_lost(size: int, done: list[tuple[str, Rank | int | None]]) -> None:
    """Whatever happens: no more hold one than there are, and nobody waits while one is free."""
    turns, people = Turns(size), People(size)
    came, places = list[int](), list[Waiter]()
    for deed, about in done:
        came.clear()
        expected = list[int]()
        if deed == "take":
            assert turns.take() == people.take()
        elif deed == "give back" and people.held:
            expected = people.give_back()
            turns.give_back()
        elif isinstance(about, Rank):
            number = len(places)
            if people.take():
                expected = [number]
            else:
                people.line.append((about, number))
            places.append(turns.join(about, partial(came.append, number)))
        elif isinstance(about, int) and people.line:
            leaver = people.line.pop(about % len(people.line))
            turns.leave(places[leaver[1]])
        assert came == expected
        assert (turns.free, turns.waiting) == (size - people.held, len(people.line))
        assert not (turns.free and turns.waiting)


@given(ranks=st.lists(ranks, min_size=1, max_size=8), data=st.data())
def test_who_leaves_when_the_turn_has_just_come_hands_it_on(ranks: list[Rank], data: st.DataObject) -> None:
    turns, came = Turns(1), list[int]()
    assert turns.take()
    places = [turns.join(rank, partial(came.append, number)) for number, rank in enumerate(ranks)]
    turns.give_back()
    for _ in ranks[1:]:
        turns.leave(places[came[-1]])
    assert sorted(came) == list(range(len(ranks)))
    assert not turns.free
    turns.give_back()
    assert turns.free == 1


@given(older=st.integers(0, 5), others=st.lists(st.integers(0, 3), max_size=80))
def test_nobody_is_overtaken_for_ever(older: int, others: list[int]) -> None:
    """However many come that have the better claim, the n-th in line has its turn with the 8n-th at the latest."""
    turns, came = Turns(1), list[int]()
    turns.take()
    for number in range(older + 1):
        turns.join(Rank(is_new=True, steps_left=9, deadline=9.0), partial(came.append, number))
    for passed in range(SENIORITY * (older + 1)):
        for _ in range(others[passed] if passed < len(others) else 1):
            turns.join(Rank(is_new=False, steps_left=1, deadline=1.0), partial(came.append, -1))
        turns.give_back()
    assert set(range(older + 1)) <= set(came)


class Counted:
    """Makes calls that take a while, and counts how many are under way."""

    def __init__(self, dice: Random) -> None:
        self.dice, self.under_way, self.most = dice, 0, 0

    async def call(self, tool: Tool, inputs: Values) -> Values:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await anyio.sleep(self.dice.choice([0.0, 0.01, 0.02]))
            return await tool.call(inputs)
        finally:
            self.under_way -= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_runs_that_are_cut_off_at_any_moment_keep_no_turn(seed: int) -> None:
    """Half of them at a moment at which turns change hands; the others finish, and every turn is free again."""
    dice = Random(seed)

    async def main() -> None:
        calls = Counted(dice)
        agent = Agent(
            name="crowd",
            tools=[fake_tool("one", ["start"], ["half"]), fake_tool("two", ["half"], ["whole"])],
            goals=[Goal("whole", ["whole"])],
            max_concurrency=7,
            executor=calls,
            trace=False,
            clock=VirtualClock(),
            seed=seed,
        )
        outcomes: list[str] = []

        async def run(number: int, seconds: float, turns: int) -> None:
            with anyio.CancelScope() as scope, anyio.move_on_after(seconds):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(go, number)
                    if turns:
                        await anyio.sleep(seconds / 2)
                        for _ in range(turns):
                            await anyio.lowlevel.checkpoint()
                        scope.cancel()

        async def go(number: int) -> None:
            result = await agent.run(run_id=f"run-{number}", inputs={"start": "x"})
            outcomes.append(result.outcome)

        async with anyio.create_task_group() as runs:
            for number in range(1_000):
                is_cut_off = number % 2
                seconds = dice.randrange(200) / 100 if is_cut_off else 1_000.0
                runs.start_soon(run, number, seconds, dice.randrange(1, 9) if is_cut_off and dice.random() < 0.5 else 0)
        assert outcomes.count("succeeded") >= 500
        assert calls.most == 7
        assert (agent._services.turns.free, agent._services.turns.waiting) == (7, 0)

    run_virtual(main, seed=seed)
