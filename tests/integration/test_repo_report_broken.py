"""What breaks while a health report is made: servers killed, programs gone, repositories damaged."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentroute.run.events import Rerouted
from graphs.repo_report.artifacts import Activity
from graphs.repo_report.demo import STEP, Saboteur
from graphs.repo_report.processes import child_running
from graphs.repo_report.promises import LAST_LINE
from tests.integration.report_kit import Watcher, report_on, table, text_of, without_git
from tests.integration.repositories import lively, one_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="repositories are made with the git program")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop is enough here; the test of the kill asks for both."""
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_killed_server_does_not_stop_the_run(anyio_backend: str, tmp_path: Path) -> None:
    repository = lively(tmp_path / "repository")
    undisturbed = await report_on(repository.path)
    saboteur = Saboteur()
    result = await report_on(repository.path, saboteur)

    assert saboteur.killed is not None
    with pytest.raises(ProcessLookupError):
        os.kill(saboteur.killed, 0)
    assert result.outcome == "succeeded"
    assert "log_by_server" in result.route, "the server lived, and answered"
    assert STEP not in result.route
    assert "behind_by_git" in result.route
    # the status may still be asked for when the server dies under both: one failure more, answered like the other
    tools = [reroute.tool for reroute in saboteur.reroutes]
    assert set(tools) - {"head_by_server"} == {STEP}
    assert len(tools) == len(set(tools)) == result.reroutes
    assert STEP in saboteur.reroutes[0].before
    assert not [reroute for reroute in saboteur.reroutes if STEP in reroute.after]
    assert (result.llm_calls, result.left_behind) == (0, [])
    assert text_of(result).splitlines()[3:] == text_of(undisturbed).splitlines()[3:]


@pytest.mark.anyio
async def test_server_killed_and_program_gone_leave_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = lively(tmp_path / "repository")

    def sabotage() -> None:
        pid = child_running("mcp_server_git")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        without_git(monkeypatch, tmp_path / "bin")

    watcher = Watcher({"behind_by_server": sabotage})
    result = await report_on(repository.path, watcher)
    assert result.outcome == "succeeded"
    assert "behind_by_dulwich" in result.route
    assert {"behind_by_server", "behind_by_git"} <= watcher.failures().keys()
    assert [row[0] for row in table(text_of(result), "Stale branches")] == ["`stale`"]


@pytest.mark.anyio
async def test_without_the_git_program_the_reader_does_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = lively(tmp_path / "repository")
    with_git = text_of(await report_on(repository.path))
    without_git(monkeypatch, tmp_path / "bin")
    watcher = Watcher()
    result = await report_on(repository.path, watcher)
    assert result.outcome == "succeeded"
    assert {tool for tool in result.route if tool.endswith("_by_dulwich")} == {
        f"{what}_by_dulwich" for what in ("head", "log", "behind", "refs", "churn")
    }
    assert "not installed" in watcher.failures()["log_by_git"]
    assert text_of(result).splitlines()[3:] == with_git.splitlines()[3:]


@pytest.mark.anyio
async def test_a_repository_that_no_way_can_read_is_handed_over(tmp_path: Path) -> None:
    repository = lively(tmp_path / "repository")
    repository.git("config", "core.repositoryFormatVersion", "99")
    watcher = Watcher()
    result = await report_on(repository.path, watcher)
    assert (result.outcome, result.left_behind) == ("escalated", ["choose_path"])
    assert not {"report", "WrittenReport", "Activity"} & result.artifacts.keys()
    assert {tool.rpartition("_by_")[2] for tool in watcher.failures()} == {"server", "git", "dulwich"}
    assert not (tmp_path / ".agentroute/reports/repository.md").exists()


@pytest.mark.anyio
async def test_a_damaged_history_still_gives_the_figures_of_the_log(tmp_path: Path) -> None:
    repository = lively(tmp_path / "repository")
    tree = repository.git("rev-parse", "HEAD~20^{tree}").strip()
    (repository.path / ".git/objects" / tree[:2] / tree[2:]).unlink()
    result = await report_on(repository.path)
    assert (result.outcome, result.goal) == ("demoted", "activity")
    assert result[Activity].commits == int(repository.git("rev-list", "--count", "HEAD"))
    assert "WrittenReport" not in result.artifacts


@pytest.mark.anyio
@pytest.mark.parametrize(("folder", "why"), [("plain", "is in no git repository"), ("missing", "there is no folder")])
async def test_what_is_no_repository_is_handed_over_saying_so(folder: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    watcher = Watcher()
    result = await report_on(tmp_path / folder, watcher)
    assert result.outcome == "escalated"
    assert why in result.reason
    assert not [event for event in watcher.events if isinstance(event, Rerouted)]


# ---------------------------------------------------------------- as a user starts it


def command(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )


def test_the_demonstration_keeps_what_it_promises(
    tmp_path: Path, own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTROUTE_TRACE", "on")
    repository = lively(tmp_path / "repository")
    done = command(ROOT / "graphs/repo_report/demo.py", repository.path, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "SIGKILL" in done.stderr
    assert "reroute   behind_by_server failed" in done.stdout
    assert "    # Health of repository" in done.stdout
    assert (own_store / "reports/repository.md").read_text(encoding="utf-8").endswith(LAST_LINE + "\n")
    run_id = done.stdout.split("trace show ")[1].split()[0]
    shown = command(Path(sys.executable).with_name("agentroute"), "trace", "show", run_id, folder=tmp_path)
    assert "reroute  behind_by_server failed" in shown.stdout


def test_the_demonstration_says_when_it_could_not_keep_it(tmp_path: Path) -> None:
    done = command(ROOT / "graphs/repo_report/demo.py", tmp_path, folder=tmp_path)
    assert done.returncode == 1
    assert "is in no git repository" in done.stderr


def test_the_command_line_runs_the_agent(tmp_path: Path, own_store: Path) -> None:
    repository = one_commit(tmp_path / "repository")
    target = f"{ROOT}/graphs/repo_report/agent.py:agent"
    agentroute = Path(sys.executable).with_name("agentroute")
    done = subprocess.run(
        [agentroute, "run", target, "--input", "repo=.", "--json"],
        cwd=repository.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["outcome"] == "succeeded"
    assert Path(result["artifacts"]["WrittenReport"]["path"]) == own_store / "reports/repository.md"
