"""Faults against a task's gateways, drawn from a seed."""

from collections.abc import Sequence
from random import Random

from agentroute.testing.faults import Fault, FaultType
from tests.real_apis.bfcl import GoldCall, Task
from tests.real_apis.gateway import WAYS, step

KINDS: tuple[FaultType, ...] = (
    "error",
    "rate_limit",
    "down",
    "flap",
    "reset",
    "timeout",
    "hang",
    "latency",
    "ramp",
    "tail",
    "malformed",
    "truncated",
    "renamed_field",
    "type_change",
    "error_in_200",
    "empty",
    "ack_lost",
    "duplicate_delivery",
    "crash",
)
"""What is drawn from. Without answers that are false and keep the contract, which nobody could see; ``late_success``,
whose effect may come when the run is over, is looked at by itself."""

STEPS_ONLY: frozenset[FaultType] = frozenset({"empty"})
"""Faults that no look-up is dealt: one that answers nothing says that nothing has happened, and nobody can see that
this is false."""


def draw(seed: int, task: Task, kinds: Sequence[FaultType] = KINDS) -> list[Fault]:
    """Draw one to four faults, each against one tool or against several that share something."""
    random = Random(f"{seed}/{task.name}")
    return [_fault(random, random.choice(task.calls), random.choice(kinds)) for _ in range(random.randint(1, 4))]


def _fault(random: Random, call: GoldCall, kind: FaultType) -> Fault:
    until = random.choice([None, None, round(random.uniform(0.2, 20.0), 1)])
    return Fault(
        type=kind,
        target=_target(random, call, everything=kind not in STEPS_ONLY),
        latency_s=round(random.uniform(0.1, 4.0 if kind == "hang" else 8.0), 1),
        retry_after_s=random.choice([None, 2.0, 20.0]),
        point=random.choice(["arrives", "answered"]),
        until_s=until,
        attempts=random.choice([None, (1, 1), (1, 1), (1, 2)]) if until is None else None,
        toxicity=random.choice([1.0, 1.0, 0.5]),
    )


def _target(random: Random, call: GoldCall, *, everything: bool) -> str:
    """One tool, or those of a step, an API or a gateway, with or without their look-ups, or all look-ups."""
    way, number = random.choice(list(WAYS)), step(call.number)
    steps = [f"{number}.*.{way}", f"{number}.*.{way}", f"{number}.*", f"s*.{call.api}.*", f"s*.{way}"]
    others = [f"*{number}.*.{way}", f"*{number}.*", f"*.{call.api}.*", f"*.{way}", "look.*"]
    return random.choice(steps + others if everything else steps)
