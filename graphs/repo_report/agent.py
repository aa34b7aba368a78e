"""The agent: given any git repository, it writes a health report.

Each artifact can come from two or three tools, and nobody says which one is called: the cheapest route that works is.

    agentroute plan graphs/repo_report/agent.py:agent
    agentroute run graphs/repo_report/agent.py:agent --input repo=.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from agentroute import Agent, Budget, Goal
from agentroute.adapters.mcp.servers import McpServers
from agentroute.adapters.telemetry.provider import default_store
from graphs.repo_report.artifacts import Activity, Report, WrittenReport
from graphs.repo_report.git_program import behind_by_git, churn_by_git, head_by_git, log_by_git, refs_by_git
from graphs.repo_report.git_reader import (
    behind_by_dulwich,
    churn_by_dulwich,
    head_by_dulwich,
    log_by_dulwich,
    refs_by_dulwich,
)
from graphs.repo_report.local import path_chooser, time_by_clock, write_by_python
from graphs.repo_report.measures import measure, newest_commit
from graphs.repo_report.report import compose
from graphs.repo_report.repository import find_repository
from graphs.repo_report.servers import FILESYSTEM_SERVER, connect, git_tools, time_tool, write_tool
from graphs.repo_report.ways import RATES

GOALS = (
    Goal("written", requires=[WrittenReport]),
    Goal("composed", requires=[Report], utility=0.8),
    Goal("activity", requires=[Activity], utility=0.3),
)
"""The report as a file; else its text, in the result; else at least the figures of the log."""


def build_agent(*, reports: Path | None = None, servers: McpServers | None = None, **options: Any) -> Agent:
    """Make the agent.

    Args:
        reports: Folder for reports; by default ``reports`` in the store.
        servers: Connections to share with other agents; by default its own, by `mcp.json`.
        **options: Passed on to `Agent`.
    """
    reports = (reports or default_store(os.environ) / "reports").absolute()
    servers = servers or connect(reports)
    tools = [
        find_repository,
        *git_tools(servers),
        *(head_by_git, log_by_git, behind_by_git, refs_by_git, churn_by_git),
        *(head_by_dulwich, log_by_dulwich, behind_by_dulwich, refs_by_dulwich, churn_by_dulwich),
        *(time_tool(servers), time_by_clock),
        *(newest_commit, measure, compose),
        *(path_chooser(reports), write_by_python),
    ]
    if shutil.which("node") and FILESYSTEM_SERVER.is_file():
        tools.append(write_tool(servers, reports))
    return Agent(name="repo-report", tools=tools, goals=GOALS, rates=RATES, budget=Budget(deadline_s=120), **options)


agent = build_agent()
