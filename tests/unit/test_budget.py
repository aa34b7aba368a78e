"""Money, time and model calls: reserved in the worst case, settled by what happened, never overspent."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from decimal import Decimal

import anyio
import pytest

from agentroute.attempt import current
from agentroute.errors import DefinitionError
from agentroute.guard.budget import Budget
from agentroute.ids import nanos
from agentroute.ports import Values
from agentroute.run.events import AttemptFailed, AttemptStarted, AttemptSucceeded, Rerouted
from agentroute.testing.fakes import fake_tool, fake_verifier
from agentroute.testing.faults import Fault
from agentroute.testing.world import World
from tests.laboratory import bench, experiment, in_virtual_time


@pytest.mark.parametrize(
    "limits",
    [
        *({"usd": usd} for usd in (-1, float("nan"), float("inf"), "1")),
        {"deadline_s": -0.1},
        {"llm_calls": 1.5},
        {"tokens": 1.5},
        {"tool_calls": -1},
    ],
    ids=str,
)
def test_limits_that_mean_nothing_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(DefinitionError, match="budget"):
        Budget(**limits)  # pyright: ignore[reportArgumentType]


# -------------------------------------------------------------------- in runs


def test_the_worst_case_is_reserved_and_what_was_charged_is_spent() -> None:
    done = experiment([fake_tool("t", ["start"], ["a"], usd=0.01, usd_max=0.05, price=0.03)], {"all": ["a"]})
    assert done.of(AttemptStarted)[0].reserved == nanos(0.05)
    assert done.of(AttemptSucceeded)[0].spent == nanos(0.03)
    assert done.result.cost_usd == pytest.approx(0.03)


def test_charges_of_one_attempt_add_up() -> None:
    def work(_: Values) -> str:
        current().charge(usd=0.01)
        current().charge(usd=Decimal("0.02"))
        return "done"

    tool = fake_tool("t", ["start"], ["a"], usd=0.05)
    assert experiment([tool], {"all": ["a"]}, scripts={"t": [work]}).result.cost_usd == pytest.approx(0.03)


def test_what_was_refused_costs_nothing_and_what_is_in_doubt_the_worst_case() -> None:
    tools = [fake_tool("t", ["start"], ["a"], usd=0.01, usd_max=0.05), fake_tool("u", ["start"], ["a"], usd=9.0)]
    refused = experiment(tools, {"all": ["a"]}, faults=[Fault(type="down", target="t", attempts=(1, 1))])
    lost = experiment(tools, {"all": ["a"]}, faults=[Fault(type="reset", target="t", attempts=(1, 1))])
    assert refused.of(AttemptFailed)[0].spent == 0
    assert lost.of(AttemptFailed)[0].spent == nanos(0.05)


def test_a_tool_whose_worst_case_does_not_fit_is_not_used() -> None:
    tools = [
        fake_tool("risky", ["start"], ["a"], usd=0.01, usd_max=0.50),
        fake_tool("steady", ["start"], ["a"], usd=0.05),
    ]
    assert experiment(tools, {"all": ["a"]}, budget=Budget(usd=1.0)).called() == ["risky"]
    assert experiment(tools, {"all": ["a"]}, budget=Budget(usd=0.2)).called() == ["steady"]


def test_a_run_that_cannot_be_paid_for_is_escalated_before_it_spends() -> None:
    world = World()
    tools = [
        fake_tool("one", ["start"], ["a"], usd=0.05, world=world, effect="once"),
        fake_tool("two", ["a"], ["b"], usd=0.04, usd_max=0.08, world=world, effect="once"),
    ]
    done = experiment(tools, {"all": ["b"]}, budget=Budget(usd=0.10), world=world)
    assert (done.result.outcome, done.result.cost_usd, world.rows) == ("escalated", 0.0, [])


@pytest.mark.parametrize(("usd", "outcome"), [(0.12, "succeeded"), (0.11, "escalated")])
def test_a_route_has_to_fit_at_its_worst(usd: float, outcome: str) -> None:
    tools = [
        fake_tool("one", ["start"], ["a"], usd=0.01, usd_max=0.06, seconds=1.0),
        fake_tool("two", ["start"], ["b"], usd=0.01, usd_max=0.06, seconds=1.0),
    ]
    done = experiment(tools, {"all": ["a", "b"]}, budget=Budget(usd=usd))
    assert (done.result.outcome, len(done.called())) == (outcome, 2 if outcome == "succeeded" else 0)


def test_a_reroute_says_what_is_left() -> None:
    tools = [fake_tool("t", ["start"], ["a"], usd=0.01), fake_tool("u", ["start"], ["a"], usd=0.02)]
    done = experiment(tools, {"all": ["a"]}, faults=[Fault(type="malformed", target="t")], budget=Budget(usd=0.10))
    assert [event.budget_left for event in done.of(Rerouted)] == [nanos(0.09)]


def test_failures_eat_the_budget_until_only_a_lesser_goal_is_left() -> None:
    tools = [fake_tool("t", ["start"], ["a"], usd=0.04), fake_tool("u", ["start"], ["b"], usd=0.01)]
    done = experiment(
        tools, {"all": ["a"], "some": ["b"]}, faults=[Fault(type="reset", target="t")], budget=Budget(usd=0.10)
    )
    assert done.called() == ["t", "t", "u"]
    assert (done.result.outcome, done.result.cost_usd) == ("demoted", pytest.approx(0.09))


@pytest.mark.parametrize(
    ("calls", "outcome"), [(None, "succeeded"), (2, "succeeded"), (1, "escalated"), (0, "escalated")]
)
def test_model_calls_are_counted_like_money(calls: int | None, outcome: str) -> None:
    tools = [
        fake_tool("ask", ["start"], ["a"], calls_model=True),
        fake_tool("again", ["a"], ["b"], calls_model=True),
    ]
    done = experiment(tools, {"all": ["b"]}, budget=Budget(llm_calls=calls))
    assert done.result.outcome == outcome
    assert done.result.llm_calls <= (2 if calls is None else calls)


def test_a_model_is_not_asked_where_a_tool_without_one_will_do() -> None:
    tools = [
        fake_tool("ask", ["start"], ["a"], calls_model=True),
        fake_tool("compute", ["start"], ["a"], usd=1.0),
    ]
    assert experiment(tools, {"all": ["a"]}, budget=Budget(llm_calls=0)).called() == ["compute"]


def test_remedies_cost_money_too_and_never_more_than_there_is() -> None:
    world = World()
    book = fake_tool("book", ["start"], ["a"], world=world, effect="once", usd=0.05, verify="find")
    find = fake_tool("find", ["start"], ["a"], world=world, usd=0.03)
    done = experiment(
        [book, find], {"all": ["a"]}, faults=[Fault(type="ack_lost", target="book")], budget=Budget(usd=0.06)
    )
    assert (done.result.outcome, done.called()) == ("escalated", ["book"])
    assert done.result.cost_usd <= 0.06


@in_virtual_time
async def test_a_thousand_runs_at_once_each_keep_their_budget_and_leak_nothing() -> None:
    world = World()
    tools = [
        fake_tool("flaky", ["start"], ["a"], world=world, usd=0.01, usd_max=0.02, price=0.015, seconds=0.3),
        fake_tool("other", ["start"], ["a"], world=world, usd=0.03, seconds=0.1),
        fake_tool("pay", ["a"], ["b"], world=world, usd=0.01, effect="once", verify="find", seconds=0.2),
        fake_tool("ship", ["start", "b"], ["c"], world=world, usd=0.02, effect="idempotent", seconds=0.1),
    ]
    faults = [
        Fault(type="reset", target="flaky", toxicity=0.3),
        Fault(type="ack_lost", target="pay", toxicity=0.1),
        Fault(type="rate_limit", target="ship", retry_after_s=1.0, toxicity=0.02),
    ]
    tried = bench(
        [*tools, fake_verifier(tools[2])],
        {"all": ["c"], "some": ["a"]},
        faults=faults,
        world=world,
        budget=Budget(usd=0.075, deadline_s=600.0),
        yields=False,
    )
    outcomes: list[str] = []

    async def one(run: str) -> None:
        done = await tried.run(run)  # checks the invariants, the budget among them
        outcomes.append(done.result.outcome)
        assert done.result.cost_usd <= 0.075

    async with anyio.create_task_group() as runs:
        for index in range(1000):
            runs.start_soon(one, f"run-{index}")
    assert len(outcomes) == 1000
    assert set(outcomes) <= {"succeeded", "demoted", "escalated"}
    assert outcomes.count("succeeded") > 800
    assert max(world.paid.values()) <= nanos(0.075)
    services = tried.agent._services
    assert services.turns.waiting == 0
    assert services.turns.free == 64
    assert not any(standing.flying for standing in services.board._tools.values())
