"""Real repositories of every kind, made with the git program."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Repository:
    """A repository under construction."""

    path: Path

    def git(self, *arguments: str | bytes, **environment: str | bytes) -> str:
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = {"GIT_AUTHOR_NAME": "Ada", "GIT_COMMITTER_NAME": "Ada"}
        mail = {"GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_EMAIL": "ada@example.org"}
        variables: dict[str, Any] = {**os.environ, **settings, **who, **mail, **environment}
        command = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(command, env=variables, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode(errors="replace")

    def commit(
        self, message: str, *files: str, days_ago: float = 1, author: str | bytes = "Ada", options: tuple[str, ...] = ()
    ) -> str:
        """Change `files`, commit, and return the new commit's hash."""
        for file in files:
            path = self.path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{message} {path.read_text() if path.exists() else ''}")
        at = (NOW - timedelta(days=days_ago)).isoformat()
        self.git("add", "--all")
        when = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        self.git(*options, "commit", "--allow-empty", "--quiet", "-m", message, GIT_AUTHOR_NAME=author, **when)
        return self.git("rev-parse", "HEAD").strip()


def new_repository(path: Path) -> Repository:
    path.mkdir(parents=True)
    repository = Repository(path)
    repository.git("init", "--quiet", "--initial-branch=main")
    return repository


def empty(path: Path) -> Repository:
    return new_repository(path)


def one_commit(path: Path) -> Repository:
    repository = new_repository(path)
    repository.commit("The one", "a.txt", "folder/b c.txt")
    return repository


def lively(path: Path) -> Repository:
    """Three authors, a merge, a rename, a deletion, stale and fresh branches, tags, a message of many lines."""
    repository = new_repository(path)
    for back in range(30):
        author = ("Ada", "Ada", "Grace", "Barbara_L|<b>")[back % 4]
        repository.commit(
            f"Change {back}\n\nbecause\nof\n", "hot.py", f"file{back % 5}.py", days_ago=200 - 6 * back, author=author
        )
    repository.git("branch", "stale", "HEAD~25")
    repository.git("tag", "light", "HEAD~20")
    repository.git("tag", "--annotate", "v1", "--message=One", "HEAD~10")
    repository.git("checkout", "--quiet", "-b", "feature/fresh", "HEAD~3")
    repository.commit("On a branch", "feature.py", days_ago=5, author="Grace")
    repository.git("checkout", "--quiet", "-b", "merged")
    repository.commit("To be merged", "merged.py", days_ago=4)
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "-m", "Bring it in", "merged")
    repository.git("mv", "file1.py", "renamed.py")
    repository.git("rm", "--quiet", "file2.py")
    repository.commit("Tidy up", days_ago=0.1)
    (repository.path / "hot.py").write_text("not committed")
    return repository


def shallow(path: Path) -> Repository:
    """A clone that has the newest three commits, and a remote with branches."""
    origin = lively(path.with_name("origin"))
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=3", "--no-single-branch", origin.path.as_uri(), path], check=True
    )
    return Repository(path)


def detached(path: Path) -> Repository:
    repository = lively(path)
    repository.git("checkout", "--quiet", "--force", "HEAD~2")
    return repository


def strange_names(path: Path) -> Repository:
    """Authors in Latin-1, declared and not; paths that are not ASCII; dates that cannot be."""
    repository = new_repository(path)
    repository.commit(
        "Declared", "a", author="Jörg".encode("latin-1"), options=("-c", "i18n.commitEncoding=ISO-8859-1")
    )
    raw = repository.git("cat-file", "commit", "HEAD").replace("\nencoding ISO-8859-1", "").encode()
    raw = raw.replace("J\N{REPLACEMENT CHARACTER}rg".encode(), b"J\xfcrgen").replace(b"\n", b"\nparent HEAD\n", 1)
    raw = raw.replace(b"HEAD", repository.git("rev-parse", "HEAD").strip().encode())
    (path.parent / "commit").write_bytes(raw)
    undeclared = repository.git("hash-object", "-t", "commit", "-w", str(path.parent / "commit")).strip()
    repository.git("reset", "--quiet", "--hard", undeclared)
    repository.commit("Long ago", "ä ö", "\N{SNOWMAN}", days_ago=20_000)
    repository.commit("From tomorrow's tomorrow", "tab\there", days_ago=-3)
    return repository


def bare(path: Path) -> Repository:
    subprocess.run(["git", "clone", "--quiet", "--bare", lively(path.with_name("origin")).path, path], check=True)
    return Repository(path)


def worktree(path: Path) -> Repository:
    lively(path.with_name("main")).git("worktree", "add", "--quiet", "-b", "beside", str(path))
    return Repository(path)


KINDS = (empty, one_commit, lively, shallow, detached, strange_names, bare, worktree)
Kind: TypeAlias = Callable[[Path], Repository]
