"""What runs teach, what they do not, and what an agent does with it."""

from collections.abc import Mapping
from typing import Annotated, Any

import anyio
import pytest

from agentroute import Agent, Artifact, Goal, Health, Priors, ToolError, tool
from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.errors import FailureKind
from agentroute.graph.cost import Cost
from agentroute.graph.tool import ToolSpec
from agentroute.ids import ArtifactId, AttemptId, GoalId, NanoUsd, RunId, ToolId
from agentroute.routing.knowledge import NOTHING, Calls, Knowledge
from agentroute.run.events import (
    HAND_OVER,
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Event,
    Outcome,
    Resumed,
    Role,
    RunFinished,
    RunStarted,
    Suspended,
)
from agentroute.run.learning import learn
from agentroute.runtime.experience import MOST_RUNS, Experience
from agentroute.testing.fakes import YieldingJournal, fake_tool
from agentroute.testing.virtual_time import VirtualClock, run_virtual

TOOL = ToolId("t")
GOAL, LESSER = GoalId("g"), GoalId("lesser")
TOOLS = {TOOL: ToolSpec(TOOL, cost=Cost(usd=0.01, latency_s=1.0), effect="read")}
FREE = NanoUsd(0)


def began(at: float = 0.0, number: int = 1, role: Role = "step") -> AttemptStarted:
    return AttemptStarted(at, AttemptId(number), TOOL, 1, "", FREE, role)


def worked(at: float = 2.0, number: int = 1) -> AttemptSucceeded:
    return AttemptSucceeded(at, AttemptId(number), TOOL, {ArtifactId("x"): 1}, NanoUsd(30_000_000))


def failed(kind: FailureKind = "transient", error: str = "OSError", at: float = 2.0) -> AttemptFailed:
    return AttemptFailed(at, AttemptId(1), TOOL, kind, error, "", FREE)


def taught(*events: Event, outcome: Outcome = "succeeded") -> Knowledge:
    """What a run of these events teaches."""
    start = RunStarted(0.0, "agent", GOAL, {}, 0.0)
    return learn([[start, *events, RunFinished(9.0, outcome, GOAL, "")]], TOOLS)


# -------------------------------------------------------------------- what counts


def test_a_success_tells_price_and_duration() -> None:
    calls = taught(began(), worked()).tools[TOOL]
    assert (calls.failed, calls.worked, calls.usd, calls.declared_usd) == (0.0, 1.0, 0.03, 0.01)
    assert calls.quantiles(())[0] == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize(
    ("kind", "counts"),
    [("transient", 1), ("contract", 1), ("ambiguous", 1), ("permanent", 0), ("rate_limited", 0)],
)
def test_which_failures_say_something_about_a_tool(kind: FailureKind, counts: int) -> None:
    known = taught(began(), failed(kind))
    assert known.tools.get(TOOL, NOTHING) == Calls(failed=counts)
    assert known.calls == counts


@pytest.mark.parametrize(
    "events",
    [
        [began(), failed("ambiguous", "Cancelled")],
        [began(), AttemptAbandoned(1.0, AttemptId(1), TOOL, FREE, "cancelled")],
        [began(role="verify"), worked()],
        [began(role="compensate"), failed()],
        [began(), Resumed(1.0, 500.0), failed("ambiguous")],
        [Chosen(0.0, (), HAND_OVER, "policy", ""), began(), worked()],
    ],
    ids=["cut off", "abandoned", "verifier", "compensator", "the process died", "handed over"],
)
def test_what_says_nothing(events: list[Event]) -> None:
    assert taught(*events) == Knowledge()


def test_a_run_that_was_cancelled_teaches_nothing_and_one_that_was_handed_over_does() -> None:
    assert taught(began(), worked(), outcome="cancelled") == Knowledge()
    assert taught(began(), failed(), outcome="escalated").tools[TOOL].failed == 1


