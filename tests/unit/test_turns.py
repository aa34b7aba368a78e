"""Calls that wait for a turn, because as many as may be are under way: their tools are not to blame for that."""

import anyio

from agentroute.run.events import AttemptAbandoned
from agentroute.testing.fakes import fake_tool
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
