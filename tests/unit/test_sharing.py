"""Agents that share health through an exchange, in virtual time: what one meets, the other goes round."""

import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from agentroute.adapters.local_exchange import LocalExchange
from agentroute.ports import HealthExchange
from agentroute.routing.health import Health
from agentroute.routing.reports import decode
from agentroute.runtime.sharing import MOST_PER_PACE, PACE_S, REPEAT_S
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import Fault
from tests.laboratory import Bench, bench, in_virtual_time

WAYS = [
    fake_tool("quick", ["start"], ["answer"], usd=0.01, effect="read"),
    fake_tool("thorough", ["start"], ["answer"], usd=0.05, effect="read"),
]
GOALS = {"answered": ["answer"]}
DOWN = [Fault(type="down", target="quick")]


def desk(exchange: HealthExchange | None, *, down: bool = False, **options: Any) -> Bench:
    return bench(WAYS, GOALS, faults=DOWN if down else [], exchange=exchange, **options)


@dataclass
class Tap:
    """An exchange that keeps what is published, and hands over what a test says."""

    name: str = "tap"
    published: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    takes: list[Callable[[str], None]] = field(default_factory=list[Callable[[str], None]])

    async def publish(self, report: str) -> None:
        self.published.append((anyio.current_time(), report))

    async def listen(self, take: Callable[[str], None]) -> None:
        self.takes.append(take)
        await anyio.sleep_forever()


@in_virtual_time
async def test_what_one_agent_meets_another_goes_round_before_it_meets_it() -> None:
    exchange = LocalExchange()
    one, other = desk(exchange.part("one"), down=True), desk(exchange.part("other"), down=True)
    async with one.agent, other.agent:
        assert (await one.run()).called() == ["quick", "quick", "quick", "thorough"]
        await anyio.sleep(2 * PACE_S)
        assert (await other.run()).called() == ["thorough"]
        quick = next(factors for factors in other.agent.plan(explain=True).weighed if factors.tool == "quick")
        assert quick.monitor == "shared by one: its calls failed"
        assert "shared by one: its calls failed x10" in str(quick)
        await anyio.sleep(30.0)
        assert (await other.run("later")).called()[1] == "quick", "nobody has said anything for long"


@in_virtual_time
async def test_what_is_well_again_is_told_too() -> None:
    exchange = LocalExchange()
    one, other = desk(exchange.part("one")), desk(exchange.part("other"))
    flaky = bench(
        WAYS,
        GOALS,
        exchange=exchange.part("one"),
        scripts={"quick": [ConnectionError("down")] * 3},
    )
    async with flaky.agent, other.agent, one.agent:
        await flaky.run()
        await anyio.sleep(5.1)
        assert (await flaky.run("probe")).called()[-1] == "quick", "half-open, and it works"
        await anyio.sleep(2 * PACE_S)
        assert (await other.run()).called() == ["quick"]


@in_virtual_time
async def test_where_there_is_no_other_way_it_is_called_all_the_same() -> None:
    exchange = LocalExchange()
    one = desk(exchange.part("one"), down=True)
    only = bench(WAYS[:1], GOALS, exchange=exchange.part("only"))
    async with one.agent, only.agent:
        await one.run()
        await anyio.sleep(1.0)
        done = await only.run()
    assert (done.result.outcome, done.called()) == ("succeeded", ["quick"])


@in_virtual_time
async def test_a_rate_limit_that_one_hit_is_kept_by_all() -> None:
    exchange = LocalExchange()
    limited = [Fault(type="rate_limit", target="quick", retry_after_s=20.0)]
    one = bench(WAYS, GOALS, faults=limited, exchange=exchange.part("one"))
    other = desk(exchange.part("other"))
    async with one.agent, other.agent:
        await one.run()
        await anyio.sleep(1.0)
        assert (await other.run()).called() == ["thorough"]
        await anyio.sleep(20.0)
        assert (await other.run("later")).called() == ["thorough", "quick"]


@in_virtual_time
async def test_nothing_is_said_where_nothing_is_the_matter() -> None:
    tap = Tap()
    tried = desk(tap)
    async with tried.agent:
        for number in range(20):
            await tried.run(f"run-{number}")
        await anyio.sleep(300.0)
    assert not tap.published


@in_virtual_time
async def test_a_report_is_said_again_until_nobody_can_believe_it_any_more_and_not_longer() -> None:
    tap = Tap()
    tried = desk(tap, down=True)
    async with tried.agent:
        await tried.run()
        await anyio.sleep(300.0)
    times = [at for at, _ in tap.published]
    assert len(times) >= 2
    assert all(later - earlier >= PACE_S for earlier, later in itertools.pairwise(times))
    assert times[-1] <= times[0] + 10.0 + REPEAT_S
    numbers = [decode(text).number for _, text in tap.published]
    assert numbers == list(range(1, len(numbers) + 1))


