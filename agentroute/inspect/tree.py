"""A run as a tree in the terminal: steps, attempts, reroutes with what they changed, money, time."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text
from rich.tree import Tree

from agentroute.adapters.logs import printable
from agentroute.adapters.telemetry import semconv
from agentroute.guard.ledger import Limits
from agentroute.ids import dollars
from agentroute.inspect.burn import Moment, burn_down
from agentroute.inspect.trace_files import Span
from agentroute.inspect.traces import DEEPEST, UNFINISHED, Node, Run

LONGEST_TEXT: Final = 300
"""Characters of a message or name that are shown."""

_STYLES: Final = {"succeeded": "green", "demoted": "yellow", "suspended": "magenta", UNFINISHED: "magenta"}


def run_tree(run: Run) -> Tree:
    """Draw a run. Whatever a span holds, it cannot act on the terminal: control characters are escaped."""
    tree = Tree(_heading(run), guide_style="dim", highlight=False)
    for top in run.tops:
        if top.kind == "attempt":  # of a step that has not ended
            tree.add(Text(f"{clean(top.tool)}  ").append_text(_attempt(top.span, run)))
            continue
        if top.kind != "run":
            _grow(tree, top, run, 1)
            continue
        where = tree if top is run.tops[0] else tree.add(_segment(top.span))
        _grow_all(where, top.children, run, 1)
    if moments := burn_down(run):
        tree.add(_budget(run.limits, moments))
    return tree


def clean(text: str) -> str:
    """Text from a span, safe to print and not endless."""
    shown = printable(text[:LONGEST_TEXT])
    return shown if len(text) <= LONGEST_TEXT else f"{shown}..."


def money(usd: float) -> str:
    """An amount for people."""
    return f"{usd:.6f} USD"


def duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


# ---------------------------------------------------------------- the run


def _heading(run: Run) -> Text:
    span = run.tops[0].span
    style = _STYLES.get(run.outcome, "red")
    text = Text(clean(run.agent), "bold")
    text.append(f"  {clean(run.goal)}" if run.goal else "", "not bold")
    text.append(f"  {clean(run.outcome)}", style).append(f" in {duration(run.duration_s)}", "not bold")
    if run.reason and run.outcome != "succeeded":
        text.append(f"\n{clean(run.reason)}", style)
    limit = "" if run.budget is None else f" of {money(dollars(run.budget))}"
    calls = ", ".join(
        [
            _count(run.attempts, "attempt"),
            _count(run.retries, "retry", "retries"),
            _count(run.reroutes, "reroute"),
            _count(run.escalations, "escalation"),
            _count(run.llm_calls, "model call"),
            *([] if run.limits.tokens is None else [f"{run.tokens:,} of {run.limits.tokens:,} tokens"]),
        ]
    )
    text.append(f"\ncost {money(dollars(run.cost))}{limit}; {calls}")
    left_behind = _run_span(run).texts(semconv.LEFT_BEHIND)
    if left_behind:
        text.append(f"\nleft behind: {clean(', '.join(left_behind))}", "red")
    text.append(f"\nrun {clean(run.run_id)}  trace {run.trace_id}  started {run.started_at}", "dim")
    route = span.texts(semconv.ROUTE)
    if route:
        text.append("\nroute ", "dim").append(clean(" > ".join(route))).append(f"  {_weight(span)}", "dim")
    return text


def _run_span(run: Run) -> Span:
    """The run's own span that ended last."""
    return max((node for node in run.nodes() if node.span.text(semconv.RUN_ID) == run.run_id and node.kind == "run"),
               key=lambda node: node.span.end_ns, default=run.tops[0]).span  # fmt: skip


def _weight(span: Span) -> str:
    proof = "proven cheapest" if span.attributes.get(semconv.OPTIMAL) is True else "best found, not proven cheapest"
    return f"{money(span.number(semconv.WEIGHT_USD))}, {proof}"


def _segment(span: Span) -> Text:
    outcome = clean(span.text(semconv.OUTCOME)) or UNFINISHED
    if semconv.RESUMED in span.attributes:
        return Text(f"resumed, {outcome} after {duration(span.duration_s)}", "bold")
    return Text(f"{clean(span.text(semconv.WORKFLOW_NAME))}  {outcome} in {duration(span.duration_s)}", "bold")


