"""What comes with a fault: others of the same cause, others by chance, others in its wake."""

from agentroute.testing.faults.fault import FaultType
from agentroute.testing.scenario.drawing.axes import EFFECTS_ONLY, KINDS, LIES, VERIFIERS_ONLY
from agentroute.testing.scenario.drawing.dice import Dice
from agentroute.testing.scenario.drawing.fault_words import WINDOWS_S, Words, severity
from agentroute.testing.scenario.drawing.forecast import Expected
from agentroute.testing.scenario.drawing.scene import Scene
from agentroute.testing.scenario.drawing.sketch import ToolSketch

COMPANIONS: tuple[FaultType, ...] = tuple(kind for kind in KINDS if kind not in EFFECTS_ONLY | {"clock_jump"})
"""Faults that may come with another: those that need nothing in particular."""

REMEDY_COMPANIONS: tuple[FaultType, ...] = tuple(kind for kind in COMPANIONS if kind not in LIES | VERIFIERS_ONLY)
"""Those of them that a verifier or compensator may have."""


def add_company(scene: Scene, call: Expected) -> None:
    """Add to the latest fault what comes with it.

    Args:
        scene: Where it happens.
        call: The call that the first fault is to hit. Nothing comes in between before it is over.
    """
    main, before = scene.trouble.faults[-1], len(scene.trouble.faults)
    match scene.mix.correlation:
        case "single":
            _leave_to_chance(scene, main)
            return
        case "shared-cause":
            _share_cause(scene, call, main)
        case "independent":
            for tool in _others(scene, call, 1):
                scene.trouble.faults.append(companion(tool, scene.dice) | some_time(call.at, scene.dice))
        case "cascade":
            _follow(scene, call)
    if len(scene.trouble.faults) == before:
        _again(scene, call, main)


def companion(tool: ToolSketch, dice: Dice) -> Words:
    """Another fault: of a tool or, sometimes, of those that look after it."""
    remedies = [tool.compensator] if tool.undone else []
    remedies += [tool.verifier] if tool.verified else []
    if remedies and dice.chance(0.25):
        kind, target = dice.pick(REMEDY_COMPANIONS), dice.pick(remedies)
    else:
        kinds: list[FaultType] = [kind for kind in COMPANIONS if kind != "late_success" or tool.can_come_late]
        kind, target = dice.pick(kinds), tool.name
    return {"type": kind, "target": target, **severity(kind, dice)}


def some_time(at: float, dice: Dice) -> Words:
    """Any time from then on, for any time."""
    words: Words = {"from": round(at + dice.pick((0.0, 0.1, 1.0)), 3)} if dice.chance(0.5) else {}
    if dice.chance(0.5):
        words["until"] = round(words.get("from", at) + dice.pick(WINDOWS_S), 3)
    return words


def _leave_to_chance(scene: Scene, main: Words) -> None:
    """Let it happen in some runs only, sometimes."""
    if scene.mix.scope != "remedy" and "toxicity" not in main and scene.dice.chance(0.1):
        main["toxicity"] = 0.5


def _share_cause(scene: Scene, call: Expected, main: Words) -> None:
    """Let others go wrong at the same time, or nobody."""
    common = {"cause": "storm", "toxicity": scene.dice.pick((0.5, 0.8))}
    shared = {key: main[key] for key in ("from", "until") if key in main} | common
    main |= common
    for tool in _others(scene, call, scene.dice.whole(1, 2)):
        scene.trouble.faults.append(companion(tool, scene.dice) | shared)


def _follow(scene: Scene, call: Expected) -> None:
    """Let those who take over go wrong as well, or else those that come after."""
    begins = {"from": round(call.at + scene.dice.pick((0.05, 0.2, 0.5)), 3)}
    for tool in scene.agent.beside(call.tool)[:1] or _others(scene, call, 1):
        scene.trouble.faults.append(companion(tool, scene.dice) | begins)


def _again(scene: Scene, call: Expected, main: Words) -> None:
    """Where there is nobody else: the same tool, should it be called again."""
    cause = {key: main[key] for key in ("cause", "toxicity") if "cause" in main}
    again = companion(call.tool, scene.dice) | {"attempts": scene.dice.pick((2, "2-"))}
    scene.trouble.faults.append(again | cause)


def _others(scene: Scene, call: Expected, count: int) -> list[ToolSketch]:
    """Tools that are not called before the call that is to be hit is over."""
    early = {expected.tool.name for expected in scene.calls if expected.at < call.ends}
    return scene.dice.some([tool for tool in scene.agent.tools if tool.name not in early], count)
