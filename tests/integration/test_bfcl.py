"""BFCL's gold calls as agents on the real APIs, under drawn faults: what was done is done once, or the run says so."""

from collections.abc import Callable

import pytest

from agentroute.run.events import Verified
from agentroute.testing.faults import Fault
from tests.real_apis import bfcl
from tests.real_apis.bfcl import Suite, Task
from tests.real_apis.drawing import draw
from tests.real_apis.tally import tally
from tests.real_apis.trial import Lab, Setting, Trial

pytestmark = pytest.mark.skipif(not bfcl.installed(), reason=bfcl.HOW_TO_GET_IT)

SEED = 5


@pytest.fixture(scope="module")
def suite() -> Suite:
    return bfcl.load()


@pytest.fixture(scope="module")
def drawn(suite: Suite) -> list[Trial]:
    """Every task once, under faults of its own."""
    lab = Lab(suite)
    return [lab.trial(task, seed=SEED) for task in suite.tasks]


def told(trials: list[Trial], wrong: Callable[[Trial], object]) -> list[str]:
    """One line for each trial that has something wrong: enough to make it again."""
    return [
        f"{trial.task.name}: {found}; {trial.result.outcome}: {trial.result.reason}; {[*map(str, trial.faults)]}"
        for trial in trials
        if (found := wrong(trial))
    ]


def test_all_gold_calls_are_replayed_but_those_of_apis_that_cannot_be_imported(suite: Suite) -> None:
    assert len(suite.tasks) == 200
    assert suite.calls + suite.left_out == 1142
    assert set(suite.missing) <= {"MathAPI"}
    assert suite.left_out == (14 if suite.missing else 0)
    answers = [answer for task in suite.tasks for answer in bfcl.replay(task).answers]
    assert [answer for answer in answers if isinstance(answer, dict) and "error" in answer] == []


def test_two_replays_end_in_the_same_state(suite: Suite) -> None:
    for task in suite.tasks:
        first, second = bfcl.replay(task), bfcl.replay(task)
        assert first == second


def test_the_states_that_are_compared_show_it_when_an_effect_is_made_twice(suite: Suite) -> None:
    seen = 0
    for task in suite.tasks:
        effects = [call for call in task.calls if (call.api, call.method) in suite.effects]
        apis, states = task.open(), bfcl.replay(task).states
        if not effects:
            continue
        try:
            for call in (*task.calls[: effects[-1].number + 1], effects[-1]):
                call.make(apis)
        except ValueError:  # refused by the API itself
            continue
        seen += bfcl.state_of(apis) != states[effects[-1].number + 1]
    assert seen > 50


def test_what_a_method_does_is_measured_and_not_taken_from_its_name(suite: Suite) -> None:
    assert ("TravelAPI", "get_flight_cost") in suite.effects  # keeps what it said, for the booking
    assert ("TwitterAPI", "post_tweet") in suite.effects
    assert ("GorillaFileSystem", "ls") not in suite.effects


def test_without_faults_tasks_succeed_by_the_main_gateways_alone(suite: Suite) -> None:
    lab = Lab(suite)
    trials = [lab.trial(task, seed=0, faults=[]) for task in suite.tasks[::2]]
    assert told(trials, lambda trial: trial.violations or trial.admits or not trial.truth.equal) == []
    assert sum(trial.result.attempts for trial in trials) == sum(len(task.calls) for task in suite.tasks[::2])
    assert {name.rsplit(".", 1)[1] for trial in trials for name in trial.result.route} == {"main"}


def test_end_states_equal_those_without_faults_or_the_run_says_that_they_do_not(drawn: list[Trial]) -> None:
    assert told(drawn, lambda trial: trial.silent) == []
    figures = tally(drawn)
    assert figures.equal + figures.honest == 200
    assert figures.equal > 120
    assert figures.outcomes["demoted"] > 5, "the faults are too weak to reach lesser goals"
    assert figures.outcomes["escalated"] > 20, "the faults are too weak to reach escalations"


def test_no_effect_is_made_twice_on_the_real_objects(drawn: list[Trial]) -> None:
    assert told(drawn, lambda trial: trial.truth.doubled) == []


def test_no_call_that_was_done_comes_to_its_object_again(drawn: list[Trial]) -> None:
    assert told(drawn, lambda trial: trial.truth.again) == []


def test_objects_are_in_the_state_that_follows_from_what_the_run_says_it_did(drawn: list[Trial]) -> None:
    assert told(drawn, lambda trial: trial.truth.accounted is False) == []
    assert sum(trial.truth.accounted is True for trial in drawn) > 150


def test_the_invariants_hold_on_the_real_apis(drawn: list[Trial]) -> None:
    assert told(drawn, lambda trial: [str(violation) for violation in trial.violations]) == []


def test_most_faults_that_were_drawn_really_happened(drawn: list[Trial]) -> None:
    figures = tally(drawn)
    assert figures.triggered > 500
    assert figures.rules_hit / figures.rules > 0.4
    kinds = {fault.type for trial in drawn for fault, count in zip(trial.faults, trial.counts, strict=True) if count}
    assert len(kinds) == 19, "some kind of fault never happened"


def test_a_lost_answer_is_looked_up_and_the_call_is_not_made_again(suite: Suite) -> None:
    task = next(task for task in suite.tasks if any(call.method == "place_order" for call in task.calls))
    trial = Lab(suite).trial(task, seed=0, faults=[Fault(type="ack_lost", target="s*.main")])
    assert trial.result.outcome == "succeeded"
    assert trial.truth.equal
    assert trial.truth.again == ()
    looks = [record for record in trial.records if isinstance(record.event, Verified) and record.event.happened]
    assert len(looks) > 0


def test_a_tool_that_is_down_on_both_ways_is_not_passed_over(suite: Suite) -> None:
    task = next(task for task in suite.tasks if len({call.turn for call in task.calls}) > 2 and len(task.calls) > 4)
    last = task.calls[-1].number
    trial = Lab(suite).trial(task, seed=0, faults=[Fault(type="down", target=f"s{last:02}.*")])
    assert trial.result.outcome == "demoted"
    assert trial.truth.accounted
    assert trial.admits


def test_calls_on_different_objects_may_run_at_the_same_time(suite: Suite) -> None:
    lab = Lab(suite, Setting(kinds=("ack_lost", "malformed", "error_in_200"), by_object=True))
    several = [task for task in suite.tasks if len(task.open()) > 1][::3]
    trials = [lab.trial(task, seed=3) for task in several]
    assert told(trials, lambda trial: trial.violations or trial.silent or trial.truth.again) == []


def test_an_effect_that_comes_late_is_owned_up_to_unless_the_run_was_over(suite: Suite) -> None:
    lab = Lab(suite, Setting(kinds=("late_success",)))
    trials = [lab.trial(task, seed=SEED) for task in suite.tasks[::4]]
    assert told(trials, lambda trial: [str(violation) for violation in trial.violations]) == []
    assert told(trials, lambda trial: trial.silent and not trial.truth.late) == []
    assert told(trials, lambda trial: trial.silent_doubles) == []
    assert tally(trials).doubled > 3, "nothing came late where it does harm"


def test_the_same_seed_draws_the_same_faults_and_gives_the_same_run(suite: Suite) -> None:
    task: Task = suite.tasks[7]
    first, second = (Lab(suite).trial(task, seed=5) for _ in range(2))
    assert draw(5, task) == draw(5, task) == list(first.faults)
    assert draw(6, task) != draw(5, task)
    assert first.records == second.records
