"""An agent put together: what fits, what is refused, how inputs are recognised, what plans say."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import Annotated, Any

import anyio
import pytest
from pydantic import BaseModel

from agentroute import Agent, Artifact, AtLeast, Budget, Goal, Health, Quota, Rates, tool
from agentroute.errors import DefinitionError, InputError, NoRouteError
from agentroute.ids import RunId
from agentroute.ports import Observer
from agentroute.run.events import Event
from agentroute.testing.fakes import After, fake_tool
from agentroute.testing.world import World
from tests.laboratory import bench, in_virtual_time


class Trip(BaseModel):
    city: str


class LongTrip(Trip):
    weeks: int = 1


class Flights(BaseModel):
    codes: list[str] = []


City = Annotated[str, Artifact("city")]
Day = Annotated[str, Artifact("day")]
Price = Annotated[float, Artifact("price")]


@tool(effect="read", usd=0.01)
async def search(trip: Trip) -> Flights:
    return Flights(codes=[trip.city])


@tool(effect="read", usd=0.02)
async def search_too(trip: Trip) -> Flights:
    return Flights(codes=[trip.city, "too"])


@tool(effect="read")
async def price(flights: Flights, city: City) -> Price:
    return float(len(flights.codes) + len(city))


def agent(**options: Any) -> Agent:
    goals = [Goal("priced", requires=[Price]), Goal("found", requires=[Flights], utility=0.5)]
    arguments: dict[str, Any] = {"goals": goals, **options}
    return Agent(name="travel", tools=[search, search_too, price], **arguments)


# -------------------------------------------------------------------- definitions


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"goals": []}, "at least one goal"),
        ({"goals": [Goal("a", ["x"]), Goal("a", ["y"])]}, "two goals have this name"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"max_concurrency": True}, "max_concurrency"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        agent(**options)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(DefinitionError, match="two tools have this name"):
        Agent(name="a", tools=[search, tool(name="search")(search.function)], goals=[Goal("g", requires=[Flights])])


def test_the_same_tool_given_twice_is_one_tool() -> None:
    agent = Agent(name="a", tools=[search, search], goals=[Goal("g", requires=[Flights])])
    assert list(agent.graph.tools) == ["search"]


def test_a_function_that_is_no_tool_is_refused() -> None:
    async def plain(trip: Trip) -> Flights:
        return Flights()

    with pytest.raises(DefinitionError, match=r"'plain'.*decorate"):
        Agent(name="a", tools=[plain], goals=[Goal("g", requires=[Flights])])  # pyright: ignore[reportArgumentType]


def test_one_name_for_two_types_is_refused() -> None:
    @tool(effect="read")
    async def other(trip: Trip) -> Annotated[int, Artifact("price")]:
        return 1

    with pytest.raises(DefinitionError, match=r"price.*Artifact"):
        Agent(name="a", tools=[search, price, other], goals=[Goal("g", requires=[Price])])


@pytest.mark.parametrize(
    "settings",
    [{"trip_after": 0}, {"max_attempts": 0}, {"half_life_s": 0.0}, {"cool_down_s": -1.0}, {"patience_s": float("nan")}],
    ids=str,
)
def test_health_under_which_nothing_could_be_called_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="health"):
        Health(**settings)


@pytest.mark.parametrize(
    "rates", [{"usd_per_second": -1.0}, {"usd_per_risk": float("inf")}, {"usd_per_wh": float("nan")}], ids=str
)
def test_rates_that_mean_nothing_are_refused(rates: dict[str, float]) -> None:
    with pytest.raises(DefinitionError, match="rates"):
        Rates(**rates)


# -------------------------------------------------------------------- inputs


def test_inputs_are_recognised_by_their_type() -> None:
    assert agent().run_sync(Trip(city="Oslo"), inputs={"city": "Oslo"}).artifacts["price"] == 5.0


def test_a_subclass_is_recognised_where_only_one_type_fits() -> None:
    result = agent().run_sync(LongTrip(city="Oslo"), inputs={"city": "Oslo"})
    assert result.outcome == "succeeded"


def test_a_value_that_could_be_several_artifacts_has_to_be_named() -> None:
    @tool(effect="read")
    async def both(city: City, day: Day) -> Flights:
        return Flights(codes=[city, day])

    ambiguous = Agent(name="a", tools=[both], goals=[Goal("g", requires=[Flights])])
    with pytest.raises(InputError, match=r"city, day"):
        ambiguous.run_sync("Oslo", "today")
    assert ambiguous.run_sync(inputs={"city": "Oslo", "day": "today"})[Flights].codes == ["Oslo", "today"]


def test_a_value_of_the_only_fitting_type_need_not_be_named() -> None:
    assert agent().run_sync(Trip(city="Oslo"), "Oslo").outcome == "succeeded"


@pytest.mark.parametrize(
    ("values", "inputs", "why"),
    [
        ((), {"trip": 1}, "did you mean"),
        ((), {"Trip": {"town": "Oslo"}}, "city"),
        ((), {"Trip": None}, "Trip"),
        ((7,), {}, "int"),
    ],
    ids=str,
)
def test_inputs_that_do_not_fit_are_refused(values: tuple[Any, ...], inputs: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        agent().run_sync(*values, inputs=inputs)


def test_named_inputs_are_validated_and_may_be_plain_data() -> None:
    result = agent().run_sync(inputs={"Trip": {"city": "Oslo"}, "city": "Rome"})
    assert result.artifacts["Trip"] == Trip(city="Oslo")


def test_a_goal_that_nothing_leads_to_is_refused_before_anything_runs() -> None:
    @tool(effect="read")
    async def need(day: Day) -> Flights:
        raise AssertionError("called")

    hopeless = Agent(name="a", tools=[need], goals=[Goal("g", requires=[Flights])])
    with pytest.raises(NoRouteError, match="day") as caught:
        hopeless.run_sync()
    assert "day" in caught.value.missing


def test_a_lesser_goal_that_can_be_reached_makes_the_run_worth_starting() -> None:
    result = agent().run_sync(Trip(city="Oslo"))
    assert (result.outcome, result.goal) == ("demoted", "found")


def test_an_unknown_goal_is_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match="'priced'"):
        agent().run_sync(Trip(city="Oslo"), goal="prized")


@pytest.mark.parametrize("run_id", ["", "a b", "../x", "é", "x" * 65, "a_b"])
def test_run_ids_are_fit_for_file_names(run_id: str) -> None:
    with pytest.raises(InputError, match="run id"):
        agent().run_sync(Trip(city="Oslo"), run_id=run_id)


def test_run_ids_differ_and_can_be_seeded() -> None:
    def ids(seed: int | None) -> list[str]:
        seeded = agent(seed=seed)
        return [seeded.run_sync(Trip(city="Oslo"), goal="found").run_id for _ in range(3)]

    assert len(set(ids(None) + ids(None))) == 6
    assert ids(7) == ids(7)


def test_a_run_id_is_used_once() -> None:
    async def main() -> None:
        one = agent()
        await one.run(Trip(city="Oslo"), goal="found", run_id="r")
        with pytest.raises(InputError, match="already"):
            await one.run(Trip(city="Oslo"), goal="found", run_id="r")

    anyio.run(main)


@in_virtual_time
async def test_of_two_runs_that_start_at_once_under_one_id_one_is_refused() -> None:
    world = World()
    tried = bench([fake_tool("t", ["start"], ["a"], world=world, effect="once")], {"all": ["a"]}, world=world)
    ends: list[str] = []

    async def start() -> None:
        try:
            ends.append((await tried.agent.run(inputs={"start": "x"}, run_id="same")).outcome)
        except InputError:
            ends.append("refused")

    async with anyio.create_task_group() as runs:
        runs.start_soon(start)
        runs.start_soon(start)
    assert sorted(ends) == ["refused", "succeeded"]
    assert len(world.rows) == 1


# -------------------------------------------------------------------- plans


def test_a_plan_is_the_route_a_run_takes_and_calls_nothing() -> None:
    plan = agent().plan()
    assert (plan.goal, plan.feasible, plan.tools, plan.optimal) == ("priced", True, ["search", "price"], True)
    assert plan.weight == pytest.approx(0.01)
    assert agent().run_sync(Trip(city="Oslo"), "Oslo").route == plan.tools


def test_a_plan_does_without_tools_that_are_down() -> None:
    assert agent().plan(down=["search"]).tools == ["search_too", "price"]
    none = agent().plan(down=["search", "search_too"])
    assert (none.feasible, none.tools) == (False, [])
    assert "Flights" in none.reason


def test_a_plan_starts_from_what_is_at_hand() -> None:
    assert agent().plan(have=[Flights, City]).tools == ["price"]
    assert agent().plan(have=[Flights, "city"]).tools == ["price"]
    assert "city" in agent().plan(have=[Trip]).reason


def test_a_plan_keeps_budget_and_deadline() -> None:
    assert not agent(budget=Budget(usd=0.005)).plan().feasible
    assert agent(budget=Budget(usd=0.015)).plan(down=["search"]).feasible is False
    assert agent(budget=Budget(usd=0.025)).plan(down=["search"]).feasible


@pytest.mark.parametrize("question", [{"goal": "x"}, {"down": ["x"]}, {"have": ["x"]}], ids=str)
def test_a_plan_about_something_unknown_is_refused(question: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'x'"):
        agent().plan(**question)


def test_time_and_risk_are_weighed_at_the_agents_rates() -> None:
    tools = [
        fake_tool("cheap", ["start"], ["a"], usd=0.01, latency_s=10.0),
        fake_tool("quick", ["start"], ["a"], usd=0.02, latency_s=1.0),
        fake_tool("safe", ["start"], ["a"], usd=0.04),
    ]

    def chosen(**rates: float) -> list[str]:
        return Agent(name="a", tools=tools, goals=[Goal("g", ["a"])], rates=Rates(**rates)).plan().tools

    assert chosen() == ["cheap"]
    assert chosen(usd_per_second=0.002) == ["quick"]
    assert chosen(usd_per_second=1.0) == ["safe"]


# -------------------------------------------------------------------- surroundings


def test_an_agent_in_other_surroundings_shares_tools_and_health() -> None:
    seen: list[str] = []

    class Watcher(Observer):
        def observe(self, run: RunId, event: Event) -> None:
            seen.append(type(event).__name__)

    one = agent()
    two = one.with_options(observers=[Watcher()], seed=3)
    two.run_sync(Trip(city="Oslo"), goal="found")
    assert seen[0] == "RunStarted"
    assert seen[-1] == "RunFinished"
    one.run_sync(Trip(city="Oslo"), goal="found")
    assert seen.count("RunStarted") == 1
    assert one._services.board is two._services.board


@in_virtual_time
async def test_a_thousand_runs_at_once_share_one_board_and_one_limit() -> None:
    world = World()
    tried = bench(
        [fake_tool("t", ["start"], ["a"], world=world, seconds=1.0)],
        {"all": ["a"]},
        world=world,
        max_concurrency=100,
        yields=False,
    )
    async with anyio.create_task_group() as runs:
        for index in range(1000):
            runs.start_soon(tried.run, f"run-{index}")
    assert anyio.current_time() == pytest.approx(10.0)


def test_goals_can_ask_for_some_of_several() -> None:
    some = Agent(
        name="a",
        tools=[search, search_too, price],
        goals=[Goal("some", requires=[AtLeast(1, of=[Price, Flights])])],
    )
    assert some.run_sync(Trip(city="Oslo")).route == ["search"]


@in_virtual_time
async def test_a_plan_made_while_time_passes_judges_health_as_of_now() -> None:
    quick, other = (fake_tool(name, ["start"], ["a"], usd=usd) for name, usd in (("quick", 0.01), ("other", 0.05)))
    scripts = {"quick": [After(0.5, "ok"), ConnectionError("down")]}
    agent = bench([quick, other], {"all": ["a"]}, health=Health(trip_after=1), scripts=scripts).agent
    await agent.run(inputs={"start": "given"})
    assert [factors.age_s for factors in agent.plan(explain=True).weighed if factors.tool == "quick"] == [0.0]
    await agent.run(inputs={"start": "given"})
    assert agent.plan().tools == ["other"], "its breaker is open"
    await anyio.sleep(6.0)
    plan = agent.plan(explain=True)
    assert plan.tools == ["quick"], "and half-open"
    assert [factors.breaker for factors in plan.weighed if factors.tool == "quick"] == ["half-open"]


def test_a_plan_made_where_no_time_passes_judges_health_as_of_the_last_news() -> None:
    tools = [fake_tool("t", ["start"], ["a"], seconds=0.05)]
    agent = Agent(name="a", tools=tools, goals=[Goal("g", ["a"])], trace=False)
    agent.run_sync(inputs={"start": "given"})
    assert [factors.age_s for factors in agent.plan(explain=True).weighed] == [0.0]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"budget": 0.5}, r"budget must be a Budget\(...\), not 0.5"),
        ({"budget": {"usd": 1}}, r"budget must be a Budget\(...\)"),
        ({"budget": Quota(usd=1)}, r"budget must be a Budget\(...\)"),
        ({"quotas": Quota(usd=1)}, r"quotas must be a list of Quota\(...\)"),
        ({"quotas": [Budget(usd=1)]}, r"quotas must be a list of Quota\(...\)"),
        ({"rates": 1.0}, r"rates must be a Rates\(...\)"),
        ({"health": {}}, r"health must be a Health\(...\)"),
    ],
)
def test_limits_of_another_kind_are_refused_at_the_door(options: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        bench([fake_tool("call", ["start"], ["done"])], {"done": ["done"]}, **options)


@in_virtual_time
async def test_a_budget_of_another_kind_is_refused_before_a_run() -> None:
    agent = bench([fake_tool("call", ["start"], ["done"])], {"done": ["done"]}).agent
    wrong: Any = 0.5
    with pytest.raises(DefinitionError, match=r"budget must be a Budget\(...\), not 0.5"):
        await agent.run(inputs={"start": "given"}, budget=wrong)
    with pytest.raises(DefinitionError, match=r"budget must be a Budget\(...\), not 0.5"):
        agent.with_options(budget=wrong)
