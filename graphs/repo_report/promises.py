"""What every tool that makes an artifact must keep to, whichever way it was made (``ensure=``)."""

from datetime import UTC, datetime
from pathlib import Path

from graphs.repo_report.artifacts import MOST_COMMITS, Branches, CommitLog, FileChurn, ReportTime, Tags, WrittenReport

LAST_LINE = "<!-- end of report -->"
"""Ends every report, so that a report that was cut off can be told from a whole one."""

EARLIEST = datetime(2024, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def now_is_plausible(now: ReportTime) -> bool:
    """The clock was set at all: no report was made before this program."""
    return EARLIEST <= now.at <= LATEST


def log_is_consistent(log: CommitLog) -> bool:
    """No commit twice, the newest among them, no more than were asked for."""
    hashes = {commit.hash for commit in log.commits}
    newest = log.newest in hashes if log.commits else not log.newest
    return newest and len(hashes) == len(log.commits) <= MOST_COMMITS


def churn_is_consistent(churn: FileChurn) -> bool:
    """No file was changed by more commits than there are, or by more authors than commits."""
    possible = all(0 < file.authors <= file.commits <= churn.counted for file in churn.files)
    return possible and churn.counted <= churn.walked <= MOST_COMMITS


def refs_are_consistent(refs: tuple[Branches, Tags]) -> bool:
    """No name twice, and a date at every branch."""
    branches, tags = refs
    unique = all(len({ref.name for ref in kind.refs}) == len(kind.refs) for kind in refs)
    return unique and all(ref.at is not None for ref in branches.refs) and len(tags.refs) >= 0


def report_is_whole(written: WrittenReport) -> bool:
    """The file is there, has the size that was said, and ends where a report ends."""
    content = Path(written.path).read_bytes()
    return len(content) == written.size and content.decode().rstrip().endswith(LAST_LINE)
