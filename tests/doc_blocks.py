"""Runs the fenced blocks of a Markdown page in the order of the page, as a reader would.

| block | what is checked |
|---|---|
| `python` | it runs; the blocks of a page share one namespace, and `await` works at the top level |
| `text title="output"` | what the `python` block before it has printed |
| `console` | each line after `$ ` runs; the lines below it, if any, match what it prints |
| `bash`, `sh` | the same; in a block without `$ `, every line is a command |
| `yaml`, `json` | it can be read; `agentroute plan` accepts it if it is a graph file |
| with `title="NAME"` | it is first written under that name; `title="broken..."` is written and not checked |

In expected output `...` stands for anything within its line, and alone on a line for any number of lines. A
command is expected to succeed unless it ends in `# exit status N`. Each page has a folder of its own, with
copies of `graphs/` and `scenarios/`. A block that cannot run here follows `<!-- skip: next "why" -->`.
"""

import ast
import contextlib
import difflib
import inspect
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import yaml
from sybil import Document, Example, Region
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

COMMAND_TIMEOUT_S = 60
MAKEFILE = Path(__file__).resolve().parents[1] / "Makefile"

RUN_HERE = frozenset({"agentroute", "cat", "echo", "grep", "head", "ls", "python", "tail", "wc"})
# These prepare the reader's machine. Run from a test they would install, fetch, or start the tests again.
LEFT_TO_THE_READER = frozenset({"cd", "export", "git", "make", "npm", "pip", "source"})
# So that nobody has to know which spelling is run and which one is not.
OTHER_SPELLINGS = {
    "py": "python",
    "python3": "python",
    "pycon": "python",
    "shell": "console",
    "zsh": "console",
    "yml": "yaml",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text, and the file name it asks for."""

    language: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class Command:
    """One `$ ` line of a block, the output shown below it, and the exit status it announces."""

    line: str
    output: str
    status: int


class Page(Document):
    """A Markdown page with a module for its names, so that annotations can be resolved on it."""

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text, path)
        self.module = ModuleType("page_" + re.sub(r"\W", "_", Path(path).stem))
        self.namespace = self.module.__dict__
        self.printed = ""


class SkipWithReasonParser(SkipParser):
    """Accepts `<!-- skip: next "why" -->`, and nothing that skips without saying why."""

    def __call__(self, document: Document) -> Iterable[Region]:
        """Find the comments that skip a block.

        Raises:
            ValueError: No reason is given.
        """
        for region in super().__call__(document):
            _, reason = region.parsed
            if not re.fullmatch(r"""\s*(["'])\S.*\1\s*""", reason or ""):
                where = document.line_column(region.start)
                raise ValueError(f'{document.path}: {where}: say why: <!-- skip: next "why" -->')
            yield region


class FencedBlockParser:
    """Finds the blocks that name a language which is checked here."""

    def __init__(self) -> None:
        self._lexer = RawFencedCodeBlockLexer(re.compile(r"(?P<language>[\w-]+)(?P<options>[^\n]*)\n"))

    def __call__(self, document: Document) -> Iterable[Region]:
        """Find the blocks of a page.

        Raises:
            ValueError: The language goes by another name here.
        """
        for region in self._lexer(document):
            language, options = region.lexemes["language"], region.lexemes["options"]
            if language in OTHER_SPELLINGS:
                where = document.line_column(region.start)
                raise ValueError(f"{document.path}: {where}: write {OTHER_SPELLINGS[language]}, not {language}")
            title = re.search(r"""\btitle=["']([^"']+)["']""", options)
            block = Block(language, region.lexemes["source"], title[1] if title else "")
            yield Region(region.start, region.end, parsed=block, evaluator=run_block)


def run_block(example: Example) -> str | None:
    """Check one block; a text says what is wrong with it."""
    block: Block = example.parsed
    page = example.document
    assert isinstance(page, Page)
    if block.language == "text" and block.title == "output":
        return difference(block.text, page.printed)
    if block.title:
        write(block)
    if block.title.startswith("broken"):
        return None
    match block.language:
        case "python":
            run_python(page, block, example.line)
        case "console" | "bash" | "sh":
            return next(filter(None, map(run_command, commands(block))), None)
        case "yaml":
            return check_yaml(block)
        case "json":
            json.loads(block.text)
        case _:
            pass
    return None


def write(block: Block) -> None:
    """Write a titled block into the folder of the page, which is the working directory."""
    target = Path(block.title)
    assert not target.is_absolute(), f"{target} is not in the folder of the page"
    assert ".." not in target.parts, f"{target} is not in the folder of the page"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(block.text, encoding="utf-8")


def run_python(page: Page, block: Block, line: int) -> None:
    """Run a block in the namespace of its page; tracebacks show the lines of the page."""
    flags = 0 if block.title else ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile("\n" * line + block.text, page.path, "exec", flags=flags, dont_inherit=True)
    sys.modules[page.module.__name__] = page.module
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        if code.co_flags & inspect.CO_COROUTINE:
            anyio.run(lambda: eval(code, page.namespace))  # noqa: S307 - the block is ours
        else:
            exec(code, page.namespace)  # noqa: S102 - the same
    page.printed = printed.getvalue()


def commands(block: Block) -> Iterator[Command]:
    """Split a block into its commands, each with the output shown below it."""
    text = block.text.replace("\\\n", " ")
    if block.language != "console" and not re.search(r"^\$ ", text, re.MULTILINE):
        text = re.sub(r"^(?=[^\s#])", "$ ", text, flags=re.MULTILINE)
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        announced = re.search(r"#\s*exit status (\d+)\s*$", line)
        yield Command(line, output, int(announced[1]) if announced else 0)


def run_command(command: Command) -> str | None:
    """Run one command in a shell; a text says what was not as announced."""
    words = shlex.split(command.line, comments=True)
    program = next((word for word in words if "=" not in word), "")
    if program in LEFT_TO_THE_READER:
        return unknown_target(words) if program == "make" else None
    if program not in RUN_HERE:
        return f"$ {command.line}\n{program} is not run from documentation: see RUN_HERE, or skip with a reason"
    status, output = shell(command.line)
    if status != command.status:
        return f"$ {command.line}\nexit status {status}, expected {command.status}\n{output}"
    wrong = difference(command.output, output) if command.output.strip() else None
    return f"$ {command.line}\n{wrong}" if wrong else None


def unknown_target(words: list[str]) -> str | None:
    """Check that what a page tells the reader to make can be made."""
    targets = {word for word in words[1:] if "=" not in word}
    unknown = targets - set(re.findall(r"^([a-z]+):", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE))
    return f"not in the Makefile: {', '.join(sorted(unknown))}" if unknown else None


def shell(line: str) -> tuple[int, str]:
    """Run a line as a terminal would, both streams together; whatever it started ends with it."""
    with subprocess.Popen(  # noqa: S602 - the line is ours
        line,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


def difference(expected: str, output: str) -> str | None:
    """Compare what a page shows with what came; `...` is a gap. A text shows both."""
    wanted = [line.rstrip() for line in expected.strip("\n").splitlines()]
    came = [line.rstrip() for line in output.strip("\n").splitlines()]
    pattern = "".join(line_pattern(line) for line in wanted)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in came)):
        return None
    return "\n".join(difflib.ndiff(wanted, came))


def line_pattern(line: str) -> str:
    """Turn a line of expected output into a regular expression for it and its line end."""
    if line.strip() == "...":
        return r"(?:[^\n]*\n)*?"
    return r"[^\n]*?".join(re.escape(part) for part in line.split("...")) + r"\n"


def check_yaml(block: Block) -> str | None:
    """Check that a block can be read, and that `agentroute plan` accepts it if it is a graph file."""
    document: Any = yaml.safe_load(block.text)
    if not isinstance(document, dict) or not {"version", "tools"} <= document.keys():
        return None
    name = block.title or "page.yaml"
    Path(name).write_text(block.text, encoding="utf-8")
    status, output = shell(f"agentroute plan {shlex.quote(name)} --json")
    # 0 and 1 tell whether the goal can be reached with nothing at hand; only 2 speaks of the file.
    return None if status in {0, 1} and '"feasible"' in output else output
