"""The runner of documentation blocks must be able to fail, else the documentation is not tested."""

import subprocess
import unittest
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from sybil.example import SybilFailure

from tests.doc_blocks import FencedBlockParser, Page, SkipWithReasonParser


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(text: str) -> None:
    """Run a page, block by block. Fences are written as ''' here."""
    path = Path("page.md")
    path.write_text(dedent(text).replace("'''", "```"), encoding="utf-8")
    for example in Page.parse(str(path), FencedBlockParser(), SkipWithReasonParser()).examples():
        example.evaluate()


def test_python_blocks_share_a_namespace_and_may_await() -> None:
    run(
        """
        '''python
        import anyio
        async def double(n: int) -> int:
            await anyio.sleep(0)
            return 2 * n
        '''
        '''python
        print(await double(21))
        '''
        '''text title="output"
        42
        '''
        """
    )


@pytest.mark.parametrize(
    ("block", "error", "message"),
    [
        ("'''python\nassert 1 == 2, 'assert'\n'''", AssertionError, "assert"),
        ("'''python\nprint(1)\n'''\n'''text title=\"output\"\n2\n'''", SybilFailure, r"- 2\n\+ 1"),
        ("'''json\n{\n'''", ValueError, "Expecting property name"),
        ("'''yaml\na: [\n'''", yaml.YAMLError, "while parsing"),
        ("'''console\n$ python -c 'raise SystemExit(3)'\n'''", SybilFailure, "exit status 3, expected 0"),
        ("'''console\n$ python -c 'pass'  # exit status 3\n'''", SybilFailure, "exit status 0, expected 3"),
        ("'''console\n$ echo one\ntwo\n'''", SybilFailure, r"- two\n\+ one"),
        ("'''console\n$ echo one\none\n$ echo one\ntwo\n'''", SybilFailure, r"- two\n\+ one"),
        ("'''console\n$ echo 'one two'\none ...!\n'''", SybilFailure, "one two"),
        ("'''console\n$ python -c 'print(1); print(2)'\n1\n'''", SybilFailure, r"\+ 2"),
        ("'''console\n$ no-such-program\n'''", SybilFailure, "not run from documentation"),
        ("'''console\n$ make no-such-target\n'''", SybilFailure, "not in the Makefile"),
        ("'''bash\ncat no-such-file\n'''", SybilFailure, "exit status 1"),
        ("'''python title=\"../x.py\"\npass\n'''", AssertionError, "not in the folder"),
    ],
)
def test_a_wrong_block_fails(block: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(block)


def test_output_is_compared_line_by_line_with_gaps() -> None:
    run(
        """
        '''console
        $ python -c 'for n in range(5): print(f"line {n} after {n * 7} ms")'
        line 0 after ... ms
        ...
        line 4 after ... ms
        $ echo done
        done
        '''
        """
    )


def test_a_command_may_announce_its_exit_status() -> None:
    run("'''console\n$ python -c 'raise SystemExit(3)'  # exit status 3\n'''")


def test_a_titled_block_is_a_file_for_the_commands_after_it() -> None:
    run(
        """
        '''python title="hello.py"
        print("hello")
        '''
        '''bash
        # A comment, then a command over two lines.
        python \\
            hello.py
        '''
        """
    )


def test_what_prepares_the_machine_is_left_to_the_reader() -> None:
    run("'''console\n$ git clone somewhere\n$ make demo\n'''")


def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.doc_blocks.COMMAND_TIMEOUT_S", 0.3)
    with pytest.raises(subprocess.TimeoutExpired):
        run("'''console\n$ python -c 'import time; time.sleep(60)' | cat\n'''")


def test_skipping_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="say why"):
        run("<!-- skip: next -->\n'''python\n1 / 0\n'''")


def test_a_skipped_block_does_not_run() -> None:
    with pytest.raises(unittest.SkipTest, match="needs a key"):
        run("<!-- skip: next \"needs a key\" -->\n'''python\n1 / 0\n'''")


def test_a_language_has_one_name() -> None:
    with pytest.raises(ValueError, match="write python, not py"):
        run("'''py\n1 / 0\n'''")
