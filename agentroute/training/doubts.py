"""What a log is believed to say although it may not: told beside what is made of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from agentroute.routing.tiers.outcome import Outcome

OFTEN: Final = 0.01
"""Share of the steps from which on it is told that other tiers could be taken than otherwise."""

BY_DECLARATION: Final = (
    "every accepted answer counts as right: ensure= is declared to notice every wrong one (detection 1), and none was "
    "judged. If it does not, declare that, llm_step(detection=...), and judge runs: agentroute budget judge"
)


def right_by_declaration(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Whether nobody but the declared detection vouches for any accepted answer."""
    accepted = [outcome for outcome in outcomes if outcome.right != 0]
    if accepted and all(each.right == 1 and each.detection == 1 and not each.judged for each in accepted):
        yield BY_DECLARATION


def offers_that_vary(firsts: Sequence[Outcome]) -> Iterator[str]:
    """Steps that did not always have the same tiers to choose from: what else was chosen may have decided that.

    Args:
        firsts: The first record of each step.
    """
    offered = dict[str, Counter[frozenset[str]]]()
    for outcome in firsts:
        offered.setdefault(outcome.situation.step, Counter())[frozenset(outcome.tiers)] += 1
    for step, sets in sorted(offered.items()):
        [(_, usual)] = sets.most_common(1)
        share = 1.0 - usual / sets.total()
        if share >= OFTEN:
            yield (
                f"step {step!r}: {share:.0%} of the times other tiers could be taken than usual. If that hung on what "
                "was chosen before (a budget, steps that stand in for each other), estimates are off"
                ", and intervals too narrow"
            )
