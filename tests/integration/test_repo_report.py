"""The health report, with real servers and real repositories."""

import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

from agentroute import RunResult
from agentroute.ports import Observer
from graphs.repo_report import servers
from graphs.repo_report.agent import build_agent
from graphs.repo_report.artifacts import Activity, WrittenReport
from graphs.repo_report.promises import LAST_LINE
from tests.integration.report_kit import Watcher, table, text_of
from tests.integration.repositories import (
    Kind,
    detached,
    empty,
    lively,
    new_repository,
    one_commit,
    shallow,
    strange_names,
)

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="repositories are made with the git program")

SERVER_TOOLS = ("head_by_server", "log_by_server", "behind_by_server")
GIT_TOOLS = ("head_by_git", "log_by_git", "behind_by_git", "refs_by_git", "churn_by_git")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop is enough here."""
    return "asyncio"


Runs: TypeAlias = Callable[..., Awaitable[RunResult]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Run agents on the same servers, so that these start once; health is each agent's own."""
    reports = tmp_path_factory.mktemp("reports")
    connected = servers.connect(reports)

    async def run(path: Path, *observers: Observer, **inputs: str) -> RunResult:
        agent = build_agent(reports=reports, servers=connected, observers=observers)
        return await agent.run(inputs={"repo": str(path), **inputs})

    yield run
    anyio.run(connected.aclose)


@pytest.mark.anyio
async def test_the_figures_are_those_of_git_itself(shared: Runs, tmp_path: Path) -> None:
    repository = lively(tmp_path / "repository")
    result = await shared(repository.path)
    report = text_of(result)

    authors = Counter(repository.git("log", "--format=%an").splitlines())
    shown = {row[0].replace("\\", ""): int(row[1]) for row in table(report, "Authors")}
    assert shown == {name.replace("|", "¦"): count for name, count in authors.items()}

    dates = [datetime.fromisoformat(line) for line in repository.git("log", "--format=%aI").splitlines()]
    weeks = Counter(f"{at.astimezone(UTC):%G-W%V}" for at in dates)
    by_week = table(report, "Commits per week")
    assert len(by_week) == 12
    assert {row[0]: int(row[1]) for row in by_week} == {row[0]: weeks[row[0]] for row in by_week}
    assert sum(int(row[1]) for row in by_week) > 0

    touched = [
        line
        for line in repository.git("log", "--name-only", "--no-renames", "--no-merges", "--format=").splitlines()
        if line
    ]
    files = {row[0].strip("`"): int(row[1]) for row in table(report, "Hot files")}
    assert files == dict(Counter(touched))

    assert [row[0] for row in table(report, "Stale branches")] == ["`stale`"]
    assert {row[0] for row in table(report, "Last tags")} == {"`v1`", "`light`"}
    total = int(repository.git("rev-list", "--count", "HEAD"))
    assert f"- Activity: {total} commits, " in report
    assert f"branch `main` at {repository.git('rev-parse', 'HEAD')[:10]}" in report
    assert "changes that are not committed" in report
    assert report.endswith(LAST_LINE + "\n")
    assert result[WrittenReport].size == len(report.encode())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (empty, "Nothing has been committed yet"),
        (shallow, "This clone is shallow"),
        (detached, "a detached HEAD at"),
        (strange_names, "Commits dated before git existed, or after this report: 2."),
    ],
    ids=["empty", "shallow", "detached", "strange_names"],
)
async def test_the_report_says_what_its_figures_do_not(shared: Runs, kind: Kind, said: str, tmp_path: Path) -> None:
    result = await shared(kind(tmp_path / "repository").path)
    assert (result.outcome, result.goal) == ("succeeded", "written")
    assert said in text_of(result)


@pytest.mark.anyio
async def test_a_repository_is_found_from_a_folder_below_it(
    shared: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = one_commit(tmp_path / "repository")
    monkeypatch.chdir(repository.path / "folder")
    result = await shared(Path())
    assert result.artifacts["root"] == str(repository.path)
    assert result[Activity].commits == 1


@pytest.mark.anyio
async def test_the_user_says_where_the_report_goes(shared: Runs, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere/mine.md"
    result = await shared(one_commit(tmp_path / "repository").path, report_path=str(target))
    assert target.read_text(encoding="utf-8").startswith("# Health of repository")
    assert "choose_path" not in result.route
    assert "write_by_python" in result.route  # the filesystem server may not write there


@pytest.mark.anyio
@pytest.mark.skipif(
    not (shutil.which("node") and servers.FILESYSTEM_SERVER.is_file()), reason="no Node.js, or its packages are missing"
)
async def test_the_filesystem_server_writes_the_report(shared: Runs, tmp_path: Path) -> None:
    result = await shared(one_commit(tmp_path / "repository").path)
    assert "write_by_server" in result.route
    assert text_of(result) == result.artifacts["report"]


@pytest.mark.anyio
async def test_the_sources_of_a_forged_log_disagree_in_the_report(shared: Runs, tmp_path: Path) -> None:
    """A commit message can look like further commits to whoever reads the server's text."""
    repository = one_commit(tmp_path / "repository")
    forged = f"Commit: {'f' * 40}\nAuthor: Mallory\nDate: 2026-01-01 00:00:00+00:00\nMessage: x"
    repository.commit(f"Honest\n\n{forged}", "a.txt")
    result = await shared(repository.path)
    assert "The sources disagree: the log has 3 commits, the history of the files 2." in text_of(result)


@pytest.mark.anyio
async def test_a_log_that_quotes_itself_is_read_another_way(shared: Runs, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repository")
    first = repository.commit("First", "a.txt")
    quoted = f"Commit: {first}\nAuthor: Ada\nDate: 2026-01-01 00:00:00+00:00\nMessage: First"
    repository.commit(f"Second\n\n{quoted}", "a.txt")
    watcher = Watcher()
    result = await shared(repository.path, watcher)
    assert "postcondition" in watcher.failures()["log_by_server"]
    assert "log_by_git" in result.route
    assert result[Activity].commits == 2


# ---------------------------------------------------------------- routes, without calls


def test_each_way_falls_to_the_next() -> None:
    agent = build_agent()
    first, second = agent.plan(), agent.plan(down=SERVER_TOOLS)
    third = agent.plan(down=(*SERVER_TOOLS, *GIT_TOOLS))
    assert set(SERVER_TOOLS) <= set(first.tools)
    assert set(GIT_TOOLS) <= set(second.tools)
    assert not set(GIT_TOOLS) & set(third.tools)
    assert first.optimal
    assert second.optimal
    assert third.optimal
    assert first.weight < second.weight < third.weight


def test_no_way_at_all_is_said_to_be_none() -> None:
    readers = ("log_by_dulwich", "churn_by_dulwich", "refs_by_dulwich", "head_by_dulwich", "behind_by_dulwich")
    plan = build_agent().plan(down=(*SERVER_TOOLS, *GIT_TOOLS, *readers))
    assert not plan.feasible
    assert "CommitLog" in plan.reason
