"""The step router on cases small enough to see the answer."""

import json
import os
import subprocess
import sys
import time

import pytest

from agentroute.cli.budget import POLICY_NAMES
from agentroute.errors import DefinitionError
from agentroute.ids import NanoUsd, ToolId, nanos
from agentroute.routing.tiers.chances import Chances, TierWeights
from agentroute.routing.tiers.policy import POLICIES, AlwaysCheap, Learned, Threshold, decide, policy_named
from agentroute.routing.tiers.question import Question, Tier
from agentroute.routing.tiers.situation import DIMENSIONS, MOST_TOKENS, WORD_BUCKETS, Situation, sketch

CHEAP = Tier(ToolId("cheap"), nanos(0.001), nanos(0.002), 0.6)
DEAR = Tier(ToolId("dear"), nanos(0.010), nanos(0.020), 0.9)
BOTH = frozenset({CHEAP.name, DEAR.name})


def test_weights_are_what_the_formula_says() -> None:
    asked = Question([CHEAP, DEAR], BOTH, worth=nanos(0.1), detection=0.5, compound=False)
    weights = decide(Learned(), asked).weights
    # Of the cheap tier's attempts 0.8 are accepted, of which 0.75 are right.
    assert weights[CHEAP.name] == nanos(0.001 / 0.8 + 0.1 * 0.25)
    assert weights[DEAR.name] == nanos(0.010 / 0.95 + 0.1 * (1 - 0.9 / 0.95))


def test_success_that_is_worth_more_is_paid_for() -> None:
    for worth, expected in ((0.0, "cheap"), (0.02, "cheap"), (0.04, "dear")):
        # 0.009 USD more buys ln(0.9 / 0.6) = 0.405 nats: worth it from 0.0222 USD on.
        assert decide(Learned(), Question([CHEAP, DEAR], BOTH, worth=nanos(worth))).chosen == expected


def test_a_better_chance_is_no_use_where_it_cannot_be_paid_for() -> None:
    asked = Question([CHEAP, DEAR], frozenset({CHEAP.name}), worth=nanos(10))
    assert decide(Learned(), asked).ranking == ("cheap",)
    assert decide(Learned(), Question([CHEAP, DEAR], frozenset())).chosen is None


def test_a_threshold_that_nobody_reaches_takes_the_best() -> None:
    asked = Question([CHEAP, DEAR], BOTH)
    assert decide(Threshold(0.5), asked).chosen == "cheap"
    assert decide(Threshold(0.8), asked).chosen == "dear"
    assert decide(Threshold(0.99), asked).chosen == "dear"


def test_a_policy_goes_by_its_name() -> None:
    assert policy_named("always-cheap") == AlwaysCheap()
    assert policy_named("threshold", least=0.9) == Threshold(0.9)
    with pytest.raises(DefinitionError, match="'greedy' is not one of always-cheap"):
        policy_named("greedy")
    with pytest.raises(DefinitionError, match="always-cheap does not take least"):
        policy_named("always-cheap", least=0.5)
    with pytest.raises(DefinitionError, match="least must be a number from 0 to 1"):
        Threshold(1.5)


def test_the_command_line_knows_every_policy() -> None:
    assert tuple(POLICIES) == POLICY_NAMES


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_chance_is_refused(p: float) -> None:
    with pytest.raises(DefinitionError, match="must be a chance from 0 to 1"):
        Tier(ToolId("t"), NanoUsd(1), NanoUsd(1), p)
    with pytest.raises(DefinitionError, match="detection must be a chance"):
        Question([CHEAP], BOTH, detection=p)


def test_two_tiers_of_one_name_are_refused() -> None:
    with pytest.raises(DefinitionError, match="same name"):
        Question([CHEAP, CHEAP], BOTH)


# ------------------------------------------------------------------------- situations

TEXT = "Prove that 17 is prime, и объясни.\nThen do it again: prove it."
CHILD = """
import json, sys
from agentroute.routing.tiers.situation import Situation, sketch
text = sys.stdin.read()
print(json.dumps(Situation("prove", sketch(text), "contract", {"a": 2}, 3, 900).vector))
"""


def test_a_situation_is_the_same_in_every_process() -> None:
    def told(seed: str) -> list[list[float]]:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", CHILD], input=TEXT, capture_output=True, text=True, check=True, env=environment
        )
        return json.loads(done.stdout)

    here = [list(pair) for pair in Situation("prove", sketch(TEXT), "contract", {"a": 2}, 3, 900).vector]
    assert told("1") == told("2") == here


def test_a_situation_tells_apart_what_matters() -> None:
    usual = Situation("q", sketch("what colour is the sky"))
    others = [
        Situation("r", usual.text),
        Situation("q", sketch("what colour is the sea")),
        Situation("q", usual.text, "contract"),
        Situation("q", usual.text, "", {"a": 1}),
        Situation("q", usual.text, "", {}, 5),
        Situation("q", usual.text, "", {}, 0, 10_000),
    ]
    assert len({tuple(each.vector) for each in [usual, *others]}) == 7
    assert others[3].again("a") != others[3].again("b")


def test_the_order_and_case_of_words_and_the_size_of_numbers() -> None:
    assert sketch("Red Blue").words == sketch("red BLUE").words
    assert sketch("red blue").words != sketch("blue red").words
    assert sketch("12 + 7").words == sketch("99 + 1").words
    assert sketch("12").words != sketch("1234").words


def test_of_a_long_text_both_ends_count_and_the_middle_is_free() -> None:
    filler = "word " * (2 * MOST_TOKENS)
    long = "begin " + filler + " end"
    assert sketch(long).characters == len(long)
    assert sketch(long).words == sketch("begin " + filler + filler + " end").words
    assert sketch(long).words != sketch("begin " + filler + " other").words
    started = time.process_time()
    sketch("x y " * 5_000_000)
    assert time.process_time() - started < 2.0  # the whole text is never searched


def test_chances_are_sums_of_weights() -> None:
    situation = Situation("q", sketch("hello"))
    [(position, share)] = [(at, much) for at, much in situation.vector if at < WORD_BUCKETS]
    assert share == 1.0
    model = Chances({position: 1.0}, {"a": TierWeights(0.5, {position: 0.25}, slope=2.0, offset=-1.0)})
    assert model.of(situation, {"a": 0.5})["a"] == pytest.approx(1 / (1 + 2.718281828459045 ** -(2 * 1.75 - 1)))


def test_choosing_brings_no_numpy() -> None:
    modules = (
        "agentroute, agentroute.routing.tiers.policy, agentroute.routing.tiers.chances, agentroute.adapters.tier_model"
    )
    code = f"import sys, {modules}; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_two_facts_that_are_common_share_a_place() -> None:
    facts = [Situation(str(n % 3), sketch("x" * n), "", {"a": n % 4}, n, 10 * n) for n in range(64)]
    places = {at for each in facts for at, _ in each.vector if at >= WORD_BUCKETS}
    assert len(places) > 30
    assert max(places) < DIMENSIONS
