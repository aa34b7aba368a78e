"""8: which tier of a model step is called was chosen, and the choice says with which chance."""

from dataclasses import dataclass, field
from math import isclose

from agentroute.run.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    RunStarted,
    TierChosen,
    Verified,
)
from agentroute.testing.invariants.account import Account, Found, role, satisfied

CLOSE = 1e-9


def tiers_are_chosen(account: Account) -> Found:
    """Each choice is one, and each attempt of a step with several tiers follows a choice that no failure has ended."""
    if account.case.chooses_tiers or any(isinstance(event, TierChosen) for event in account.events):
        walk = _Walk(account, _steps(account))
        for event in account.events:
            yield from walk.turn(event)


@dataclass(slots=True)
class _Walk:
    """Goes through a journal and keeps which choices hold, and what is at hand."""

    account: Account
    steps: dict[str, set[str]]
    holding: dict[str, TierChosen] = field(default_factory=dict[str, TierChosen])
    there: set[str] = field(default_factory=set[str])

    def turn(self, event: Event) -> Found:
        """Hold one event against what was before it, then take note of it."""
        match event:
            case TierChosen():
                yield from _choice(event, self.steps, self.holding)
                if not satisfied(self.account.case.graph.tools[event.ranking[0]].requires, self.there):
                    yield 8, f"a tier of {event.step} was chosen at {event.at:g} s, before its inputs were there"
                self.holding[event.step] = event
            case AttemptStarted(role="step"):
                step = next((step for step, tools in self.steps.items() if event.tool in tools), None)
                if step is not None and step not in self.holding:
                    yield 8, f"attempt {event.attempt} of {event.tool}: no choice holds for {step}"
            case _:
                self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.there |= {str(name) for name in event.inputs}
            case AttemptFailed() if role(self.account, event.attempt) == "step":
                for step in [step for step in self.holding if event.tool in self.steps[step]]:
                    del self.holding[step]
            case AttemptSucceeded() if role(self.account, event.attempt) == "step":
                self.there |= {str(name) for name in event.outputs}
            case Verified(happened=True):
                self.there |= {str(name) for name in event.outputs}
            case _:
                pass


def _steps(account: Account) -> dict[str, set[str]]:
    """Names of the tools of each step that several can do."""
    found: dict[str, set[str]] = {}
    for name, spec in account.case.graph.routable.items():
        if spec.tier is not None:
            found.setdefault(spec.tier.step, set()).add(str(name))
    return {step: tools for step, tools in found.items() if len(tools) > 1}


def _choice(event: TierChosen, steps: dict[str, set[str]], holding: dict[str, TierChosen]) -> Found:
    """A choice by itself: complete, in order, honest about cost and chance, and the only one there is."""
    name, tools = f"the tier of {event.step} at {event.at:g} s", steps.get(event.step, set())
    weights = [event.weights.get(tool, -1) for tool in event.ranking]
    others = [weight for tool, weight in event.weights.items() if tool not in event.ranking]
    if event.step in holding:
        yield 8, f"{name} was chosen already, and nothing has failed since"
    if {str(tool) for tool in event.weights} != tools or not {str(tool) for tool in event.ranking} <= tools:
        yield 8, f"{name}: {sorted(event.weights)} are not the tools of the step"
    if not weights or weights != sorted(set(weights)) or any(weight <= weights[-1] for weight in others):
        yield 8, f"{name}: weights do not rise along the ranking"
    if any(event.weights.get(tool, -1) < cost for tool, cost in event.costs.items()):
        yield 8, f"{name}: something weighs less than it costs"
    if set(event.propensities) != set(event.ranking) or not isclose(sum(event.propensities.values()), 1, abs_tol=CLOSE):
        yield 8, f"{name}: the chances {dict(event.propensities)} are no distribution over the ranking"
    elif event.propensities[event.ranking[0]] <= 0:
        yield 8, f"{name}: {event.ranking[0]} had no chance to come first"
