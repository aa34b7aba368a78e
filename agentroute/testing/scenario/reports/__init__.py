"""Reports of a session of scenarios: text for people and programs, made from the records and nothing else.

Nothing here writes a file or prints to standard output; that is the command's business.
"""

from agentroute.testing.scenario.reports.comparison import comparison_table
from agentroute.testing.scenario.reports.journal import as_text, journal_json, session_json
from agentroute.testing.scenario.reports.junit import junit_xml
from agentroute.testing.scenario.reports.page import page_html
from agentroute.testing.scenario.reports.plots import comparison_svg
from agentroute.testing.scenario.reports.progress import SessionProgress
from agentroute.testing.scenario.reports.terminal import session_table
from agentroute.testing.scenario.reports.totals import SystemTotals, Totals, exit_status, totals, worst_run

__all__ = [
    "SessionProgress",
    "SystemTotals",
    "Totals",
    "as_text",
    "comparison_svg",
    "comparison_table",
    "exit_status",
    "journal_json",
    "junit_xml",
    "page_html",
    "session_json",
    "session_table",
    "totals",
    "worst_run",
]
