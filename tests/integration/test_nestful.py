"""NESTFUL's gold plans: the router finds them from the types alone, or it is said why types alone do not tell."""

from collections import Counter
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from agentroute.testing.faults import Fault
from agentroute.testing.invariants import reachable
from tests.laboratory import experiment
from tests.real_apis import nestful
from tests.real_apis.nestful import TYPINGS, Finding, Nestful, Puzzle, Typing, solve

FOLDER = nestful.folder()  # now: tests run without the settings of whoever starts them
pytestmark = pytest.mark.skipif(FOLDER is None, reason=nestful.HOW_TO_GET_IT)


@cache
def data() -> Nestful:
    assert FOLDER is not None
    return nestful.load(FOLDER)


@cache
def findings(typing: Typing) -> list[Finding]:
    return [solve(Puzzle(data(), plan, typing)) for plan in data().plans]


def test_the_data_set_is_read_whole() -> None:
    assert len(data().plans) == 85
    assert len(data().functions) == 39
    assert sum(len(plan.calls) for plan in data().plans) == 233
    assert (
        sum(1 for plan in data().plans for call in plan.calls if len({label for _, label, _ in call.references}) > 1)
        > 5
    )


def test_every_plan_is_found_from_types_that_say_which_call_they_come_from() -> None:
    for finding in findings("call"):
        gold = {name for name in finding.puzzle.gold if finding.verdict == "the only one"}
        assert finding.verdict == "the only one" or finding.why.startswith("the answer of the plan does not rest on")
        assert set(finding.tools) >= gold
    assert Counter(finding.verdict for finding in findings("call")) == {"the only one": 83, "fewer calls": 2}


def test_where_fewer_calls_are_found_it_is_those_that_the_answer_rests_on() -> None:
    for finding in findings("call"):
        plan = finding.puzzle.plan
        needed = {call.function for call in plan.support()}
        assert {name.split(" ")[0] for name in finding.tools} == needed
        assert len(finding.tools) == len(plan.support())


def test_two_calls_of_one_function_are_the_only_ambiguity_of_types_named_by_function() -> None:
    verdicts = Counter((finding.verdict, finding.why) for finding in findings("function"))
    assert verdicts == {
        ("the only one", ""): 77,
        ("fewer calls", "two calls of one function give the same types"): 8,
    }


def test_types_named_by_field_are_ambiguous_where_functions_share_a_field() -> None:
    verdicts = Counter(finding.verdict for finding in findings("field"))
    assert verdicts == {"the only one": 73, "fewer calls": 9, "other calls": 3}


def test_bare_types_tell_no_plan_apart() -> None:
    verdicts = Counter(finding.verdict for finding in findings("bare"))
    assert verdicts == {"one of several": 6, "fewer calls": 32, "other calls": 47}
    assert all(finding.why for finding in findings("bare"))


@pytest.mark.parametrize("typing", TYPINGS)
def test_a_route_leads_to_the_answer_has_nothing_superfluous_and_is_proven_cheapest(typing: Typing) -> None:
    for finding in findings(typing):
        puzzle = finding.puzzle
        graph, have = puzzle.agent.graph, puzzle.at_hand
        assert finding.optimal
        assert reachable(graph, "answer", have, finding.tools)
        for tool in finding.tools:
            assert not reachable(graph, "answer", have, [other for other in finding.tools if other != tool])


@pytest.mark.parametrize("typing", TYPINGS)
def test_the_plan_itself_leads_to_the_answer_whatever_the_types_say(typing: Typing) -> None:
    for plan in data().plans:
        puzzle = Puzzle(data(), plan, typing)
        assert reachable(puzzle.agent.graph, "answer", puzzle.at_hand, puzzle.gold)


def test_without_a_call_that_the_answer_rests_on_the_router_says_that_there_is_no_route() -> None:
    for finding in findings("call"):
        for tool in finding.tools:
            assert not finding.puzzle.agent.plan(have=finding.puzzle.at_hand, down=[tool]).feasible


def test_a_route_that_is_run_makes_each_call_once_and_survives_a_refusal() -> None:
    for finding in findings("call"):
        puzzle = finding.puzzle
        goals = {"answer": sorted(set(puzzle.wanted()))}
        refused = Fault(type="error", target=finding.tools[-1].replace("[", "[[]"), attempts=(1, 1))
        tools, world = puzzle.tools()
        run = experiment(tools, goals, world=world, inputs=puzzle.at_hand, faults=[refused])
        assert run.result.outcome == "succeeded"
        assert sorted(run.result.route) == sorted(finding.tools)
        assert run.result.retries == 1


def test_the_folder_is_found_by_the_environment_and_its_absence_is_no_error(tmp_path: Path) -> None:
    assert nestful.folder({"AGENTROUTE_DATA": str(tmp_path)}) is None
    (tmp_path / "nestful").mkdir()
    (tmp_path / "nestful" / "executable-data.json").write_text("[]")
    assert nestful.folder({"AGENTROUTE_DATA": str(tmp_path)}) == tmp_path / "nestful"


def test_distractors_are_really_there() -> None:
    for plan in data().plans:
        puzzle = Puzzle(data(), plan, "field")
        functions = {name.split(" ")[0] for name in chain(puzzle.agent.graph.tools)}
        assert functions == set(data().functions)
