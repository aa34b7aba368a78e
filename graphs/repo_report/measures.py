"""Figures of a log: how much, when, by whom."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from agentroute import tool
from graphs.repo_report.artifacts import Activity, Author, Commit, CommitLog, ReportTime, Revision, Week

WEEKS = 12
"""Weeks that are looked at one by one."""

GIT_BEGAN = datetime(2005, 4, 7, tzinfo=UTC)
"""Older commits were imported, or made by a clock that was not set."""


@tool(effect="read")
def newest_commit(log: CommitLog) -> Revision:
    """Name the commit that the whole report is about: what the repository becomes meanwhile does not matter."""
    return log.newest


@tool(effect="read", ensure=lambda activity: activity.commits == sum(author.commits for author in activity.authors))
def measure(log: CommitLog, now: ReportTime) -> Activity:
    """Count commits by week and by author."""
    times = [commit.at for commit in log.commits]
    weeks = [_week(now.at - timedelta(weeks=back)) for back in reversed(range(WEEKS))]
    authors = _authors(log.commits, weeks)
    return Activity(
        commits=len(log.commits),
        first=min(times, default=None),
        last=max(times, default=None),
        weeks=tuple(_count(log.commits, week) for week in weeks),
        authors=authors,
        bus_factor=_bus_factor([author.commits for author in authors]),
        misdated=sum(not GIT_BEGAN <= at <= now.at + timedelta(days=1) for at in times),
        complete=log.complete,
    )


def _week(at: datetime) -> tuple[int, int]:
    year, week, _ = at.astimezone(UTC).isocalendar()
    return year, week


def _count(commits: Sequence[Commit], week: tuple[int, int]) -> Week:
    authors = [commit.author for commit in commits if _week(commit.at) == week]
    return Week(year=week[0], week=week[1], commits=len(authors), authors=len(set(authors)))


def _authors(commits: Sequence[Commit], weeks: Sequence[tuple[int, int]]) -> tuple[Author, ...]:
    totals = Counter(commit.author for commit in commits)
    weekly = Counter((commit.author, _week(commit.at)) for commit in commits)
    last: dict[str, datetime] = {}
    for commit in commits:  # newest first
        last.setdefault(commit.author, commit.at)
    ordered = sorted(totals, key=lambda name: (-totals[name], name))
    return tuple(
        Author(name=name, commits=totals[name], last=last[name], weeks=tuple(weekly[name, week] for week in weeks))
        for name in ordered
    )


def _bus_factor(commits: Sequence[int]) -> int:
    """Authors, those with most commits first, until half of all commits are theirs."""
    half, made = sum(commits) / 2, 0
    for count, of_author in enumerate(commits, 1):
        made += of_author
        if made >= half:
            return count
    return 0
