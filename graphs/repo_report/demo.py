"""The main demonstration: a health report of a repository, while a server that it is made with is killed.

    make demo                                     of this clone
    python graphs/repo_report/demo.py REPOSITORY  of any other

The agent (agent.py) prefers the MCP git server. Just when a step begins that this server should answer, its process
gets SIGKILL. The step fails, the route is computed anew from what is known by then, and the report is written all the
same.
"""

import argparse
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import anyio

from agentroute import RunResult
from agentroute.adapters.telemetry.provider import default_store, traces_folder
from agentroute.cli.progress import Progress
from agentroute.ids import AttemptId, RunId
from agentroute.run.events import AttemptStarted, Event, Rerouted
from graphs.repo_report.agent import build_agent
from graphs.repo_report.artifacts import WrittenReport
from graphs.repo_report.processes import child_running

THIS_CLONE = Path(__file__).resolve().parents[2]

SERVER = "mcp_server_git"

STEP = "behind_by_server"
"""The step that finds the server dead. The server has answered others by then, so it was alive."""

LINES = 17
"""Lines of the report that are shown."""


class Saboteur:
    """Observer that kills the git server when `STEP` begins, and takes down what the run does about it."""

    def __init__(self) -> None:
        """Nothing is killed yet."""
        self.killed: int | None = None
        self.reroutes: list[Rerouted] = []

    def observe(self, run: RunId, event: Event) -> None:
        """Kill at the right moment; note what is worth telling."""
        del run
        if isinstance(event, AttemptStarted) and event.tool == STEP and self.killed is None:
            self._kill(event.at)
        elif isinstance(event, Rerouted):
            self.reroutes.append(event)

    def attempt_scope(self, run: RunId, attempt: AttemptId) -> AbstractContextManager[object]:
        """Nothing to set up."""
        del run, attempt
        return nullcontext()

    def _kill(self, at: float) -> None:
        self.killed = child_running(SERVER)
        if self.killed is not None:
            os.kill(self.killed, signal.SIGKILL)
            print(f"{at:8.3f}s  SIGKILL   process {self.killed}, python -m {SERVER}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the agent, and say what happened. Returns 0 if it went as promised."""
    parser = argparse.ArgumentParser(description="Write a health report of a repository while a server is killed.")
    parser.add_argument("repository", nargs="?", default=str(THIS_CLONE), help="its folder (default: this clone)")
    repository = parser.parse_args().repository
    saboteur = Saboteur()
    result = anyio.run(run, repository, saboteur)
    kept = tell(result, saboteur)
    return 0 if kept else 1


async def run(repository: str, saboteur: Saboteur) -> RunResult:
    """Run the agent once, with `saboteur` watching."""
    async with build_agent(observers=[Progress(), saboteur]) as agent:
        return await agent.run(inputs={"repo": repository})


def tell(result: RunResult, saboteur: Saboteur) -> bool:
    """Print how the run ended; True if it was sabotaged, rerouted, and wrote its report."""
    written = result.artifacts.get("WrittenReport")
    print(f"\n{result.outcome}: {result.reason} ({result.duration_s:.1f} s, {result.llm_calls} model calls)\n")
    print(f"route     {arrows(result.route)}")
    for reroute in saboteur.reroutes:
        if reroute.before == reroute.after:  # of two failures at once, the first has had both answered
            continue
        print(f"reroute   {reroute.tool} failed ({reroute.kind})")
        print(f"          before  {arrows(reroute.before)}")
        print(f"          after   {arrows(reroute.after)}")
    if result.trace_id:
        command, traces = Path(sys.executable).with_name("agentroute"), traces_folder(default_store(os.environ))
        print(f"trace     {here(traces)}; to see it: {here(command)} trace show {result.run_id}")
    if not isinstance(written, WrittenReport):
        return False
    print(f"report    {here(Path(written.path))} ({written.size:,} bytes); it begins:\n")
    for line in Path(written.path).read_text(encoding="utf-8").splitlines()[:LINES]:
        print(f"    {line}".rstrip())
    if saboteur.killed is None:
        print(f"\nNothing was killed: {why_not(result)}")
        return True
    return any(reroute.tool == STEP and STEP not in reroute.after for reroute in saboteur.reroutes)


def why_not(result: RunResult) -> str:
    """Say why there was no server to kill."""
    if "head_by_server" in result.route:
        return "in a repository without commits, the step that would have found the server dead is not needed."
    return "the git server did not start. It needs the git program, which is not on this machine's PATH."


def arrows(tools: tuple[str, ...] | list[str]) -> str:
    """Show tools in the order of a route."""
    return " -> ".join(tools)


def here(path: Path) -> str:
    """Show a path as seen from the working directory."""
    return str(path.absolute().relative_to(Path.cwd())) if path.absolute().is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
