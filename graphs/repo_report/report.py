"""Puts the report together: Markdown that says what was counted, and what the figures do not say."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agentroute import tool
from graphs.repo_report.artifacts import (
    MOST_COMMITS,
    Activity,
    Behind,
    Branches,
    FileChurn,
    Head,
    Ref,
    Report,
    ReportTime,
    Revision,
    Root,
    Storage,
    Tags,
)
from graphs.repo_report.promises import LAST_LINE

MOST_ROWS = 12
"""Rows of a table."""

STALE_AFTER = timedelta(days=90)

BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the report is made of."""

    name: str
    now: datetime
    storage: Storage
    head: Head
    revision: str
    activity: Activity
    branches: tuple[Ref, ...]
    stale: tuple[Ref, ...]
    tags: tuple[Ref, ...]
    churn: FileChurn


@tool(effect="read", ensure=lambda report: report.endswith(LAST_LINE + "\n"))
def compose(
    *,
    root: Root,
    storage: Storage,
    now: ReportTime,
    head: Head,
    revision: Revision,
    activity: Activity,
    branches: Branches,
    behind: Behind,
    tags: Tags,
    churn: FileChurn,
) -> Report:
    """Bring everything together."""
    findings = Findings(
        name=Path(root).name,
        now=now.at,
        storage=storage,
        head=head,
        revision=revision,
        activity=activity,
        branches=branches.refs,
        stale=stale_branches(branches.refs, behind, now.at),
        tags=tags.refs,
        churn=churn,
    )
    sections = [*_summary(findings), *_caveats(findings)]
    if activity.commits:
        sections += [*_weeks(activity), *_authors(activity), *_files(churn), *_refs(findings)]
    return "\n".join([*sections, "", LAST_LINE, ""])


def stale_branches(branches: Iterable[Ref], behind: Behind, now: datetime) -> tuple[Ref, ...]:
    """Branches that lack the newest commit and got none of their own for `STALE_AFTER`; the oldest first."""
    found = [ref for ref in branches if ref.name in behind.names and ref.at is not None and now - ref.at > STALE_AFTER]
    return tuple(reversed(found))


def _summary(found: Findings) -> list[str]:
    lines = [f"# Health of {_plain(found.name)}", "", f"As of {_minute(found.now)}, {_where(found)}."]
    activity = found.activity
    if activity.first is None or activity.last is None:
        return lines
    bound = "at least " if found.storage.shallow or not activity.complete else ""
    recent = sum(week.commits for week in activity.weeks)
    lines += [
        "",
        f"- Age: {bound}{_span(activity.first, found.now)}; from {_day(activity.first)} to {_day(activity.last)}.",
        f"- Activity: {bound}{_many(activity.commits, 'commit')}, {recent} in the last {len(activity.weeks)} weeks.",
        f"- Authors: {len(activity.authors)}; bus factor {activity.bus_factor} (so few made half of the commits).",
    ]
    if found.churn.files:
        hottest = found.churn.files[0]
        lines.append(f"- Hottest file: {_code(hottest.path)}, changed by {_many(hottest.commits, 'commit')}.")
    lines.append(f"- Branches: {len(found.branches)}, of which {len(found.stale)} stale. {_last_tag(found)}")
    return lines


def _where(found: Findings) -> str:
    branch = "a detached HEAD" if found.head.branch is None else f"branch {_code(found.head.branch)}"
    return f"{branch} at {found.revision[:10]}" if found.revision else f"{branch} without commits"


def _last_tag(found: Findings) -> str:
    if not found.tags:
        return "No tags."
    tag = found.tags[0]
    return f"Last tag: {_plain(tag.name)}" + (f", {_span(tag.at, found.now)} ago." if tag.at else ", without a date.")


def _caveats(found: Findings) -> list[str]:
    """Say what the figures do not say."""
    activity, walked = found.activity, found.churn.walked
    reached = "HEAD" if found.head.branch is None else _code(found.head.branch)
    doubts = {
        "Nothing has been committed yet, so there is nothing to count.": not activity.commits,
        "This clone is shallow: older commits are missing. Age and totals are lower bounds.": found.storage.shallow,
        f"The history is longer than what was read: the newest {MOST_COMMITS:,} commits.": not activity.complete,
        f"Commits dated before git existed, or after this report: {activity.misdated}.": activity.misdated > 0,
        f"The sources disagree: the log has {_many(activity.commits, 'commit')}, "
        f"the history of the files {walked:,}.": walked != activity.commits,
        "The working tree has changes that are not committed; they are not counted.": found.head.clean is False,
    }
    always = [
        f"Only what {reached} can reach is counted. Merges count as commits, but not towards files.",
        "Authors are told apart by name alone: whoever writes it in two ways counts twice.",
        "A file that was renamed counts as two.",
    ]
    told = [line for line, applies in doubts.items() if applies] + (always if activity.commits else [])
    return _section("What to keep in mind", [f"- {line}" for line in told])


def _weeks(activity: Activity) -> list[str]:
    most = max(week.commits for week in activity.weeks)
    if not most:
        return _section("Commits per week", [f"None in the last {len(activity.weeks)} weeks."])
    rows = [
        (f"{week.year}-W{week.week:02}", str(week.commits), str(week.authors), "█" * round(20 * week.commits / most))
        for week in activity.weeks
    ]
    return _section("Commits per week", _table("Week | Commits | Authors | ", rows))


def _authors(activity: Activity) -> list[str]:
    rows = [
        (
            _plain(author.name) or "(no name)",
            str(author.commits),
            f"{100 * author.commits / activity.commits:.0f} %",
            _day(author.last),
            _sparkline(author.weeks),
        )
        for author in activity.authors
    ]
    header = f"Author | Commits | Share | Last commit | Last {len(activity.weeks)} weeks"
    return _section("Authors", _table(header, rows))


def _files(churn: FileChurn) -> list[str]:
    rows = [(_code(file.path), str(file.commits), str(file.authors)) for file in churn.files]
    return _section("Hot files", _table("File | Commits | Authors", rows))


def _refs(found: Findings) -> list[str]:
    days = STALE_AFTER.days
    meaning = f"No commit for {days} days, and without the newest commit of HEAD."
    stale = [(_code(ref.name), _day(ref.at) if ref.at else "") for ref in found.stale]
    tags = [(_code(ref.name), _day(ref.at) if ref.at else "") for ref in found.tags]
    return [
        *_section("Stale branches", [meaning, "", *_table("Branch | Last commit", stale)] if stale else ["None."]),
        *_section("Last tags", _table("Tag | Date", tags) if tags else ["None."]),
    ]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _table(header: str, rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {header} |", "|" + " --- |" * (header.count("|") + 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows[:MOST_ROWS]]
    return lines if len(rows) <= MOST_ROWS else [*lines, "", f"And {len(rows) - MOST_ROWS:,} more."]


def _sparkline(counts: Sequence[int]) -> str:
    most = max(counts, default=0)
    return "".join("·" if not count else BARS[(len(BARS) * count - 1) // most] for count in counts)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _span(start: datetime, end: datetime) -> str:
    days = max((end - start).days, 0)
    for length, unit in ((365, "year"), (30, "month"), (7, "week")):
        if days >= 2 * length:
            return _many(days // length, unit)
    return _many(days, "day")


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}"


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _plain(name: str) -> str:
    """Names are chosen by anybody: take away what Markdown, HTML or a terminal would act on."""
    return re.sub(r"([\\`*_\[\]<>|&#!])", r"\\\1", _printable(name))


def _code(name: str) -> str:
    return "`" + _printable(name).replace("`", "'").replace("|", "\\|") + "`"


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in name)
