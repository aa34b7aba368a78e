"""Reads a repository with the ``git`` program.

The repository may be anybody's. So only commands that change nothing are used, nothing that its configuration names is
run or fetched, and plumbing is preferred: its output does not depend on anybody's settings.
"""

import os
from collections import defaultdict
from typing import NamedTuple

import anyio

from agentroute import ToolError, tool
from graphs.repo_report.artifacts import (
    MOST_COMMITS,
    Behind,
    Branches,
    Commit,
    CommitLog,
    FileChurn,
    Head,
    Ref,
    Revision,
    Root,
    Tags,
)
from graphs.repo_report.promises import churn_is_consistent, log_is_consistent, refs_are_consistent
from graphs.repo_report.reading import churn_of, in_order, moment, short, text
from graphs.repo_report.ways import GIT_PROGRAM

OPTIONS = ("--no-pager", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false")
SETTINGS = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}


@tool(**GIT_PROGRAM)
async def head_by_git(root: Root) -> Head:
    """Ask ``git symbolic-ref`` and ``git status``."""
    branch = text(await git(root, "symbolic-ref", "--quiet", "--short", "HEAD", may_say_no=True)).strip()
    clean = None
    if (await git(root, "rev-parse", "--is-inside-work-tree")).strip() == b"true":
        clean = not await git(root, "status", "--porcelain", "-z")
    return Head(branch=branch or None, has_commits=await _has_commits(root), clean=clean)


@tool(**GIT_PROGRAM, ensure=log_is_consistent)
async def log_by_git(root: Root) -> CommitLog:
    """Ask ``git log``."""
    return CommitLog.of(entry.commit for entry in await _log(root))


@tool(**GIT_PROGRAM)
async def behind_by_git(root: Root, revision: Revision) -> Behind:
    """Ask ``git for-each-ref --no-contains``."""
    if not revision:
        return Behind(names=())
    form = "--format=%(refname)%00%(symref)"
    lines = await git(root, "for-each-ref", form, f"--no-contains={revision}", "refs/heads", "refs/remotes")
    pairs = [text(line).split("\0") for line in lines.splitlines()]
    return Behind(names=tuple(sorted(short(name) for name, points_to in pairs if not points_to)))


@tool(**GIT_PROGRAM, ensure=refs_are_consistent)
async def refs_by_git(root: Root) -> tuple[Branches, Tags]:
    """Ask ``git for-each-ref``."""
    form = "--format=%(refname)%00%(symref)%00%(creatordate:unix)"
    branches: list[Ref] = []
    tags: list[Ref] = []
    for line in (await git(root, "for-each-ref", form, "refs/heads", "refs/remotes", "refs/tags")).splitlines():
        name, points_to, seconds = text(line).split("\0")
        ref = Ref(name=short(name), at=moment(int(seconds)) if seconds else None)
        if name.startswith("refs/tags/"):
            tags.append(ref)
        elif not points_to:
            branches.append(ref)
    return Branches(refs=in_order(branches)), Tags(refs=in_order(tags))


@tool(**GIT_PROGRAM, timeout_s=60, ensure=churn_is_consistent)
async def churn_by_git(root: Root) -> FileChurn:
    """Ask ``git diff-tree`` for the files of each commit that is no merge."""
    entries = await _log(root)
    authors = {entry.commit.hash: entry.commit.author for entry in entries if entry.parents < 2}
    options = ("--stdin", "--always", "--root", "-r", "--name-only", "--no-renames", "-z")
    output = await git(root, "diff-tree", *options, stdin="".join(f"{commit}\n" for commit in authors))
    touched: dict[str, list[str]] = defaultdict(list)
    commits = iter(authors)
    upcoming, author = next(commits, ""), ""
    for part in text(output).split("\0")[:-1]:
        if part == upcoming:  # the header of the next commit; whatever else comes is a file of this one
            author, upcoming = authors[part], next(commits, "")
        else:
            touched[part].append(author)
    return churn_of(touched, walked=len(entries), counted=len(authors))


class _Entry(NamedTuple):
    commit: Commit
    parents: int


async def _log(root: str) -> list[_Entry]:
    if not await _has_commits(root):
        return []
    form = "--format=%H%x1f%P%x1f%at%x1f%an"
    output = await git(root, "log", f"--max-count={MOST_COMMITS}", "-z", "--encoding=UTF-8", form, "HEAD", "--")
    entries: list[_Entry] = []
    for line in text(output).removesuffix("\0").split("\0"):
        name, parents, seconds, author = line.split("\x1f", 3)
        entries.append(_Entry(Commit(hash=name, author=author, at=moment(int(seconds))), len(parents.split())))
    return entries


async def _has_commits(root: str) -> bool:
    return bool(await git(root, "rev-parse", "--verify", "--quiet", "HEAD", may_say_no=True))


async def git(root: str, *arguments: str, stdin: str = "", may_say_no: bool = False) -> bytes:
    """Run ``git`` in `root` and return its output. With `may_say_no`, exit status 1 is an answer: nothing.

    Raises:
        ToolError: Permanent where git refuses or is not there, transient where it was killed.
    """
    command = ["git", *OPTIONS, "-C", root, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | SETTINGS
    try:
        done = await anyio.run_process(command, input=stdin.encode(), env=environment, check=False)
    except FileNotFoundError:
        raise ToolError("the git program is not installed, or not on PATH", kind="permanent") from None
    if done.returncode == 0 or (may_say_no and done.returncode == 1):
        return done.stdout
    said = text(done.stderr).strip() or f"exit status {done.returncode}"
    raise ToolError(f"git {arguments[0]}: {said}", kind="permanent" if done.returncode > 0 else "transient")
