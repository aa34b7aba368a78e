"""What a finished run shows of the tiers it took: records to learn chances from. A fold over its facts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentroute.graph.tool import StepTier, ToolSpec
from agentroute.ids import AttemptId, RunId, ToolId, dollars
from agentroute.routing.tiers.outcome import Outcome
from agentroute.run.events import AttemptFailed, AttemptStarted, AttemptSucceeded, Event, TierChosen


@dataclass(slots=True)
class _Reading:
    """Where one is in the facts: the choice that holds for each step, and attempts under way by what they followed."""

    chosen: dict[str, TierChosen] = field(default_factory=dict[str, TierChosen])
    under_way: dict[AttemptId, TierChosen] = field(default_factory=dict[AttemptId, TierChosen])


def outcomes_of(run: RunId, events: Iterable[Event], tools: Mapping[ToolId, ToolSpec]) -> list[Outcome]:
    """One record for each answer that a tier gave, in order.

    An answer that breaks the contract was wrong. One that was accepted was right, if wrong ones are noticed for
    certain; else nobody knows. Where nobody can tell right ones, wrong ones alone would mislead: they are not verified
    until the run is judged. Attempts that brought no answer say nothing.
    """
    reading, found = _Reading(), list[Outcome]()
    for event in events:
        match event:
            case TierChosen():
                reading.chosen[event.step] = event
            case AttemptStarted(role="step") if (tier := _tier(tools, event.tool)) is not None:
                if (chosen := reading.chosen.get(tier.step)) is not None:
                    reading.under_way[event.attempt] = chosen
            case AttemptSucceeded() | AttemptFailed():
                chosen, tier = reading.under_way.pop(event.attempt, None), _tier(tools, event.tool)
                answered = isinstance(event, AttemptSucceeded) or event.kind == "contract"
                if chosen is not None and tier is not None and answered:
                    found.append(_outcome(run, event, chosen, tier, tools))
            case _:
                pass
    return found


def _tier(tools: Mapping[ToolId, ToolSpec], tool: ToolId) -> StepTier | None:
    spec = tools.get(tool)
    return None if spec is None else spec.tier


def _outcome(
    run: RunId,
    event: AttemptSucceeded | AttemptFailed,
    chosen: TierChosen,
    tier: StepTier,
    tools: Mapping[ToolId, ToolSpec],
) -> Outcome:
    """What an answer shows. Of one that was not the first choice, chance had no part in it: the others were out."""
    free = chosen.ranking[0] == event.tool
    rivals = chosen.ranking if free else (event.tool,)
    failed, certain = isinstance(event, AttemptFailed), chosen.detection == 1
    return Outcome(
        run=run,
        situation=chosen.situation,
        tier=tier.tier,
        usd=dollars(event.spent),
        right=0.0 if failed else (1.0 if certain else None),
        verified=certain,
        propensity=chosen.propensities[event.tool] if free else 1.0,
        tiers={each.tier: dollars(chosen.usd[tool]) for tool in rivals if (each := _tier(tools, tool)) is not None},
        detection=chosen.detection,
    )
