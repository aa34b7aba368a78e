"""No run and no number of runs uses more than it may: checked by providers who keep a bill of their own."""
# pyright: reportPrivateUsage=false

from collections import Counter

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, event, given, settings

from agentroute.graph.cost import NOTHING
from tests.properties.money_cases import Deal, House, Settled, deals, known_ledgers, settle


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(deals())
def test_at_no_moment_is_more_under_way_and_billed_than_any_limit_allows(deal: Deal) -> None:
    settled = settle(deal)
    event(f"shrunk: {settled.till.shrunk > 0}")
    event(f"lies: {bool(settled.till.lied)}")
    assert settled.wrong() == []


MIXED = ("fair", "fair", "silent", "down", "fair", "lost", "slow", "fair", "garbage", "unread", "fair", "hangs")

CROWD = Deal(
    runs=1_000,
    budget=(20, 900, 6, 14),
    quotas=(((5_000, 90_000, 2_400, 5_000), None), ((900, 15_000, 300, 700), 10.0)),
    inner_quotas=(((700, None, None, None), None), ((None, 9_000, 200, 200), 20.0)),
    modes=(MIXED, (*MIXED[3:], *MIXED[:3], "fair"), MIXED[5:], ("fair",) * 40 + ("down", "greedy"), MIXED[:5]),
    cut_off=(None, None, None, 2.0, None, None, 0.6, None, 7.3),
    stagger_s=0.01,
    seed=1,
)
"""A thousand runs that overlap, of two agents, one within the other, with limits that all of them come up against."""


def test_a_thousand_runs_at_once_overspend_nothing() -> None:
    """Of 1,000 runs 0 overspent: by the providers' own bills, at every call and every bill."""
    settled = settle(CROWD)
    assert settled.wrong() == []
    assert settled.till.put_aside == {"ask-too"}, "who lied was found out, once, and called no more"
    assert sum(settled.till.calls.values()) > 1_200
    assert settled.till.shrunk > 20
    assert min(settled.outcomes[each] for each in ("succeeded", "escalated", "cut off")) > 50, settled.outcomes
    for agent in settled.agents:
        for ledger in agent._services.quotas:
            assert ledger.spent != NOTHING


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("first", "then"), [("fair", "fair"), ("greedy", "fair"), ("garbage", "greedy"), ("silent", "wordy")]
)
def test_cut_off_at_every_turn_of_the_event_loop_nothing_stays_reserved(backend: str, first: str, then: str) -> None:
    """Two runs under one quota, that of the agent within included: cut off at every turn until there is none left."""
    deal = Deal(
        budget=(20, 500, 4, 10),
        quotas=(((30, 700, 7, 20), None), ((30, None, None, None), 60.0)),
        inner_quotas=(((20, None, None, None), None),),
        modes=((then,), (then,), (first,), ("fair",), (first,)),
        concurrency=2,
        seconds=0.0,
    )

    async def cut(count: int) -> bool:
        over: list[int] = []

        async def one(number: int) -> None:
            await house.run(number)
            over.append(number)

        with known_ledgers() as ledgers:
            house = House(deal)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, 0)
                tasks.start_soon(one, 1)
                for _ in range(count):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            settled = Settled(house.till, house.outer, house.within, house.agents, Counter(), ledgers)
        assert settled.wrong() == [], f"cut off at turn {count}"
        return len(over) == 2

    turns = 0
    while not anyio.run(cut, turns, backend=backend):
        turns += 1
        assert turns < 500
    assert turns > 15


def test_second_calls_beside_those_that_hang_are_paid_for_too() -> None:
    hung = ("fair", "fair", "fair", "fair", "fair", "fair", "hangs")
    settled = settle(
        Deal(
            runs=40,
            stagger_s=2.0,
            seconds=0.4,
            deadline_s=3.0,
            modes=(("fair",), ("fair",), hung, ("fair",), ("fair",)),
            budget=(20, 500, 4, 10),
            quotas=(((300, 6_000, 70, 150), None),),
        )
    )
    assert settled.wrong() == []
    assert settled.till.hedged > 2
