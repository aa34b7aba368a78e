"""Generated scenarios: the same for everybody, sound before anything goes wrong, and of every kind there is."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import combinations, product
from typing import Any, get_args

import pytest

from agentroute.errors import InputError
from agentroute.graph.document import GraphDocument
from agentroute.graph.tool import KOfN
from agentroute.graph.toolgraph import ToolGraph
from agentroute.testing.faults.fault import IN_CALLS
from agentroute.testing.scenario.document import ScenarioDocument, parse_scenario
from agentroute.testing.scenario.drawing.axes import AXES, Topology, goes_together
from agentroute.testing.scenario.drawing.dice import Dice
from agentroute.testing.scenario.drawing.draw_graph import MOST_TOOLS, draw_agent
from agentroute.testing.scenario.drawing.forecast import forecast
from agentroute.testing.scenario.drawing.generate import GeneratedScenario, generate, mixes
from agentroute.testing.scenario.drawing.pairwise import Combination, completed, covering, pairs_of, possible_pairs
from agentroute.testing.scenario.play import play
from agentroute.testing.scenario.staging import stage

MANY = 300


@pytest.fixture(scope="module")
def drawn() -> list[GeneratedScenario]:
    return list(generate(MANY, seed=11))


# -------------------------------------------------------------------- the same for everybody


def test_the_nth_scenario_of_a_seed_is_the_same_however_many_there_are(drawn: list[GeneratedScenario]) -> None:
    few = [scenario.text for scenario in generate(125, seed=11)]
    assert few == [scenario.text for scenario in drawn[:125]]


def test_another_seed_gives_other_scenarios(drawn: list[GeneratedScenario]) -> None:
    assert not {scenario.text for scenario in generate(50, seed=12)} & {scenario.text for scenario in drawn}


DIGEST = """
import hashlib
from agentroute.testing.scenario.drawing.generate import generate
print(hashlib.sha256("".join(one.file + one.text for one in generate(60, seed=11)).encode()).hexdigest())
"""


def test_another_process_with_other_hashes_draws_the_same(drawn: list[GeneratedScenario]) -> None:
    here = hashlib.sha256("".join(one.file + one.text for one in drawn[:60]).encode()).hexdigest()
    told = {**os.environ, "PYTHONHASHSEED": "1"}
    there = subprocess.run([sys.executable, "-c", DIGEST], env=told, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_the_dice_fall_as_they_always_did() -> None:
    dice = Dice(7, "a")
    assert [dice.whole(1, 6) for _ in range(12)] == [6, 4, 5, 3, 2, 3, 6, 2, 2, 2, 4, 3]
    assert (dice.pick("abc"), dice.some("abcdef", 3), dice.shuffled("abc")) == ("a", ["a", "e", "f"], ["c", "b", "a"])


def test_none_are_generated_if_none_are_asked_for() -> None:
    assert list(generate(0, seed=1)) == []
    with pytest.raises(InputError, match="-1"):
        next(generate(-1, seed=1))


# -------------------------------------------------------------------- pairs


def all_pairs(axes: dict[str, tuple[str, ...]]) -> set[Any]:
    """Pairs of every combination that is allowed, by trying every combination."""
    found: set[Any] = set()
    for values in product(*axes.values()):
        whole = dict(zip(axes, values, strict=True))
        if goes_together(whole):
            found.update(pairs_of(whole))
    return found


def test_the_first_scenarios_cover_every_pair_that_is_possible(drawn: list[GeneratedScenario]) -> None:
    planned = len(mixes(11))
    covered = {pair for scenario in drawn[:planned] for pair in pairs_of(scenario.mix.values)}
    assert covered == all_pairs({axis: tuple(values) for axis, values in AXES.items()})
    assert planned < 150, "so few that a short generation covers them"


def test_every_fault_that_virtual_time_can_have_is_drawn(drawn: list[GeneratedScenario]) -> None:
    mains = {scenario.data["method"][1 if scenario.mix.scope == "remedy" else 0]["type"] for scenario in drawn}
    assert mains == IN_CALLS | {"clock_jump"}
    assert all(
        scenario.data["method"][1 if scenario.mix.scope == "remedy" else 0]["type"] == scenario.mix.kind
        for scenario in drawn
    )


def test_a_covering_keeps_to_what_is_allowed() -> None:
    axes = {"a": ("1", "2", "3"), "b": ("1", "2", "3"), "c": ("1", "2")}

    def allowed(chosen: Combination) -> bool:
        return (chosen.get("a"), chosen.get("b")) != ("1", "2") and chosen.get("c") != "2"

    found = list(covering(axes, allowed, Dice(1)))
    assert all(allowed(whole) and whole["c"] == "1" for whole in found)
    expected = {
        pair
        for values in product(*axes.values())
        if allowed(whole := dict(zip(axes, values, strict=True)))
        for pair in combinations(whole.items(), 2)
    }
    assert {pair for whole in found for pair in pairs_of(whole)} == expected == set(possible_pairs(axes, allowed))


def test_what_cannot_be_completed_is_said_so() -> None:
    axes = {"a": ("1",), "b": ("1", "2")}
    assert completed({"a": "1"}, axes, lambda chosen: chosen.get("b") != "1") == {"a": "1", "b": "2"}
    assert completed({}, axes, lambda chosen: "b" not in chosen) is None


# -------------------------------------------------------------------- what is in them


def test_every_file_is_valid_and_says_what_the_data_say(drawn: list[GeneratedScenario]) -> None:
    for scenario in drawn:
        read = parse_scenario(scenario.text, scenario.file)
        assert read == ScenarioDocument.model_validate(scenario.data), scenario.file
        assert read.level == "virtual"
        assert isinstance(read.agent, GraphDocument)
        assert max(map(len, scenario.text.splitlines())) <= 140, scenario.file


def test_files_are_named_after_what_they_show(drawn: list[GeneratedScenario]) -> None:
    assert drawn[0].file.startswith("0001-")
    assert len({scenario.file for scenario in drawn}) == MANY
    assert all(f"-{one.mix.topology}-{one.mix.kind.replace('_', '-')}.yaml" in one.file for one in drawn)


def graph_of(scenario: GeneratedScenario) -> ToolGraph:
    document = GraphDocument.model_validate(scenario.data["agent"])
    return ToolGraph(document.tool_specs, document.goal_specs)


def test_graphs_hang_together_as_their_names_say(drawn: list[GeneratedScenario]) -> None:
    for scenario in drawn:
        graph = graph_of(scenario)
        tools = list(graph.routable.values())
        assert 2 <= len(tools) <= MOST_TOOLS, scenario.file
        ways = Counter(artifact for tool in tools for artifact in tool.produces)
        assert max(ways.values()) <= 4, scenario.file  # three, and one that makes it by the way
        needs = [tool.requires for tool in tools] + [goal.requires for goal in graph.goals.values()]
        joins = [need for some in needs for need in some if isinstance(need, KOfN)]
        assert bool(joins) == (scenario.mix.topology == "k-of-n"), scenario.file
        if scenario.mix.topology == "linear":
            assert {len(tool.requires) for tool in tools} == {1}, scenario.file


def test_there_is_everything_that_agents_can_have(drawn: list[GeneratedScenario]) -> None:
    tools = [tool for scenario in drawn for tool in scenario.data["agent"]["tools"]]
    assert {tool["effect"] for tool in tools} == {"read", "idempotent", "once"}
    for key in ("provider", "verify", "compensate"):
        assert any(key in tool for tool in tools)
    assert any("usd_max" in tool["cost"] for tool in tools)
    agents = [scenario.data["agent"] for scenario in drawn]
    assert {len(agent["goals"]) for agent in agents} == {1, 2, 3}
    assert {key for agent in agents for key in agent.get("budget", {})} == {"usd", "deadline_s"}
    assert {scenario.data.get("runs", 1) for scenario in drawn} == {1, 2, 3, 4, 5}
    assert any(scenario.data.get("every") for scenario in drawn)
    simulated = [entry for scenario in drawn for entry in scenario.data.get("simulate", {}).values()]
    assert {key for entry in simulated for key in entry} == {"seconds", "usd", "honours_key"}


def test_nothing_may_be_done_twice_but_what_is_delivered_twice(drawn: list[GeneratedScenario]) -> None:
    spared = 0
    for scenario in drawn:
        once = {tool["name"] for tool in scenario.data["agent"]["tools"] if tool["effect"] == "once"}
        bounds = scenario.data["expect"].get("effects", {})
        assert all(bound == {"max": 1} for bound in bounds.values())
        assert set(bounds) <= once
        if any(fault["type"] == "duplicate_delivery" for fault in scenario.data["method"]):
            spared += once != set(bounds)
        else:
            assert once == set(bounds), scenario.file
    assert spared


def test_faults_are_not_expected_away(drawn: list[GeneratedScenario]) -> None:
    for scenario in drawn:
        document = ScenarioDocument.model_validate(scenario.data)
        assert document.hypothesis.outcome == ("succeeded",)
        assert document.expected.outcome == ("succeeded", "demoted", "escalated")
        assert document.expected.llm_calls is not None
        assert document.expected.llm_calls.max == 0


# -------------------------------------------------------------------- the forecast


@pytest.mark.parametrize("topology", get_args(Topology))
def test_a_forecast_is_what_a_run_without_faults_does(topology: Topology) -> None:
    for number in range(12):
        agent = draw_agent(topology, Dice(number, topology))
        calls = sorted((call.tool.name, round(call.at, 9)) for call in forecast(agent))
        data = {"version": "1", "title": "t", "agent": agent.document(), "simulate": agent.simulate()}
        played = play(stage(ScenarioDocument.model_validate(data), "drawn.yaml", None), (), 0)
        assert played.results["run-0"].outcome == "succeeded"
        assert sorted((seen.tool, round(seen.at, 9)) for seen in played.seen) == calls


def test_an_agent_that_cannot_succeed_has_no_forecast() -> None:
    agent = draw_agent("linear", Dice(3))
    agent.budget["deadline_s"] = 0.001
    assert forecast(agent) == []
