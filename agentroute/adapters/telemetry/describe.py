"""Events as attributes of spans. Pure: one function per kind of fact."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from opentelemetry.util.types import AttributeValue

from agentroute.adapters.telemetry import semconv
from agentroute.ids import dollars
from agentroute.routing.factors import Factors
from agentroute.run.events import (
    HAND_OVER,
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Hedged,
    ModelAsked,
    Option,
    Rerouted,
    RouteChosen,
    RunFinished,
    RunStarted,
    Signalled,
    TierChosen,
    Waiting,
)

Attributes: TypeAlias = dict[str, AttributeValue]

Mask: TypeAlias = Callable[[str], str]
"""Masks secrets in text that tools and exceptions have a part in."""


@dataclass(slots=True)
class Totals:
    """What a run came to; counted as `agentroute.run.state` counts."""

    attempts: int = 0
    retries: int = 0
    reroutes: int = 0
    escalations: int = 0
    model_calls: int = 0
    tokens: int = 0
    spent: int = 0

    def count_asking(self, event: ModelAsked, times: int = 1) -> None:
        """Count a model that is asked to choose, at its worst; take it back, `times` -1, once it is known better."""
        self.spent += times * event.reserved
        self.tokens += times * event.tokens
        self.model_calls += times

    def count_choice(self, event: Chosen) -> None:
        """Count a choice from the menu."""
        self.spend(event)
        self.model_calls += event.model_called
        self.escalations += event.by in {"model", "human"} or event.choice == HAND_OVER

    def spend(self, event: AttemptSucceeded | AttemptFailed | AttemptAbandoned | Chosen) -> None:
        """Count what something used."""
        self.spent += event.spent
        self.tokens += event.used_tokens

    def attributes(self) -> Attributes:
        """As attributes of the run's own span."""
        return {
            semconv.ATTEMPTS: self.attempts,
            semconv.RETRIES: self.retries,
            semconv.REROUTES: self.reroutes,
            semconv.ESCALATIONS: self.escalations,
            semconv.LLM_CALLS: self.model_calls,
            semconv.COST_USD: dollars(self.spent),
            **_tokens(self.tokens),
        }


def start(event: RunStarted) -> Attributes:
    """What a run may do."""
    attributes: Attributes = {semconv.WORKFLOW_NAME: event.agent, semconv.GOAL: event.goal}
    if event.budget is not None:
        attributes[semconv.BUDGET_USD] = dollars(event.budget)
    if event.deadline_s is not None:
        attributes[semconv.DEADLINE_S] = event.deadline_s
    if event.llm_calls is not None:
        attributes[semconv.LLM_CALLS_LIMIT] = event.llm_calls
    if event.tokens is not None:
        attributes[semconv.TOKENS_LIMIT] = event.tokens
    if event.tool_calls is not None:
        attributes[semconv.TOOL_CALLS_LIMIT] = event.tool_calls
    return attributes


def end(event: RunFinished, mask: Mask) -> Attributes:
    """How a run ended."""
    attributes: Attributes = {semconv.OUTCOME: event.outcome, semconv.REASON: mask(event.reason)}
    if event.goal is not None:
        attributes[semconv.GOAL_REACHED] = event.goal
    if event.left_behind:
        attributes[semconv.LEFT_BEHIND] = event.left_behind
    return attributes


def attempt(event: AttemptStarted) -> Attributes:
    """What is tried; also on the hot path, so nothing is said that goes without saying."""
    attributes: Attributes = {
        semconv.OPERATION: semconv.CHAT_SPAN if event.calls_model else semconv.TOOL_SPAN,
        semconv.TOOL if event.calls_model else semconv.TOOL_NAME: event.tool,
        semconv.ATTEMPT: event.attempt,
        semconv.ATTEMPT_NUMBER: event.number,
    }
    if event.reserved:
        attributes[semconv.RESERVED_USD] = dollars(event.reserved)
    if event.tokens:
        attributes[semconv.RESERVED_TOKENS] = event.tokens
    if event.key:
        attributes[semconv.IDEMPOTENCY_KEY] = event.key
    if event.role != "step":
        attributes[semconv.ROLE] = event.role
    if event.about is not None:
        attributes[semconv.ABOUT] = event.about
    return attributes


def success(event: AttemptSucceeded) -> Attributes:
    """What an attempt took."""
    attributes = _used(event)
    if event.model is not None:
        provider, slash, model = event.model.partition("/")
        attributes[semconv.REQUEST_MODEL] = attributes[semconv.RESPONSE_MODEL] = event.model
        attributes[semconv.PROVIDER] = provider if slash and model else "_OTHER"
    if event.tokens is not None:
        attributes[semconv.INPUT_TOKENS], attributes[semconv.OUTPUT_TOKENS] = event.tokens
    return attributes


def failure(event: AttemptFailed) -> Attributes:
    """What is known about a failure."""
    attributes = _used(event) | {semconv.FAILURE_KIND: event.kind, semconv.IN_DOUBT: event.in_doubt}
    if event.retry_after_s is not None:
        attributes[semconv.RETRY_AFTER_S] = event.retry_after_s
    return attributes


