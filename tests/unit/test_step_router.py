"""Agents that ask the step router: which tier is called, what is held against it, and what runs teach."""

import json
import logging
import os
import random
import resource
import signal
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.adapters.outcome_log import read_outcomes, write_outcomes
from agentroute.adapters.step_router import StepRouter
from agentroute.adapters.tier_model import TierModel
from agentroute.errors import ConfigurationError, DefinitionError, InputError, UnknownRunError
from agentroute.graph.cost import Rates
from agentroute.graph.tool import StepTier
from agentroute.guard.budget import Budget, Quota
from agentroute.ids import NanoUsd, RunId, ToolId, nanos
from agentroute.ports import Tool
from agentroute.routing.health import Health
from agentroute.routing.tiers.chances import Chances, TierWeights
from agentroute.routing.tiers.outcome import Judgement, Outcome
from agentroute.routing.tiers.pace import Pace, Spending
from agentroute.routing.tiers.policy import AlwaysCheap, Learned
from agentroute.routing.tiers.situation import Situation
from agentroute.routing.tiers.tier_board import DECLARED_STRENGTH, MOST_COUNTED, Offer, Seen, TierBoard
from agentroute.run.events import AttemptStarted, AttemptSucceeded, Hedged, RouteChosen, TierChosen
from agentroute.run.outcomes import outcomes_of
from agentroute.run.state import fold
from agentroute.testing.fakes import FakeTool, fake_tool
from agentroute.testing.faults import Fault
from agentroute.testing.virtual_time import run_virtual
from agentroute.testing.world import World
from tests.laboratory import Experiment, bench, experiment, in_virtual_time

GOALS = {"answered": ["answer"]}


def is_right(answer: str) -> bool:
    """Whether the fault ``wrong`` has not been at an answer."""
    return not answer.startswith("not ")


def tier(
    name: str,
    usd: float,
    *,
    step: str = "answer",
    right: float = 0.8,
    detection: float = 1.0,
    needs: Sequence[str] = ("start",),
    **options: Any,
) -> Tool:
    options.setdefault("usd_max", usd)
    options.setdefault("ensure", is_right if detection else None)
    kind = StepTier(step, name.partition("@")[2] or name, detection, right)
    return fake_tool(name, needs, [step], usd=usd, calls_model=True, tokens=10, tier=kind, **options)


def pair(**options: Any) -> list[Tool]:
    return [tier("small", 0.001, right=0.6, **options), tier("large", 0.01, right=0.9, **options)]


def attempts(run: Experiment) -> list[str]:
    return [started.tool for started in run.of(AttemptStarted)]


# -------------------------------------------------------------------- which tier is called


@pytest.mark.parametrize(
    ("router", "first"),
    [
        (StepRouter(policy="always-cheap"), "small"),
        (StepRouter(policy="always-expensive"), "large"),
        (StepRouter(policy="threshold", least=0.5), "small"),
        (StepRouter(policy="threshold", least=0.8), "large"),
        (StepRouter(policy="cascade", usd_per_success=0.05), "small"),
        (StepRouter(policy="learned", usd_per_success=0.001), "small"),
        (StepRouter(policy="learned", usd_per_success=1.0), "small"),
        (StepRouter(policy=AlwaysCheap(), steps={"answer": "always-expensive"}), "large"),
    ],
)
def test_the_policy_decides_which_tier_is_called(router: StepRouter, first: str) -> None:
    run = experiment(pair(), GOALS, step_router=router)
    assert attempts(run) == [first]
    (chosen,) = run.of(TierChosen)
    assert chosen.ranking[0] == first
    assert run.result.route == [first]


def test_where_wrong_answers_go_unnoticed_what_success_is_worth_decides() -> None:
    for worth, first in ((0.001, "small"), (1.0, "large")):
        run = experiment(pair(detection=0.0), GOALS, step_router=StepRouter(usd_per_success=worth))
        assert attempts(run) == [first]


def test_the_plan_says_what_will_be_called_before_anything_is() -> None:
    run = experiment(pair(), GOALS, step_router=StepRouter(policy="always-expensive"))
    assert run.agent.plan().tools == ["large"]
    assert run.agent.plan(down=["large"]).tools == ["small"]
    assert [route.tools for route in run.of(RouteChosen)] == [("large",)], "the first route is right at once"


def test_the_plan_says_what_tiers_weigh_and_why() -> None:
    run = experiment(pair(), GOALS, step_router=StepRouter(policy="threshold", least=0.8))
    plan = run.agent.plan()
    assert list(plan.tiers) == ["answer"]
    assert [(tier.tool, tier.right) for tier in plan.tiers["answer"]] == [
        ("large", pytest.approx(5.5 / 6)),
        ("small", 0.6),
    ]
    told = plan.model_dump()["tiers"]["answer"][0]
    assert told["weight"] == pytest.approx(plan.weight)
    assert experiment(pair(), GOALS).agent.plan().tiers == {}


def test_a_wrong_answer_goes_to_the_next_tier_and_nobody_is_ill() -> None:
    wrong = Fault(type="wrong", target="small")
    run = experiment(pair(), GOALS, faults=[wrong], step_router=StepRouter(policy="cascade", usd_per_success=0.05))
    assert attempts(run) == ["small", "large"]
    first, second = run.of(TierChosen)
    assert (first.situation.error, dict(first.situation.tried)) == ("", {})
    assert (second.situation.error, dict(second.situation.tried)) == ("contract", {"small": 1})
    assert second.ranking == ("large",), "what was refused is not asked again"
    assert run.result.outcome == "succeeded"


