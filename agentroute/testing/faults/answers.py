"""Faults of the answer: the tool runs, and what comes back is broken, false or somebody else's."""

import json
from typing import Any, Protocol, runtime_checkable

from agentroute.ids import ArtifactId
from agentroute.ports import Values
from agentroute.testing.faults.falsehoods import FALSEHOODS
from agentroute.testing.faults.passage import Passage
from agentroute.testing.faults.schedule import Strike


@runtime_checkable
class Reversible(Protocol):
    """A tool that can be made not to have done what it just did: a simulated one."""

    def never_happened(self, run: str) -> bool:
        """Take back the latest effect of a run without a trace; False if there is none."""
        ...


async def malformed(strike: Strike, passage: Passage) -> Values:
    """Answer with what cannot be parsed."""
    await passage.onwards()
    passage.trigger(strike)
    raise json.JSONDecodeError("expecting value", "<html>", 0)


async def truncated(strike: Strike, passage: Passage) -> Values:
    """Hang up within the answer."""
    await passage.onwards()
    passage.trigger(strike)
    raise ConnectionError("the connection was closed within the answer")


async def falsified(strike: Strike, passage: Passage) -> Values:
    """Answer with something made of the true answer."""
    answer = await passage.onwards()
    falsify = FALSEHOODS[strike.fault.type]
    false: dict[ArtifactId, Any] = {name: falsify(strike.fault, value) for name, value in answer.items()}
    if _differ(false, answer):
        passage.trigger(strike)
    return false


async def renamed_field(strike: Strike, passage: Passage) -> Values:
    """Answer under other names: of the fields, or of the artifact where it has none."""
    answer = dict(await passage.onwards())
    if answer:
        passage.trigger(strike)
        name = min(answer)
        renamed = FALSEHOODS["renamed_field"](strike.fault, answer[name])
        if renamed is not None:
            answer[name] = renamed
        else:
            answer[ArtifactId(f"{name}_v2")] = answer.pop(name)
    return answer


async def empty(strike: Strike, passage: Passage) -> Values:
    """Answer with nothing."""
    if await passage.onwards():
        passage.trigger(strike)
    return {}


async def stale(strike: Strike, passage: Passage) -> Values:
    """Answer what the tool answered the time before."""
    answer = await passage.onwards()
    if passage.previous is None or passage.previous == answer:
        return answer
    passage.trigger(strike)
    return passage.previous


async def silent_noop(strike: Strike, passage: Passage) -> Values:
    """Say done, and do nothing."""
    answer = await passage.onwards()
    tool = passage.tool
    if isinstance(tool, Reversible) and tool.never_happened(passage.seen.run):
        passage.trigger(strike)
    return answer


def _differ(false: Values, true: Values) -> bool:
    """Whether anything was changed; values whose comparison fails count as changed."""
    try:
        return dict(false) != dict(true)
    except Exception:  # noqa: BLE001  # values are the user's, and so is their __eq__
        return True
