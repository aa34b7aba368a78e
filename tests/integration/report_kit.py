"""What tests of the health report share."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from agentroute import RunResult
from agentroute.ids import AttemptId, RunId
from agentroute.ports import Observer
from agentroute.run.events import AttemptFailed, AttemptStarted, Event
from graphs.repo_report.agent import build_agent
from graphs.repo_report.artifacts import WrittenReport


class Watcher:
    """Observer that keeps what happened, and acts when a tool is about to be called."""

    def __init__(self, actions: Mapping[str, Callable[[], object]] | None = None) -> None:
        self.events: list[Event] = []
        self._actions = dict(actions or {})

    def observe(self, run: RunId, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, AttemptStarted) and event.tool in self._actions:
            self._actions.pop(event.tool)()

    def attempt_scope(self, run: RunId, attempt: AttemptId) -> AbstractContextManager[object]:
        return nullcontext()

    def failures(self) -> dict[str, str]:
        return {event.tool: event.message for event in self.events if isinstance(event, AttemptFailed)}


async def report_on(path: Path, *observers: Observer, **inputs: str) -> RunResult:
    """Run an agent with servers of its own, and end them."""
    async with build_agent(observers=observers) as agent:
        return await agent.run(inputs={"repo": str(path), **inputs})


def text_of(result: RunResult) -> str:
    return Path(result[WrittenReport].path).read_text(encoding="utf-8")


def table(report: str, title: str) -> list[list[str]]:
    """Rows of the table under a heading."""
    section = report.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").replace("\\|", "¦").split("|")] for row in rows[2:]]


def without_git(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Take git, and everything but node, off the PATH."""
    folder.mkdir(exist_ok=True)
    if (node := shutil.which("node")) is not None:
        (folder / "node").symlink_to(node)
    monkeypatch.setenv("PATH", str(folder))
