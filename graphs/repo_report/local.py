"""What this computer can do by itself: tell the time, and write a file."""

import re
from datetime import UTC, datetime
from pathlib import Path

from agentroute import FunctionTool, tool
from graphs.repo_report.artifacts import Report, ReportPath, ReportTime, Root, WrittenReport
from graphs.repo_report.promises import now_is_plausible, report_is_whole


@tool(effect="read", latency_s=0.06, ensure=now_is_plausible)
def time_by_clock() -> ReportTime:
    """Ask the system's clock."""
    return ReportTime(at=datetime.now(UTC))  # noqa: TID251  # this tool is about the clock


@tool(effect="idempotent", latency_s=0.06, ensure=report_is_whole)
def write_by_python(report: Report, report_path: ReportPath) -> WrittenReport:
    """Write the file; whoever reads it meanwhile sees the old one or the new one."""
    path = Path(report_path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(report, encoding="utf-8")
    draft.replace(path)
    return WrittenReport(path=str(path), size=path.stat().st_size)


def path_chooser(reports: Path) -> FunctionTool:
    """Make the tool that names a file in `reports`, for users who do not."""

    @tool(effect="idempotent")
    def choose_path(root: Root) -> ReportPath:
        """Make the folder, and name the file after the repository."""
        reports.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^\w.-]+", "_", Path(root).name) or "repository"
        return str(reports / f"{name}.md")

    return choose_path
