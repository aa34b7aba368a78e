"""How long anybody who asks to wait is heard, and by which clock: in virtual time."""

from dataclasses import replace
from typing import Annotated

import anyio
import pytest

from agentroute import Artifact, Health, tool
from agentroute.adapters.clock import SystemClock, wall_time
from agentroute.attempt import Attempt
from agentroute.guard.rate_limits import Headroom
from agentroute.ids import AttemptId, RunId, ToolId
from agentroute.run.events import AttemptFailed
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import Fault
from agentroute.testing.invariants import Case
from agentroute.testing.invariants.breakers import check_breakers
from agentroute.testing.virtual_time import EPOCH, VirtualClock, run_virtual
from tests.laboratory import bench

TEN_YEARS_S = 315_360_000.0


@pytest.mark.parametrize("asked_s", [1800.0, 3600.0, TEN_YEARS_S])
def test_a_provider_that_asks_for_ten_years_is_asked_again_in_an_hour(asked_s: float) -> None:
    """In virtual time, and held against the checker's own breakers."""
    tools = [fake_tool("cheap", ["start"], ["a"], usd=0.01), fake_tool("dear", ["start"], ["a"], usd=0.05)]
    refusal = Fault(type="rate_limit", target="cheap", retry_after_s=asked_s, attempts=(1, 1))
    wait_s = min(asked_s, 3600.0)

    async def main() -> None:
        stand = bench(tools, {"all": ["a"]}, faults=[refusal])
        results = [(await stand.run("first")).result]
        for name, until in (("early", wait_s - 1.0), ("late", wait_s + 2.0)):
            await anyio.sleep(until - VirtualClock().now())
            results.append((await stand.run(name)).result)
        assert [call.tool for call in stand.injector.seen] == ["cheap", "dear", "dear", "cheap", "dear"]
        cases = [
            Case(run=result.run_id, graph=stand.agent.graph, records=await stand.journal.read(RunId(result.run_id)))
            for result in results
        ]
        assert check_breakers(cases, stand.injector.seen) == []

    run_virtual(main)


def test_the_checker_hears_nobody_for_longer_than_an_hour_and_everybody_until_then() -> None:
    tools = [fake_tool("cheap", ["start"], ["a"], usd=0.01)]

    async def main(wait_s: float) -> set[int]:
        refusal = Fault(type="rate_limit", target="cheap", retry_after_s=wait_s, attempts=(1, 1))
        stand = bench(tools, {"all": ["a"]}, faults=[refusal], health=Health(patience_s=1e6))
        done = await stand.run("run")
        case = Case(run="run", graph=stand.agent.graph, records=done.records)
        first, second = stand.injector.seen
        assert second.at - first.at == pytest.approx(min(wait_s, 3600.0), abs=1.0)
        hasty = replace(second, at=first.at + min(wait_s, 3600.0) - 5.0)
        assert check_breakers([case], stand.injector.seen) == []
        if wait_s > 3600.0:  # also if the journal said that it may
            endless = [
                replace(record, event=replace(record.event, retry_after_s=wait_s))
                if isinstance(record.event, AttemptFailed)
                else record
                for record in done.records
            ]
            assert check_breakers([replace(case, records=endless)], stand.injector.seen) == []
        return {violation.invariant for violation in check_breakers([case], [first, hasty])}

    assert run_virtual(main, 600.0) == run_virtual(main, TEN_YEARS_S) == {8}


def test_what_a_function_reports_lasts_an_hour_at_most() -> None:
    attempt = Attempt(RunId("r"), ToolId("t"), AttemptId(1), "", 0.0)
    attempt.rate_limit(left=0, limit=9, resets_in_s=TEN_YEARS_S)
    assert attempt.headroom == Headroom(0, 9, 3600)


def test_a_tool_is_told_the_time_by_the_clock_of_its_agent() -> None:
    seen: list[float] = []

    @tool(effect="read")
    async def look(start: Annotated[str, Artifact("start")]) -> Annotated[str, Artifact("a")]:
        seen.append(wall_time())
        return start

    async def main() -> None:
        await anyio.sleep(100.0)
        await bench([look], {"all": ["a"]}).run()

    run_virtual(main)
    assert seen == [EPOCH + 100.0]
    assert wall_time() == pytest.approx(SystemClock().wall(), abs=60)
