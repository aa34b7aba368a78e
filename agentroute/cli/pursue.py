"""What ``agentroute run`` does: prepare the agent, drive the run, say how it ended."""

import json
import os
import signal
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import anyio
import click
from pydantic import ValidationError

from agentroute.adapters.logs import configure_structlog, printable
from agentroute.adapters.priors import Priors
from agentroute.adapters.threads import run_in_thread
from agentroute.agent import Agent
from agentroute.cli.progress import Progress
from agentroute.errors import AgentrouteError, InputError
from agentroute.graph.artifact import ArtifactType
from agentroute.ids import ArtifactId, RunId
from agentroute.loading import load_agent
from agentroute.ports import Clock, Observer, ToolExecutor
from agentroute.run.codec import plain_json
from agentroute.run.events import Event, Outcome
from agentroute.run.result import RunResult

if TYPE_CHECKING:
    from agentroute.adapters.mcp.servers import McpServers

EXIT: dict[Outcome, int] = {"succeeded": 0, "demoted": 3, "escalated": 4, "cancelled": 5}
"""Exit status of the command by how the run ended."""

LARGEST_INPUTS = 16 * 1024 * 1024
"""Bytes of an inputs file."""

LONGEST_VALUE = 160
"""Characters of an artifact that the summary shows; --json shows all."""


def prepare(
    target: str,
    *,
    mcp: Path | None,
    escalate: str | None,
    priors: Path | None,
    seed: int | None,
    faults: tuple[str, ...],
    quiet: bool,
) -> Agent:
    """Load the agent and put it into the surroundings that the options ask for."""
    configure_structlog()  # a tool that logs must not write between our results
    agent = load_agent(target, mcp=None if mcp is None else _servers(mcp))
    return agent.with_options(
        escalate=escalate,
        priors=None if priors is None else Priors.load(priors, missing_ok=True),
        seed=seed,
        observers=() if quiet or "AGENTROUTE_LOG" in os.environ else (Progress(),),
        wrap_executor=_injector(faults, seed, agent),
    )


def _servers(mcp: Path) -> "McpServers":
    """Read an MCP configuration; what it says and nobody uses is told."""
    from agentroute.adapters.mcp.servers import McpServers  # only for those who use MCP

    servers = McpServers.from_file(mcp)
    for ignored in servers.ignored:
        click.echo(f"note: {mcp}: {ignored} is not used", err=True)
    return servers


def to_the_end(agent: Agent, goal: str | None, inputs: dict[str, Any]) -> RunResult:
    """Drive the run; a person at the terminal is asked where the run waits for one.

    Ctrl-C and SIGTERM cancel it: what had happened by then is in the result.
    """
    latest = _Latest()
    watched = agent.with_options(observers=(latest,))

    async def main() -> RunResult:
        async with watched:
            result = await watched.run(goal=goal, inputs=inputs)
            while result.suspended and sys.stdin.isatty():
                result = await watched.resume(result.run_id, await run_in_thread(partial(_ask_person, result)))
            return result

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return anyio.run(main)
    except KeyboardInterrupt:
        if latest.run is None:
            click.echo("interrupted before the run began", err=True)
            sys.exit(EXIT["cancelled"])
        return anyio.run(watched.result, latest.run)


