"""Side effects: never a blind second one; found out about, undone, or handed to a person."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import math

import pytest

from agentroute.guard.effects import idempotency_key
from agentroute.ids import ArtifactId, RunId, ToolId
from agentroute.routing.health import Health
from agentroute.run.events import (
    AttemptFailed,
    AttemptStarted,
    Compensated,
    Rerouted,
    Retried,
    Unresolved,
    Verified,
)
from agentroute.testing.fakes import FakeTool, fake_compensator, fake_tool, fake_verifier
from agentroute.testing.faults import Fault, FaultType
from agentroute.testing.world import World
from tests.laboratory import Experiment, experiment

IN_DOUBT: list[FaultType] = ["ack_lost", "timeout", "reset", "truncated", "malformed", "renamed_field", "empty"]
"""After these a caller cannot know whether anything happened."""


def booking(world: World, **options: object) -> FakeTool:
    return fake_tool("book", ["start"], ["a"], world=world, effect="once", timeout_s=2.0, **options)  # pyright: ignore[reportArgumentType]


def book(fault: FaultType, *, verify: bool = True, world: World | None = None, **options: object) -> Experiment:
    """Book something, which goes wrong once."""
    world = world or World()
    tool = booking(world, verify="find" if verify else None)
    tools = [tool, *([fake_verifier(tool)] if verify else [])]
    faults = [Fault(type=fault, target="book", attempts=(1, 1))]
    return experiment(tools, {"all": ["a"]}, faults=faults, world=world, **options)


# -------------------------------------------------------------------- doubt


@pytest.mark.parametrize("fault", ["ack_lost", "truncated", "malformed", "renamed_field", "empty"])
def test_an_effect_that_is_found_counts_and_is_not_repeated(fault: FaultType) -> None:
    world = World()
    done = book(fault, world=world)
    assert (done.result.outcome, len(world.rows)) == ("succeeded", 1)
    assert done.called() == ["book", "find"]
    assert done.result.artifacts["a"] == world.rows[0].outputs["a"]
    assert done.result.route == ["book"]


@pytest.mark.parametrize("fault", ["timeout", "reset"])
def test_an_effect_that_is_not_found_is_tried_again(fault: FaultType) -> None:
    world = World()
    done = book(fault, world=world)
    assert (done.result.outcome, len(world.rows)) == ("succeeded", 1)
    assert done.called()[:3] == ["book", "find", "book"]
    assert done.result.retries == 1


@pytest.mark.parametrize("fault", IN_DOUBT)
def test_an_effect_that_nobody_can_look_into_is_handed_over(fault: FaultType) -> None:
    world = World()
    done = book(fault, verify=False, world=world)
    assert (done.result.outcome, done.called()) == ("escalated", ["book"])
    assert done.result.left_behind == ["book"]
    assert "may have happened" in done.result.reason


@pytest.mark.parametrize("fault", ["down", "rate_limit", "error"])
def test_what_is_known_not_to_have_happened_is_simply_tried_again(fault: FaultType) -> None:
    world = World()
    done = book(fault, world=world)
    assert (done.result.outcome, done.called()) == ("succeeded", ["book", "book"])


def test_an_effect_in_doubt_is_not_answered_by_another_tool_either() -> None:
    world = World()
    tools = [booking(world), fake_tool("other", ["start"], ["a"], world=world, effect="once", usd=1.0)]
    done = experiment(tools, {"all": ["a"]}, faults=[Fault(type="ack_lost", target="book")], world=world)
    assert (done.result.outcome, done.called()) == ("escalated", ["book"])


@pytest.mark.parametrize("effect", ["read", "idempotent"])
def test_what_may_be_called_twice_is_called_twice(effect: str) -> None:
    world = World()
    tool = fake_tool("t", ["start"], ["a"], world=world, effect=effect)  # pyright: ignore[reportArgumentType]
    done = experiment([tool], {"all": ["a"]}, faults=[Fault(type="ack_lost", target="t", attempts=(1, 1))], world=world)
    assert (done.result.outcome, done.called()) == ("succeeded", ["t", "t"])
    assert [event.kind for event in done.of(AttemptFailed)] == ["transient"]


def test_a_verifier_that_fails_is_asked_again_and_then_a_person() -> None:
    world = World()
    tool = booking(world, verify="find")
    faults = [Fault(type="ack_lost", target="book"), Fault(type="down", target="find", attempts=(1, 2))]
    tools = [tool, fake_verifier(tool)]
    recovers = experiment(tools, {"all": ["a"]}, faults=faults, world=world)
    assert (recovers.result.outcome, recovers.called()) == ("succeeded", ["book", "find", "find", "find"])
    faults[1] = Fault(type="down", target="find")
    never = experiment(tools, {"all": ["a"]}, faults=faults, world=World())
    assert never.result.outcome == "escalated"
    assert "find failed: connection refused" in never.of(Unresolved)[0].reason


def test_without_a_verifier_a_compensator_that_can_work_is_used() -> None:
    """It takes the inputs of the tool, so it can undo without knowing what was produced."""
    world = World()
    tool = booking(world, compensate="cancel")
    cancel = fake_tool("cancel", ["start"], [], effect="idempotent")
    done = experiment([tool, cancel], {"all": ["a"]}, faults=[Fault(type="timeout", target="book", attempts=(1, 1))])
    assert done.called() == ["book", "cancel", "book"]
    assert [event.attempt for event in done.of(Compensated)] == [1]
    assert done.result.outcome == "succeeded"


def test_a_compensator_that_needs_what_was_never_received_cannot_work() -> None:
    world = World()
    tool = booking(world, compensate="cancel")
    done = experiment(
        [tool, fake_compensator(tool)], {"all": ["a"]}, faults=[Fault(type="ack_lost", target="book")], world=world
    )
    assert (done.result.outcome, done.called()) == ("escalated", ["book"])


def test_the_run_goes_on_with_its_siblings_only_after_the_doubt_is_settled() -> None:
    world = World()
    tool = booking(world, verify="find")
    tools = [
        tool,
        fake_verifier(tool, seconds=3.0),
        fake_tool("quick", ["start"], ["b"], world=world, seconds=0.1),
        fake_tool("after", ["b"], ["c"], world=world),
    ]
    done = experiment(
        tools, {"all": ["a", "c"]}, faults=[Fault(type="ack_lost", target="book", attempts=(1, 1))], world=world
    )
    assert done.calls("after")[0].at >= 3.0
    assert done.result.outcome == "succeeded"


def test_an_effect_that_comes_to_light_at_the_end_is_undone() -> None:
    """Not found when asked, so another tool did it; found before the end, and in vain."""
    world = World()
    first = booking(world, verify="find", compensate="cancel", usd=0.01)
    other = fake_tool("other", ["start"], ["a"], world=world, effect="once", usd=0.02)
    last = fake_tool("last", ["a"], ["b"], world=world, seconds=2.0)
    done = experiment(
        [first, fake_verifier(first), fake_compensator(first), other, last],
        {"all": ["b"]},
        faults=[Fault(type="late_success", target="book", latency_s=1.0)],
        world=world,
        health=Health(max_attempts=1),
    )
    assert done.result.outcome == "succeeded"
    assert [event.happened for event in done.of(Verified)] == [False, True]
    assert [row.tool for row in world.standing()] == ["other"]
    assert done.result.artifacts["a"] == world.standing()[0].outputs["a"]


def test_two_attempts_that_had_one_effect_are_not_undone_as_if_they_had_two() -> None:
    """The first came late and was found when the second was looked into: the result rests on it."""
    world = World()
    tool = booking(world, verify="find", compensate="cancel")
    tools = [tool, fake_verifier(tool), fake_compensator(tool)]
    faults = [
        Fault(type="late_success", target="book", attempts=(1, 1), latency_s=0.01),
        Fault(type="timeout", target="book", attempts=(2, 2)),
    ]
    done = experiment(tools, {"all": ["a"]}, faults=faults, world=world)
    assert done.result.outcome == "succeeded"
    assert [row.number for row in world.standing()] == [1]
    assert done.of(Compensated) == []


# -------------------------------------------------------------------- sagas


def saga(world: World, *, compensators: bool = True) -> list[FakeTool]:
    """Three effects in a row, and a step behind them."""
    return [
        fake_tool("one", ["start"], ["a"], world=world, effect="once", compensate="undo-one" if compensators else None),
        fake_tool(
            "two", ["a"], ["b"], world=world, effect="idempotent", compensate="undo-two" if compensators else None
        ),
        fake_tool("three", ["b"], ["c"], world=world, effect="once", compensate="undo-three" if compensators else None),
        fake_tool("four", ["c"], ["d"], world=world),
    ]


def test_effects_in_vain_are_undone_the_last_first() -> None:
    world = World()
    tools = saga(world)
    undo = [fake_compensator(tool) for tool in tools[:3]]
    done = experiment(
        [*tools, *undo], {"all": ["d"]}, faults=[Fault(type="error", status=404, target="four")], world=world
    )
    assert done.result.outcome == "escalated"
    assert [event.tool for event in done.of(Compensated)] == ["three", "two", "one"]
    assert world.standing() == []
    assert set(done.result.artifacts) == {"start"}


def test_effects_that_a_lesser_goal_rests_on_stay() -> None:
    world = World()
    tools = saga(world)
    undo = [fake_compensator(tool) for tool in tools[:3]]
    done = experiment(
        [*tools, *undo],
        {"all": ["d"], "some": ["b"]},
        faults=[Fault(type="error", status=404, target="four")],
        world=world,
    )
    assert (done.result.outcome, done.result.goal) == ("demoted", "some")
    assert [row.tool for row in world.standing()] == ["one", "two"]


def test_effects_that_cannot_be_undone_are_named() -> None:
    world = World()
    done = experiment(
        saga(world, compensators=False),
        {"all": ["d"]},
        faults=[Fault(type="error", status=404, target="four")],
        world=world,
    )
    assert done.result.outcome == "escalated"
    assert set(done.result.left_behind) == {"one", "two", "three"}


def test_an_effect_that_will_not_be_undone_goes_to_a_person() -> None:
    world = World()
    tools = saga(world)
    undo = [fake_compensator(tool) for tool in tools[:3]]
    faults = [Fault(type="error", status=404, target="four"), Fault(type="error", status=404, target="undo-two")]
    done = experiment([*tools, *undo], {"all": ["d"], "some": ["start"]}, faults=faults, world=world)
    assert done.result.outcome == "escalated"
    assert "two" in done.result.reason
    assert "two" in done.result.left_behind


def test_an_effect_of_a_way_that_was_left_is_undone_although_the_goal_was_reached() -> None:
    world = World()
    tools = [
        fake_tool("reserve", ["start"], ["a"], world=world, effect="once", compensate="release"),
        fake_tool("pay", ["a"], ["b"], world=world),
        fake_tool("otherwise", ["start"], ["b"], world=world, usd=1.0),
    ]
    done = experiment(
        [*tools, fake_compensator(tools[0])],
        {"all": ["b"]},
        faults=[Fault(type="error", status=404, target="pay")],
        world=world,
    )
    assert (done.result.outcome, done.result.route) == ("succeeded", ["reserve", "otherwise"])
    assert world.standing() == []


def test_of_two_effects_that_made_the_same_artifact_the_right_one_is_undone() -> None:
    world = World()
    tools = [
        fake_tool("left", ["start"], ["x", "y"], world=world, effect="once", compensate="undo-left"),
        fake_tool("right", ["start"], ["x", "z"], world=world, effect="once", compensate="undo-right", seconds=0.1),
        fake_tool("join", ["y", "z"], ["w"], world=world),
    ]
    done = experiment(
        [*tools, *(fake_compensator(tool) for tool in tools[:2])],
        {"all": ["w"]},
        faults=[Fault(type="error", status=404, target="join")],
        world=world,
    )
    assert [event.tool for event in done.of(Compensated)] == ["right", "left"]
    assert world.standing() == []


# -------------------------------------------------------------------- keys


def test_every_attempt_of_an_effect_carries_the_same_key_and_reading_carries_none() -> None:
    world = World()
    tool = booking(world, verify="find")
    tools = [fake_tool("read", ["start"], ["b"], world=world), tool, fake_verifier(tool)]
    done = experiment(
        tools, {"all": ["a", "b"]}, faults=[Fault(type="reset", target="*", attempts=(1, 1))], world=world
    )
    keys = {
        name: {event.key for event in done.of(AttemptStarted) if event.tool == name}
        for name in ("read", "book", "find")
    }
    assert keys["read"] == keys["find"] == {""}
    assert len(keys["book"]) == 1
    assert len(done.calls("book")) == 2


def test_a_key_depends_on_run_tool_and_inputs_and_on_nothing_else() -> None:
    def key(run: str = "r", tool: str = "t", **inputs: object) -> str:
        return idempotency_key(RunId(run), ToolId(tool), {ArtifactId(name): value for name, value in inputs.items()})

    assert key(a=1, b=2) == key(b=2, a=1)
    assert len({key(a=1), key("s", a=1), key(tool="u", a=1), key(a=2), key(b=1), key()}) == 6


def test_a_failed_effect_has_one_answer_in_the_journal() -> None:
    done = book("reset")
    assert len(done.of(AttemptFailed)) == len(done.of(Retried)) + len(done.of(Rerouted)) == 1
    assert math.isclose(done.of(Verified)[0].at, done.of(AttemptFailed)[0].at)
