"""What the tools of this agent hand to each other."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeInt

from agentroute import Artifact

MOST_COMMITS = 5_000
"""Commits that are looked at, the newest first."""

RepoPath = Annotated[str, Artifact("repo")]
"""Where the user says the repository is: its folder, or any below it. The one input that is needed."""

Root = Annotated[str, Artifact("root")]
"""Absolute path of the repository's folder."""

Revision = Annotated[str, Artifact("revision")]
"""Hash of the newest commit; empty in a repository without commits."""

Report = Annotated[str, Artifact("report")]
"""The report as Markdown."""

ReportPath = Annotated[str, Artifact("report_path")]
"""File to write the report to. An input that may be left out: then a tool chooses one."""


class _Artifact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Storage(_Artifact):
    """How the repository is stored. `shallow`: cloned without its full history."""

    bare: bool
    shallow: bool


class ReportTime(_Artifact):
    """The moment that the report is about."""

    at: AwareDatetime


class Head(_Artifact):
    """Where HEAD stands. `branch` is None where it is detached, `clean` is None where there is no working tree."""

    branch: str | None
    has_commits: bool
    clean: bool | None


class Commit(_Artifact):
    """One commit, by the name and the time of its author."""

    hash: str
    author: str
    at: AwareDatetime


class CommitLog(_Artifact):
    """The newest `MOST_COMMITS` commits that HEAD can reach.

    Attributes:
        newest: Hash of the commit at HEAD; empty if there is none.
        commits: Ordered by time, newest first, then by hash: the same whoever read them.
    """

    newest: str
    commits: tuple[Commit, ...]

    @classmethod
    def of(cls, commits: Iterable[Commit]) -> "CommitLog":
        """Put commits into order; the first one given is the one at HEAD."""
        given = list(commits)
        ordered = sorted(given, key=lambda commit: (-commit.at.timestamp(), commit.hash))
        return cls(newest=given[0].hash if given else "", commits=tuple(ordered))

    @property
    def complete(self) -> bool:
        """Whether the history ends before the limit does."""
        return len(self.commits) < MOST_COMMITS


class Ref(_Artifact):
    """A branch or a tag. `at` is None for a tag without a date."""

    name: str
    at: AwareDatetime | None


class Branches(_Artifact):
    """Branches of this repository and of its remotes, with the time of their last commit."""

    refs: tuple[Ref, ...]


class Tags(_Artifact):
    """Tags, newest first."""

    refs: tuple[Ref, ...]


class Behind(_Artifact):
    """Names of the branches that lack the newest commit of HEAD."""

    names: tuple[str, ...]


class FileHistory(_Artifact):
    """How often one file was changed, and by how many authors."""

    path: str
    commits: NonNegativeInt
    authors: NonNegativeInt


class FileChurn(_Artifact):
    """How often each file was changed, most often first.

    Attributes:
        walked: Commits that were looked at.
        counted: Those of them with at most one parent; what a merge brings together is counted where it was made.
        files: Files that exist no more included; a renamed file counts as two.
    """

    walked: NonNegativeInt
    counted: NonNegativeInt
    files: tuple[FileHistory, ...]


class Week(_Artifact):
    """Commits of one ISO week, UTC."""

    year: int
    week: int
    commits: NonNegativeInt
    authors: NonNegativeInt


class Author(_Artifact):
    """One author's commits; `weeks` are the commits in each of the weeks of `Activity`."""

    name: str
    commits: NonNegativeInt
    last: AwareDatetime
    weeks: tuple[int, ...]


class Activity(_Artifact):
    """Figures of the log.

    Attributes:
        commits: Commits counted.
        first: Time of the oldest; None without commits.
        last: Time of the newest.
        weeks: The latest weeks up to that of the report, oldest first.
        authors: Most commits first.
        bus_factor: Smallest number of authors who together made at least half of the commits.
        misdated: Commits dated after the report, or before git existed.
        complete: Whether the whole history was counted.
    """

    commits: NonNegativeInt
    first: AwareDatetime | None
    last: AwareDatetime | None
    weeks: tuple[Week, ...]
    authors: tuple[Author, ...]
    bus_factor: NonNegativeInt
    misdated: NonNegativeInt
    complete: bool


class WrittenReport(_Artifact):
    """The report as it lies on disk. `size` is in bytes."""

    path: str
    size: NonNegativeInt