def keep_what_was_learned(agent: Agent, file: Path) -> None:
    """Add what the run has taught to the file; if that cannot be done, say so and let the result stand."""
    try:
        anyio.run(agent.keep_learned, file)
    except AgentrouteError as error:
        click.echo(f"note: {error}", err=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Let SIGTERM end a run as Ctrl-C does."""
    del signum, frame
    signal.raise_signal(signal.SIGINT)


class _Latest(Observer):
    """Knows the run that began last."""

    run: RunId | None = None

    def observe(self, run: RunId, event: Event) -> None:
        del event
        self.run = run


def _ask_person(result: RunResult) -> str:
    """Put the menu to whoever sits at the terminal."""
    click.echo(f"\n{result.reason}\n", err=True)
    return click.prompt("Your choice", type=click.Choice(result.menu), err=True)


def _injector(
    faults: tuple[str, ...], seed: int | None, agent: Agent
) -> Callable[[ToolExecutor, Clock], ToolExecutor] | None:
    if not faults:
        return None
    from agentroute.testing.faults import FaultyCalls, parse_fault  # only for those who inject faults
    from agentroute.testing.faults.fault import BESIDE_CALLS

    rules = [parse_fault(text) for text in faults]
    for text, rule in zip(faults, rules, strict=True):
        if rule.type in BESIDE_CALLS:
            raise InputError(f"--fault {text}: is not about calls of tools; write it into a scenario file")
        if not any(fnmatchcase(tool, rule.target) for tool in agent.graph.tools):
            raise InputError(f"--fault {text}: no tool is named {rule.target!r}, so it would test nothing")

    def wrap(calls: ToolExecutor, clock: Clock) -> ToolExecutor:
        return FaultyCalls(calls, rules, clock=clock, seed=seed or 0)

    return wrap


def parse_input(agent: Agent, text: str) -> tuple[str, Any]:
    """Read ``NAME=JSON``; what does not fit as JSON is tried as text, so that ``--input city=Lisbon`` needs no quotes.

    Raises:
        InputError: It has no ``=``, or is broken JSON.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--input {text!r} must be NAME=JSON, such as --input city=Lisbon")
    try:
        data = json.loads(value)
    except (json.JSONDecodeError, RecursionError) as error:
        if value.lstrip()[:1] in {"{", "[", '"'}:
            raise InputError(f"--input {name}: not valid JSON ({error})") from error
        return name, value
    kind = agent.types.get(ArtifactId(name))
    return name, value if kind is not None and not _fits(kind, data) and _fits(kind, value) else data


def _fits(kind: ArtifactType, value: object) -> bool:
    try:
        kind.validate(value)
    except ValidationError:
        return False
    return True


def read_inputs(file: Path | None) -> dict[str, Any]:
    """Read artifacts from a JSON file.

    Raises:
        InputError: With the place, if it is not a JSON object.
    """
    if file is None:
        return {}
    try:
        if file.stat().st_size > LARGEST_INPUTS:
            raise InputError(f"{file}: larger than {LARGEST_INPUTS} bytes")
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{file}:{error.lineno}:{error.colno}: {error.msg}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{file}: not JSON in UTF-8: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"{file}: must hold a JSON object of artifacts by name")
    return cast("dict[str, Any]", data)


def as_json(result: RunResult) -> str:
    """The result as one JSON document; values that JSON cannot hold are shown by their type."""
    return json.dumps(plain_json(result), indent=2)


def as_text(agent: Agent, result: RunResult) -> str:
    """The result for people."""
    wanted = agent.artifacts_of(result.goal) if result.outcome in {"succeeded", "demoted"} else ()
    reached = {name: result.artifacts[name] for name in wanted if name in result.artifacts}
    counts = f"{result.retries} retries, {result.reroutes} reroutes, {result.escalations} escalations"
    lines = [
        printable(f"{result.outcome}: {result.reason}"),
        f"route     {' -> '.join(result.route) or 'nothing was called'}",
        f"attempts  {result.attempts} ({counts}, {result.llm_calls} model calls)",
        f"cost      {result.cost_usd:.6f} USD in {result.duration_s:.2f} s",
        f"trace     agentroute trace show {result.run_id}",
    ]
    if limits := _limits(result):
        lines.insert(-1, f"limits    {limits}")
    lines[1:1] = [f"result    {name}: {_brief(value)}" for name, value in reached.items()]
    if result.left_behind:
        lines.insert(1, f"look at   {', '.join(result.left_behind)}: their effects remain, or may")
    if result.suspended:
        lines.insert(1, f"waits     for a person to choose from: {', '.join(result.menu)}")
    return "\n".join(lines)


def _limits(result: RunResult) -> str:
    """What was used of each thing that was limited by its number."""
    used = {"llm_calls": "model calls", "tokens": "tokens", "tool_calls": "tool calls"}
    counted = ((what, getattr(result, name), result.limits.get(name)) for name, what in used.items())
    return ", ".join(f"{number:,} of {limit:,} {what}" for what, number, limit in counted if limit is not None)


def _brief(value: object) -> str:
    """A value in one line, without anything that could act on a terminal."""
    text = printable(json.dumps(plain_json(value), separators=(",", ":"), ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."
