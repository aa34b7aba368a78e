"""How the scripted model judges a post."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from graphs.contenders.thought import Call, Finish, Plan, Result, first
from graphs.moderation.agent import REMOVE, THREAT

BEST, DEGRADED, HELD = "verdict", "degraded-verdict", "held-for-review"

PRIMARY: Final = ("image", "text", "history")
SECONDARY: Final = ("toxicity", "spam")

Heard: TypeAlias = dict[str, Mapping[str, float]]
"""Signals by classifier."""


def plan(task: Mapping[str, Any]) -> Plan:
    """Hear the three, and the two others if they are needed; then act."""
    post = task["post_id"]
    heard = yield from hear(PRIMARY, post)
    if not is_threat(heard) and ("text" not in heard or len(heard) < 2):
        heard |= yield from hear(SECONDARY, post)
    if is_threat(heard):
        return Finish("escalated", BEST, "A threat is a person's decision; the post is held.")
    if len(heard) < 2:
        return (yield from hold(post))
    return (yield from decide(post, heard))


def hear(classifiers: Sequence[str], post: str) -> Generator[Sequence[Call], Sequence[Result], Heard]:
    """Ask classifiers at once, and those that may answer yet once more."""
    heard: Heard = {}
    asked = list(classifiers)
    for _ in range(2):
        if not asked:
            break
        results = yield [Call("classify", {"classifier": name, "post_id": post}) for name in asked]
        answers = dict(zip(asked, results, strict=True))
        heard |= {name: result.data for name, result in answers.items() if result.works}
        asked = [name for name, result in answers.items() if result.worth_repeating]
    return heard


def is_threat(heard: Heard) -> bool:
    """Whether any sees one."""
    return any(signal["threat"] >= THREAT for signal in heard.values())


def decide(post: str, heard: Heard) -> Plan:
    """Act on what was heard."""
    missing = [f"{name.title()}Signal" for name in PRIMARY if name not in heard]
    scores = {f"{name.title()}Signal": signal["score"] for name, signal in heard.items()}
    verdict: dict[str, Any] = {
        "post_id": post,
        "kind": "degraded" if missing else "full",
        "action": "removed" if max(scores.values()) >= REMOVE else "shown",
        "signals": scores,
        "missing": missing,
    }
    if (yield from first(Call("give_verdict", verdict))) is None:
        return Finish("failed", BEST, "The queue takes no verdict; the post is held.")
    if missing:
        return Finish("demoted", DEGRADED, f"Decided without {', '.join(missing)}.")
    return Finish("succeeded", BEST, "Decided on all three.")


def hold(post: str) -> Plan:
    """Put the post on a person's list."""
    if (yield from first(Call("hold_for_review", {"post_id": post, "reason": "fewer than two signals"}))) is None:
        return Finish("failed", BEST, "The queue takes nothing; the post is held, and on nobody's list.")
    return Finish("demoted", HELD, "Fewer than two signals: on a person's list.")