@in_virtual_time
async def test_a_tier_that_is_often_wrong_is_not_taken_for_broken() -> None:
    """Twenty wrong answers open no breaker; twenty errors do."""
    for fault, calls in ((Fault(type="wrong", target="small"), 20), (Fault(type="down", target="small"), 3)):
        tried = bench(
            pair(),
            GOALS,
            faults=[fault],
            step_router=StepRouter(policy="always-cheap"),
            health=Health(trip_after=3, max_attempts=1, cool_down_s=1000),
        )
        runs = [await tried.run(f"run-{number}") for number in range(20)]
        assert {run.result.outcome for run in runs} == {"succeeded"}
        assert len(runs[-1].calls("small")) == calls


@in_virtual_time
async def test_what_answers_have_shown_moves_later_runs() -> None:
    """The small model is declared to be right nine times in ten, and never is."""
    tools = [tier("small", 0.004, right=0.9), tier("large", 0.01, right=0.9)]
    router = StepRouter(policy="cascade", usd_per_success=0.05)
    tried = bench(tools, GOALS, faults=[Fault(type="wrong", target="small")], step_router=router)
    runs = [await tried.run(f"run-{number}") for number in range(20)]
    said = [run.of(TierChosen)[0].right[ToolId("small")] for run in runs]
    assert said == sorted(said, reverse=True)
    assert said[3] == pytest.approx(0.9 * DECLARED_STRENGTH / (DECLARED_STRENGTH + 3))
    assert attempts(runs[0]) == ["small", "large"]
    assert attempts(runs[-1]) == ["large"]


def test_without_a_step_router_nothing_is_chosen() -> None:
    run = experiment(pair(), GOALS)
    assert not run.of(TierChosen)
    assert attempts(run) == ["small"]


def test_a_step_with_one_model_needs_no_choice() -> None:
    run = experiment([tier("only", 0.01)], GOALS, step_router=StepRouter())
    assert not run.of(TierChosen)
    assert run.result.outcome == "succeeded"


def test_what_is_down_is_not_chosen_and_the_policy_names_the_next() -> None:
    down = [Fault(type="down", target="large")]
    run = experiment(pair(), GOALS, faults=down, step_router=StepRouter(policy="always-expensive"))
    assert attempts(run)[-1] == "small"
    assert run.result.outcome == "succeeded"


def test_a_step_is_chosen_for_when_its_inputs_are_there() -> None:
    tools = [
        fake_tool("read", ["start"], ["letter"], seconds=2.0),
        *[tier(name, usd, needs=["letter"]) for name, usd in (("small", 0.001), ("large", 0.01))],
    ]
    run = experiment(tools, GOALS, step_router=StepRouter(policy="always-expensive"))
    (chosen,) = run.of(TierChosen)
    assert (chosen.at, chosen.situation.depth) == (2.0, 1)


# -------------------------------------------------------------------- budgets: the rest can always be paid for


def best_within(steps: Sequence[Sequence[float]], limit: int) -> list[int]:
    """Greedy by hand: at each step the dearest tier after which the cheapest of all later ones still fit."""
    taken: list[int] = []
    for number, prices in enumerate(steps):
        rest = sum(min(nanos(price) for price in later) for later in steps[number + 1 :])
        fitting = [i for i, price in enumerate(prices) if sum(taken_usd(steps, taken)) + nanos(price) + rest <= limit]
        if not fitting:
            return []
        taken.append(max(fitting, key=lambda i: prices[i]))
    return taken


def taken_usd(steps: Sequence[Sequence[float]], taken: Sequence[int]) -> list[int]:
    return [nanos(steps[number][tier]) for number, tier in enumerate(taken)]


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=3, unique=True), min_size=1, max_size=3),
    st.integers(1, 30),
)
def test_a_tier_is_taken_only_if_the_rest_can_still_be_paid_for(cents: list[list[int]], limit: int) -> None:
    """Always-expensive within a budget is, step for step, the dearest that leaves enough to finish."""
    steps = [[cent / 100 for cent in tiers] for tiers in cents]
    names = ["start", *(f"s{number}" for number in range(len(steps)))]
    tools = [
        tier(f"{names[number + 1]}@{index}", usd, step=names[number + 1], needs=[names[number]])
        for number, prices in enumerate(steps)
        for index, usd in enumerate(prices)
    ]
    router, budget = StepRouter(policy="always-expensive"), Budget(usd=limit / 100)
    run = experiment(tools, {"done": [names[-1]]}, step_router=router, budget=budget)
    expected = best_within(steps, nanos(limit / 100))
    assert attempts(run) == [f"{names[number + 1]}@{index}" for number, index in enumerate(expected)]
    feasible = any(
        sum(taken_usd(steps, taken)) <= nanos(limit / 100) for taken in product(*map(range, map(len, steps)))
    )
    assert (run.result.outcome == "succeeded") == feasible


