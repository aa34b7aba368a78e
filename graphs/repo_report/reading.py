"""What the ways to read a repository share, so that they come to the same artifacts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from graphs.repo_report.artifacts import FileChurn, FileHistory, Ref

LAST_SECOND = 253_402_300_799
"""Of the year 9999. Commits may be dated later, calendars end here."""


def text(raw: bytes) -> str:
    """Names are bytes to git. What is not UTF-8 becomes U+FFFD."""
    return raw.decode(errors="replace")


def moment(seconds: int) -> datetime:
    """Turn seconds since 1970 into a time."""
    return datetime.fromtimestamp(min(max(seconds, 0), LAST_SECOND), UTC)


def short(ref: str) -> str:
    """Name of a branch or tag as people write it: ``refs/remotes/origin/main`` is ``origin/main``."""
    return ref.split("/", 2)[2]


def in_order(refs: Iterable[Ref]) -> tuple[Ref, ...]:
    """Newest first; those without a date last."""
    return tuple(sorted(refs, key=lambda ref: (-ref.at.timestamp() if ref.at else 0.0, ref.name)))


def churn_of(touched: Mapping[str, Sequence[str]], *, walked: int, counted: int) -> FileChurn:
    """Count commits and authors of each file, given the author of each commit that touched it."""
    files = [FileHistory(path=path, commits=len(who), authors=len(set(who))) for path, who in touched.items()]
    ordered = sorted(files, key=lambda file: (-file.commits, -file.authors, file.path))
    return FileChurn(walked=walked, counted=counted, files=tuple(ordered))
