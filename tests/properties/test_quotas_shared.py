"""Law of quotas: runs side by side begin only what they can finish, and what is kept for them is given back."""

from dataclasses import dataclass
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.graph.cost import NOTHING
from agentroute.guard.budget import Quota
from agentroute.routing.health import Health
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import Fault
from agentroute.testing.virtual_time import run_virtual
from tests.laboratory import Experiment, bench


@dataclass(frozen=True)
class Step:
    """A tool of a chain, with its prices in cents."""

    usd: int
    more: int
    seconds: float
    fails_once: bool
    side: bool


steps = st.lists(
    st.builds(
        Step,
        usd=st.integers(0, 5),
        more=st.integers(0, 5),
        seconds=st.sampled_from([0.0, 0.1, 1.0]),
        fails_once=st.booleans(),
        side=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
starts = st.lists(st.sampled_from([0.0, 0.0, 0.05, 0.5, 3.0]), min_size=1, max_size=8)


def chain(made: list[Step]) -> tuple[list[Any], str]:
    """One step after the other; those on the side need nothing and are needed at the end."""
    tools, last, beside = list[Any](), "start", list[str]()
    for number, step in enumerate(made):
        needs = ["start"] if step.side else [last]
        name = f"t{number}"
        tools.append(
            fake_tool(
                name,
                needs,
                [f"a{number}"],
                usd=step.usd / 100,
                usd_max=(step.usd + step.more) / 100,
                seconds=step.seconds,
                price=step.usd / 100,
                effect="idempotent",
            )
        )
        if step.side:
            beside.append(f"a{number}")
        else:
            last = f"a{number}"
    tools.append(fake_tool("end", [last, *beside], ["done"], usd=0.01))
    return tools, "done"


@given(made=steps, begin=starts, cents=st.integers(0, 60), windowed=st.booleans())
@settings(deadline=None, max_examples=150)
def test_whoever_has_begun_finishes(*, made: list[Step], begin: list[float], cents: int, windowed: bool) -> None:
    """However many runs share a quota, whatever fails once: no run is out of money in the middle."""

    async def play() -> list[Experiment]:
        tools, goal = chain(made)
        faults = [
            Fault(type="error", target=f"t{number}", attempts=(1, 1))
            for number, step in enumerate(made)
            if step.fails_once
        ]
        quota = Quota(usd=cents / 100, per_s=20.0 if windowed else None)
        health = Health(patience_s=2.0, trip_after=1000, retry_reserve=1000)
        tried, runs = bench(tools, {"done": [goal]}, faults=faults, quotas=[quota], health=health), list[Experiment]()

        async def one(number: int, at: float) -> None:
            await anyio.sleep(at)
            runs.append(await tried.run(f"run-{number}"))

        async with anyio.create_task_group() as tasks:
            for number, at in enumerate(begin):
                tasks.start_soon(one, number, at)
        ledger = tried.agent._services.quotas[0]
        assert ledger.reserved == NOTHING
        assert ledger.spent.usd <= cents * 10**7
        return runs

    for run in run_virtual(play):
        assert run.result.outcome == "succeeded" or not run.result.tool_calls, run.story()