def test_what_is_left_is_rationed_by_what_steps_have_cost() -> None:
    """Two steps, and money for one upgrade: with a curve of spending, what success may be worth falls to what lasts."""
    tools = [
        tier(f"{step}@{name}", usd, step=step, needs=[needs], right=right, detection=0.0)
        for step, needs in (("one", "start"), ("two", "one"))
        for name, usd, right in (("small", 0.001, 0.6), ("large", 0.01, 0.9))
    ]
    model = TierModel(spending=Spending(((0.001, 0.001), (0.1, 0.005), (1.0, 0.01))))
    worths = list[list[int]]()
    for usd in (1.0, 0.012):
        router = StepRouter(usd_per_success=0.5, learned=model)
        run = experiment(tools, {"done": ["two"]}, step_router=router, budget=Budget(usd=usd))
        assert run.result.outcome == "succeeded"
        worths.append([chosen.worth for chosen in run.of(TierChosen)])
    rich, poor = worths
    assert rich == [nanos(0.5), nanos(0.5)]
    assert poor[0] < nanos(0.5)


def beside(large: float, small: float = 0.01, **options: Any) -> list[Tool]:
    """Two steps that can be done at once, and what joins them."""
    both = [(step, name, usd) for step in ("a", "b") for name, usd in (("small", small), ("large", large))]
    return [
        *(tier(f"{step}@{name}", usd, step=step, **options) for step, name, usd in both),
        fake_tool("join", ["a", "b"], ["done"]),
    ]


def test_two_steps_at_once_take_no_money_from_each_other() -> None:
    """Money for one upgrade: whoever chooses first has it, and what is recorded is what is called."""
    router = StepRouter(policy="always-expensive")
    run = experiment(beside(0.05), {"done": ["done"]}, step_router=router, budget=Budget(usd=0.07))
    chosen = [each.ranking[0] for each in run.of(TierChosen)]
    assert sorted(attempts(run)) == sorted([*chosen, "join"]) == ["a@large", "b@small", "join"]


@in_virtual_time
async def test_experiments_of_two_steps_at_once_are_as_frequent_as_the_record_says() -> None:
    router = StepRouter(explore=0.9, usd_per_success=0.05)
    tried = bench(beside(0.05, 0.04), {"done": ["done"]}, step_router=router, budget=Budget(usd=0.095), yields=False)
    runs = [await tried.run(f"run-{number}") for number in range(300)]
    for step in "ab":
        large = ToolId(f"{step}@large")
        choices = [chosen for run in runs for chosen in run.of(TierChosen) if chosen.step == step]
        assert len(choices) == len(runs)
        expected = sum(chosen.propensities.get(large, 0.0) for chosen in choices)
        called = sum(large in attempts(run) for run in runs)
        assert sum(chosen.ranking[0] == large for chosen in choices) == called
        assert abs(called - expected) < 30  # more than three standard deviations


def test_a_refusal_is_worth_nothing_without_money_for_another_answer() -> None:
    """The small tier alone would be refused in vain: whoever can pay for one call of the large one makes that one."""
    wrong = [Fault(type="wrong", target="small")]
    for policy in ("learned", "cascade"):
        router = StepRouter(policy=policy, usd_per_success=1.0)
        run = experiment(pair(), GOALS, faults=wrong, step_router=router, budget=Budget(usd=0.0105))
        assert (attempts(run), run.result.outcome) == (["large"], "succeeded"), policy


SLOW = {"seconds": 1.0, "latency_s": 1.0}


@pytest.mark.parametrize("policy", ["learned", "cascade"])
@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"usd": 0.0105}, {"usd": 0.011}),
        ({"llm_calls": 1}, {"llm_calls": 2}),
        ({"tool_calls": 1}, {"tool_calls": 2}),
        ({"tokens": 19}, {"tokens": 20}),
        ({"deadline_s": 1.9}, {"deadline_s": 2.1}),
    ],
    ids=str,
)
def test_a_refusal_is_worth_nothing_where_any_limit_leaves_no_room_for_another_answer(
    policy: str, one: dict[str, float], two: dict[str, float]
) -> None:
    wrong = [Fault(type="wrong", target="small")]

    def first(limits: dict[str, float], **options: Any) -> list[str]:
        router = StepRouter(policy=policy, usd_per_success=1.0)
        return attempts(
            experiment(pair(**SLOW), GOALS, faults=wrong, step_router=router, budget=Budget(**limits), **options)  # pyright: ignore[reportArgumentType]
        )

    assert first(one) == ["large"]
    assert first(two) == ["small", "large"]
    if "deadline_s" not in one:  # what all runs may use together counts as well
        assert first({}, quotas=[Quota(**one)]) == ["large"]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"usd": 0.0255}, {"usd": 0.026}),
        ({"llm_calls": 2}, {"llm_calls": 3}),
        ({"tool_calls": 3}, {"tool_calls": 4}),
        ({"tokens": 29}, {"tokens": 30}),
        ({"deadline_s": 4.4}, {"deadline_s": 4.6}),
    ],
    ids=str,
)
def test_what_the_rest_of_the_route_needs_is_kept_before_another_answer_is_counted_on(
    one: dict[str, float], two: dict[str, float]
) -> None:
    """Of a later step its cheapest tier: 0.001 and 0.01 USD for two answers here, and 0.005 and 0.01 for the rest."""
    later = [
        tier(f"check-{name}", usd, step="checked", needs=["answer"], right=0.9, **SLOW)
        for name, usd in (("small", 0.005), ("large", 0.05))
    ]
    publish = fake_tool("publish", ["checked"], ["out"], usd=0.01, seconds=1.5, latency_s=1.5)

    def first(limits: dict[str, float]) -> str:
        router = StepRouter(policy="cascade", usd_per_success=1.0)
        tools = [*pair(**SLOW), *later, publish]
        run = experiment(tools, {"out": ["out"]}, step_router=router, budget=Budget(**limits))  # pyright: ignore[reportArgumentType]
        assert run.result.outcome == "succeeded"
        return attempts(run)[0]

    assert first(one) == "large"
    assert first(two) == "small"


