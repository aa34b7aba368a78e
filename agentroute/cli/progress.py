"""Progress of a run on standard error, one line per fact that matters."""

from rich.console import Console
from rich.text import Text

from agentroute.adapters.logs import printable
from agentroute.ids import RunId, dollars
from agentroute.ports import Observer
from agentroute.run.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Compensated,
    Event,
    GuardClosed,
    Hedged,
    LateResultFenced,
    Quarantined,
    Rerouted,
    Retried,
    RouteChosen,
    RunFinished,
    Signalled,
    Suspended,
    TierChosen,
    Unresolved,
    Verified,
    Waiting,
)


class Progress(Observer):
    """An observer that tells a person at a terminal what a run is doing."""

    def __init__(self) -> None:
        """Write to standard error; without colour where that is no terminal."""
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def observe(self, run: RunId, event: Event) -> None:
        """Print the fact, if it is worth a line."""
        del run
        line = describe(event)
        if line is not None:
            style, text = line
            self._console.print(Text(printable(f"{event.at:8.3f}s  {text}"), style=style))


def describe(event: Event) -> tuple[str, str] | None:  # noqa: C901, PLR0912  # one line per kind of fact
    """Return a colour and a sentence for an event; None for those nobody waits for."""
    match event:
        case RouteChosen():
            return "bold", f"route     {_arrows(event.tools)}   {dollars(event.weight):.6f} USD ({event.reason})"
        case AttemptStarted():
            return "dim", f"call      {event.tool}" + ("" if event.role == "step" else f" ({event.role})")
        case AttemptSucceeded():
            return "green", f"ok        {event.tool}"
        case AttemptFailed():
            doubt = "; unknown whether it happened" if event.in_doubt else ""
            return "red", f"failed    {event.tool}: {event.kind}, {event.error}: {event.message}{doubt}"
        case Retried():
            return "yellow", f"retry     {event.tool} in {event.wait_s:.2f} s"
        case Rerouted():
            return "yellow", f"reroute   {_arrows(event.before)}  =>  {_arrows(event.after)}"
        case TierChosen():
            first = event.ranking[0]
            chance, usd = event.right[first], dollars(event.costs[first])
            return "cyan", f"tier      {first}   {chance:.0%} right, {usd:.6f} USD a call ({event.policy})"
        case Hedged():
            return "yellow", f"hedge     {event.tool}: {event.reason}  =>  {_arrows(event.after)}"
        case Waiting():
            return "yellow", f"wait      {event.seconds:.1f} s for {event.tool}"
        case Verified():
            found = "happened" if event.happened else "did not happen"
            return "yellow", f"verified  {event.tool} {found}, says {event.verifier}"
        case Compensated():
            return "yellow", f"undone    {event.tool}, by {event.compensator}"
        case Unresolved():
            return "red", f"open      {event.reason}"
        case Signalled():
            return "magenta" if event.stops else "yellow", f"monitor   {event.monitor}: {event.reason}"
        case GuardClosed():
            return "yellow", f"closed    {event.tool}: {event.reason}"
        case Suspended():
            return (
                "magenta",
                f"waiting for a person: {event.reason}; choices: {', '.join(o.choice for o in event.menu)}",
            )
        case Chosen():
            return "magenta", f"escalate  {event.reason}; {event.by} chose {event.choice}" + (
                f" ({event.note})" if event.note else ""
            )
        case Quarantined():
            return "bold red", f"alarm     {event.tool} is put aside for all runs: {event.reason}"
        case LateResultFenced():
            return "yellow", f"late      {event.tool} came back after it was given up; not used"
        case RunFinished():
            return "bold", f"{event.outcome}: {event.reason}"
        case _:
            return None


def _arrows(tools: tuple[str, ...]) -> str:
    return " -> ".join(tools) or "nothing more to do"
