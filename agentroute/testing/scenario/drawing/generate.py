"""Random scenarios from a seed: graphs, faults and schedules that nobody would have thought of.

The first ones cover every two values of what they differ in (`axes`), the others are drawn freely. Each needs
nothing but its file: the graph is written out in it, and its tools are simulated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agentroute.errors import InputError
from agentroute.testing.scenario.drawing.axes import AXES, Mix, goes_together, mix_of
from agentroute.testing.scenario.drawing.dice import Dice
from agentroute.testing.scenario.drawing.draw_faults import draw_trouble
from agentroute.testing.scenario.drawing.draw_graph import draw_agent
from agentroute.testing.scenario.drawing.forecast import Expected, forecast
from agentroute.testing.scenario.drawing.pairwise import completed, covering
from agentroute.testing.scenario.drawing.scene import Trouble, aimed_at
from agentroute.testing.scenario.drawing.sketch import AgentSketch
from agentroute.testing.scenario.writing import to_yaml

OUTCOMES = ["succeeded", "demoted", "escalated"]
"""How a run may end under faults; whether better was possible is the oracle's to say."""

MOST_DRAWS = 100
"""Agents that are drawn until one can have the faults that are wanted."""


@dataclass(frozen=True)
class GeneratedScenario:
    """A scenario nobody has written.

    Attributes:
        file: Name for its file, such as ``0001-linear-timeout.yaml``.
        data: As `agentroute.testing.scenario.document.ScenarioDocument` takes it.
        mix: What it is an example of.
        origin: Where it comes from, for people.
    """

    file: str
    data: dict[str, Any]
    mix: Mix
    origin: str

    @cached_property
    def text(self) -> str:
        """The file."""
        return to_yaml(self.data, comment=self.origin)


def generate(count: int, seed: int) -> Iterator[GeneratedScenario]:
    """Draw scenarios. The n-th of a seed is the same to the byte, however many there are.

    Args:
        count: How many.
        seed: What they are drawn from.

    Raises:
        InputError: `count` is negative.
    """
    if count < 0:
        raise InputError(f"cannot generate {count} scenarios")
    planned = mixes(seed)
    for number in range(1, count + 1):
        mix = planned[number - 1] if number <= len(planned) else _any_mix(Dice(seed, number, "mix"))
        yield _scenario(number, seed, mix)


def mixes(seed: int) -> Sequence[Mix]:
    """What the first scenarios of a seed are examples of: together, of every two values that go together."""
    return [mix_of(combination) for combination in covering(AXES, goes_together, Dice(seed, "mixes"))]


def _any_mix(dice: Dice) -> Mix:
    """Any values that go together; each kind is as likely."""
    chosen: dict[str, str] = {}
    for axis in AXES:
        values = (value for value in dice.shuffled(AXES[axis]))
        chosen[axis] = next(v for v in values if completed({**chosen, axis: v}, AXES, goes_together) is not None)
    return mix_of(chosen)


def _scenario(number: int, seed: int, mix: Mix) -> GeneratedScenario:
    for attempt in range(MOST_DRAWS):
        dice = Dice(seed, number, attempt)
        agent = draw_agent(mix.topology, dice)
        calls = forecast(agent)
        trouble = draw_trouble(mix, agent, calls, dice)
        if trouble is not None:
            _limit(agent, calls, dice)
            file = f"{number:04}-{mix.topology}-{mix.kind.replace('_', '-')}.yaml"
            origin = f"Generated: seed {seed}, number {number}."
            return GeneratedScenario(file, _data(mix, agent, trouble, dice), mix, origin)
    raise AssertionError(f"no agent can have {mix}")


def _limit(agent: AgentSketch, calls: Sequence[Expected], dice: Dice) -> None:
    """Give an agent limits, sometimes, within which it can succeed when all goes well."""
    usual = [(call.tool.name, call.at) for call in calls]
    if dice.chance(0.3):
        worst = sum(call.tool.worst_usd for call in calls)
        agent.budget["usd"] = round((worst + 0.001) * dice.pick((1.2, 2, 4)), 4)
    if dice.chance(0.3):
        longest = max(call.at + max(call.tool.takes_s, call.tool.latency_s) for call in calls)
        agent.budget["deadline_s"] = round(longest * dice.pick((3, 6, 20)) + 0.5, 1)
    if agent.budget and [(call.tool.name, call.at) for call in forecast(agent)] != usual:
        agent.budget.clear()


def _data(mix: Mix, agent: AgentSketch, trouble: Trouble, dice: Dice) -> dict[str, Any]:
    data: dict[str, Any] = {
        "version": "1",
        "title": title_of(mix),
        "level": "virtual",
        "seed": trouble.seed,
        "agent": agent.document(),
    }
    if trouble.runs > 1:
        data["runs"] = trouble.runs
        data |= {"every": trouble.every} if trouble.every else {}
    if dice.chance(0.25):
        data["health"] = dice.pick(({"trip_after": 1}, {"cool_down_s": 0.5}, {"max_attempts": 2}, {"patience_s": 0.0}))
    if simulate := agent.simulate():
        data["simulate"] = simulate
    data["steady-state-hypothesis"] = {"outcome": "succeeded", "llm_calls": {"max": 0}}
    data["method"] = trouble.faults
    data["expect"] = _expected(agent, trouble)
    return data


def _expected(agent: AgentSketch, trouble: Trouble) -> dict[str, Any]:
    """What must hold whatever is decided: nothing is done twice that must be done once, as far as anybody can help."""
    twice = {
        tool.name
        for fault in trouble.faults
        if fault["type"] == "duplicate_delivery"
        for tool in aimed_at(agent, fault)
        if not tool.may_repeat
    }
    once = [tool.name for tool in agent.tools if tool.effect == "once" and tool.name not in twice]
    effects = {"effects": {name: {"max": 1} for name in once}} if once else {}
    return {"outcome": OUTCOMES, **effects}


def title_of(mix: Mix) -> str:
    """What a scenario is about, in words."""
    return ", ".join(
        (
            f"{mix.kind.replace('_', ' ')} of {_SCOPES[mix.scope]}",
            _TIMINGS[mix.timing],
            _DURATIONS[mix.duration],
            _CORRELATIONS[mix.correlation],
            f"in a {mix.topology} graph",
        )
    )


_SCOPES = {
    "tool": "one tool",
    "provider": "all tools of a provider",
    "pattern": "several tools",
    "remedy": "a verifier or compensator",
    "surroundings": "the surroundings",
}
_TIMINGS = {"start": "from the start", "midway": "midway", "nth-call": "at the first call"}
_DURATIONS = {"one-shot": "once", "window": "for a while", "permanent": "for ever"}
_CORRELATIONS = {
    "single": "alone",
    "shared-cause": "with others of the same cause",
    "independent": "with another by chance",
    "cascade": "with another in its wake",
}
