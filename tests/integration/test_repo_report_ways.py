"""The three ways to read a repository come to the same artifacts, and the server's text is read strictly."""

import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentroute import ToolError
from agentroute.ids import ArtifactId
from graphs.repo_report import git_program, git_reader, servers
from graphs.repo_report.artifacts import Behind, Head
from graphs.repo_report.promises import log_is_consistent
from graphs.repo_report.repository import find_repository
from tests.integration.repositories import KINDS, Kind, strange_names


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop is enough here."""
    return "asyncio"


@pytest.fixture(scope="module")
def git_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """The git server's tools, ready to be called without an agent."""
    connected = servers.connect(tmp_path_factory.mktemp("reports"))
    yield {tool.spec.name: tool for tool in servers.git_tools(connected)}
    anyio.run(connected.aclose)


@pytest.mark.anyio
@pytest.mark.skipif(shutil.which("git") is None, reason="repositories are made with the git program")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_way_comes_to_the_same_artifacts(kind: Kind, tmp_path: Path, git_server: Mapping[str, Any]) -> None:
    root, _ = find_repository(str(kind(tmp_path / "repository").path))
    head, log = await git_program.head_by_git(root), await git_program.log_by_git(root)
    behind = await git_program.behind_by_git(root, log.newest)

    assert git_reader.head_by_dulwich(root) == head
    assert git_reader.log_by_dulwich(root) == log
    assert git_reader.behind_by_dulwich(root, log.newest) == behind
    assert git_reader.refs_by_dulwich(root) == await git_program.refs_by_git(root)
    assert git_reader.churn_by_dulwich(root) == await git_program.churn_by_git(root)

    async def ask(tool: str, **inputs: str) -> Any:
        outputs = await git_server[tool].call({ArtifactId(name): value for name, value in inputs.items()})
        return next(iter(outputs.values()))

    if kind is strange_names:
        with pytest.raises(ToolError, match="a name has lost letters"):
            await ask("log_by_server", root=root)
    elif log.commits:
        assert await ask("log_by_server", root=root) == log
    if log.commits:
        assert await ask("behind_by_server", root=root, revision=log.newest) == behind
    if head.clean is not None:  # where there is no working tree, the server cannot say where HEAD is
        assert await ask("head_by_server", root=root) == head


# ---------------------------------------------------------------- the server's text is read strictly

LOG = "Commit history:\nCommit: {0}\nAuthor: Ada\nDate: 2026-01-02 03:04:05+01:00\nMessage: One\n\nmore\n\n"


def test_a_log_is_read() -> None:
    log = servers.read_log(LOG.format("a" * 40))
    assert [(commit.author, commit.at) for commit in log.commits] == [
        ("Ada", datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC))
    ]
    assert log.newest == "a" * 40
    assert log_is_consistent(log)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Commit history:\n",
        LOG.format("a" * 40).removeprefix("Commit history:\n"),
        LOG.format("a" * 39),
        LOG.format("a" * 40).replace("2026-01-02 03:04:05+01:00", "yesterday"),
        LOG.format("a" * 40).replace("2026-01-02", "2026-13-02"),
        LOG.format("a" * 40).replace("Author: Ada\n", ""),
        LOG.format("\x1b[33m" + "a" * 40),
    ],
)
def test_a_log_that_is_not_as_promised_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"begin with|month must be"):
        servers.read_log(text)


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("On branch main\nnothing to commit, working tree clean", Head(branch="main", has_commits=True, clean=True)),
        (
            "HEAD detached at 0ab1c2d\nChanges not staged for commit:\n\tmodified:   a\n\nno changes added to commit",
            Head(branch=None, has_commits=True, clean=False),
        ),
        (
            "On branch x/y\n\nNo commits yet\n\nUntracked files:\n\ta\n\nnothing added to commit",
            Head(branch="x/y", has_commits=False, clean=False),
        ),
    ],
)
def test_a_status_is_read(text: str, head: Head) -> None:
    assert servers.read_status(f"Repository status:\n{text}") == head


@pytest.mark.parametrize(
    "text",
    ["", "On branch main", "## main\n M a", "On branch main\nnothing to commit (use -u to show untracked files)"],
)
def test_a_status_that_does_not_say_enough_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        servers.read_status(f"Repository status:\n{text}")


def test_branches_are_read() -> None:
    text = "* (HEAD detached at 0ab1c2d)\n  main\n+ beside\n  remotes/origin/HEAD -> origin/main\n  remotes/origin/main"
    assert servers.read_branches(text) == Behind(names=("beside", "main", "origin/main"))
    assert servers.read_branches("") == Behind(names=())


@pytest.mark.parametrize("text", ["main", "  \x1b[32mmain\x1b[m\x1b[m more", "* main\n\n  other"])
def test_branches_that_are_not_as_promised_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no branch"):
        servers.read_branches(text)


def test_a_log_with_a_commit_twice_is_not_consistent() -> None:
    log = servers.read_log(LOG.format("a" * 40) + LOG.format("a" * 40).removeprefix("Commit history:\n"))
    assert not log_is_consistent(log)