def abandonment(event: AttemptAbandoned, mask: Mask) -> Attributes:
    """Why nobody wanted the result."""
    attributes = _used(event) | {semconv.OUTCOME: semconv.ABANDONED, semconv.REASON: mask(event.reason)}
    if not event.called:
        attributes[semconv.CALLED] = False
    return attributes


def reroute(event: Rerouted, mask: Mask) -> Attributes:
    """What a reroute changed."""
    attributes: Attributes = {
        semconv.TOOL: event.tool,
        semconv.FAILURE_KIND: event.kind,
        semconv.ROUTE_BEFORE: event.before,
        semconv.ROUTE_AFTER: event.after,
        semconv.WEIGHT_BEFORE_USD: dollars(event.weight_before),
        semconv.WEIGHT_AFTER_USD: dollars(event.weight_after),
        semconv.OPTIMAL: event.optimal,
    }
    if event.budget_left is not None:
        attributes[semconv.BUDGET_LEFT_USD] = dollars(event.budget_left)
    return attributes | _weighed(event.weighed, mask)


def route(event: RouteChosen, mask: Mask) -> Attributes:
    """A route and what it is expected to cost."""
    attributes: Attributes = {
        semconv.ROUTE: event.tools,
        semconv.WEIGHT_USD: dollars(event.weight),
        semconv.OPTIMAL: event.optimal,
    }
    return attributes | _weighed(event.weighed, mask)


def tier(event: TierChosen) -> Attributes:
    """In which order the tiers of a step are to be taken, and what that rests on."""
    return {
        semconv.STEP_NAME: event.step,
        semconv.POLICY: event.policy,
        semconv.ROUTE: event.ranking,
        semconv.WORTH_USD: dollars(event.worth),
        semconv.DETECTION: event.detection,
        semconv.WEIGHED: tuple(map(str, event.weighed)),
    }


def hedge(event: Hedged, mask: Mask) -> Attributes:
    """Which way is gone beside a call, and why."""
    return {
        semconv.TOOL: event.tool,
        semconv.REASON: mask(event.reason),
        semconv.ROUTE: event.after,
        semconv.WEIGHT_USD: dollars(event.weight),
        semconv.OPTIMAL: event.optimal,
    }


def _weighed(weighed: Sequence[Factors], mask: Mask) -> Attributes:
    """What the tools weigh that a choice was between."""
    return {semconv.WEIGHED: tuple(mask(str(factors)) for factors in weighed)} if weighed else {}


def signal(event: Signalled, mask: Mask) -> Attributes:
    """What a monitor of the run saw."""
    attributes: Attributes = {
        semconv.MONITOR: mask(event.monitor),
        semconv.SIGNAL_KIND: event.kind,
        semconv.REASON: mask(event.reason),
        semconv.STOPS: event.stops,
    }
    if event.factors:
        attributes[semconv.WEIGHED] = tuple(f"{name} x{factor:g}" for name, factor in sorted(event.factors.items()))
    return attributes


def wait(event: Waiting, mask: Mask) -> Attributes:
    """What is waited for."""
    return {semconv.TOOL: event.tool, semconv.WAIT_S: event.seconds, semconv.REASON: mask(event.reason)}


def choice(event: Chosen, mask: Mask) -> Attributes:
    """What was chosen, from what, by whom."""
    attributes = menu(event.menu, event.reason, mask) | _used(event)
    attributes |= {
        semconv.CHOICE: event.choice,
        semconv.CHOSEN_BY: event.by,
        semconv.MODEL_CALLED: event.model_called,
    }
    if event.note:
        attributes[semconv.NOTE] = mask(event.note)
    return attributes


def asking(event: ModelAsked) -> Attributes:
    """A model that was asked, and nobody waited for its answer."""
    cost: Attributes = {semconv.COST_USD: dollars(event.reserved)} if event.reserved else {}
    note = f"cut off while {event.model} was asked"
    return {semconv.MODEL_CALLED: True, semconv.NOTE: note} | cost | _tokens(event.tokens)


def menu(options: Sequence[Option], reason: str, mask: Mask) -> Attributes:
    """What there is to choose from, and why."""
    return {
        semconv.REASON: mask(reason),
        semconv.MENU: [option.choice for option in options],
        semconv.MENU_UTILITIES: [option.utility for option in options],
        semconv.MENU_WEIGHTS_USD: [dollars(option.weight) for option in options],
        semconv.MENU_ROUTES: [" > ".join(option.route) for option in options],
    }


def _used(event: AttemptSucceeded | AttemptFailed | AttemptAbandoned | Chosen) -> Attributes:
    cost: Attributes = {semconv.COST_USD: dollars(event.spent)} if event.spent else {}
    return cost | _tokens(event.used_tokens)


def _tokens(used: int) -> Attributes:
    return {semconv.TOKENS: used} if used else {}
