"""Graph documents as plain data: right ones, and ones that are wrong in a place or two."""

from copy import deepcopy
from typing import Any, TypeAlias, cast

from hypothesis import strategies as st

NAMES = ("a", "b", "c", "no", "1", "0755", "naïve name", "x" * 200)

Data: TypeAlias = dict[str, Any]

NO_ARGUMENTS: Data = {}

names = st.sampled_from(NAMES)
amounts = st.one_of(st.integers(0, 10), st.floats(0, 1e9, allow_nan=False), st.just(1e9))
prose = st.text(alphabet="aé '\"\\\n:#-{}[]&*!|>%@`,?~", max_size=30)


def listed(items: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, min_size=least, max_size=3, unique_by=repr)


@st.composite
def joins(draw: st.DrawFn) -> Data:
    of = draw(listed(names, least=1))
    return {"at_least": draw(st.integers(1, len(of))), "of": of}


@st.composite
def costs(draw: st.DrawFn) -> Data:
    usd, more = draw(st.floats(0, 1e6)), draw(st.floats(0, 1e6))
    risks = st.floats(0, 1)
    optional = {"usd": st.just(usd), "latency_s": amounts, "risk": risks, "usd_max": st.just(usd + more), "wh": amounts}
    return draw(st.fixed_dictionaries({}, optional=optional))


def tools(name: str, others: list[str], readers: list[str]) -> st.SearchStrategy[Data]:
    needs = listed(st.one_of(names, joins()))
    optional: Data = {
        "description": prose,
        "requires": needs,
        "produces": listed(names),
        "cost": costs(),
        "provider": names,
        "timeout_s": st.floats(0.001, 1e9),
        "mcp": st.fixed_dictionaries({"server": names, "tool": names}, optional={"arguments": st.just(NO_ARGUMENTS)}),
    }
    if name in readers:
        return st.fixed_dictionaries({"name": st.just(name), "effect": st.just("read")}, optional=optional)
    optional["effect"] = st.sampled_from(["idempotent", "once"])
    if others:
        optional["compensate"] = st.sampled_from(others)
    if readers:
        optional["verify"] = st.sampled_from(readers)
    return st.fixed_dictionaries({"name": st.just(name)}, optional=optional)


@st.composite
def documents(draw: st.DrawFn) -> Data:
    """A document that must be accepted."""
    called = draw(st.lists(st.sampled_from([*NAMES, "t", "u"]), min_size=1, max_size=4, unique=True))
    readers = [name for name in called if draw(st.booleans())]
    entries = [draw(tools(name, [other for other in called if other != name], readers)) for name in called]
    if not mentioned(entries):
        entries[0]["produces"] = ["a"]
    found = {entry["name"]: entry.get("produces", []) for entry in entries}
    for entry in entries:  # what a verifier finds stands in for the result, so it must be able to return it
        if not set(entry.get("produces", [])) <= set(found[entry.get("verify", entry["name"])]):
            del entry["verify"]
    wanted = listed(st.sampled_from(mentioned(entries)), least=1)
    goal = st.fixed_dictionaries({"requires": wanted}, optional={"utility": amounts, "description": prose})
    goals = [{"name": name, **draw(goal)} for name in draw(st.lists(names, min_size=1, max_size=3, unique=True))]
    return {"version": "1", "name": draw(names), "tools": entries, "goals": goals, **draw(settings())}


def settings() -> st.SearchStrategy[Data]:
    rates: Data = {"usd_per_second": amounts, "usd_per_risk": amounts, "usd_per_wh": amounts}
    counts: Data = dict.fromkeys(("llm_calls", "tokens", "tool_calls"), st.integers(0, 100))
    budget: Data = {"usd": amounts, "deadline_s": st.floats(0.001, 1e9), "finish_share": st.floats(0, 1), **counts}
    quota: Data = {"usd": amounts, "per_s": st.floats(0.001, 1e9), **counts}
    some = st.fixed_dictionaries({}, optional=quota).filter(lambda given: given.keys() - {"per_s"})
    optional: Data = {
        "description": prose,
        "rates": st.fixed_dictionaries({}, optional=rates),
        "budget": st.fixed_dictionaries({}, optional=budget),
        "quotas": st.lists(some, max_size=3),
    }
    return st.fixed_dictionaries({}, optional=optional)


def mentioned(entries: list[Data]) -> list[str]:
    """Artifacts that the tools require or produce, sorted."""
    found: set[str] = {name for entry in entries for name in entry.get("produces", [])}
    for need in (need for entry in entries for need in entry.get("requires", [])):
        found.update([need] if isinstance(need, str) else need["of"])
    return sorted(found)


KEYS = (
    *("version", "name", "description", "tools", "goals", "rates", "budget", "requires", "produces", "cost", "usd"),
    *("usd_max", "risk", "effect", "verify", "compensate", "mcp", "server", "arguments", "at_least", "of", "zzz"),
)

junk: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -1, 1, 1.0, 1.5, 2, -0.5, 1e9, 2e9, 10**12, "", " a", "a ", "1", "zzz", "read"]
    ),
    st.sampled_from([[], ["a"], ["a", "a"], [[]], [None], {}, {"usd": 1}, {"at_least": 1, "of": ["a"]}, "x" * 201]),
    st.sampled_from(
        [{"at_least": 3, "of": ["a"]}, {"at_least": 1.0, "of": ["a", "b"]}, {"a": "a"}, {"": "a"}, "a\nb", "\t"]
    ),
)


def parts(data: Any) -> dict[Any, Any]:
    """What is in a mapping or list, by key or index; nothing, for anything else."""
    if isinstance(data, dict):
        return cast("dict[Any, Any]", data)
    return dict(enumerate(cast("list[Any]", data))) if isinstance(data, list) else {}


def containers(data: Any) -> list[Any]:
    """Every mapping and list in `data`, itself first."""
    own: list[Any] = [data] if isinstance(data, (dict, list)) else []
    return [*own, *(container for part in parts(data).values() for container in containers(part))]


@st.composite
def spoilt(draw: st.DrawFn) -> Data:
    """A document after one to three changes, which may have made it wrong."""
    document = deepcopy(draw(documents()))  # what is drawn must not be changed
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(containers(document)))
        known = list(parts(place))
        what = draw(st.sampled_from(["add", "replace", "remove"] if known else ["add"]))
        if what == "remove":
            del place[draw(st.sampled_from(known))]
        elif what == "replace":
            place[draw(st.sampled_from(known))] = deepcopy(draw(junk))
        elif isinstance(place, dict):
            place[draw(st.sampled_from(KEYS))] = deepcopy(draw(junk))
        else:
            place.append(deepcopy(draw(junk)))
    return document
