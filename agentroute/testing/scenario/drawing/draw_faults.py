"""Random trouble: a fault that hits a call which is really made, and what comes with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from agentroute.testing.faults.schedule import Schedule
from agentroute.testing.scenario.drawing.axes import ANSWERS, EFFECTS_ONLY, VERIFIERS_ONLY, Mix
from agentroute.testing.scenario.drawing.dice import Dice
from agentroute.testing.scenario.drawing.draw_company import add_company, companion, some_time
from agentroute.testing.scenario.drawing.fault_words import Words, severity, times
from agentroute.testing.scenario.drawing.forecast import Expected
from agentroute.testing.scenario.drawing.scene import Scene, Trouble
from agentroute.testing.scenario.drawing.sketch import AgentSketch, ToolSketch
from agentroute.testing.scenario.fault_entry import FaultEntry

MOST_SEEDS = 60
"""Seeds that are tried to have a fault happen that happens by chance."""

EVERY_S = (0.1, 0.3, 1.0)


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom a fault is to hit, and a call that it will hit.

    Attributes:
        words: Whom, as files have it.
        tool: Name of the tool that is called.
        at: When the call begins, in seconds since the start of the run.
    """

    words: Words
    tool: str
    at: float


def draw_trouble(mix: Mix, agent: AgentSketch, calls: Sequence[Expected], dice: Dice) -> Trouble | None:
    """Draw faults of this mix for an agent, which is changed where it has nobody who could have them.

    Args:
        mix: What they are to be like.
        agent: Whom they befall; effects, remedies and providers of its tools may be changed, never its route.
        calls: What a run without faults calls, and when.
        dice: Chance.

    Returns:
        None if no call of this agent can have such faults.
    """
    scene = Scene(mix=mix, agent=agent, calls=calls, trouble=_runs(mix, dice), dice=dice)
    befall = _befall_surroundings if mix.scope == "surroundings" else _befall_calls
    return scene.trouble if befall(scene) else None


def _runs(mix: Mix, dice: Dice) -> Trouble:
    """How many runs there are. A stale answer needs an earlier one, and a clock that jumps somebody who looks."""
    if mix.kind == "stale":
        return Trouble(runs=dice.whole(2, 4))
    runs, every = dice.pick((1, 1, 1, 1, 1, 2, 3, 5)), dice.pick((0.0, *EVERY_S))
    if mix.kind == "clock_jump" and mix.timing == "midway":
        return Trouble(runs=max(2, runs), every=dice.pick(EVERY_S))
    return Trouble(runs=runs, every=every if runs > 1 else 0.0)


def _befall_calls(scene: Scene) -> bool:
    """Faults of calls; False if this agent makes none that can have them."""
    mix, dice = scene.mix, scene.dice
    fitting = [call for call in scene.calls if call.at > 0] if mix.timing == "midway" else scene.calls
    if not fitting:
        return False
    call = dice.pick(fitting)
    _make_fit(mix, call.tool, dice)
    aim = _aim(scene, call)
    if aim is None:
        return False
    for tool in scene.hit_by(aim.words):
        _make_safe(mix, tool)
    main: Words = {"type": mix.kind, **aim.words, **severity(mix.kind, dice)}
    scene.trouble.faults.append(main | times(mix.timing, mix.duration, aim.at, dice))
    add_company(scene, call)
    return _is_sure(scene, call, aim)


def _befall_surroundings(scene: Scene) -> bool:
    """The clock jumps before a run looks at it: at its start."""
    mix, dice, trouble = scene.mix, scene.dice, scene.trouble
    at = round(trouble.every / 2, 3) if mix.timing == "midway" else 0.0
    trouble.faults.append({"type": mix.kind, **({"from": at} if at else {}), **severity(mix.kind, dice)})
    trouble.seed = dice.whole(0, 9999)
    if mix.correlation != "single":
        wake = {"from": round(at + scene.calls[0].tool.takes_s, 3)}
        later = wake if mix.correlation == "cascade" else some_time(at, dice)
        trouble.faults.append(companion(dice.pick(scene.calls).tool, dice) | later)
    return True


# -------------------------------------------------------------------- whom


def _make_fit(mix: Mix, tool: ToolSketch, dice: Dice) -> None:
    """Let a tool be one that can have such a fault."""
    if mix.scope == "remedy":
        tool.effect = "once"
    elif mix.kind in EFFECTS_ONLY and tool.effect == "read":
        tool.effect = dice.pick(("idempotent", "once"))