@in_virtual_time
async def test_a_thousand_changes_are_told_at_a_walking_pace() -> None:
    tap = Tap()
    tools = [fake_tool(f"t{n}", ["start"], [f"a{n}"], effect="read") for n in range(30)]
    faults = [Fault(type="down", target=f"t{n}") for n in range(30)]
    goals = {"all": [f"a{n}" for n in range(30)]}
    tried = bench(tools, goals, faults=faults, exchange=tap, health=Health(trip_after=1, cool_down_s=0.1))
    async with tried.agent:
        began = anyio.current_time()
        for number in range(30):
            await tried.run(f"run-{number}")
        took_s = anyio.current_time() - began
    assert tap.published
    assert len(tap.published) <= took_s / PACE_S + 1


@dataclass
class Bad:
    """An exchange that is no use, in one way or another."""

    how: str
    name: str = "bad\n\x1b[31m name"
    calls: list[str] = field(default_factory=list[str])

    async def publish(self, report: str) -> None:
        self.calls.append("publish")
        if self.how == "hangs":
            await anyio.sleep_forever()
        raise OSError("gone")

    async def listen(self, take: Callable[[str], None]) -> None:
        self.calls.append("listen")
        if self.how == "returns":
            return
        if self.how == "floods":
            for number in range(10 * MOST_PER_PACE):
                take(json.dumps({"version": "1", "number": number}))
            take("\ud800")
            take("x" * 10_000_000)
            await anyio.sleep_forever()
        if self.how == "hangs":
            await anyio.sleep_forever()
        raise ExceptionGroup("both", [OSError("gone"), ValueError("and more")])


@pytest.mark.parametrize("how", ["raises", "returns", "hangs", "floods"])
def test_an_exchange_that_is_no_use_takes_no_run_down(how: str, caplog: pytest.LogCaptureFixture) -> None:
    bad = Bad(how)

    @in_virtual_time
    async def main() -> None:
        tried = desk(bad, down=True)
        async with tried.agent:
            for number in range(3):
                done = await tried.run(f"run-{number}")
                assert done.result.outcome == "succeeded"
                await anyio.sleep(20.0)

    with caplog.at_level(logging.WARNING):
        main()
    assert bad.calls.count("publish") >= 2, "it is tried again"
    assert how == "hangs" or bad.calls.count("listen") >= (1 if how == "floods" else 2)
    assert "\x1b" not in caplog.text
    assert how != "floods" or caplog.text.count("is refused") <= 2


@in_virtual_time
async def test_what_strangers_say_moves_no_run() -> None:
    tap = Tap()
    tried = desk(tap)
    async with tried.agent:
        await anyio.sleep(0.1)
        for text in ("", "null", "[]", "{}", '{"version":"1"}', "\x00", "NaN", "[" * 5_000, "9" * 7_000):
            tap.takes[0](text)
        assert (await tried.run()).called() == ["quick"]


@in_virtual_time
async def test_an_agent_with_health_of_its_own_shares_nothing_unless_it_is_told_to() -> None:
    exchange = LocalExchange()
    one = desk(exchange.part("one"), down=True)
    alone = desk(exchange.part("alone"))
    fresh = alone.agent.with_options(health=Health())
    told = alone.agent.with_options(health=Health(), exchange=exchange.part("told"))
    same = alone.agent.with_options(seed=3)
    async with one.agent, fresh, told, same:
        await one.run()
        await anyio.sleep(1.0)
        routes = [(await agent.run(inputs={"start": "given"})).route for agent in (fresh, told, same)]
    assert routes == [["quick"], ["thorough"], ["thorough"]]


@in_virtual_time
async def test_two_agents_of_the_same_seed_and_name_are_not_taken_for_one() -> None:
    exchange = LocalExchange()
    part = exchange.part("same")
    one, other = desk(part, down=True, seed=7), desk(part, seed=7)
    async with one.agent, other.agent:
        await one.run()
        await anyio.sleep(1.0)
        assert (await other.run()).called() == ["thorough"]


@in_virtual_time
async def test_an_agent_that_is_cancelled_while_it_shares_ends_at_once() -> None:
    tried = desk(Bad("hangs"), down=True)
    with anyio.move_on_after(3.0):
        async with tried.agent:
            await tried.run()
            await anyio.sleep_forever()
    assert anyio.current_time() == 3.0