def test_what_is_under_way_is_not_kept_for_a_second_time() -> None:
    """It is held back already: 0.032 USD are enough for it, and for both answers."""
    tools = [
        fake_tool("long", ["start"], ["other"], usd=0.02, seconds=9.0),
        fake_tool("first", ["start"], ["given"], seconds=1.0),
        *pair(needs=["given"]),
    ]
    router = StepRouter(policy="cascade", usd_per_success=1.0)
    run = experiment(tools, {"both": ["answer", "other"]}, step_router=router, budget=Budget(usd=0.032))
    assert attempts(run) == ["long", "first", "small"] or attempts(run) == ["first", "long", "small"]


def test_what_other_tools_need_is_no_money_for_upgrades() -> None:
    """A run with 0.05 USD more, and a tool that takes them, may take no more for its model step."""
    model = TierModel(spending=Spending(((0.001, 0.001), (0.1, 0.005), (1.0, 0.01))))
    publish = fake_tool("publish", ["answer"], ["out"], usd=0.05)
    worths = list[int]()
    for tools, wanted, usd in ((pair(detection=0.0), "answer", 0.006), ([*pair(detection=0.0), publish], "out", 0.056)):
        router = StepRouter(usd_per_success=0.5, learned=model)
        run = experiment(tools, {"g": [wanted]}, step_router=router, budget=Budget(usd=usd))
        worths += [chosen.worth for chosen in run.of(TierChosen)]
    assert worths[0] == worths[1] < nanos(0.5)


def test_policies_are_told_which_tiers_have_answered_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    told, choose = list[frozenset[ToolId]](), TierBoard.choose

    def noted(board: TierBoard, *args: Any, **options: Any) -> Any:
        if "draw" in options:  # asked for a choice, and not for what a step may weigh
            told.append(options.get("tried", frozenset()))
        return choose(board, *args, **options)

    monkeypatch.setattr(TierBoard, "choose", noted)
    experiment(
        pair(), GOALS, faults=[Fault(type="wrong", target="small")], step_router=StepRouter(policy="always-cheap")
    )
    assert told == [frozenset(), {"small"}]


def test_a_provider_that_is_down_has_not_answered_wrongly() -> None:
    """What a tier is thought to get right falls by a refused answer, and not by one that never came."""
    seen = dict[str, Any]()
    for kind, fault in (
        ("down", Fault(type="error", status=503, target="small")),
        ("wrong", Fault(type="wrong", target="small")),
    ):
        run = experiment(pair(), GOALS, faults=[fault], step_router=StepRouter(policy="always-cheap"))
        board = run.agent._services.tiers
        assert board is not None
        assert "small" in attempts(run)
        seen[kind] = board._seen.get(("answer", "small"))
    assert seen["wrong"] is not None
    assert seen["down"] is None


def test_a_plain_tool_competes_with_the_price_of_a_tier() -> None:
    """Nobody knows how often a plain tool is wrong: tiers do not lose to it by what wrong answers would cost."""
    plain = fake_tool("plain", ["start"], ["answer"], usd=0.03)
    for detection in (0.0, 0.5, 1.0):
        tools = [tier("small", 0.01, detection=detection), tier("large", 0.02, detection=detection), plain]
        run = experiment(tools, GOALS, step_router=StepRouter(policy="always-cheap"))
        assert attempts(run) == ["small"]
        assert run.agent.plan().weight == pytest.approx(0.01, rel=1e-3)


@in_virtual_time
async def test_a_tier_that_hangs_is_hedged_by_another_one() -> None:
    tools = [tier(name, usd, latency_s=0.1, seconds=0.1) for name, usd in (("small", 0.001), ("large", 0.01))]
    slow = Fault(type="latency", target="small", latency_s=8.0, from_s=5.0)
    tried = bench(
        tools,
        GOALS,
        faults=[slow],
        step_router=StepRouter(policy="always-cheap"),
        budget=Budget(deadline_s=10),
        rates=Rates(usd_per_second=1.0),
    )
    tried.injector.start()
    await tried.run("before")
    await anyio.sleep(6)
    run = await tried.run("after")
    assert run.of(Hedged)[0].after == ("large",)
    assert run.result.route == ["large"]


class Mute(FakeTool):
    """Cannot say what it would ask."""

    def asked(self, inputs: object) -> str:
        raise ZeroDivisionError(f"of {inputs}")


def test_what_prompts_and_inputs_raise_ends_in_the_attempt() -> None:
    tools = [Mute(made.spec, World()) for made in pair()]
    run = experiment(tools, GOALS, step_router=StepRouter(policy="always-cheap"))
    assert attempts(run) == ["small"]


# -------------------------------------------------------------------- chance