# ---------------------------------------------------------------- what is below


def _grow_all(branch: Tree, nodes: Sequence[Node], run: Run, depth: int) -> None:
    for node in nodes:
        _grow(branch, node, run, depth)


def _grow(branch: Tree, node: Node, run: Run, depth: int) -> None:
    """Add a span and what is below it."""
    if depth > DEEPEST:
        return
    children: Sequence[Node] = node.children
    match node.kind:
        case "run":
            label = _segment(node.span)
        case "step":
            label, children = _step(node, run)
        case "attempt":
            label = _attempt(node.span, run)
        case "decision":
            label = _decision(node.span)
        case "other":
            label = Text(
                f"{clean(node.span.name)}  {duration(node.span.duration_s)}", "red" if node.span.failed else "dim"
            )
    _grow_all(branch.add(label), children, run, depth + 1)


def _step(node: Node, run: Run) -> tuple[Text, Sequence[Node]]:
    """A step; one that needed a single attempt and no more is told in one line."""
    span, below = node.span, node.children
    outcome = span.text(semconv.OUTCOME)
    if len(below) == 1 and below[0].kind == "attempt" and not below[0].span.failed and not outcome:
        only = below[0]
        text = Text(f"{clean(node.tool)}{_model(only.span)}  ok", "green")
        return text.append_text(_figures(only.span, run)).append_text(_links(only.span)), only.children
    style = "red" if span.failed else "green" if outcome in {"", semconv.VERIFIED} else "yellow"
    text = Text.assemble(
        (clean(node.tool), style), (f"  {clean(outcome) or ('failed' if span.failed else 'ok')}", style)
    )
    text.append(f"  {_at(span, run)}, {duration(span.duration_s)}", "dim")
    return text, below


def _attempt(span: Span, run: Run) -> Text:
    role = span.text(semconv.ROLE)
    name = clean(span.text(semconv.TOOL_NAME) or span.text(semconv.TOOL))
    text = Text(f"{clean(role)} by {name}" if role else f"attempt {int(span.number(semconv.ATTEMPT))}")
    text.append(_model(span))
    if span.failed:
        text.append(f"  {clean(span.text(semconv.ERROR_TYPE))}: {clean(span.message)}", "red")
        text.append(f" ({clean(span.text(semconv.FAILURE_KIND))})", "red")
        if span.attributes.get(semconv.IN_DOUBT) is True:
            text.append(", unknown whether it happened", "bold red")
    else:
        outcome = clean(span.text(semconv.OUTCOME))
        text.append(f"  {outcome or 'ok'}", "yellow" if outcome else "green")
    return text.append_text(_figures(span, run)).append_text(_links(span))


def _model(span: Span) -> str:
    model = span.text(semconv.RESPONSE_MODEL)
    return f" ({clean(model)})" if model else ""


def _figures(span: Span, run: Run) -> Text:
    tokens = ""
    if semconv.INPUT_TOKENS in span.attributes:
        tokens = f", {int(span.number(semconv.INPUT_TOKENS))} + {int(span.number(semconv.OUTPUT_TOKENS))} tokens"
    cost = span.number(semconv.COST_USD)
    price = f", {money(cost)}" if cost else ""
    return Text(f"  {_at(span, run)}, {duration(span.duration_s)}{price}{tokens}", "dim")


def _links(span: Span) -> Text:
    """What led to an attempt."""
    parts = list[str]()
    if semconv.RETRY_OF in span.attributes:
        wait = duration(span.number(semconv.RETRY_WAIT_S))
        parts.append(f"retry of attempt {int(span.number(semconv.RETRY_OF))} after {wait}")
    if any(link.meaning == semconv.AFTER_REROUTE for link in span.links):
        parts.append("after the reroute")
    if semconv.ABOUT in span.attributes:
        parts.append(f"about attempt {int(span.number(semconv.ABOUT))}")
    return Text("".join(f"  <- {part}" for part in parts), "yellow")


def _at(span: Span, run: Run) -> str:
    return f"at {duration(max(0, span.start_ns - run.started_ns) / 1e9)}"