def test_a_run_that_is_not_over_teaches_nothing() -> None:
    start = RunStarted(0.0, "agent", GOAL, {}, 0.0)
    assert learn([[start, began(), worked(), Suspended(3.0, (), "")], []], TOOLS) == Knowledge()


def test_calls_count_for_the_goal_that_was_pursued_when_they_began() -> None:
    known = taught(began(), worked(), Chosen(3.0, (), LESSER, "policy", ""), began(4.0, 2), worked(5.0, 2))
    assert known.tools[TOOL].worked == 2
    assert {goal: tools[TOOL].worked for goal, tools in known.goals.items()} == {GOAL: 1, LESSER: 1}


def test_a_run_that_waited_for_a_person_ended_when_it_ended() -> None:
    """Its clock stood still; by the wall clock it came after the other."""
    waited = [
        RunStarted(0.0, "agent", GOAL, {}, 0.0),
        Suspended(1.0, (), ""),
        Resumed(1.0, 9_000.0),
        began(1.0),
        failed(),
        RunFinished(2.0, "succeeded", GOAL, ""),
    ]
    other = [RunStarted(0.0, "agent", GOAL, {}, 100.0), began(), worked(), RunFinished(2.0, "succeeded", GOAL, "")]
    calls = learn([waited, other], TOOLS).tools[TOOL]
    assert calls.failed == 1.0
    assert calls.worked < 1.0


# -------------------------------------------------------------------- what an agent does with it

Text = Annotated[str, Artifact("text")]
Scan = Annotated[str, Artifact("filed-scan")]
Mail = Annotated[str, Artifact("filed-mail")]
Page = Annotated[str, Artifact("page")]

tried: list[str] = []


@tool(usd=0.004, effect="read")
async def cheap(page: Page) -> Text:
    tried.append("cheap")
    if page == "scan":
        raise ToolError("cannot read it", kind="transient")
    return page


@tool(usd=0.010, effect="read")
async def dear(page: Page) -> Text:
    tried.append("dear")
    return page


@tool(effect="read")
async def file_scan(text: Text) -> Scan:
    return text


@tool(effect="read")
async def file_mail(text: Text) -> Mail:
    return text


def reader(**options: Any) -> Agent:
    return Agent(
        name="reader",
        tools=[cheap, dear, file_scan, file_mail],
        goals=[Goal("scans", [Scan]), Goal("mails", [Mail])],
        clock=VirtualClock(),
        trace=False,
        seed=1,
        **options,
    )


async def pursue(agent: Agent, goal: str) -> list[str]:
    """Which of the two readers a run tries."""
    tried.clear()
    await agent.run(goal=goal, inputs={"page": goal[:-1]})
    return list(tried)


async def taught_reader() -> Priors:
    """What an agent has learned whose runs are far apart: by the next one it has forgotten how the last one went."""
    agent = reader(health=Health(half_life_s=10.0, burst_half_life_s=1.0))
    for _ in range(25):
        for goal in ("scans", "mails"):
            await pursue(agent, goal)
            await anyio.sleep(1_000.0)
    return await agent.learned()


def test_an_agent_that_knows_takes_the_right_tool_for_each_goal_from_the_first_call_on() -> None:
    async def main() -> None:
        ignorant = reader()
        assert await pursue(ignorant, "scans") != ["dear"]
        agent = reader(priors=await taught_reader())
        assert agent.plan(goal="scans").tools == ["dear", "file_scan"]
        assert agent.plan(goal="mails").tools == ["cheap", "file_mail"]
        assert await pursue(agent, "scans") == ["dear"]
        assert await pursue(agent, "mails") == ["cheap"]

    run_virtual(main)


def test_what_works_for_one_goal_does_not_wash_out_what_is_known_of_the_other() -> None:
    async def main() -> None:
        agent = reader(priors=await taught_reader())
        for _ in range(300):
            assert await pursue(agent, "mails") == ["cheap"]
        assert await pursue(agent, "scans") == ["dear"]

    run_virtual(main)


