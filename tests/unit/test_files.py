"""Reading what people wrote: ordinary, small, UTF-8, and never a wait."""

import os
import sys
from pathlib import Path

import pytest

from agentroute.adapters.files import read_graph, read_text
from agentroute.errors import DocumentError

GRAPH = """\
version: "1"
name: g
tools: [{name: t, produces: [b]}]
goals: [{name: done, requires: [b]}]
"""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="made of Linux's special files")


def refusal(path: Path, largest: int = 1000) -> str:
    with pytest.raises(DocumentError) as refused:
        read_text(path, largest=largest)
    assert refused.value.file == str(path)
    return str(refused.value).removeprefix(f"{path}:")


def test_a_graph_is_read_from_a_path_or_its_name(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(GRAPH, encoding="utf-8")
    assert read_graph(path) == read_graph(str(path))
    assert read_graph(path).name == "g"


def test_problems_are_told_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(GRAPH.replace("tools", "tolls"), encoding="utf-8")
    with pytest.raises(DocumentError) as refused:
        read_graph(path)
    assert f"{path}:3:1: unknown key 'tolls'; did you mean 'tools'?" in str(refused.value).splitlines()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_editors_save_is_read(tmp_path: Path, encoding: str, newline: str) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(GRAPH.replace("name: g\n", "name: grüße\n"), encoding=encoding, newline=newline)
    assert read_graph(path).name == "grüße"


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to("g.yaml")
    assert read_text(tmp_path / "link") == "x"


class TestRefused:
    def test_missing(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "none.yaml") == "1:1: cannot be read: No such file or directory"

    def test_a_name_that_no_file_can_have(self) -> None:
        assert refusal(Path("a\0b")).startswith("1:1: cannot be read: ")

    def test_a_folder(self, tmp_path: Path) -> None:
        assert refusal(tmp_path) == "1:1: is a folder, not a file"

    def test_a_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        assert refusal(tmp_path / "loop").startswith("1:1: cannot be read: Too many levels")

    @pytest.mark.timeout(10)
    def test_a_pipe_that_nobody_writes_to(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert refusal(tmp_path / "pipe") == "1:1: is not an ordinary file"

    @on_linux
    @pytest.mark.timeout(10)
    @pytest.mark.parametrize("device", ["/dev/zero", "/dev/tty", "/dev/null"])
    def test_a_device(self, device: str) -> None:
        assert refusal(Path(device)) == "1:1: is not an ordinary file"

    def test_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "large"
        path.write_bytes(b"x" * 1000)
        assert len(read_text(path, largest=1000)) == 1000
        path.write_bytes(b"x" * 1001)
        assert refusal(path) == "1:1: the file is larger than 1,000 bytes"

    @pytest.mark.timeout(10)
    def test_a_huge_file_is_not_read_first(self, tmp_path: Path) -> None:
        path = tmp_path / "sparse"
        with path.open("wb") as file:
            file.truncate(1 << 40)
        assert refusal(path) == "1:1: the file is larger than 1,000 bytes"

    @on_linux
    def test_a_file_that_says_it_is_empty(self) -> None:
        path = Path("/proc/self/status")
        assert path.stat().st_size == 0
        assert refusal(path, largest=10) == "1:1: the file is larger than 10 bytes"

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b"\xff", "1:1: byte 0xff is not UTF-8; save the file as UTF-8"),
            (b"a: 1\nb: \xc3\xa9 \xe9t\xe9\n", "2:6: byte 0xe9 is not UTF-8; save the file as UTF-8"),
            (b"a: \xed\xa0\x80", "1:4: byte 0xed is not UTF-8; save the file as UTF-8"),
            (b"a: \xc3", "1:4: byte 0xc3 is not UTF-8; save the file as UTF-8"),
            ("a: 1\n".encode("utf-16"), "1:1: the file looks like UTF-16; save it as UTF-8"),
        ],
    )
    def test_what_is_not_utf_8(self, tmp_path: Path, data: bytes, told: str) -> None:
        path = tmp_path / "f"
        path.write_bytes(data)
        assert refusal(path) == told