@in_virtual_time
async def test_experiments_are_as_frequent_as_the_record_says() -> None:
    router = StepRouter(policy="learned", explore=0.5, usd_per_success=0.05)
    tools = [tier("small", 0.004), tier("large", 0.005)]
    tried = bench(tools, GOALS, step_router=router, yields=False)
    drawn = [(await tried.run(f"run-{number}")).of(TierChosen)[0] for number in range(400)]
    expected = sum(chosen.propensities[ToolId("large")] for chosen in drawn)
    assert 0.1 * 400 < expected < 0.5 * 400
    # Three standard deviations of a sum of 400 draws are 30 at most.
    assert abs(sum(chosen.ranking[0] == "large" for chosen in drawn) - expected) < 30


def test_the_same_seed_makes_the_same_experiments() -> None:
    router = StepRouter(policy="learned", explore=1.0, usd_per_success=0.05)
    runs = [experiment(pair(), GOALS, step_router=router, seed=seed) for seed in (1, 1, 2, 3, 4, 5, 6)]
    first = [run.of(TierChosen)[0].ranking for run in runs]
    assert first[0] == first[1]
    assert len(set(first)) == 2


def test_a_choice_is_part_of_the_state_and_survives_a_restart() -> None:
    run = experiment(pair(), GOALS, step_router=StepRouter(policy="always-expensive"))
    (chosen,) = run.of(TierChosen)
    events = [record.event for record in run.records]
    assert fold(events[: events.index(chosen) + 1]).tiers == {"answer": chosen}
    failed = experiment(
        pair(), GOALS, faults=[Fault(type="wrong", target="large")], step_router=StepRouter(policy="always-expensive")
    )
    assert [next(iter(c.ranking)) for c in failed.of(TierChosen)] == ["large", "small"]


# -------------------------------------------------------------------- what runs take, across runs


@in_virtual_time
async def test_spending_settles_at_what_runs_are_meant_to_take() -> None:
    """Success is worth so much that every step is upgraded; what runs are meant to take allows for every second."""
    router = StepRouter(usd_per_success=1.0, usd_per_run=0.0055)
    tools = [tier("small", 0.001, right=0.6, detection=0.0), tier("large", 0.01, right=0.9, detection=0.0)]
    tried = bench(tools, GOALS, step_router=router, yields=False)
    spent = [(await tried.run(f"run-{number}")).result.cost_usd for number in range(600)]
    assert spent[0] == 0.01
    assert sum(spent[200:]) / 400 == pytest.approx(0.0055, rel=0.1)


# -------------------------------------------------------------------- the log


def logged(path: Path) -> list[tuple[str, float | None, bool, float]]:
    return [(each.tier, each.right, each.verified, each.propensity) for each in read_outcomes(path)]


