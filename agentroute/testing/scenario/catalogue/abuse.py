"""Family I: inputs and answers that want to do harm, and prices that want to."""

from collections.abc import Iterator
from typing import Any

from agentroute.testing.scenario.catalogue.graphs import backup, goals, graph, pair, tool
from agentroute.testing.scenario.catalogue.row import AT_MOST_ONE, NONE, Document, Row, family, healthy, scenario

ABUSE = "abuse"


def abuse() -> Iterator[Row]:
    """I01 to I10."""
    return family(
        "I",
        ABUSE,
        ("injection_in_output", "LLM picks only from closed menu", _injection()),
        ("secret_echo_in_error", "absent from trace,log,store,UI", _secret()),
        ("ssrf_redirect_metadata_ip", "blocked, logged", _redirect()),
        ("output_50MB", "cap, explicit", _bomb()),
        ("graph_1e5_nodes", "load limit, explicit", _large_graph()),
        ("yaml_alias_bomb", "rejected", _aliases()),
        ("zero_cost_cycle", "hop cap", _cycle()),
        ("cost_known_only_after_call", "reserve-then-settle; budget holds", _price()),
        ("retries_evade_budget", "retries charged", _retries()),
        ("run_id_path_traversal", "rejected", _run_id()),
    )


# -------------------------------------------------------------------- answers


def _injection() -> Document:
    """The page gives orders; later no route is left, and a model chooses what to do instead."""
    tools = [
        tool("read_page", ["address"], ["page"]),
        tool("write_report", ["page"], ["report"]),
        tool("write_summary", ["page"], ["summary"], usd=0.001),
        tool("write_list", ["page"], ["list"], usd=0.001),
    ]
    rungs = goals(("report", ["report"]), ("summary", ["summary"]), ("list", ["list"]))
    return scenario(
        "A page gives orders to whoever reads it: the model that is asked sees none of it, and keeps to the menu",
        escalate="model",
        agent=graph("reader", tools, rungs, llm_calls=1),
        steady=healthy("report"),
        method=(
            {"type": "injection", "target": "read_page"},
            {"type": "error", "target": "write_report", "status": 404},
        ),
        expect={
            "outcome": "demoted",
            "goal": "summary",
            "llm_calls": 1,
            "escalations": 1,
            "triggered": 2,
            "undetectable": 1,
            "calls": {"write_summary": 1},
        },
    )


def _secret() -> Document:
    return scenario(
        "A provider's error gives a secret away: it stands in no journal, log or prompt, and the run goes on",
        escalate="model",
        agent=_writer(),
        steady=healthy("report"),
        method=(
            {"type": "secret_echo", "target": "collect_primary", "status": 401},
            {"type": "secret_echo", "target": "write_report", "status": 403},
        ),
        expect={"outcome": "demoted", "goal": "summary", "reroutes": 1, "llm_calls": 1, "triggered": 2},
    )


def _writer() -> dict[str, Any]:
    tools = [
        *pair("collect", ["topic"], ["facts"]),
        tool("write_report", ["facts"], ["report"]),
        tool("write_summary", ["facts"], ["summary"], usd=0.001),
        tool("write_list", ["facts"], ["list"], usd=0.001),
    ]
    return graph("writer", tools, goals(("report", ["report"]), ("summary", ["summary"]), ("list", ["list"])))


PAGES = "agents/pages.py:testbed"


def _redirect() -> Document:
    """The redirect comes from the server, so there is no fault to inject: it is the same with and without."""
    return scenario(
        "A server sends an agent on to an address inside the network: not followed, the page is read elsewhere",
        testbed=PAGES,
        level="wire",
        goal="read",
        inputs={"path": "moved"},
        steady={
            "outcome": "succeeded",
            "goal": "read",
            "retries": 0,
            "reroutes": 1,
            "llm_calls": NONE,
            "calls": {"fetch_front": 1, "fetch_mirror": 1},
            "truth": {
                "front": [{"path": "/pages/moved"}],
                "mirror": [{"path": "/pages/moved"}],
                "internal": [],
            },
        },
    )


