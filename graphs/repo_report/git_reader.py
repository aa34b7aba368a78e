"""Reads a repository with dulwich, which is pure Python: no program and no server needed."""

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeAlias, cast

from dulwich.diff_tree import tree_changes
from dulwich.errors import ChecksumMismatch, FileFormatException, NotGitRepository, ObjectMissing
from dulwich.graph import can_fast_forward
from dulwich.objects import Commit as GitCommit
from dulwich.objects import ObjectID
from dulwich.objects import Tag as GitTag
from dulwich.refs import HEADREF
from dulwich.refs import Ref as RefName
from dulwich.repo import Repo, UnsupportedExtension, UnsupportedVersion

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
from graphs.repo_report.ways import GIT_READER

Changes: TypeAlias = tuple[Mapping[str, Sequence[bytes]], Sequence[bytes], Sequence[str]]
"""What dulwich calls a status: staged files by kind of change, unstaged ones, untracked ones."""

UNREADABLE = (
    ChecksumMismatch,
    FileFormatException,
    KeyError,  # an object that is missing
    NotGitRepository,
    ObjectMissing,
    UnsupportedExtension,
    UnsupportedVersion,
)

BRANCHES = (b"refs/heads/", b"refs/remotes/")


@tool(**GIT_READER)
def head_by_dulwich(root: Root) -> Head:
    """Follow HEAD, and compare index, tree and files."""
    with _open(root) as repo:
        target = repo.refs.read_ref(HEADREF) or b""
        branch = text(target).removeprefix("ref: refs/heads/") if target.startswith(b"ref: ") else None
        clean = None
        if repo.has_index():
            from dulwich.porcelain import status  # imports all of dulwich, which takes half a second

            found = cast("Changes", status(repo, untracked_files="normal", optional_locks=False))
            staged, unstaged, untracked = found
            clean = not (any(staged.values()) or unstaged or untracked)
        return Head(branch=branch, has_commits=_newest(repo) is not None, clean=clean)


@tool(**GIT_READER, ensure=log_is_consistent)
def log_by_dulwich(root: Root) -> CommitLog:
    """Walk the commits from HEAD."""
    with _open(root) as repo:
        return CommitLog.of(
            Commit(hash=commit.id.decode(), author=_author(commit), at=moment(commit.author_time))
            for commit in _walk(repo)
        )


@tool(**GIT_READER)
def behind_by_dulwich(root: Root, revision: Revision) -> Behind:
    """Look for the newest commit in the history of each branch."""
    if not revision:
        return Behind(names=())
    newest = ObjectID(revision.encode())
    with _open(root) as repo:
        tips = {name: repo.refs[name] for name in _names(repo) if name.startswith(BRANCHES)}
        lacking = [name for name, tip in tips.items() if not can_fast_forward(repo, newest, tip)]
    return Behind(names=tuple(sorted(short(text(name)) for name in lacking)))


@tool(**GIT_READER, ensure=refs_are_consistent)
def refs_by_dulwich(root: Root) -> tuple[Branches, Tags]:
    """Read the refs and what they point to."""
    branches: list[Ref] = []
    tags: list[Ref] = []
    with _open(root) as repo:
        for name in _names(repo):
            kind = tags if name.startswith(b"refs/tags/") else branches
            kind.append(Ref(name=short(text(name)), at=_dated(repo, repo.refs[name])))
    return Branches(refs=in_order(branches)), Tags(refs=in_order(tags))


@tool(**GIT_READER, timeout_s=120, ensure=churn_is_consistent)
def churn_by_dulwich(root: Root) -> FileChurn:
    """Compare the tree of each commit that is no merge with that of its parent."""
    touched: dict[str, list[str]] = defaultdict(list)
    walked = counted = 0
    with _open(root) as repo:
        for commit in _walk(repo):
            walked += 1
            parents = repo.get_parents(commit.id, commit)
            if len(parents) > 1:
                continue
            counted += 1
            before = [tree.tree for tree in map(repo.get_object, parents) if isinstance(tree, GitCommit)]
            changes = tree_changes(repo.object_store, before[0] if before else None, commit.tree)
            entries = [change.new or change.old for change in changes]
            for path in {entry.path for entry in entries if entry is not None}:
                touched[text(path)].append(_author(commit))
    return churn_of(touched, walked=walked, counted=counted)


@contextmanager
def _open(root: str) -> Generator[Repo]:
    """Open the repository.

    Raises:
        ToolError: Permanent, where dulwich does not know the format or an object is missing.
    """
    try:
        with Repo(root) as repo:
            yield repo
    except UNREADABLE as error:
        raise ToolError(f"dulwich cannot read it: {type(error).__name__}: {error}", kind="permanent") from error


def _newest(repo: Repo) -> ObjectID | None:
    try:
        return repo.head()
    except KeyError:
        return None


def _walk(repo: Repo) -> Iterator[GitCommit]:
    newest = _newest(repo)
    if newest is not None:
        for entry in repo.get_walker(include=[newest], max_entries=MOST_COMMITS):
            yield entry.commit


def _names(repo: Repo) -> Iterator[RefName]:
    """Yield branches and tags; pointers to other branches, such as origin/HEAD, are none."""
    for name in repo.refs.allkeys():
        points_to = (repo.refs.read_ref(name) or b"").startswith(b"ref: ")
        if name.startswith((*BRANCHES, b"refs/tags/")) and not points_to:
            yield name


def _dated(repo: Repo, name: ObjectID) -> datetime | None:
    found = repo.get_object(name)
    if isinstance(found, GitCommit):
        return moment(found.commit_time)
    return moment(found.tag_time) if isinstance(found, GitTag) and found.tag_time is not None else None


def _author(commit: GitCommit) -> str:
    """Name of the author, in the encoding that the commit declares."""
    encoding = (commit.encoding or b"utf-8").decode("ascii", errors="replace")
    try:
        identity = commit.author.decode(encoding, errors="replace")
    except LookupError:
        identity = text(commit.author)
    return identity.rpartition(" <")[0].strip()