def test_what_is_known_of_tools_alone_cannot_tell_goals_apart() -> None:
    async def main() -> None:
        known = await taught_reader()
        agent = reader(priors=Priors(known.calls, known.tools))
        assert agent.plan(goal="scans").tools[0] == agent.plan(goal="mails").tools[0]

    run_virtual(main)


def test_worst_cases_stay_as_declared() -> None:
    """Priors say that the tool costs a tenth of what is declared; what is reserved for a call is not less for it."""
    known = Priors(50, {ToolId("cheap"): Calls(worked=50.0, usd=0.02, declared_usd=0.2)})
    agent = reader(priors=known)
    assert agent.plan(goal="mails").weight < 0.001
    assert agent.graph.tools[ToolId("cheap")].cost.worst == 4_000_000


def test_learning_reads_every_run_once_and_adds_to_what_was_given() -> None:
    async def main() -> None:
        first = reader()
        await pursue(first, "mails")
        once = await first.learned()
        assert once == await first.learned()
        await pursue(first, "mails")
        twice = await first.learned()
        assert (once.calls, twice.calls) == (2, 4)
        second = reader(priors=twice)
        await pursue(second, "mails")
        assert (await second.learned()).calls == 6
        assert (await second.with_options(priors=Priors()).learned()).calls == 2

    run_virtual(main)


def test_an_agent_that_starts_as_if_it_had_never_run_has_nothing_to_learn_from() -> None:
    async def main() -> None:
        agent = reader()
        await pursue(agent, "mails")
        assert (await agent.with_options(health=Health()).learned()).calls == 0
        assert (await agent.with_options(escalate="policy").learned()).calls == 2

    run_virtual(main)


def test_what_the_journal_no_longer_has_teaches_nothing() -> None:
    async def main() -> None:
        agent = reader()
        await pursue(agent, "mails")
        assert (await agent.with_options(journal=YieldingJournal()).learned()).calls == 0

    run_virtual(main)


def test_a_run_that_was_resumed_counts_when_it_is_over() -> None:
    async def main() -> None:
        tools = [fake_tool("first", ["x"], ["y"]), fake_tool("second", ["y"], ["z"], ensure=lambda _: False)]
        goals = [Goal("all", ["z"]), Goal("half", ["y"], utility=0.5)]
        agent = Agent(name="a", tools=tools, goals=goals, escalate="human", clock=VirtualClock(), trace=False)
        result = await agent.run(inputs={"x": "1"})
        assert result.suspended
        assert (await agent.learned()).calls == 0
        await agent.resume(result.run_id, "half")
        known: Mapping[ToolId, Calls] = (await agent.learned()).tools
        assert {name: (calls.failed, calls.worked) for name, calls in known.items()} == {
            "first": (0.0, 1.0),
            "second": (1.0, 0.0),
        }

    run_virtual(main)


def test_no_run_is_missed_by_who_asks_while_runs_begin() -> None:
    """With a journal that takes a moment, as one in a database does."""

    class Slow(MemoryJournal):
        async def append(self, run: RunId, event: Event) -> None:
            await anyio.sleep(0.01)
            await super().append(run, event)

    async def main() -> None:
        tools, goals = [fake_tool("first", ["x"], ["y"])], [Goal("all", ["y"])]
        agent = Agent(name="a", tools=tools, goals=goals, journal=Slow(), clock=VirtualClock(), trace=False)

        async def one(number: int) -> None:
            await anyio.sleep(number * 0.05)
            await agent.run(inputs={"x": "1"})

        async with anyio.create_task_group() as runs:
            for number in range(20):
                runs.start_soon(one, number)
            for _ in range(150):
                await anyio.sleep(0.01)
                await agent.learned()
        assert (await agent.learned()).calls == 20

    run_virtual(main)


def test_runs_that_nobody_learns_from_do_not_pile_up() -> None:
    experience = Experience()
    for number in range(MOST_RUNS + 5):
        experience.note(RunId(str(number)))
    assert len(experience._runs) == MOST_RUNS