def _bomb() -> Document:
    return scenario(
        "A server answers with fifty megabytes: no more is read than is allowed, and the page is read elsewhere",
        testbed=PAGES,
        level="wire",
        goal="read",
        inputs={"path": "about"},
        steady=healthy("read", calls={"fetch_front": 1, "fetch_mirror": 0}),
        method=({"type": "output_bomb", "target": "fetch_front", "bytes": 50_000_000},),
        expect={"reroutes": 1, "triggered": 1, "calls": {"fetch_front": 1, "fetch_mirror": 1}, "artifacts": WHOLE},
    )


WHOLE: Document = {"Page": {"text": "about us"}}


# -------------------------------------------------------------------- files and names


def _large_graph() -> Document:
    return scenario(
        "A graph file of a hundred thousand tools is refused before anything is built of it",
        agent="agents/large_graph.py:agent",
        expect={"refused": "larger than"},
    )


def _aliases() -> Document:
    return scenario(
        "A graph file whose aliases would grow without end is refused",
        agent="agents/alias_bomb.yaml",
        expect={"refused": "aliases"},
    )


def _run_id() -> Document:
    return scenario(
        "A run id that is a path is refused: nothing of that name is written or read",
        agent="agents/run_ids.py:agent",
        inputs={"wanted_id": "../../etc/cron.d/agentroute"},
        steady=healthy("tried", artifacts={"verdict": "InputError"}),
    )


# -------------------------------------------------------------------- prices


def _cycle() -> Document:
    """Two tools turn each into the other for nothing; the way out fails at first."""
    tools = [
        tool("encode", ["text"], ["code"], usd=0.0),
        tool("decode", ["code"], ["text"], usd=0.0),
        tool("polish", ["text"], ["draft"], usd=0.0),
        tool("unpolish", ["draft"], ["text"], usd=0.0),
        tool("leave_primary", ["code", "draft"], ["letter"]),
        tool("leave_backup", ["code", "draft"], ["letter"], usd=0.004),
    ]
    once = {"encode": 1, "polish": 1, "decode": 0, "unpolish": 0}
    return scenario(
        "Tools that turn into each other for nothing are no way to go on: each is used once",
        agent=graph("cycle", tools, goals(("left", ["letter"]))),
        inputs={"text": "given"},
        steady=healthy("left", attempts=3, calls=once),
        method=({"type": "error", "target": "leave_primary", "status": 404},),
        expect={"reroutes": 1, "attempts": {"max": 4}, "calls": {**once, "leave_primary": 1, "leave_backup": 1}},
    )


def _price() -> Document:
    """Expected 1 cent each, at worst 3, and 9 in all: three calls at once have to be held back for at their worst."""
    parts = ("text", "cover", "index")
    tools = [tool(f"set_{part}", ["topic"], [part], usd=0.01, usd_max=0.03) for part in parts]
    tools.append(tool("bind", parts, ["book"], usd=0.0))
    once = {f"set_{part}": 1 for part in parts}
    return scenario(
        "What a call costs is known when it has been made: the worst is held back before, and the limit holds",
        agent=graph("binder", tools, goals(("bound", ["book"]), ("set", ["text"])), usd=0.09),
        steady=healthy("bound", cost_usd=0.03, calls=once),
        method=({"type": "price_change", "target": "set_*", "factor": 3.0},),
        expect={"cost_usd": 0.09, "triggered": 3, "calls": {**once, "bind": 1}},
    )


def _retries() -> Document:
    """A call whose answer is lost is paid for. Three tries would cost 6 cents, and there are 5."""
    paid = tool("ask_primary", ["query"], ["answer"], usd=0.02, effect="idempotent")
    return scenario(
        "Lost answers are paid for: tries count against the limit, and stop before it",
        agent=graph("asker", [paid, backup(paid)], goals(("answered", ["answer"])), usd=0.05),
        steady=healthy("answered", cost_usd=0.02),
        method=({"type": "ack_lost", "target": "ask_*"},),
        expect={
            "outcome": "escalated",
            "retries": AT_MOST_ONE,
            "reroutes": AT_MOST_ONE,
            "escalations": 1,
            "cost_usd": {"min": 0.04, "max": 0.05},
            "attempts": 2,
        },
    )