def _make_safe(mix: Mix, tool: ToolSketch) -> None:
    """Let a tool be one to which such a fault does no harm that nobody could prevent."""
    if mix.kind == "late_success" and not tool.can_come_late:
        tool.verified = tool.undone = False


def _aim(scene: Scene, call: Expected) -> Aim | None:
    match scene.mix.scope:
        case "provider":
            words = _provider(scene, call.tool)
        case "pattern":
            words = _pattern(scene, call.tool)
        case "remedy":
            by_verifier = scene.mix.kind in VERIFIERS_ONLY or scene.dice.chance(0.5)
            return _aim_at_verifier(scene, call) if by_verifier else _aim_at_compensator(scene, call)
        case _:
            words = {"target": call.tool.name}
    return None if words is None else Aim(words, call.tool.name, call.at)


def _provider(scene: Scene, tool: ToolSketch) -> Words | None:
    """The provider of a tool, which serves others, too."""
    others = [other for other in scene.agent.tools if other is not tool]
    tool.provider = tool.provider or scene.dice.pick(("north", "south"))
    if others and not any(other.provider == tool.provider for other in others):
        scene.dice.pick(others).provider = tool.provider
    return {"provider": tool.provider} if others else None


def _pattern(scene: Scene, tool: ToolSketch) -> Words | None:
    """A pattern that a tool and others match: all ways to an artifact, or one way to each."""
    artifact, way = tool.name.split("_")
    patterns: list[Words] = [{"target": pattern} for pattern in (f"{artifact}_*", f"*_{way}")]
    several = [words for words in patterns if len(scene.hit_by(words)) > 1]
    return scene.dice.pick(several) if several else None


# -------------------------------------------------------------------- remedies


def _aim_at_verifier(scene: Scene, call: Expected) -> Aim:
    """A verifier is called where an effect is in doubt, so something else has to go wrong first."""
    at = _leave_in_doubt(scene, call, done=scene.mix.kind in ANSWERS)  # else it has nothing to answer
    call.tool.verified = True
    return Aim({"target": call.tool.verifier}, call.tool.verifier, at)


def _aim_at_compensator(scene: Scene, call: Expected) -> Aim | None:
    """A compensator is called where a run is handed over: an effect is in doubt and nobody can look into it.

    What was done before is undone then, the last first. None if something else is under way at that moment.
    """
    at = _leave_in_doubt(scene, call, done=False)
    before = [other for other in scene.calls if other is not call and other.at <= at]
    if not before or any(other.ends > at for other in before):
        return None
    call.tool.verified = False
    last = max(before, key=lambda other: other.ends)
    for other in before:
        other.tool.undone = other.tool.undone and other.ends < last.ends
    last.tool.undone = True
    if last.tool.effect == "read":
        last.tool.effect = scene.dice.pick(("idempotent", "once"))
    return Aim({"target": last.tool.compensator}, last.tool.compensator, at)


def _leave_in_doubt(scene: Scene, call: Expected, *, done: bool) -> float:
    """Leave it open whether a call has done anything (`done`: it has); returns when that is known."""
    opener = scene.dice.pick(("ack_lost", "truncated") if done else ("ack_lost", "truncated", "reset"))
    scene.trouble.faults.append({"type": opener, "target": call.tool.name, "attempts": 1})
    return call.at if opener == "reset" else call.ends


# -------------------------------------------------------------------- whether it is sure to happen


def _is_sure(scene: Scene, call: Expected, aim: Aim) -> bool:
    """Find a seed with which every call is hit that has to be."""
    trouble, victim = scene.trouble, Aim({}, call.tool.name, call.at)
    rules = [FaultEntry.model_validate(words).fault for words in trouble.faults]
    runs = trouble.runs if scene.mix.kind == "stale" else 1  # a stale answer is that of another run
    struck = [(0, victim), (1, aim)] if scene.mix.scope == "remedy" else [(0, aim)]
    for _ in range(MOST_SEEDS):
        trouble.seed = scene.dice.whole(0, 9999)
        schedule = Schedule(rules, trouble.seed)
        provider = call.tool.provider if scene.mix.scope != "remedy" else None
        if all(_hits(schedule, rule, run, whom, provider) for rule, whom in struck for run in range(runs)):
            return True
    return False


def _hits(schedule: Schedule, rule: int, run: int, aim: Aim, provider: str | None) -> bool:
    """Whether a rule hits the call that it is aimed at, the first of its tool, in the n-th run of the player."""
    strikes = schedule.strikes(f"run-{run}", aim.tool, 1, aim.at, provider=provider)
    return any(strike.index == rule for strike in strikes)