def test_outcomes_are_logged_once_a_run_is_over(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    wrong = [Fault(type="wrong", target="small")]
    router = StepRouter(policy="cascade", usd_per_success=0.05, log=path)
    run = experiment(pair(), GOALS, faults=wrong, step_router=router, inputs={"start": "Where is my parcel?"})
    assert logged(path) == [("small", 0.0, True, 1.0), ("large", 1.0, True, 1.0)]
    first, second = read_outcomes(path)
    assert first.run == run.result.run_id
    assert dict(first.tiers) == {"small": pytest.approx(0.001, rel=0.3), "large": pytest.approx(0.01, rel=0.3)}
    assert dict(second.situation.tried) == {"small": 1}
    assert "parcel" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_errors_say_nothing_about_how_right_a_tier_is(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    router = StepRouter(policy="always-cheap", log=path)
    down = [Fault(type="error", target="small", status=404)]
    experiment(pair(), GOALS, faults=down, step_router=router)
    assert logged(path) == [("large", 1.0, True, 1.0)]


def test_who_took_the_place_of_the_first_was_no_choice_of_chance() -> None:
    """The record of an attempt that the ranking did not put first says that there was nothing else."""
    run = experiment(pair(), GOALS, step_router=StepRouter(policy="learned", explore=1.0, usd_per_success=0.05))
    events = [record.event for record in run.records]
    (chosen,) = run.of(TierChosen)
    other = ToolId("large" if chosen.ranking[0] == "small" else "small")
    forced = [replace(e, tool=other) if isinstance(e, (AttemptStarted, AttemptSucceeded)) else e for e in events]
    (outcome,) = outcomes_of(RunId("run"), forced, run.agent.graph.tools)
    assert (outcome.propensity, len(outcome.tiers)) == (1.0, 1)
    (free,) = outcomes_of(RunId("run"), events, run.agent.graph.tools)
    assert (free.propensity, len(free.tiers)) == (chosen.propensities[chosen.ranking[0]], 2)


async def _cut_off(path: Path) -> None:
    tools = [*pair(), fake_tool("post", ["answer"], ["posted"], seconds=60.0)]
    tried = bench(tools, {"posted": ["posted"]}, step_router=StepRouter(log=path))
    with anyio.move_on_after(5):
        await tried.agent.run(inputs={"start": "given"})


def test_answers_of_runs_that_are_cut_off_are_logged_too(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    run_virtual(_cut_off, path)
    assert logged(path) == [("small", 1.0, True, 1.0)]


def test_a_line_that_was_cut_off_costs_no_other_one(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_text('{"version": "1", "run": "torn')
    experiment(pair(), GOALS, step_router=StepRouter(log=path))
    assert len(path.read_text().splitlines()) == 2
    with pytest.raises(DefinitionError, match=r"outcomes\.jsonl:1:.*if a write was cut off here, take the line out"):
        logged(path)
    path.write_text(path.read_text().splitlines()[1] + "\n")
    assert logged(path) == [("small", 1.0, True, 1.0)]


def test_a_full_disk_leaves_no_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    experiment(pair(), GOALS, step_router=StepRouter(log=path))
    whole, found = path.read_text(), list(read_outcomes(path))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, limit[1]))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(ConfigurationError, match="outcomes cannot be written"):
            write_outcomes(path, found)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_text() == whole


def test_what_is_no_file_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", ""):
        with pytest.raises(DefinitionError, match="log of outcomes"):
            StepRouter(log=path)


def test_a_log_that_cannot_be_written_costs_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    router = StepRouter(log=tmp_path / "missing" / "outcomes.jsonl")
    with caplog.at_level(logging.ERROR):
        run = experiment(pair(), GOALS, step_router=router)
    assert run.result.outcome == "succeeded"
    assert "outcomes of run run are lost; the run is not" in caplog.text


def test_rehearsals_are_not_logged(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"

    @in_virtual_time
    async def both() -> None:
        tried = bench(pair(), GOALS, step_router=StepRouter(log=path))
        rehearsal = tried.agent.with_options(trace=False).with_options(seed=3)
        await rehearsal.run(inputs={"start": "given"})

    both()
    assert not path.exists()


# -------------------------------------------------------------------- judgements


async def _judged(path: Path, steps: int) -> list[Experiment]:
    """Three runs of so many steps; the first turns out wrong, the second right, and the third does not turn out."""
    names = ["start", *(f"s{number}" for number in range(steps))]
    tools = [
        tier(f"{names[number + 1]}@{name}", usd, step=names[number + 1], needs=[names[number]], detection=0.0)
        for number in range(steps)
        for name, usd in (("small", 0.001), ("large", 0.01))
    ]
    tried = bench(tools, {"done": [names[-1]]}, step_router=StepRouter(policy="always-cheap", log=path))
    runs = [await tried.run("first")]
    await tried.agent.judge("first", 0.0)
    runs.append(await tried.run("second"))
    await tried.agent.judge("second", 1.0)
    return [*runs, await tried.run("third")]


def test_what_turns_out_later_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    runs = run_virtual(_judged, path, 1)
    small = ToolId("s0@small")
    said = [run.of(TierChosen)[0].right[small] for run in runs]
    assert said == [0.8, pytest.approx(4 / 6), pytest.approx(5 / 7)]
    assert logged(path) == [("small", 0.0, True, 1.0), ("small", 1.0, True, 1.0), ("small", None, False, 1.0)]


def test_of_a_wrong_run_with_several_steps_nobody_knows_which_one_it_was(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    runs = run_virtual(_judged, path, 2)
    assert [right for _, right, _, _ in logged(path)] == [None, None, 1.0, 1.0, None, None]
    share = 1.0 - 0.2 / 0.36  # one of two was wrong, that are right with 0.8
    assert runs[1].of(TierChosen)[0].right[ToolId("s0@small")] == pytest.approx((5 * 0.8 + share) / 6)
    with path.open("a") as log:
        log.write(json.dumps({"version": "1", "run": "first", "judged": 0.25, "step": "s1"}) + "\n")
    assert [right for _, right, _, _ in logged(path)] == [None, 0.25, 1.0, 1.0, None, None]


def test_what_was_refused_stays_wrong_whatever_became_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"

    async def main() -> None:
        router = StepRouter(policy="always-cheap", log=path)
        tried = bench(pair(), GOALS, faults=[Fault(type="wrong", target="small")], step_router=router)
        await tried.run("run")
        await tried.agent.judge("run", 1.0)

    run_virtual(main)
    assert [(name, right) for name, right, _, _ in logged(path)] == [("small", 0.0), ("large", 1.0)]


def test_a_judgement_counts_once_and_corrects_what_was_taken_for_right(tmp_path: Path) -> None:
    async def main() -> float:
        tried = bench(pair(), GOALS, step_router=StepRouter(policy="always-cheap", log=tmp_path / "outcomes.jsonl"))
        await tried.run("run")
        for _ in range(3):
            await tried.agent.judge("run", 0.0)
        return (await tried.run("next")).of(TierChosen)[0].right[ToolId("small")]

    assert run_virtual(main) == pytest.approx(0.6 * DECLARED_STRENGTH / (DECLARED_STRENGTH + 1))


def counted(board: TierBoard) -> dict[tuple[str, str], tuple[float, float]]:
    return {name: (seen.right, seen.wrong) for name, seen in board._seen.items()}


def test_the_latest_judgement_takes_the_place_of_those_before(tmp_path: Path) -> None:
    """One answer counts once, whether its run, or its step, or both are judged, and however often."""
    path = tmp_path / "outcomes.jsonl"

    async def main() -> list[dict[tuple[str, str], tuple[float, float]]]:
        tools = [tier(name, usd, detection=0.0) for name, usd in (("small", 0.001), ("large", 0.01))]
        tried = bench(tools, GOALS, step_router=StepRouter(policy="always-cheap", log=path))
        await tried.run("run")
        found = list[dict[tuple[str, str], tuple[float, float]]]()
        for right, step in ((0.0, None), (1.0, None), (0.25, "answer"), (0.0, None)):
            await tried.agent.judge("run", right, step=step)
            board = tried.agent._services.tiers
            assert board is not None
            found.append(counted(board))
        return found

    key = ("answer", "small")
    assert run_virtual(main) == [{key: (0, 1)}, {key: (1, 0)}, {key: (0.25, 0.75)}, {key: (0.25, 0.75)}]
    assert logged(path) == [("small", 0.25, True, 1.0)]


def test_a_run_of_another_process_is_counted_when_it_is_judged() -> None:
    board = TierBoard(Learned(), Pace(1.0))
    board.saw(StepTier("answer", "small", detection=1.0), accepted=True)
    answer = Outcome("elsewhere", Situation("answer"), "small", 0.0, 1.0, detection=1.0)
    board.judged(Judgement("elsewhere", 0.0), [answer], {})
    assert counted(board) == {("answer", "small"): (1, 1)}
    board.ended("here", NanoUsd(0))
    board.judged(Judgement("here", 0.0), [replace(answer, run="here")], {})
    assert counted(board) == {("answer", "small"): (0, 2)}


def test_an_answer_counts_once_however_many_wrong_ones_are_noticed() -> None:
    for detection in (0.0, 0.5, 1.0):
        board, model = TierBoard(Learned(), Pace(1.0)), StepTier("answer", "small", detection)
        answers = [
            Outcome("run", Situation("answer"), "small", 0.0, right, detection=detection) for right in (0.0, None)
        ]
        for answer in answers if detection else []:
            board.saw(model, accepted=answer.right is None)
        board.ended("run", NanoUsd(0))
        board.judged(Judgement("run", 1.0), answers, {})
        assert counted(board) == {("answer", "small"): (pytest.approx(1, abs=0.03), pytest.approx(1, abs=0.03))}


def test_a_step_that_is_known_to_be_wrong_clears_the_others() -> None:
    board = TierBoard(Learned(), Pace(1.0))
    answers = [Outcome("run", Situation(step), "small", 0.0, None) for step in ("a", "b")]
    board.judged(Judgement("run", 0.0), answers, {})
    shares = [1.0 - 0.2 / 0.36] * 2  # one of two was wrong, that are right with 0.8
    assert [right for right, _ in counted(board).values()] == pytest.approx(shares)
    board.judged(Judgement("run", 0.0, "a"), answers, {})
    assert counted(board)["a", "small"] == pytest.approx((0, 1))
    assert 0.7 < counted(board)["b", "small"][0] < 0.8  # as if its run had not been judged


TRUE = {"small": 0.5, "large": 0.9}


def played(board: TierBoard, run: str, step: str, detection: float, dice: random.Random) -> tuple[list[Outcome], bool]:
    """Answers of a tier until one is accepted, and whether that was right."""
    model, answers = StepTier(step, dice.choice(list(TRUE)), detection), list[Outcome]()
    while True:
        right = dice.random() < TRUE[model.tier]
        refused = not right and dice.random() < detection
        if detection:
            board.saw(model, accepted=not refused)
        known = 0.0 if refused else 1.0 if detection == 1 else None
        answers.append(Outcome(run, Situation(step), model.tier, 0.0, known, detection=detection))
        if not refused:
            return answers, right


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("detection", [0.0, 0.3, 0.8, 1.0])
def test_judged_runs_teach_the_true_chances(steps: int, detection: float) -> None:
    """Runs of so many steps, judged as a whole: the wrong ones count as well as the right ones, and no answer twice."""
    dice, said = random.Random(1), dict[str, list[float]]()
    boards = [TierBoard(Learned(), Pace(1.0)) for _ in range(4)]
    for number, board in product(range(3_000), boards):
        found = [played(board, str(number), str(step), detection, dice) for step in range(steps)]
        board.ended(str(number), NanoUsd(0))
        verdict = Judgement(str(number), float(all(right for _, right in found)))
        board.judged(verdict, [answer for answers, _ in found for answer in answers], {})
        if number % 100 == 0 and number > 1_000:
            for (_, name), seen in board._seen.items():
                said.setdefault(name, []).append(seen.chance(0.8))
    for name, chances in said.items():
        assert fmean(chances) == pytest.approx(TRUE[name], abs=0.05)


@pytest.mark.parametrize("detection", [0.3, 0.5, 0.9])
def test_where_not_all_wrong_answers_are_noticed_the_true_chance_is_found(detection: float) -> None:
    """Half of the answers are right; of the others, so many are refused."""
    board, small = TierBoard(Learned(), Pace(1.0)), StepTier("answer", "small", detection)
    dice = random.Random(1)
    for _ in range(3_000):
        board.saw(small, accepted=dice.random() < 0.5 or dice.random() >= detection)
    said = board.right(Situation("answer"), [Offer(ToolId("s"), small, NanoUsd(1), NanoUsd(1), NanoUsd(1))])
    assert said[ToolId("s")] == pytest.approx(0.5, abs=0.15)


def test_a_judgement_of_what_was_not_is_refused() -> None:
    async def main() -> None:
        tried = bench(pair(), GOALS, step_router=StepRouter())
        await tried.run("run")
        with pytest.raises(UnknownRunError):
            await tried.agent.judge("other", 1.0)
        with pytest.raises(InputError, match="no tier of a step 'reply'"):
            await tried.agent.judge("run", 1.0, step="reply")
        with pytest.raises(DefinitionError, match="right must be a number from 0 to 1"):
            await tried.agent.judge("run", 1.5)
        bare = bench(pair(), GOALS)
        await bare.run("run")
        with pytest.raises(InputError, match="has no step router"):
            await bare.agent.judge("run", 1.0)

    run_virtual(main)


def test_the_log_refuses_judgements_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_text('{"version": "1", "run": "a", "judged": 2}\n')
    with pytest.raises(DefinitionError, match=r"outcomes\.jsonl:1:1: judged: Input should be less than or equal to 1"):
        list(read_outcomes(path))


# -------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"policy": "greedy"}, "'greedy' is not one of always-cheap"),
        ({"policy": 3}, "policy must be one of always-cheap"),
        ({"policy": "cascade", "explore": 0.1}, "explore is for the policy 'learned', which no step goes by"),
        ({"least": 0.9}, "least is for the policy 'threshold', which no step goes by"),
        ({"policy": "threshold", "usd_per_run": 1.0}, "usd_per_run is for policies that ask what success is worth"),
        ({"explore": 1.5}, "explore must be a number from 0 to 1"),
        ({"usd_per_success": 0.0}, "usd_per_success must be above 0"),
        ({"usd_per_success": float("nan")}, "usd_per_success must be a number"),
        ({"usd_per_run": 0.0}, "usd_per_run must be above 0, or left out"),
        ({"steps": {"answer": "never"}}, "'never' is not one of"),
        ({"learned": "missing.json"}, "missing.json"),
        ({"learned": 5}, "learned must be a file or a TierModel"),
        ({"steps": None}, "steps must map names to policies"),
        ({"least": -1}, "least must be a number from 0 to 1"),
    ],
)
def test_a_step_router_that_means_nothing_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        StepRouter(**options)


def test_policies_of_steps_that_there_are_not_are_refused() -> None:
    with pytest.raises(DefinitionError, match="no step reply with several tiers; there are: answer"):
        experiment(pair(), GOALS, step_router=StepRouter(steps={"reply": "cascade"}))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"explore": 0.1}, "explore is for the policy 'learned'"),
        ({"policy": "threshold", "least": 0.9}, "least is for the policy 'threshold'"),
        ({"usd_per_run": 0.1}, "usd_per_run is for policies that ask what success is worth"),
    ],
)
def test_options_that_no_step_of_the_agent_goes_by_are_refused(options: dict[str, Any], why: str) -> None:
    router = StepRouter(steps={"answer": "always-cheap"}, **options)
    with pytest.raises(DefinitionError, match=why):
        experiment(pair(), GOALS, step_router=router)


