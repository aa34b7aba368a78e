"""The house rules that no tool checks."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Written so that this file does not match itself.
REGISTRY_HOST = re.compile(
    r"(?:pypi[.]|pythonhosted[.]|npmjs[.]|yarnpkg[.]|crates[.]io|proxy[.]golang|deb[.]debian)", re.IGNORECASE
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(?:work|root|home|Users|tmp)/(?=\w)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PINNED = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>\S+)(?: ; (?P<marker>[^\\]+?))? \\$", re.MULTILINE)


def tracked_files() -> list[Path]:
    """List the files of the project as git sees them, new ones too."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git clone, so nothing tells which files are the project's")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def lines_matching(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    """List `file:line: text` for each line in which the pattern is found; binary files have none."""
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for file in files
        if b"\0" not in file.read_bytes()[:1024]
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def pinned(lock: Path) -> dict[str, str]:
    """Read a lock: version by package name."""
    found = PINNED.finditer(lock.read_text(encoding="utf-8"))
    return {match["name"]: match["version"] for match in found}


def local_links(page: Path) -> Iterator[Path]:
    """List the files that a page links to."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            yield Path(os.path.normpath(page.parent / target.partition("#")[0]))


def test_no_file_names_a_package_registry_host() -> None:
    assert lines_matching(REGISTRY_HOST, tracked_files()) == []


def test_no_file_names_a_path_of_some_machine() -> None:
    assert lines_matching(MACHINE_PATH, tracked_files()) == []


def test_nothing_is_mocked() -> None:
    mock = re.compile(r"\bunittest[.]mock\b|\bfrom unittest import .*\bmock\b|\bmocker\b")
    python = [file for file in tracked_files() if file.suffix == ".py" and file != Path(__file__)]
    assert lines_matching(mock, python) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REGISTRY_HOST, "https://py" + "pi.org/project/agentroute"),
        (REGISTRY_HOST, '"resolved": "https://registry.npm' + 'js.org/x"'),
        (MACHINE_PATH, "cd /ho" + "me/ada/agentroute"),
        (MACHINE_PATH, 'open("/tm' + 'p/x")'),
    ],
)
def test_the_patterns_above_find_what_they_are_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_host_and_hashes_everything(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert re.findall(r"^-+\w.*", text, re.MULTILINE) == [], "options of an index or a source"
    requirements = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if line.strip()[:1] != "#"))
    assert len(requirements) > (0 if lock.name == "bfcl.txt" else 50)
    assert [each for each in requirements if not PINNED.match(each) or "--hash=sha256:" not in each] == []


def test_the_locks_agree() -> None:
    development = pinned(ROOT / "requirements/dev.txt")
    assert len(development) > 100
    for lock in LOCKS:
        shared = {name: version for name, version in pinned(lock).items() if name in development}
        assert shared == {name: development[name] for name in shared}, lock.name
    assert pinned(ROOT / "requirements/runtime.txt").keys() <= development.keys()


def test_the_locks_hold_every_direct_dependency() -> None:
    def names(requirements: list[Any]) -> set[str]:
        lines = [each for each in requirements if isinstance(each, str)]
        return {re.split(r"[\s<>=!~;\[]", line)[0].lower() for line in lines}

    groups = PROJECT["dependency-groups"]
    needed = (
        names(PROJECT["project"]["dependencies"]) | names(groups["demo"]) | names(PROJECT["build-system"]["requires"])
    )
    runtime = pinned(ROOT / "requirements/runtime.txt")
    assert needed <= runtime.keys()
    assert (
        names([each for name in groups if name not in {"bench", "bfcl"} for each in groups[name]])
        <= pinned(ROOT / "requirements/dev.txt").keys()
    )
    for apart in ("bench", "bfcl"):
        assert names(groups[apart]) <= pinned(ROOT / f"requirements/{apart}.txt").keys()


def test_the_malicious_litellm_releases_are_not_locked() -> None:
    assert pinned(ROOT / "requirements/runtime.txt")["litellm"] not in {"1.82.7", "1.82.8"}


def test_ci_can_be_started_and_runs_every_check() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    checks = re.search(r"^for check in (.*); do$", text, re.MULTILINE)
    assert checks is not None
    assert set(checks[1].split()) >= {"lint", "types", "contracts", "docs", "test"}


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "agentroute/py.typed").is_file()


def test_npm_locks_name_no_host() -> None:
    locks = [file for file in tracked_files() if file.name == "package-lock.json"]
    assert lines_matching(re.compile(r'"resolved"'), locks) == [], (
        "write it with: npm install --omit-lockfile-registry-resolved"
    )


def test_every_page_can_be_reached_from_the_first() -> None:
    reached, ahead = set[Path](), [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        ahead += [target for target in local_links(page) if DOCS in target.parents]
    assert sorted(set(DOCS.rglob("*.md")) - reached) == [], "link it from the index.md of its folder"


def test_every_section_of_the_documentation_is_there() -> None:
    for section in ("tutorials", "how-to", "reference", "explanation", "decisions"):
        assert (DOCS / section / "index.md").is_file()


def test_links_of_the_pages_outside_the_site_lead_somewhere() -> None:
    pages = [file for file in tracked_files() if file.suffix == ".md" and DOCS not in file.parents]
    assert [
        f"{page.relative_to(ROOT)} -> {link}" for page in pages for link in local_links(page) if not link.exists()
    ] == []


def test_the_changelog_has_a_place_for_the_next_release() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
