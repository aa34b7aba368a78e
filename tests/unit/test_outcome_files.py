"""The log of outcomes and the model file: what is written is read, what is hostile is refused with its place."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentroute.adapters.outcome_log import LONGEST_LINE, line_of, read_outcomes, write_outcomes
from agentroute.adapters.tier_model import LARGEST_FILE, TierModel
from agentroute.errors import ConfigurationError, DefinitionError, DocumentError
from agentroute.routing.tiers.chances import Chances, TierWeights
from agentroute.routing.tiers.outcome import Outcome
from agentroute.routing.tiers.pace import Spending
from agentroute.routing.tiers.situation import Situation, sketch

OUTCOME = Outcome(
    run="r1",
    situation=Situation("extract", sketch("Read the invoice, twice."), "contract", {"haiku": 1}, 2, 800),
    tier="opus",
    usd=0.0123,
    right=0.5,
    verified=False,
    propensity=0.25,
    tiers={"haiku": 0.001, "opus": 0.012},
    detection=0.9,
)
RECORD: dict[str, Any] = json.loads(line_of(OUTCOME))


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.jsonl"
    unknown = Outcome("r2", Situation(), "haiku", 0.0, None, tiers={"haiku": 0.0})
    assert write_outcomes(file, [OUTCOME]) == 1
    assert write_outcomes(file, [unknown]) == 1
    assert list(read_outcomes(file)) == [OUTCOME, unknown]
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_word_of_the_text_is_in_the_log() -> None:
    assert "invoice" not in line_of(OUTCOME)


def refused(tmp_path: Path, *lines: str | bytes) -> str:
    file = tmp_path / "log.jsonl"
    file.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))
    with pytest.raises(DocumentError) as caught:
        list(read_outcomes(file))
    return str(caught.value).removeprefix(str(file))


GOOD = line_of(OUTCOME).strip()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"right": 1.5}, "right: Input should be less than or equal to 1"),
        ({"right": True}, "right: Input should be a valid number"),
        ({"propensity": 0.0}, "propensity: Input should be greater than or equal to 0.000001"),
        ({"tier": "sonnet"}, "tier 'sonnet' is not one of tiers"),
        ({"usd": -1}, "usd: Input should be greater than or equal to 0"),
        ({"usd": "1"}, "usd: Input should be a valid number"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"version": "2"}, "version: Input should be '1'"),
        ({"text": {"words": {"4096": 1}}}, "text.words.4096"),
        ({"text": {"words": {"-1": 1}}}, "text.words.-1"),
        ({"tried": {"haiku": -1}}, "tried.haiku: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    told = refused(tmp_path, GOOD, json.dumps({**RECORD, **change}))
    assert told.startswith(":2:1: ")
    assert why in told


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", ":2:2: is not a line of JSON"),
        ("[]", ":2:1: "),
        (GOOD.replace("0.5", "NaN"), ":2:1: is not a line of JSON: NaN is no number"),
        (GOOD[:-1] + ',"run":"r3"}', "'run' is there twice"),
        (b"\xff", ":2:1: is not a line of JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": ' + "9" * 10_000 + "}", ":2:1: is not a line of JSON"),
        (" " * (LONGEST_LINE + 1), ":2:1: the line is longer than 262,144 bytes"),
    ],
)
def test_what_is_no_record_is_refused_with_its_line(tmp_path: Path, line: str | bytes, why: str) -> None:
    assert why in refused(tmp_path, GOOD, line, GOOD)


def test_a_line_that_was_cut_off_at_the_end_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(GOOD + "\n\n" + GOOD[: len(GOOD) // 2])
    assert list(read_outcomes(file)) == [OUTCOME]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    for path, why in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "not an ordinary file"),
        (fifo, "not an ordinary file"),
    ):
        with pytest.raises(DocumentError, match=why):
            list(read_outcomes(path))
    with pytest.raises(ConfigurationError, match="outcomes cannot be written"):
        write_outcomes(tmp_path / "none" / "log", [OUTCOME])


WRITER = """
import sys
from agentroute.adapters.outcome_log import write_outcomes
from agentroute.routing.tiers.outcome import Outcome
from agentroute.routing.tiers.situation import Situation, sketch
text = sketch(" ".join(f"word{n % 26}{n}" for n in range(300)))
for n in range(100):
    write_outcomes(sys.argv[1], [Outcome(sys.argv[2], Situation("q", text), "a", 0.0, 1.0, tiers={"a": 0.0})] * 3)
"""


def test_of_two_that_write_at_once_no_line_is_torn(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), name]) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    runs = [outcome.run for outcome in read_outcomes(file)]
    assert (runs.count("a"), runs.count("b")) == (300, 300)


# ------------------------------------------------------------------------- the model file

MODEL = TierModel(
    Chances({3: 0.5, 4096: -1.25}, {"haiku": TierWeights(0.1, {7: 2.0}, 0.9, -0.2), "opus": TierWeights(1.0, {})}),
    {"haiku": 120, "opus": 80},
    Spending(((0.001, 0.0), (0.1, 0.01))),
)


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "tiers.json"
    MODEL.save(file)
    assert TierModel.load(file) == MODEL
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["tiers.json"]


def test_what_is_left_out_of_the_file_changes_no_chance(tmp_path: Path) -> None:
    weights = {n: (-1) ** n * (0.123456789 if n % 3 else 3e-5) for n in range(4_096)}
    model = TierModel(Chances(weights, {"a": TierWeights(0.4, weights)}))
    model.save(tmp_path / "tiers.json")
    situation = Situation("q", sketch("the quick brown fox jumps over the lazy dog " * 20))
    before, after = (
        each.chances.of(situation, {"a": 0.5})["a"] for each in (model, TierModel.load(tmp_path / "tiers.json"))
    )
    assert after == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": "2"}, "version: Input should be '1'"),
        ({"features": "crc32-1-1"}, "features: Input should be 'crc32-4096-1024'"),
        ({"shared": {"5120": 1.0}}, "shared.5120"),
        ({"shared": {"1": 1e9}}, "shared.1: Input should be less than or equal to 1000"),
        (
            {"tiers": {"a": {"base": 0.0, "slope": -1.0, "offset": 0.0}}},
            "tiers.a.slope: Input should be greater than or equal to 0",
        ),
        ({"spending": [[0.1, 1.0], [0.2, 0.5]]}, "spending: points must be rising"),
        ({"spending": [[0.0, 1.0]]}, "spending: points must be rising"),
        ({"tiers": {str(n): {"base": 0.0, "slope": 1.0, "offset": 0.0} for n in range(257)}}, "at most 256"),
        ({"pickle": "no"}, "pickle: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_model_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    file = tmp_path / "tiers.json"
    MODEL.save(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(DefinitionError) as caught:
        TierModel.load(file)
    assert why in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_model_that_is_too_large_or_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiers.json"
    file.write_bytes(b" " * (LARGEST_FILE + 1))
    with pytest.raises(DocumentError, match="larger than"):
        TierModel.load(file)
    file.write_text('{"version": "1",\n oops}')
    with pytest.raises(DocumentError, match="2:2: is not JSON"):
        TierModel.load(file)
    with pytest.raises(ConfigurationError, match="what was learned cannot be written"):
        MODEL.save(tmp_path / "none" / "tiers.json")
