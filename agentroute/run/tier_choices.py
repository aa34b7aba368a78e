"""Which tier of a model step one run takes: asked when the step can begin, and again after a failure of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentroute.graph.cost import NOTHING, Amounts
from agentroute.graph.tool import StepTier, ToolSpec
from agentroute.guard.ledger import Limits
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId, dollars
from agentroute.routing.tiers.pace import spendable
from agentroute.routing.tiers.policy import name_of
from agentroute.routing.tiers.situation import Situation, sketch
from agentroute.routing.tiers.tier_board import Offer, TierBoard, weighed
from agentroute.run.events import TierChosen
from agentroute.run.outlook import Outlook

BYTES_PER_TOKEN = 4
"""Of English text, to estimate how much a model is given."""

Asked: TypeAlias = Callable[[ToolId, Mapping[ArtifactId, Any]], str]
"""What the model behind a tool would be asked with these inputs; empty, if nobody can say."""


@dataclass(frozen=True, slots=True)
class TierChoices:
    """Asks the policies for one run.

    Attributes:
        outlook: The run's view of its tools.
        board: What all runs know of tiers.
        asked: Tells what a model would be asked.
        draw: Random numbers from [0, 1), for policies that experiment.
    """

    outlook: Outlook
    board: TierBoard
    asked: Asked
    draw: Callable[[], float]

    def due(self, goal: GoalId, now: float) -> TierChosen | None:
        """The choice for the first step of the route that can begin and has none that holds; None: there is none."""
        for spec, tier in self._steps():
            chosen = self._choose(spec, tier, goal, now)
            if chosen is not None:
                return chosen
        return None

    def _steps(self) -> Iterator[tuple[ToolSpec, StepTier]]:
        """Steps on the rest of the route that can begin, each by the tool that stands for it."""
        state, graph = self.outlook.state, self.outlook.graph
        for name in state.route:
            spec = graph.tools[name]
            tier = spec.tier
            if tier is None or tier.step in state.tiers or tier.step not in graph.tiers or name in state.done:
                continue
            under_way = {flight.tool for flight in state.relied_on}  # one that takes too long is no way to the answer
            if under_way.isdisjoint(other.name for other in graph.tiers[tier.step]) and self.outlook.satisfied(
                spec.requires
            ):
                yield spec, tier

    def _choose(self, spec: ToolSpec, tier: StepTier, goal: GoalId, now: float) -> TierChosen | None:
        offers = self.outlook.offers(tier.step, now, goal)
        leading = [offer.tool for offer in offers if self._leads_on(offer, offers, goal, now)]
        if not leading:
            return None
        affordable = frozenset(tool for tool in leading if self._is_free(tool, now)) or frozenset(leading)
        situation = self._situation(spec, offers)
        right, worth = self.board.right(situation, offers), self.board.worth(self._usd_a_step(tier.step))
        faults = self.outlook.state.faults
        choice = self.board.choose(
            offers,
            right,
            worth=worth,
            affordable=affordable,
            final=self._final(tier.step, leading, now),
            tried=frozenset(offer.tool for offer in offers if faults.get(offer.tool) == "contract"),
            draw=self.draw() if self.board.explores(tier.step) else None,
        )
        tiers = weighed(choice, offers, right)
        return TierChosen(
            at=now,
            step=tier.step,
            policy=name_of(self.board.policy_of(tier.step)),
            situation=situation,
            ranking=choice.ranking,
            weights={each.tool: each.weight for each in tiers},
            right=right,
            costs={each.tool: each.cost for each in tiers},
            usd={offer.tool: offer.usd for offer in offers},
            propensities=choice.propensities,
            worth=worth,
            detection=tier.detection,
        )

    def _leads_on(self, offer: Offer, offers: list[Offer], goal: GoalId, now: float) -> bool:
        """Whether the goal can be reached, and paid for, if this tier does the step and other choices are kept to."""
        others = frozenset(other.tool for other in offers if other is not offer)
        route = self.outlook.route_to(goal, now, without=others, firm=True)
        return route is not None and offer.tool in route.tools

    def _final(self, step: str, leading: list[ToolId], now: float) -> frozenset[ToolId]:
        """Tiers after which no other could be asked: there is none, or some limit leaves no room for it and the rest.

        Limits on money, tokens, calls of models and calls of tools, the run's own and those of all runs; and the time.
        """
        specs = [self.outlook.graph.tools[tool] for tool in leading]
        left, kept = self.outlook.ledger.left, self._least_without(step)
        return frozenset(
            first.name
            for first in specs
            if not any(
                _fits(first.least.plus(second.least).plus(kept), left) and self._in_time(first, second, now)
                for second in specs
                if second is not first
            )
        )

    def _in_time(self, first: ToolSpec, second: ToolSpec, now: float) -> bool:
        """Whether both can be called, one after the other, and the rest of the route after them, by the deadline."""
        outlook, end = self.outlook, self.outlook.deadline_s
        return end is None or outlook.usual_s(first, now) + outlook.rest_s(second, now) <= end - now

    def _least_without(self, step: str) -> Amounts:
        """What the rest of the route needs at the least, each of its model steps by the tiers that need least."""
        tiers, (steps, kept) = self.outlook.graph.tiers, self._ahead()
        for each in steps - {step}:
            kept = kept.plus(Amounts(*map(min, *(spec.least for spec in tiers[each]))))
        return kept

    def _ahead(self) -> tuple[set[str], Amounts]:
        """Of what the route has not called: its steps with several tiers, and the least that other tools need."""
        state, graph = self.outlook.state, self.outlook.graph
        under_way = {flight.tool for flight in state.in_flight.values()}
        ahead = [graph.tools[tool] for tool in state.route if tool not in state.done and tool not in under_way]
        steps = {spec.tier.step for spec in ahead if spec.tier is not None} & graph.tiers.keys()
        others = [spec.least for spec in ahead if spec.tier is None or spec.tier.step not in steps]
        return steps, Amounts(*map(sum, zip(NOTHING, *others, strict=True)))

    def _is_free(self, tool: ToolId, now: float) -> bool:
        """Whether it can be called at once: one that has to be waited for comes after all that need not."""
        spec = self.outlook.graph.tools[tool]
        return self.outlook.affordable(spec) and self.outlook.admitted(spec, now)

    def _situation(self, spec: ToolSpec, offers: list[Offer]) -> Situation:
        state, tiers = self.outlook.state, {offer.tool: offer.tier for offer in offers}
        text = self.asked(spec.name, self.outlook.values_for(spec, None))
        failed = [tool for tool in state.faults if tool in tiers]  # the latest comes last
        return Situation(
            step=offers[0].tier.step,
            text=sketch(text),
            error=state.faults[failed[-1]] if failed else "",
            tried={tiers[tool].tier: state.tries.get(tool, 0) for tool in failed},
            depth=len(state.done),
            context=len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN,
        )

    def _usd_a_step(self, step: str) -> float | None:
        """USD that each of the model steps ahead can take on average; None where money has no limit."""
        outlook = self.outlook
        left, graph = outlook.money_left, outlook.graph
        if left is None:
            return None
        steps, others = self._ahead()
        count = len(steps | {step})
        prices = [spec.cost.expected for spec in graph.tiers[step]]
        enough = spendable(NanoUsd(max(0, left - others.usd)), count, cheap=min(prices), dear=max(prices))
        return dollars(enough) / count


def _fits(amounts: Amounts, left: Limits) -> bool:
    return all(limit is None or amount <= limit for amount, limit in zip(amounts, left, strict=True))
