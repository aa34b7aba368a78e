"""What agents reached, as tables and as JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from tests.benchmarks.tiers_lab.agent_logs import LOGS, Checked
from tests.benchmarks.tiers_lab.agents import POLICIES, SHARES, Compared
from tests.benchmarks.tiers_lab.curves import Interval, difference, interval
from tests.benchmarks.tiers_lab.data import Floats
from tests.benchmarks.tiers_lab.show import empty_table, resampled

OURS = "learned"


def agents_table(splits: Sequence[Compared], detection: float) -> Table:
    """Share of the tasks of agents that succeed, and how that differs from the policies alone."""
    tasks = len(splits[0].agents[OURS][0].won)
    title = (
        f"{tasks} tasks a split by agents, budgets as shares of always-expensive's; "
        f"{detection:.0%} of wrong answers are noticed"
    )
    ours = ["mean", "learned more", "cost", "overspent"]
    columns = [*(f"{share:.0%}" for share in SHARES), *ours, "lab", "agents more", "lab cost", "other outcome"]
    drawn = empty_table(title, "policy", columns)
    for policy in POLICIES:
        live = [split.agents[policy] for split in splits]
        rates = [np.mean([split[n].won.mean() for split in live]) for n in range(len(SHARES))]
        lab = _resamples(splits, policy, lab=True)
        own = _resamples(splits, policy)
        drawn.add_row(
            policy,
            *(f"{rate:.3f}" for rate in rates),
            str(interval(own)),
            "" if policy == OURS else _signed(difference(_resamples(splits, OURS), own)),
            f"{_cost(splits, policy):.1%}",
            str(sum(each.overspent for split in live for each in split)),
            f"{interval(lab).mean:.3f}",
            _signed(difference(own, lab)),
            f"{_cost(splits, policy, lab=True):.1%}",
            str(sum(_other(split, policy) for split in splits)),
        )
    return drawn


def _resamples(splits: Sequence[Compared], policy: str, *, lab: bool = False) -> list[Floats]:
    """Mean success over the budgets for each resample of the tasks of each split."""
    return [
        resampled(split.lab[policy] if lab else [(each.won, each.usd) for each in split.agents[policy]], number)
        for number, split in enumerate(splits)
    ]


def _signed(more: Interval) -> str:
    return f"{more.mean:+.3f} [{more.low:+.3f}, {more.high:+.3f}]"


def _cost(splits: Sequence[Compared], policy: str, *, lab: bool = False) -> float:
    """What a task takes, as a share of what always-expensive takes, on average over budgets."""
    return float(
        np.mean(
            [
                took.mean() / split.dearest
                for split in splits
                for took in (
                    [usd for _, usd in split.lab[policy]] if lab else [each.usd for each in split.agents[policy]]
                )
            ]
        )
    )


def _other(split: Compared, policy: str) -> int:
    """Tasks that came out otherwise, or took something else, than by the policy alone."""
    pairs = zip(split.agents[policy], split.lab[policy], strict=True)
    return sum(
        int(np.sum((each.won != won) | ~np.isclose(each.usd, took, rtol=0, atol=1e-12))) for each, (won, took) in pairs
    )


def agents_figures(splits: Sequence[Compared]) -> dict[str, Any]:
    """The same as data."""
    return {
        policy: {
            "success": [
                float(np.mean([split.agents[policy][n].won.mean() for split in splits])) for n in range(len(SHARES))
            ],
            "mean": str(interval(_resamples(splits, policy))),
            "learned more": _signed(difference(_resamples(splits, OURS), _resamples(splits, policy))),
            "more than alone": _signed(difference(_resamples(splits, policy), _resamples(splits, policy, lab=True))),
            "cost": _cost(splits, policy),
            "lab cost": _cost(splits, policy, lab=True),
            "overspent": sum(each.overspent for split in splits for each in split.agents[policy]),
            "other outcome": sum(_other(split, policy) for split in splits),
        }
        for policy in POLICIES
    }


def checked_table(splits: Sequence[Sequence[Checked]]) -> Table:
    """What replays said of logs that agents wrote, beside agents that followed the policy, of each split."""
    title = f"replay of {LOGS} logs that agents wrote, against agents that followed the policy"
    columns = [
        "right, said",
        "right, so",
        "covered",
        "USD a step, said",
        "so",
        "covered",
        "robust, both",
        "worth steps",
    ]
    drawn = empty_table(title, "policy", columns)
    for each in (each for split in splits for each in split):
        right, usd = each.right, each.usd
        drawn.add_row(
            each.policy,
            f"{right.said:.3f} [{right.low:.3f}, {right.high:.3f}]",
            f"{right.so:.3f}",
            f"{right.covered:.0%}",
            f"{usd.said:.6f} [{usd.low:.6f}, {usd.high:.6f}]",
            f"{usd.so:.6f}",
            f"{usd.covered:.0%}",
            f"{each.robust_right.covered:.0%}, {each.robust_usd.covered:.0%}",
            f"{each.steps:.0f}",
        )
    return drawn
