"""Reads a repository, and the time, through MCP servers.

The git server answers in text meant for models. It is parsed strictly: what is not exactly as expected is no answer,
the attempt counts as failed, and the route goes another way.
"""

import json
import re
import sys
from datetime import datetime
from pathlib import Path

from agentroute.adapters.mcp.servers import McpServers
from agentroute.ports import Tool
from graphs.repo_report.artifacts import (
    MOST_COMMITS,
    Behind,
    Commit,
    CommitLog,
    Head,
    Report,
    ReportPath,
    ReportTime,
    Revision,
    Root,
    WrittenReport,
)
from graphs.repo_report.promises import log_is_consistent, now_is_plausible, report_is_whole
from graphs.repo_report.ways import GIT_SERVER

HERE = Path(__file__).resolve().parent
NODE_MODULES = HERE / "node_modules"
FILESYSTEM_SERVER = NODE_MODULES / "@modelcontextprotocol/server-filesystem/dist/index.js"

COMMIT = re.compile(
    r"(?:\A|(?<=\n\n))Commit: (?P<hash>[0-9a-f]{40,64})\n"
    r"Author: (?P<author>[^\n]*)\n"
    r"Date: (?P<at>\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d)\n"
    r"Message: "
)
LOST = "\N{REPLACEMENT CHARACTER}"
ON_BRANCH = re.compile(r"On branch (\S+)|HEAD detached (?:at|from) \S+|Not currently on any branch\.")
CLEAN = frozenset(
    {"nothing to commit, working tree clean", 'nothing to commit (create/copy files and use "git add" to track)'}
)
CHANGED = frozenset(
    {"Changes to be committed:", "Changes not staged for commit:", "Unmerged paths:", "Untracked files:"}
)
BRANCH = re.compile(r"[ *+] (?P<name>\S+)(?P<points_to> -> \S+)?")


def connect(reports: Path) -> McpServers:
    """Say which servers there are; each starts when it is first used. One may write files, but only to `reports`."""
    variables = {"PYTHON": sys.executable, "NODE_MODULES": str(NODE_MODULES), "REPORTS": str(reports)}
    return McpServers.from_file(HERE / "mcp.json", variables=variables)


def git_tools(servers: McpServers) -> list[Tool]:
    """Make the tools of the git server ready for use."""
    return [
        servers.tool(
            "git",
            "git_status",
            name="head_by_server",
            takes={"repo_path": Root},
            returns=Head,
            parse=read_status,
            **GIT_SERVER,
        ),
        servers.tool(
            "git",
            "git_log",
            name="log_by_server",
            takes={"repo_path": Root},
            fixed={"max_count": MOST_COMMITS},
            returns=CommitLog,
            parse=read_log,
            ensure=log_is_consistent,
            **GIT_SERVER,
        ),
        servers.tool(
            "git",
            "git_branch",
            name="behind_by_server",
            takes={"repo_path": Root, "not_contains": Revision},
            fixed={"branch_type": "all"},
            returns=Behind,
            parse=read_branches,
            when=there_are_commits,
            **GIT_SERVER,
        ),
    ]


def there_are_commits(not_contains: str) -> bool:
    """Guard: there is a newest commit that branches could lack."""
    return not_contains != ""


def time_tool(servers: McpServers) -> Tool:
    """Make the time server ready for use."""
    return servers.tool(
        "time",
        "get_current_time",
        name="time_by_server",
        takes={},
        fixed={"timezone": "UTC"},
        returns=ReportTime,
        parse=lambda text: ReportTime(at=datetime.fromisoformat(json.loads(text)["datetime"])),
        effect="read",
        latency_s=0.05,
        ensure=now_is_plausible,
    )


def write_tool(servers: McpServers, reports: Path) -> Tool:
    """Make the filesystem server ready for use; it writes nowhere but below `reports`."""

    def may_write(path: str) -> bool:
        return Path(path).is_relative_to(reports)

    return servers.tool(
        "filesystem",
        "write_file",
        name="write_by_server",
        takes={"path": ReportPath, "content": Report},
        returns=WrittenReport,
        parse=read_written,
        effect="idempotent",
        latency_s=0.05,
        when=may_write,
        ensure=report_is_whole,
    )


def read_status(text: str) -> Head:
    """Read the answer of ``git_status``: what ``git status`` says to people."""
    lines = _after("Repository status:\n", text).rstrip("\n").split("\n")
    found = ON_BRANCH.fullmatch(lines[0])
    if found is None:
        raise ValueError(f"does not say where HEAD is: {lines[0]!r}")
    clean, changed = lines[-1] in CLEAN, not CHANGED.isdisjoint(lines)
    if clean == changed:
        raise ValueError(f"does not say whether there are changes: {lines[-1]!r}")
    return Head(branch=found[1], has_commits="No commits yet" not in lines, clean=clean)


def read_log(text: str) -> CommitLog:
    """Read the answer of ``git_log``: the newest commit first, as it is at HEAD."""
    body = _after("Commit history:\n", text)
    found = list(COMMIT.finditer(body))
    if not found or found[0].start() != 0:
        raise ValueError(f"does not begin with a commit: {body[:80]!r}")
    if lost := next((each["author"] for each in found if LOST in each["author"]), None):
        raise ValueError(f"a name has lost letters, the server does not know its encoding: {lost!r}")
    return CommitLog.of(
        Commit(hash=each["hash"], author=each["author"].strip(), at=datetime.fromisoformat(each["at"]))
        for each in found
    )


def read_branches(text: str) -> Behind:
    """Read the answer of ``git_branch``: what ``git branch --all`` says to people."""
    names: list[str] = []
    for line in text.split("\n") if text else []:
        if line.startswith("* ("):  # a detached HEAD is no branch
            continue
        found = BRANCH.fullmatch(line)
        if found is None:
            raise ValueError(f"is no branch: {line!r}")
        if found["points_to"] is None:
            names.append(found["name"].removeprefix("remotes/"))
    return Behind(names=tuple(sorted(names)))


def read_written(text: str) -> WrittenReport:
    """Read the answer of ``write_file``, and look at the file."""
    path = _after("Successfully wrote to ", text)
    return WrittenReport(path=path, size=Path(path).stat().st_size)


def _after(start: str, text: str) -> str:
    if not text.startswith(start):
        raise ValueError(f"does not begin with {start!r}: {text[:80]!r}")
    return text.removeprefix(start)
