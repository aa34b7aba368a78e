"""What the three demonstrations share: start the providers, break some mid-run, tell what happens, count rows."""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console

from agentroute import Agent, RunResult
from agentroute.ids import AttemptId, RunId
from agentroute.run.events import (
    AttemptFailed,
    AttemptStarted,
    Chosen,
    Compensated,
    Event,
    GuardClosed,
    Hedged,
    Rerouted,
    Retried,
    RouteChosen,
    Unresolved,
    Verified,
)
from graphs.providers.supervisor import WAYS, Providers, Way

BOOKKEEPING = ("id", "run_id", "key", "at")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One domain, ready to be shown.

    Attributes:
        domain: Name of the domain.
        build_agent: Makes the agent from the providers' addresses.
        option: Name, default and help of the one option that changes what the run is about.
        inputs: Artifacts a run starts with, from the value of that option.
        moments: What ``--kill`` can refer to: the provider endpoints whose requests are that moment.
        kill: What is killed if the user does not say.
        tables: Ground truth to show.
    """

    domain: str
    build_agent: Callable[..., Agent]
    option: tuple[str, str, str]
    inputs: Callable[[str], Mapping[str, Any]]
    moments: Mapping[str, Sequence[tuple[str, str]]]
    kill: Sequence[str]
    tables: Sequence[str]


class Narrator:
    """Observer that tells, in a line each, what a run does about what goes wrong."""

    def __init__(self, console: Console) -> None:
        """Write to `console`."""
        self._console = console

    def observe(self, run: RunId, event: Event) -> None:  # noqa: ARG002  # there is one run
        """Print what is worth telling."""
        line = _tell(event)
        if line is not None:
            self._console.print(f"  {event.at:6.2f} s  {line}")

    def attempt_scope(self, run: RunId, attempt: AttemptId) -> AbstractContextManager[object]:  # noqa: ARG002
        """Nothing to set up."""
        return nullcontext()


def _tell(event: Event) -> str | None:  # noqa: C901  # one flat case per kind of fact
    match event:
        case RouteChosen():
            return f"[bold]route[/]      {' > '.join(event.tools)}  ({event.reason})"
        case AttemptStarted() if event.role != "step":
            return f"[cyan]{event.role}[/]     by {event.tool}"
        case AttemptFailed():
            doubt = ", in doubt" if event.in_doubt else ""
            return f"[red]failed[/]     {event.tool}: {event.kind}{doubt} ({event.error})"
        case Retried():
            return f"[yellow]retry[/]      {event.tool} in {event.wait_s:.2f} s"
        case Rerouted():
            before, after = " > ".join(event.before), " > ".join(event.after)
            return f"[green]reroute[/]    {before}\n            [green]to[/]         {after}"
        case Hedged():
            after = " > ".join(event.after)
            return f"[yellow]hedge[/]      {event.tool}: {event.reason}\n            [yellow]beside it[/]  {after}"
        case Verified():
            return f"[cyan]verified[/]   {event.tool} {'did happen' if event.happened else 'did not happen'}"
        case Compensated():
            return f"[cyan]undone[/]     {event.tool} by {event.compensator}"
        case GuardClosed():
            return f"[magenta]closed[/]     {event.tool}: {event.reason}"
        case Chosen():
            return f"[magenta]chosen[/]     {event.choice} from {', '.join(o.choice for o in event.menu)} ({event.by})"
        case Unresolved():
            return f"[red]unresolved[/] {event.reason}"
        case _:
            return None


def main(demonstration: Demonstration, description: str) -> None:
    """Run the demonstration once, as the command line says, and print it."""
    options = _arguments(demonstration, description).parse_args()
    console = Console(soft_wrap=True, highlight=False)
    domain = demonstration.domain
    with tempfile.TemporaryDirectory() as folder, Providers(domain, Path(folder) / "truth.db") as providers:
        console.print(f"{len(providers.names)} providers, each a process: {', '.join(providers.names)}")
        for way, order in _orders(options) or [("kill", order) for order in demonstration.kill]:
            console.print(_arrange(demonstration, providers, order, way))
        agent = demonstration.build_agent(providers.urls, observers=[Narrator(console)])
        result = anyio.run(partial(agent.run, inputs=demonstration.inputs(options.subject)))
        _report(console, demonstration, providers, result)


def _orders(options: argparse.Namespace) -> list[tuple[Way, str]]:
    return [(way, order) for way in WAYS for order in getattr(options, way)]


def _arrange(demonstration: Demonstration, providers: Providers, order: str, way: Way) -> str:
    """Break `VICTIM` now, or have it broken at `VICTIM@MOMENT`; returns what to tell."""
    victim, _, moment = order.partition("@")
    if victim == "nothing":
        return "nothing will break"
    if victim not in providers.names or (moment and moment.removeprefix("after-") not in demonstration.moments):
        known = f"VICTIM: {', '.join(providers.names)}; MOMENT: {', '.join(demonstration.moments)}"
        raise SystemExit(f"cannot break {order!r}. {known}")
    if not moment:
        providers.kill(victim) if way == "kill" else providers.stop(victim)
        return f"{victim} is down from the start"
    after = moment.startswith("after-")
    for provider, endpoint in demonstration.moments[moment.removeprefix("after-")]:
        if way != "cut" or provider == victim:
            providers.arm(victim, by=provider, endpoint=endpoint, moment="done" if after else "arrives", how=way)
    what = {"kill": "is killed", "hang": "is stopped", "cut": "hangs up without an answer"}[way]
    when = "has been served" if after else "arrives"
    return (
        f"{victim} (process {providers.pid(victim)}) {what} when the request {moment.removeprefix('after-')!r} {when}"
    )


def _report(console: Console, demonstration: Demonstration, providers: Providers, result: RunResult) -> None:
    console.print(f"\n[bold]{result.outcome}[/]: {result.reason}")
    console.print(f"route taken: {' > '.join(result.route)}")
    counts = f"{result.attempts} calls, {result.retries} retries, {result.reroutes} reroutes"
    console.print(f"{counts}, {result.llm_calls} model calls, ${result.cost_usd:.4f}, {result.duration_s:.2f} s\n")
    console.print("What the providers' database says:")
    for name in demonstration.tables:
        rows = providers.rows(name)
        console.print(f"  [bold]{name}: {len(rows)}[/]")
        for row in rows:
            facts = "  ".join(f"{column} {value}" for column, value in row.items() if column not in BOOKKEEPING)
            console.print(f"    {facts}", markup=False)


def _arguments(demonstration: Demonstration, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    flag, default, meaning = demonstration.option
    parser.add_argument(flag, dest="subject", default=default, help=f"{meaning} (default: {default})")
    moments = ", ".join(demonstration.moments)
    effects = {"kill": "SIGKILL a provider", "hang": "SIGSTOP a provider", "cut": "have a provider lose its answer"}
    for way, effect in effects.items():
        parser.add_argument(f"--{way}", action="append", default=[], metavar="VICTIM@MOMENT", help=effect)
    parser.epilog = (
        f"moments: {moments}; as a request arrives, or after-... when it was served; VICTIM alone: from the start\n"
        f"by default: --kill {' --kill '.join(demonstration.kill)}; nothing breaks with --kill nothing"
    )
    return parser
