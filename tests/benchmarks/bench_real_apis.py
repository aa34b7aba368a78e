"""Agents on APIs and plans that nobody here wrote: ``python -m tests.benchmarks.bench_real_apis``.

The first table: BFCL's 200 multi-turn tasks, each run under faults that are drawn from a seed, in virtual time, on the
real API objects. The second: NESTFUL's 85 gold plans, found by the router from types that say more or less. A table
whose data is not there is left out, with a line that says how to get it. What the columns mean stands below each.
"""

import argparse
import logging
import time
from collections import Counter
from collections.abc import Mapping

from tests.real_apis import bfcl, nestful
from tests.real_apis.nestful import TYPINGS, VERDICTS, Nestful, Puzzle, solve
from tests.real_apis.tally import Tally, tally
from tests.real_apis.trial import Lab, Setting

LATE = Setting(kinds=("late_success",))

SERIES: Mapping[str, Setting] = {
    "one after the other": Setting(),
    "objects in parallel": Setting(by_object=True),
    "late effects": LATE,
    "late, keys not kept": Setting(kinds=LATE.kinds, keeps_keys=False),
}

COLUMNS = (
    ("runs", "tasks, each under faults of its own"),
    ("calls", "gold calls"),
    ("made", "calls that agentroute made, look-ups included"),
    ("faults", "triggered in those runs"),
    ("rules", "share of the rules drawn that were triggered"),
    ("ok/dem/esc", "runs that succeeded, were demoted, escalated"),
    ("equal", "all API objects ended as they do without faults"),
    ("honest", "they did not, and the run says so"),
    ("silent", "they did not, and it does not say so"),
    ("(late)", "those of them to which something was done when they were over"),
    ("doubled", "effects that had been made twice by the end of the run"),
    ("unsaid", "those of them that no word of the run points to"),
    ("unacc.", "objects that are not in the state that the run's own account leads to, where it claims to know"),
    ("viol.", "violations of the invariants"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="fault schedules per task (default: 1)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first seed (default: 1)")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # thousands of failures are what is wanted here
    print_bfcl(range(options.first_seed, options.first_seed + options.seeds))
    print()
    print_nestful()


def print_bfcl(seeds: range) -> None:
    if not bfcl.installed():
        print(bfcl.HOW_TO_GET_IT)
        return
    suite = bfcl.load()
    print(f"BFCL: {len(suite.tasks)} multi-turn tasks, {suite.calls} gold calls; seeds {seeds[0]} to {seeds[-1]}")
    for api, lacking in suite.missing.items():
        print(f"Left out: {api} ({suite.left_out} calls), which needs the module {lacking}")
    print(f"{'series':20}" + "".join(f"{name:>12}" for name, _ in COLUMNS) + f"{'s':>7}")
    for name, setting in SERIES.items():
        started, lab = time.perf_counter(), Lab(suite, setting)
        figures = tally(lab.trial(task, seed=seed) for task in suite.tasks for seed in seeds)
        cells = "".join(f"{cell:>12}" for cell in _cells(figures))
        print(f"{name:20}{cells}{time.perf_counter() - started:7.1f}", flush=True)
        if figures.violations:
            print(f"{'':20}violations by invariant: {dict(sorted(figures.violations.items()))}")
    print("\n".join(f"  {name}: {meaning}" for name, meaning in COLUMNS))


def _cells(figures: Tally) -> list[str]:
    outcomes = "/".join(str(figures.outcomes[outcome]) for outcome in ("succeeded", "demoted", "escalated"))
    numbers = [figures.runs, figures.calls, figures.attempts, figures.triggered]
    verdicts = [figures.equal, figures.honest, figures.silent, figures.silent_late, figures.doubled]
    verdicts += [figures.silent_doubles, figures.unaccounted, figures.violations.total()]
    return [*map(str, numbers), f"{figures.rules_hit / figures.rules:.0%}", outcomes, *map(str, verdicts)]


def print_nestful() -> None:
    path = nestful.folder()
    if path is None:
        print(nestful.HOW_TO_GET_IT)
        return
    data = nestful.load(path)
    calls = sum(len(plan.calls) for plan in data.plans)
    print(f"NESTFUL: {len(data.plans)} gold plans, {calls} calls, {len(data.functions)} functions")
    print(f"References to a field that is not declared, read as the whole answer: {data.undeclared()}")
    print(
        f"{'a type says':14}" + "".join(f"{verdict:>16}" for verdict in VERDICTS) + f"{'proven':>10}{'ms a plan':>11}"
    )
    reasons: dict[str, Counter[str]] = {}
    for typing in TYPINGS:
        print_typing(typing, data, reasons.setdefault(typing, Counter()))
    print("  the only one: the plan, and every other set of tools that gives the answer has more calls")
    print("  one of several: the plan, and other sets have as many; fewer calls: a part of the plan is enough")
    print("  other calls: a function that is not in the plan gives the same types")
    for name, found in reasons.items():
        for why, count in found.most_common():
            print(f"  {name}: {count} x {why}")


def print_typing(typing: nestful.Typing, data: Nestful, reasons: Counter[str]) -> None:
    started = time.perf_counter()
    found = [solve(Puzzle(data, plan, typing)) for plan in data.plans]
    took = (time.perf_counter() - started) / len(found) * 1e3
    verdicts = Counter(finding.verdict for finding in found)
    reasons.update(finding.why for finding in found if finding.why)
    cells = "".join(f"{verdicts[verdict]:>16}" for verdict in VERDICTS)
    print(f"{typing:14}{cells}{sum(finding.optimal for finding in found):>10}{took:>11.1f}", flush=True)


if __name__ == "__main__":
    main()