def test_a_model_file_of_other_tiers_is_refused() -> None:
    model = TierModel(Chances({}, {"other": TierWeights(base=0.0, own={})}))
    with pytest.raises(DefinitionError, match="the model file knows none of large, small; it knows: other"):
        experiment(pair(), GOALS, step_router=StepRouter(learned=model))
    with pytest.raises(DefinitionError, match="step_router must be a StepRouter"):
        experiment(pair(), GOALS, step_router="learned")


def test_tiers_that_differ_in_more_than_their_price_are_refused() -> None:
    with pytest.raises(DefinitionError, match="take or produce different things; give one step another name"):
        experiment([tier("small", 0.1), tier("large", 0.2, needs=["letter"])], GOALS)
    with pytest.raises(DefinitionError, match="are the same tier"):
        experiment([tier("a@x", 0.1), tier("b@x", 0.2)], GOALS)


# -------------------------------------------------------------------- the board itself


def test_what_was_learned_beforehand_comes_before_what_was_seen() -> None:
    chances = Chances({}, {"small": TierWeights(base=0.0, own={})})
    board = TierBoard(Learned(), Pace(1.0), chances=chances)
    for _ in range(50):
        board.saw(StepTier("answer", "small", detection=1.0), accepted=True)
        board.saw(StepTier("answer", "large", detection=1.0), accepted=True)
    offers = [
        Offer(ToolId(name), StepTier("answer", name), NanoUsd(1), NanoUsd(1), NanoUsd(1)) for name in ("small", "large")
    ]
    right = board.right(Situation("answer"), offers)
    assert right[ToolId("small")] == 0.5
    assert right[ToolId("large")] == pytest.approx((4 + 50) / 55)


@given(history=st.lists(st.booleans(), max_size=600), declared=st.floats(0, 1), latest=st.booleans())
def test_a_chance_follows_answers_in_the_right_direction(*, history: list[bool], declared: float, latest: bool) -> None:
    """A right answer never lowers a chance, a wrong one never raises it, and of late means some hundred answers."""
    seen = Seen()
    for answer in history:
        seen.take(float(answer))
    before = seen.chance(declared)
    assert 0 <= before <= 1
    after = replace(seen)
    after.take(float(latest))
    moved = after.chance(declared) - before
    halved = seen.right + seen.wrong >= MOST_COUNTED
    if not halved:
        assert moved >= 0 if latest else moved <= 0
    assert after.right + after.wrong <= MOST_COUNTED
