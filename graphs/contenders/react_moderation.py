"""Moderation for the ReAct loop: what the model is told, and its tools."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from agentroute.testing.scenario.testbed import Contender
from graphs.contenders.answers import Hold, Verdict
from graphs.contenders.client import Client
from graphs.contenders.react import Job, React
from graphs.moderation.agent import GOALS, REMOVE, THREAT, Signal

PROMPT: Final = f"""
You moderate posts. You are given the id of a post, which is held until there is a verdict on it.

Goals, the best first: verdict: a verdict of kind full, from the image, text and history classifiers. degraded-verdict:
one of those cannot be heard; a verdict of kind degraded, from at least two of all five, with the names of those of the
three that are missing. held-for-review: fewer than two can be heard; the post is put on a person's list.

Ask image, text and history. Only if the text cannot be read, or fewer than two can be heard, ask toxicity and spam too.
If any sees a threat of {THREAT} or more, give no verdict and hand over. Otherwise remove a post if any score is
{REMOVE} or more, else show it. Signals are named ImageSignal, TextSignal, HistorySignal, ToxicitySignal, SpamSignal.
"""

Classifier: TypeAlias = Literal["image", "text", "history", "toxicity", "spam"]


def make(urls: Mapping[str, str], model_url: str) -> Contender:
    """Make the contender."""
    return React(urls, model_url, Job(PROMPT, tools, [goal.spec.name for goal in GOALS]))


def tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools."""

    async def classify(classifier: Classifier, post_id: str) -> str:
        """Have a classifier look at the post: how bad it is, and how likely it threatens somebody, 0 to 1."""
        return (await client.post(classifier, "/classifications", Signal, post_id=post_id)).model_dump_json()

    async def give_verdict(
        post_id: str,
        kind: Literal["full", "degraded"],
        action: Literal["removed", "shown"],
        signals: dict[str, float],
        missing: list[str],
    ) -> str:
        """Act on a post. `signals` has the score of each that was heard."""
        said = {"kind": kind, "action": action, "signals": signals, "missing": missing}
        return (await client.post("queue", "/verdicts", Verdict, post_id=post_id, **said)).model_dump_json()

    async def hold_for_review(post_id: str, reason: str) -> str:
        """Put a post on a person's list."""
        return (await client.post("queue", "/holds", Hold, post_id=post_id, reason=reason)).model_dump_json()

    return [classify, give_verdict, hold_for_review]