# ---------------------------------------------------------------- the budget

MOST_MOMENTS: Final = 40
"""Rows of the burn-down that are shown; the others are in the JSON."""

_WIDEST_TOOL: Final = 40


def _budget(limits: Limits, moments: Sequence[Moment]) -> Text:
    """A table of what was spent, held and left, a row each time that something was paid."""
    heading = ["budget"]
    heading += [] if limits.usd is None else ["USD spent", "held", "left"]
    counts = zip(limits[1:], ("tokens left", "model calls left", "tool calls left"), strict=True)
    heading += [name for limit, name in counts if limit is not None]
    rows = [_moment(moment) for moment in moments[-MOST_MOMENTS:]]
    widths = [max(map(cell_len, column)) for column in zip(heading, *rows, strict=True)]
    text = Text(_row(heading, widths))
    if len(moments) > MOST_MOMENTS:
        text.append(f"\n({len(moments) - MOST_MOMENTS} before these)", "dim")
    for moment, row in zip(moments[-MOST_MOMENTS:], rows, strict=True):
        overspent = any(left is not None and left < 0 for left in moment.left)
        text.append(f"\n{_row(row, widths)}", "red" if overspent else "dim")
    return text


def _moment(moment: Moment) -> list[str]:
    name = f"{moment.attempt} {clean(moment.tool[:_WIDEST_TOOL])}" if moment.attempt else "escalation"
    usd = (moment.spent.usd, moment.held.usd, moment.left.usd)
    amounts = [] if moment.left.usd is None else [f"{dollars(amount or 0):.6f}" for amount in usd]
    return [name, *amounts, *(f"{left:,}" for left in moment.left[1:] if left is not None)]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells in their columns: the first on the left, figures on the right. Letters may be two columns wide."""
    first, *figures = ((cell, " " * (width - cell_len(cell))) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(["".join(first), *(f"{blanks}{cell}" for cell, blanks in figures)])


# ---------------------------------------------------------------- decisions

MOST_WEIGHED = 20
"""Tools whose weights are explained for one decision."""


def _decision(span: Span) -> Text:
    tool, reason = clean(span.text(semconv.TOOL)), clean(span.text(semconv.REASON))
    match span.name:
        case semconv.REROUTE_SPAN:
            return _reroute(span, tool, reason)
        case semconv.HEDGE_SPAN:
            return Text(f"hedged {tool}: {reason}\n  beside it: {_arrows(span)}\n  {_weight(span)}", "yellow")
        case semconv.TIER_SPAN:
            return _tier(span)
        case semconv.ESCALATE_SPAN:
            return _escalation(span, reason)
        case semconv.ROUTE_SPAN:
            said = f"new route to {clean(span.text(semconv.GOAL))}: {_arrows(span)}\n{_weight(span)}; {reason}"
            return _append_weighed(Text(said, "cyan"), span)
        case semconv.WAIT_SPAN:
            return Text(f"waited {duration(span.duration_s)} for {tool}: {reason}", "yellow")
        case _:
            return _restriction(span, tool, reason)


def _tier(span: Span) -> Text:
    """In which order the tiers of a step are to be taken, and a line for each."""
    step, policy = clean(span.text(semconv.STEP_NAME)), clean(span.text(semconv.POLICY))
    return _append_weighed(Text(f"tier of {step}: {_arrows(span)}; {policy}", "cyan"), span)


def _restriction(span: Span, tool: str, reason: str) -> Text:
    match span.name:
        case semconv.SIGNAL_SPAN:
            stops = span.attributes.get(semconv.STOPS) is True
            said = f"{'stopped by ' if stops else ''}monitor {clean(span.text(semconv.MONITOR))}: {reason}"
            return _append_weighed(Text(said, "bold magenta" if stops else "yellow"), span)
        case semconv.QUARANTINE_SPAN:
            return Text(f"put aside {tool}, for all runs: {reason}", "bold red")
        case semconv.GUARD_SPAN:
            return Text(f"closed {tool}: {reason}", "yellow")
        case _:
            return _effect(span, tool)


def _arrows(span: Span) -> str:
    return clean(" > ".join(span.texts(semconv.ROUTE)))


def _effect(span: Span, tool: str) -> Text:
    match span.name:
        case semconv.VERIFIED_SPAN:
            found = "had happened" if span.attributes.get(semconv.HAPPENED) is True else "had not happened"
            return Text(f"verified by {clean(span.text(semconv.VERIFIER))}: {tool} {found}", "yellow")
        case semconv.COMPENSATED_SPAN:
            return Text(f"undone by {clean(span.text(semconv.COMPENSATOR))}: {tool}", "yellow")
        case semconv.UNRESOLVED_SPAN:
            return Text(f"unresolved: {clean(span.message)}", "bold red")
        case _:
            worked = "a result" if span.attributes.get(semconv.SUCCEEDED) is True else "a failure"
            return Text(f"{tool} came back late with {worked}, which was not used", "dim")


def _reroute(span: Span, tool: str, reason: str) -> Text:
    before, after = span.texts(semconv.ROUTE_BEFORE), span.texts(semconv.ROUTE_AFTER)
    text = Text.assemble(
        ("reroute", "bold yellow"), (f"  {tool} failed ({clean(span.text(semconv.FAILURE_KIND))})", "yellow")
    )
    text.append("\n  ")
    _append_route(text, before, set(after), "-", "red")
    text.append("  =>  ")
    _append_route(text, after, set(before), "+", "bold green")
    weights = f"{money(span.number(semconv.WEIGHT_BEFORE_USD))} -> {money(span.number(semconv.WEIGHT_AFTER_USD))}"
    proof = "proven cheapest" if span.attributes.get(semconv.OPTIMAL) is True else "best found, not proven cheapest"
    left = (
        f", {money(span.number(semconv.BUDGET_LEFT_USD))} of the budget left"
        if semconv.BUDGET_LEFT_USD in span.attributes
        else ""
    )
    text.append(f"\n  weight {weights}, {proof}{left}", "dim")
    if reason:
        text.append(f"\n  {reason}", "dim")
    return _append_weighed(text, span)


def _append_weighed(text: Text, span: Span) -> Text:
    """Say what the tools weighed that the choice was between."""
    for line in span.texts(semconv.WEIGHED)[:MOST_WEIGHED]:
        text.append(f"\n  {clean(line)}", "dim")
    return text


def _append_route(text: Text, route: Sequence[str], other: set[str], sign: str, style: str) -> None:
    """Write a route; only what the other one does not have stands out."""
    for part in _separated(route):
        differs = part != " > " and part not in other
        text.append(f"{sign}{clean(part)}" if differs else clean(part), style if differs else "dim")
    if not route:
        text.append("nothing", "dim")


def _separated(route: Sequence[str]) -> Iterator[str]:
    for number, tool in enumerate(route):
        if number:
            yield " > "
        yield tool


def _escalation(span: Span, reason: str) -> Text:
    choice, by = clean(span.text(semconv.CHOICE)), clean(span.text(semconv.CHOSEN_BY))
    waits = "" if span.attributes.get(semconv.MODEL_CALLED) else "  waiting for a person"
    said = f"  {choice}, chosen by {by}" if choice else waits
    text = Text.assemble(("escalate", "bold magenta"), (said, "magenta"))
    if reason:
        text.append(f"\n  {reason}", "dim")
    utilities, weights = span.attributes.get(semconv.MENU_UTILITIES), span.attributes.get(semconv.MENU_WEIGHTS_USD)
    routes = span.texts(semconv.MENU_ROUTES)
    for number, option in enumerate(span.texts(semconv.MENU)[:50]):
        chosen = option == span.text(semconv.CHOICE)
        figures = f"utility {_nth(utilities, number):g}, {money(_nth(weights, number))}"
        way = f": {clean(routes[number])}" if number < len(routes) and routes[number] else ""
        text.append(f"\n  {'>' if chosen else ' '} {clean(option)}  ", "bold" if chosen else "")
        text.append(f"{figures}{way}", "dim")
    note = clean(span.text(semconv.NOTE))
    if note:
        text.append(f"\n  {note}", "dim")
    return text


def _nth(values: object, number: int) -> float:
    found = values[number] if isinstance(values, list) and number < len(values) else 0  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return found if isinstance(found, (int, float)) else 0


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
