"""The documentation is part of the tests: the blocks of README.md and of every page in docs/ are run."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Sybil

from tests.doc_blocks import FencedBlockParser, Page, SkipWithReasonParser

ROOT = Path(__file__).resolve().parent
BESIDE_A_PAGE = ("graphs", "scenarios")
FOREIGN_SETTINGS = ("AGENTROUTE_", "OTEL_", "LITELLM_", "OPENAI_", "ANTHROPIC_")  # of the shell that runs the tests

collect_page = Sybil(
    parsers=[FencedBlockParser(), SkipWithReasonParser()],
    pattern="*.md",
    document_types={".md": Page},
    fixtures=["_folder_of_the_page"],
).pytest()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the pages that a user reads, and no other Markdown."""
    if file_path == ROOT / "README.md" or ROOT / "docs" in file_path.parents:
        return collect_page(file_path, parent)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Undo the shuffling of blocks: each block of a page builds on those before it."""
    blocks = [item for item in items if item.path.suffix == ".md"]
    blocks.sort(key=lambda block: (block.path, block.reportinfo()[1] or 0))
    items[:] = [item for item in items if item.path.suffix != ".md"] + blocks


@pytest.fixture(scope="module")
def _folder_of_the_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Enter a folder of the page's own, laid out like a clone: what one block leaves, the next one finds."""
    folder = tmp_path_factory.mktemp("page").resolve()
    for name in BESIDE_A_PAGE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("node_modules", ".agentroute"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", "110")
        for name in [name for name in os.environ if name.startswith(FOREIGN_SETTINGS)]:
            patch.delenv(name)
        yield folder
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
