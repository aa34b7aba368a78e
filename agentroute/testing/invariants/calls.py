"""8: what may be called, and what may leave the process."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from agentroute.ids import ArtifactId
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    GuardClosed,
    Hedged,
    Rerouted,
    RouteChosen,
    RunStarted,
    Verified,
)
from agentroute.testing.invariants.account import Account, Found, role, satisfied
from agentroute.testing.invariants.canonical import plain

MOST_REMEDIES = 6
"""Attempts to verify or to undo one effect."""


def steps_are_allowed(account: Account) -> Found:
    """Each step is on the route, ready, not closed for this run, and within its number of attempts."""
    walk = _Walk(account)
    for event in account.events:
        yield from walk.turn(event)


class _Walk:
    """Goes through a journal and keeps what a step has to be held against."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.route: tuple[str, ...] = ()
        self.closed: set[str] = set()
        self.there = dict[ArtifactId, Any]()
        self.tries: Counter[str] = Counter()
        self.under_way: set[str] = set()

    def turn(self, event: Event) -> Found:
        """Hold one event against what was before it, then take note of it."""
        match event:
            case RouteChosen(tools=tools) | Rerouted(after=tools) | Hedged(after=tools):
                yield from self._route_is_walkable(event.at, tools)
            case AttemptStarted(role="step"):
                yield from self._step(event)
                self.under_way.add(event.tool)
            case _:
                if isinstance(event, (AttemptSucceeded, AttemptFailed, AttemptAbandoned)):
                    self.under_way.discard(event.tool)
                self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.there = dict(event.inputs)
            case GuardClosed() | AttemptFailed(kind="permanent" | "contract"):
                self.closed.add(event.tool)
            case AttemptSucceeded() if role(self.account, event.attempt) == "step":
                self.there.update(event.outputs)
            case AttemptAbandoned() if role(self.account, event.attempt) == "step":
                self.tries[event.tool] -= 1  # says nothing about the tool, so it does not count
            case Verified(happened=True):
                self.there.update(event.outputs)
                self.closed.discard(event.tool)
            case _:
                pass

    def _step(self, event: AttemptStarted) -> Found:
        spec, name = self.account.case.graph.tools[event.tool], f"attempt {event.attempt} of {event.tool}"
        self.tries[event.tool] += 1
        if event.tool not in self.route:
            yield 8, f"{name} is not on the route {self.route}"
        if event.tool in self.closed:
            yield 8, f"{name}: the tool is closed for this run"
        if not satisfied(spec.requires, self.there):
            yield 8, f"{name} was called without its inputs"
        if self.tries[event.tool] > self.account.case.health.max_attempts:
            yield 8, f"{name} is number {self.tries[event.tool]}, more than {self.account.case.health.max_attempts}"
        if event.number != self.tries[event.tool]:
            yield 8, f"{name} is numbered {event.number}, but is number {self.tries[event.tool]}"
        if self._forbidden(event.tool):
            yield 8, f"{name}: its guard does not allow it"
        if (spec.effect == "read") != (not event.key):
            yield 4, f"{name} ({spec.effect}) carries the key {event.key!r}"

    def _forbidden(self, tool: str) -> bool:
        """Whether the tool's guard, if it can be asked already, says no."""
        guard = self.account.case.guards.get(tool)
        if guard is None or not all(artifact in self.there for artifact in guard.reads):
            return False
        return not guard.allows({artifact: self.there[artifact] for artifact in guard.reads})

    def _route_is_walkable(self, at: float, tools: Sequence[str]) -> Found:
        self.route = tuple(map(str, tools))
        there = set(map(str, self.there))
        for tool in self.route:
            spec = next((spec for name, spec in self.account.case.graph.routable.items() if name == tool), None)
            if spec is None or (tool in self.closed and tool not in self.under_way):  # begun before it was closed
                yield 8, f"the route of {at:g} s goes over {tool}, which is closed or no step"
            elif not satisfied(spec.requires, there):
                yield 8, f"the route of {at:g} s comes to {tool} without its inputs"
            there |= set(map(str, spec.produces)) if spec is not None else set[str]()


def remedies_are_capped(account: Account) -> Found:
    """Nobody tries for ever to look into an effect or to undo it. One that is looked for once more counts anew."""
    tries: Counter[tuple[int, str]] = Counter()
    for event in account.events:
        match event:
            case AttemptStarted(about=int(about)):
                tries[about, event.tool] += 1
                if tries[about, event.tool] == MOST_REMEDIES + 1:
                    yield 8, f"{event.tool} was called more than {MOST_REMEDIES} times about attempt {about}"
            case Verified():
                tries = Counter({key: count for key, count in tries.items() if key[0] != event.attempt})
            case _:
                pass


def secrets_are_kept(account: Account) -> Found:
    """No planted secret in what is recorded, returned, printed or exported."""
    texts = [json.dumps(plain(record.event)) for record in account.case.records]
    texts += [str(account.case.result), *account.case.outputs]
    for secret in account.case.secrets:
        hits = [text for text in texts if secret in text]
        if hits:
            yield 8, f"a secret is in {len(hits)} outputs, such as {hits[0][:60]!r}..."
