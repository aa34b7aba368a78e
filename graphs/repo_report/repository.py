"""Finds the repository that a path belongs to. Reads a few files, so that it works without any git at hand."""

from pathlib import Path

from agentroute import ToolError, tool
from graphs.repo_report.artifacts import RepoPath, Root, Storage


@tool(effect="read")
def find_repository(repo: RepoPath) -> tuple[Root, Storage]:
    """Look in the folder and in those above it, as git does."""
    start = Path(repo).expanduser().resolve()
    if not start.is_dir():
        raise ToolError(f"there is no folder {str(start)!r}", kind="permanent")
    for folder in (start, *start.parents):
        if (found := _git_folder(folder)) is not None:
            bare = found == folder
            return str(folder), Storage(bare=bare, shallow=(_shared(found) / "shallow").is_file())
    raise ToolError(f"{str(start)!r} is in no git repository", kind="permanent")


def _git_folder(folder: Path) -> Path | None:
    """Return where the repository of `folder` is kept: below it, elsewhere (a worktree), or right there (bare)."""
    inside = folder / ".git"
    if inside.is_file():
        return (folder / inside.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
    if _is_store(inside):
        return inside
    return folder if folder.name != ".git" and _is_store(folder) else None


def _is_store(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _shared(git_folder: Path) -> Path:
    """What the worktrees of a repository share."""
    pointer = git_folder / "commondir"
    return git_folder / pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else git_folder
