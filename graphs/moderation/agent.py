"""Moderation: five classifiers look at a post, and what they say together decides what becomes of it.

The ladder: a full verdict from image, text and history, else a degraded one from at least two of the five signals,
with a note of which of the three are missing, else the post is put on the list of a person who reviews. A post is held
until there is a verdict, so doing nothing is safe; one signal alone never decides. A threat goes on no list: the run is
handed over at once.

Classifying changes nothing, so it is a read. Verdicts and holds are ``idempotent``: there is one queue, it honours
Idempotency-Key, and no other provider could act a second time.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from agentroute import Agent, Artifact, AtLeast, Budget, FunctionTool, Goal, Health, ToolError, tool
from graphs.providers.client import Client

TIMEOUT_S: Final = 2.0

THREAT: Final = 0.9
"""A signal that sees a threat this likely stops every automatic decision."""

REMOVE: Final = 0.5
"""Highest score from which a post is removed."""

PostId = Annotated[str, Artifact("post_id")]


class Signal(BaseModel):
    """What a classifier thinks of a post: how bad it is, and how likely it threatens somebody."""

    score: float = Field(ge=0, le=1)
    threat: float = Field(ge=0, le=1)


class ImageSignal(Signal):
    """What the picture shows."""


class TextSignal(Signal):
    """What the text says."""


class HistorySignal(Signal):
    """What the author did before."""


class ToxicitySignal(Signal):
    """Secondary check of the text."""


class SpamSignal(Signal):
    """Secondary check of the text."""


PRIMARY: Final = (ImageSignal, TextSignal, HistorySignal)

Signals = Annotated[dict[str, Signal], AtLeast(2, of=[*PRIMARY, ToxicitySignal, SpamSignal])]


class FullVerdict(BaseModel):
    """Acted upon, after all three classifiers were heard."""

    id: int
    action: str


class DegradedVerdict(BaseModel):
    """Acted upon, although `missing` could not be heard."""

    id: int
    action: str
    missing: list[str]


class Hold(BaseModel):
    """On a person's list, without a verdict."""

    id: int


GOALS = (
    Goal("verdict", requires=[FullVerdict]),
    Goal("degraded-verdict", requires=[DegradedVerdict], utility=0.6),
    Goal("held-for-review", requires=[Hold], utility=0.2),
)


def calm(text: TextSignal) -> bool:
    """Guard of everything that happens without a person, as soon as the text has been read."""
    return text.threat < THREAT


def classifier(client: Client, provider: str, signal: type[Signal], *, usd: float, latency_s: float) -> FunctionTool:
    """Tool that asks one classifier."""

    async def classify(post_id: PostId) -> Signal:
        """Have a classifier look at the post."""
        return signal.model_validate(await client.post(provider, "/classifications", post_id=post_id))

    classify.__annotations__["return"] = signal  # which of the five
    return tool(
        name=f"classify_{provider}",
        usd=usd,
        latency_s=latency_s,
        risk=0.01,
        effect="read",
        timeout_s=TIMEOUT_S,
        provider=provider,
    )(classify)


def verdicts(client: Client) -> list[FunctionTool]:
    """Tools that act on a post."""

    async def act(post_id: str, kind: str, signals: Mapping[str, Signal]) -> dict[str, Any]:
        if any(signal.threat >= THREAT for signal in signals.values()):
            raise ToolError("a threat is a person's decision", kind="permanent")
        worst = max(signal.score for signal in signals.values())
        said = {name: signal.score for name, signal in signals.items()}
        missing = [primary.__name__ for primary in PRIMARY if primary.__name__ not in signals]
        action = "removed" if worst >= REMOVE else "shown"
        done = await client.post(
            "queue", "/verdicts", post_id=post_id, kind=kind, action=action, signals=said, missing=missing
        )
        return {"id": done["id"], "action": done["action"], "missing": missing}

    @tool(usd=0.0001, latency_s=0.05, effect="idempotent", timeout_s=TIMEOUT_S, provider="queue", when=calm)
    async def give_verdict(
        post_id: PostId, image: ImageSignal, text: TextSignal, history: HistorySignal
    ) -> FullVerdict:
        """Act on what all three say."""
        heard = {"ImageSignal": image, "TextSignal": text, "HistorySignal": history}
        return FullVerdict.model_validate(await act(post_id, "full", heard))

    @tool(usd=0.0001, latency_s=0.05, effect="idempotent", timeout_s=TIMEOUT_S, provider="queue", when=calm)
    async def give_degraded_verdict(post_id: PostId, signals: Signals) -> DegradedVerdict:
        """Act on what at least two say."""
        return DegradedVerdict.model_validate(await act(post_id, "degraded", signals))

    return [give_verdict, give_degraded_verdict]


def holds(client: Client) -> list[FunctionTool]:
    """Tools that leave work for a person."""

    @tool(usd=0.5, latency_s=0.05, effect="idempotent", timeout_s=TIMEOUT_S, provider="queue", when=calm)
    async def hold_for_review(post_id: PostId) -> Hold:
        """Put the post on a person's list."""
        reason = "fewer than two signals"
        return Hold.model_validate(await client.post("queue", "/holds", post_id=post_id, reason=reason))

    return [hold_for_review]


def build_agent(urls: Mapping[str, str] | None = None, **options: Any) -> Agent:
    """Make the agent.

    Args:
        urls: Addresses of the providers; by default those in ``$MODERATION_PROVIDERS`` (JSON) when a tool is called.
        **options: Passed on to `Agent`.
    """
    client = Client("MODERATION_PROVIDERS", urls)
    tools = [
        classifier(client, "image", ImageSignal, usd=0.0015, latency_s=0.4),
        classifier(client, "text", TextSignal, usd=0.0004, latency_s=0.2),
        classifier(client, "history", HistorySignal, usd=0.0001, latency_s=0.05),
        classifier(client, "toxicity", ToxicitySignal, usd=0.0003, latency_s=0.15),
        classifier(client, "spam", SpamSignal, usd=0.0002, latency_s=0.1),
        *verdicts(client),
        *holds(client),
    ]
    settings: dict[str, Any] = {
        "budget": Budget(usd=1.0, deadline_s=30.0, llm_calls=1),
        "health": Health(patience_s=2.0),  # a lesser goal now is worth more than waiting for a dead provider
    }
    return Agent(name="moderation", tools=tools, goals=GOALS, **{**settings, **options})


agent = build_agent()
