"""Family G: the process dies, or its store fails. Written out as far as scenario files can say it today.

A file has no word yet for the agent's own process as a victim of a crash (``victim: agent`` is meant so), nor for
faults of the store (``victim: store``); what is to happen there stands in the description. All wait for durable runs.
"""

from collections.abc import Iterator
from typing import Any

from agentroute.testing.scenario.catalogue.row import Document, Row, healthy, scenario

TESTBED = "../../graphs/support/testbed.py:testbed"

RESUMED = "resume same terminal; <=1 effect with key; trace continuous"

GOAL = "refunded-and-notified"

ROWS: dict[str, Any] = {
    "refunds": [{"provider": "stripe", "order_id": "1042", "amount_cents": 8640}],
    "notices": [{"provider": "email", "recipient": "ada@example.org"}],
    "credits": [],
    "queued_notices": [],
}

REROUTED: dict[str, Any] = {**ROWS, "notices": [{"provider": "sms", "recipient": "+15550001042"}]}


def durability() -> Iterator[Row]:
    """G01 to G10."""
    yield from _killed()
    yield from _store()


def _killed() -> Iterator[Row]:
    kill: Document = {"type": "crash", "victim": "agent"}
    refund, arrives, answered = {"target": "refund_stripe"}, {"point": "arrives"}, {"point": "answered"}
    mail_down: Document = {"type": "down", "target": "notify_by_email"}
    yield _kill(
        1,
        "before_call",
        "The agent is killed when its intent to refund is on record and nothing was sent",
        ({**kill, **refund, **arrives},),
    )
    yield _kill(
        2,
        "after_effect_before_checkpoint",
        "The agent is killed when the refund is made and not on record: it is found, and not made again",
        ({**kill, **refund, **answered},),
    )
    yield _kill(
        3,
        "after_checkpoint",
        "The agent is killed when the refund is on record: nothing of it is done again",
        ({**kill, "target": "notify_by_email", **arrives},),
    )
    yield _kill(
        4,
        "mid_reroute",
        "The agent is killed between a failure and the route around it",
        (mail_down, {**kill, "target": "notify_by_sms", **arrives}),
        {"truth": REROUTED},
    )
    yield _kill(
        5,
        "mid_escalation",
        "The agent is killed while somebody is asked: asked once more at most, and the answer counts once",
        (
            {"type": "down", "target": "notify_by_*"},
            {"type": "model_down", "until": "2s"},
            {**kill, "target": "queue_notice", **arrives},
        ),
        {
            "outcome": "demoted",
            "goal": "refunded-notice-queued",
            "llm_calls": {"max": 2},
            "truth": {**ROWS, "notices": [], "queued_notices": [{"order_id": "1042"}]},
        },
        escalate="model",
    )
    yield _kill(
        6,
        "mid_compensation",
        "The agent is killed while it undoes a refund: undone once, and nothing is left behind",
        (
            {"type": "error", "target": "notify_by_*", "status": 410},
            {"type": "error", "target": "queue_notice", "status": 410},
            {**kill, "target": "void_refund_stripe", **answered},
        ),
        {"outcome": ["demoted", "escalated"], "goal": None, "truth": {**ROWS, "refunds": [], "notices": []}},
    )


def _kill(
    number: int, variant: str, title: str, method: tuple[Document, ...], expect: Document | None = None, **more: Any
) -> Row:
    said = {"retries": {"max": 3}, "reroutes": {"max": 2}, "truth": ROWS, **(expect or {})}
    return Row(
        id=f"G{number:02}",
        kind="SIGKILL",
        variant=variant,
        expected=RESUMED,
        document=scenario(
            title,
            description=(
                "The process that runs the agent gets SIGKILL at this point (victim: agent); another process takes the "
                "run up from its journal, and its trace goes on under the same id."
            ),
            waits_for="durability",
            testbed=TESTBED,
            level="process",
            goal=GOAL,
            inputs={"order_id": "1042"},
            **more,
            steady=healthy(GOAL, left_behind=[], truth=ROWS),
            method=method,
            expect={key: value for key, value in said.items() if value is not None},
        ),
    )


def _store() -> Iterator[Row]:
    nothing: dict[str, Any] = {"refunds": [], "notices": [], "credits": [], "queued_notices": []}
    yield _of_store(
        7,
        "disk_full",
        expected="fail closed, explicit",
        title="The disk is full: what cannot be written down is not done",
        description=(
            "The journal's disk is full from the start of the refund on (ENOSPC). The intent cannot be recorded, "
            "so the refund is not made; the caller gets a JournalError that names the file."
        ),
        expect={"refused": "cannot be recorded", "truth": nothing},
    )
    yield _of_store(
        8,
        "sqlite_locked_30s",
        expected="wait/timeout, explicit",
        title="Somebody else locks the store for half a minute: waited for, or given up in so many words",
        description=(
            "Another process holds an exclusive lock on the journal's SQLite file for 30 seconds. The run waits "
            "for it or ends with a JournalError; either way no refund is made that is not on record."
        ),
        expect={"outcome": "succeeded", "duration_s": {"max": "40s"}, "truth": ROWS},
    )
    yield _of_store(
        9,
        "corrupt_or_tampered_row",
        expected="refuse, no code run",
        title="A row of the journal was changed by somebody: the run is refused",
        description=(
            "A row of the journal is replaced by one whose chain does not fit, and by one that holds a pickle. "
            "Resuming is refused with the row's number; nothing of the row is executed, nothing is called."
        ),
        expect={"refused": "chain", "truth": nothing},
    )
    yield _of_store(
        10,
        "code_version_change_on_replay",
        expected="refuse or pinned version",
        title="The agent's code changed between crash and resumption: refused, or resumed as it was",
        description=(
            "Between kill and resumption the tool that refunds gets another contract. The run is refused with "
            "both versions named, or goes on over the graph that it was started with."
        ),
        expect={"refused": "version", "truth": nothing},
        victim="agent",
    )


def _of_store(
    number: int,
    kind: str,
    *,
    expected: str,
    title: str,
    description: str,
    expect: Document,
    victim: str = "store",
) -> Row:
    return Row(
        id=f"G{number:02}",
        kind=kind,
        variant="store",
        expected=expected,
        document=scenario(
            title,
            description=description,
            waits_for="durability",
            testbed=TESTBED,
            level="process",
            goal=GOAL,
            inputs={"order_id": "1042"},
            steady=healthy(GOAL, left_behind=[], truth=ROWS),
            method=({"type": "crash", "target": "refund_stripe", "point": "arrives", "victim": victim},),
            expect=expect,
        ),
    )
