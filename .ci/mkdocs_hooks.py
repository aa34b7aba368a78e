"""Two rules of the documentation site that mkdocs has no setting for."""

import re
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

# Learning comes first, the record of decisions last. mkdocs alone would sort by name.
SECTIONS = ["Tutorials", "How to", "Reference", "Explanation", "Decisions"]
TITLES = {"How to": "How-to guides"}

LOADED_FROM_ELSEWHERE = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\s(?:src|data)=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*?\shref=["']?(?:https?:)?//[^"'\s>]+""",
    re.IGNORECASE,
)


def on_nav(nav: Navigation, **_: Any) -> Navigation:
    """Put the sections into the order in which a newcomer needs them: pages first, unknown sections last."""

    def place(item: Any) -> int:
        if not isinstance(item, Section):
            return -1
        return SECTIONS.index(item.title) if item.title in SECTIONS else len(SECTIONS)

    nav.items.sort(key=place)
    for item in nav.items:
        if isinstance(item, Section):
            item.title = TITLES.get(item.title, item.title)
    return nav


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Refuse a page that would load anything from another host.

    Raises:
        PluginError: With the first such element.
    """
    if found := LOADED_FROM_ELSEWHERE.search(output):
        raise PluginError(f"{page.file.src_uri}: loaded from another host: {found.group()}")
    return output
