"""The figures as tables, and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from rich.table import Table

from agentroute.training.calibration import calibration_error, log_loss, ranking, reliability
from tests.benchmarks.tiers_lab.budgets import SHARES as BUDGETS
from tests.benchmarks.tiers_lab.curves import OURS, SHARES, Figures, Interval, difference, interval
from tests.benchmarks.tiers_lab.data import Data, Floats
from tests.benchmarks.tiers_lab.replays import Told

DRAWS: Final = 400
"""Resamples of the tasks of each split."""

Played: TypeAlias = Mapping[str, Sequence[tuple[Floats, Floats]]]
"""By way and budget: whether each task succeeded, and what it took."""

Quality: TypeAlias = tuple[float, float, float]
"""Log loss, area under the ROC curve, calibration error."""


def empty_table(title: str, first: str, columns: Sequence[str]) -> Table:
    """A table without rows."""
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    drawn.add_column(first, no_wrap=True)
    for name in columns:
        drawn.add_column(name, justify="right", no_wrap=True)
    return drawn


def tiers(data: Data) -> Table:
    """What each tier costs and how often it is right."""
    drawn = empty_table("tiers", "tier", ["right", "USD per 1,000 questions"])
    for number, tier in enumerate(data.tiers):
        drawn.add_row(tier, f"{data.right[:, number].mean():.3f}", f"{1000 * data.usd[:, number].mean():.4f}")
    return drawn


# ------------------------------------------------------------------------- quality by cost


def curve_table(splits: Sequence[Mapping[str, Figures]]) -> Table:
    """Area, quality at equal cost and cost at equal quality; below each, what the step router has more."""
    at = [f"at {share:.0%} of the way" for share in SHARES]
    drawn = empty_table("quality by cost", "router", ["area", *at, "cost of equal", "cost of 95%"])
    for name in splits[0]:
        own = [split[name] for split in splits]
        row = [
            interval([each.area for each in own]),
            *(interval([e.at[:, n] for e in own]) for n in range(len(SHARES))),
        ]
        drawn.add_row(name, *map(str, row), *(_share([getattr(e, k) for e in own]) for k in ("equal", "nearly")))
        if name != OURS:
            drawn.add_row(
                "  step router more",
                *(f"{each.mean:+.3f} [{each.low:+.3f}, {each.high:+.3f}]" for each in _more(splits, name)),
            )
    return drawn


def _more(splits: Sequence[Mapping[str, Figures]], name: str) -> list[Interval]:
    ours, theirs = [split[OURS] for split in splits], [split[name] for split in splits]
    return [
        difference([each.area for each in ours], [each.area for each in theirs]),
        *(difference([each.at[:, n] for each in ours], [each.at[:, n] for each in theirs]) for n in range(len(SHARES))),
    ]


def _share(splits: Sequence[Floats]) -> str:
    """A cost that may be out of reach: its middle value over the splits, and the interval of the resamples."""
    own = float(np.median([values[0] for values in splits]))
    low, high = np.quantile(np.concatenate([values[1:] for values in splits]), [0.025, 0.975], method="nearest")
    return f"{_percent(own)} [{_percent(float(low))}, {_percent(float(high))}]"


def _percent(value: float) -> str:
    return f"{value:.0%}" if np.isfinite(value) else "never"


def curve_figures(splits: Sequence[Mapping[str, Figures]]) -> dict[str, Any]:
    """The same as data."""
    figures: dict[str, Any] = {}
    for name in splits[0] if splits else ():
        own = [split[name] for split in splits]
        figures[name] = {
            "area": str(interval([each.area for each in own])),
            "at": [str(interval([each.at[:, n] for each in own])) for n in range(len(SHARES))],
            "equal": _share([each.equal for each in own]),
            "nearly": _share([each.nearly for each in own]),
            "step router more": [str(each) for each in _more(splits, name)],
        }
    return figures


# ------------------------------------------------------------------------- chances


def qualities(p: Mapping[str, Floats], asked: Data) -> dict[str, Quality]:
    """Log loss, area under the ROC curve and calibration error of each predictor, on average over the tiers."""
    found: dict[str, Quality] = {}
    for name, said in p.items():
        rows = [
            (
                log_loss(said[:, n], asked.right[:, n]),
                ranking(said[:, n], asked.right[:, n]) or 0.5,
                calibration_error(reliability(said[:, n], asked.right[:, n])),
            )
            for n in range(len(asked.tiers))
        ]
        loss, order, error = (float(value) for value in np.mean(rows, axis=0))
        found[name] = (loss, order, error)
    return found


def quality_table(splits: Sequence[Mapping[str, Quality]]) -> Table:
    """How good chances are, mean over tiers and splits."""
    drawn = empty_table(
        "chances, mean over tiers and splits", "predictor", ["log loss", "area under ROC", "calibration error"]
    )
    for name in splits[0]:
        drawn.add_row(name, *(f"{value:.3f}" for value in np.mean([split[name] for split in splits], axis=0)))
    return drawn


# ------------------------------------------------------------------------- strict budgets


def budget_table(splits: Sequence[Played], detection: float) -> Table:
    """Share of tasks that succeed at each budget, and the mean over the budgets with its interval."""
    title = f"strict budgets, as shares of always-expensive's; {detection:.0%} of wrong answers are noticed"
    drawn = empty_table(title, "way", [*(f"{share:.0%}" for share in BUDGETS), "mean", "step router more"])
    for name in splits[0]:
        rates = [np.mean([won.mean() for won, _ in (split[name][n] for split in splits)]) for n in range(len(BUDGETS))]
        mean = interval([resampled(split[name], number) for number, split in enumerate(splits)])
        more = _budget_more(splits, name)
        told = "" if more is None else f"{more.mean:+.3f} [{more.low:+.3f}, {more.high:+.3f}]"
        drawn.add_row(name, *(f"{rate:.3f}" for rate in rates), str(mean), told)
    return drawn


def _budget_more(splits: Sequence[Played], name: str) -> Interval | None:
    ours = "step router, rationed"
    if name == ours:
        return None
    return difference(
        [resampled(split[ours], number) for number, split in enumerate(splits)],
        [resampled(split[name], number) for number, split in enumerate(splits)],
    )


def resampled(played: Sequence[tuple[Floats, Floats]], seed: int) -> Floats:
    """Mean success over the budgets for each resample of the tasks; the first one is the tasks themselves."""
    won = np.mean([won for won, _ in played], axis=0)
    draw, count = np.random.default_rng(seed), len(won)
    times = np.stack([np.ones(count), *draw.multinomial(count, np.full(count, 1 / count), DRAWS)]) / count
    return times @ won


def budget_figures(splits: Sequence[Played]) -> dict[str, Any]:
    """The same as data, with what tasks took."""
    return {
        name: {
            "success": [float(np.mean([split[name][n][0].mean() for split in splits])) for n in range(len(BUDGETS))],
            "usd": [float(np.mean([split[name][n][1].mean() for split in splits])) for n in range(len(BUDGETS))],
        }
        for name in splits[0]
    }


# ------------------------------------------------------------------------- replay


def replay_table(told: Sequence[Told]) -> Table:
    columns = ["truth", "error", "robust error", "covered", "robust covered", "USD covered", "effective", "logs"]
    drawn = empty_table("replay, against what was really so (mean over splits)", "policy", columns)
    for name in dict.fromkeys(each.policy for each in told):
        own = [each for each in told if each.policy == name]
        mean = {
            key: float(np.nanmean([getattr(each, key) for each in own])) for key in Told.__slots__ if key != "policy"
        }
        drawn.add_row(
            name,
            f"{mean['truth']:.3f}",
            f"{mean['error']:.4f}",
            f"{mean['robust_error']:.4f}",
            *(f"{mean[key]:.1%}" for key in ("covered", "robust_covered", "usd_covered")),
            f"{mean['effective']:.0f}",
            str(sum(each.logs for each in own)),
        )
    return drawn
