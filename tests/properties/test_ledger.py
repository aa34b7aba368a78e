"""Laws of ledgers, whatever is reserved, settled, released and forgotten, held against books kept by hand."""

import math
from typing import Literal

from hypothesis import given, note
from hypothesis import strategies as st

from agentroute.graph.cost import NOTHING, Amounts
from agentroute.guard.ledger import UNLIMITED, Ledger, Limits, Reservation, Window

FIELDS = Amounts._fields

amounts = st.builds(Amounts, *(st.integers(0, 20) for _ in FIELDS))
limits = st.builds(Limits, *(st.one_of(st.none(), st.integers(0, 60)) for _ in FIELDS))


What = Literal["reserve", "settle", "release", "carve", "keep"]

moves = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "settle", "release", "carve", "keep", "keep"]),
        st.integers(0, 7),
        amounts,
    ),
    max_size=40,
)
"""Things that happen: what, to which of the ledgers or reservations there are, with which amounts."""


class Books:
    """An accountant, who keeps every amount on a line of its own and adds them up whenever somebody asks."""

    def __init__(self, run: Ledger, above: list[Ledger]) -> None:
        self.run = run
        self.ledgers = [(run, above)]
        self.open: list[tuple[Reservation, Ledger, list[Ledger]]] = []
        self.held: list[tuple[Ledger, Amounts]] = []
        self.gone: list[tuple[Ledger, Amounts]] = []
        self.kept: list[tuple[Ledger, Ledger, Amounts]] = []
        """For whom, where, how much."""

    def lines(self, ledger: Ledger, above: list[Ledger], amount: Amounts) -> list[tuple[Ledger, Amounts]]:
        """Where an amount is written down. Money of a carved ledger stands above already, as what it is carved from."""
        passed = amount if ledger is self.run else amount._replace(usd=0)
        return [(ledger, amount), *((each, passed) for each in above)]

    def total(self, lines: list[tuple[Ledger, Amounts]], ledger: Ledger, name: str) -> int:
        return sum(getattr(amount, name) for owner, amount in lines if owner is ledger)

    def used(self, ledger: Ledger, name: str) -> int:
        return self.total(self.held, ledger, name) + self.total(self.gone, ledger, name)

    def kept_at(self, ledger: Ledger, name: str, *, but: list[Ledger]) -> int:
        """What is kept in a ledger for others than those who ask, and those on whose behalf they do."""
        return sum(
            getattr(amount, name)
            for owner, at, amount in self.kept
            if at is ledger and all(owner is not o for o in but)
        )

    def fits(self, lines: list[tuple[Ledger, Amounts]]) -> bool:
        path = [ledger for ledger, _ in lines]
        return all(
            limit is None
            or self.used(ledger, name) + self.kept_at(ledger, name, but=path[:number]) + getattr(amount, name) <= limit
            for number, (ledger, amount) in enumerate(lines)
            for name, limit in zip(FIELDS, ledger.limits, strict=True)
        )

    def keep(self, which: int, amount: Amounts) -> None:
        ledger, above = self.ledgers[which % len(self.ledgers)]
        self.kept = [line for line in self.kept if line[0] is not ledger]
        self.kept += [(ledger, at, passed) for at, passed in self.lines(ledger, above, amount)[1:]]
        ledger.keep(amount)

    def reserve(self, which: int, amount: Amounts) -> None:
        ledger, above = self.ledgers[which % len(self.ledgers)]
        lines = self.lines(ledger, above, amount)
        fits, reservation = self.fits(lines), ledger.reserve(amount)
        assert (reservation is not None) == fits
        if reservation is not None:
            self.open.append((reservation, ledger, above))
            self.held += lines

    def carve(self, which: int) -> None:
        reservation, ledger, above = self.open[which % len(self.open)]
        if len(self.ledgers) < 4:
            self.ledgers.append((reservation.carve(), [ledger, *above]))

    def close(self, which: int, used: Amounts | None) -> None:
        reservation, ledger, above = self.open.pop(which % len(self.open))
        for line in self.lines(ledger, above, reservation.amounts):
            self.held.remove(line)
        if used is None:
            reservation.release()
        else:
            used = Amounts(*map(min, used, reservation.amounts))
            self.gone += self.lines(ledger, above, used)
            reservation.settle(used)

    def check(self) -> None:
        for ledger in {id(each): each for own, above in self.ledgers for each in [own, *above]}.values():
            for name, limit in zip(FIELDS, ledger.limits, strict=True):
                assert getattr(ledger.spent, name) == self.total(self.gone, ledger, name)
                held = self.total(self.held, ledger, name) + self.kept_at(ledger, name, but=[])
                assert getattr(ledger.reserved, name) == held
                assert limit is None or self.used(ledger, name) <= limit


@given(own=limits, agent=limits, month=limits, happening=moves)
def test_what_is_spent_and_reserved_never_exceeds_any_limit(
    own: Limits, agent: Limits, month: Limits, happening: list[tuple[What, int, Amounts]]
) -> None:
    top = Ledger(month)
    shared = Ledger(agent, above=[top])
    books = Books(Ledger(own, above=[shared]), [shared, top])
    for what, which, amount in happening:
        if what == "reserve":
            books.reserve(which, amount)
        elif what == "keep":
            books.keep(which, amount)
        elif books.open and what == "carve":
            books.carve(which)
        elif books.open:
            books.close(which, None if what == "release" else amount)
        books.check()


@given(own=limits, agent=limits, asked=amounts, before=st.lists(amounts, max_size=5), kept=amounts, others=amounts)
def test_what_is_left_is_what_fits(  # noqa: PLR0917
    own: Limits, agent: Limits, asked: Amounts, before: list[Amounts], kept: Amounts, others: Amounts
) -> None:
    shared = Ledger(agent)
    ledger = Ledger(own, above=[shared])
    if shared.fits(kept.plus(others)):
        ledger.keep(kept)
        Ledger(above=[shared]).keep(others)
    for amount in before:
        ledger.reserve(amount)
    left = ledger.left
    fits = all(limit is None or getattr(asked, name) <= limit for name, limit in zip(FIELDS, left, strict=True))
    assert ledger.fits(asked) == fits
    assert ledger.may_fit(asked) or not fits


@given(
    limit=st.integers(1, 50),
    per_s=st.floats(1, 1000),
    calls=st.lists(st.tuples(st.floats(0, 300), st.integers(0, 20), st.integers(0, 20)), max_size=60),
)
def test_no_stretch_of_time_sees_more_spent_than_a_window_allows(
    limit: int, per_s: float, calls: list[tuple[float, int, int]]
) -> None:
    ledger, now, spent = Window(Limits(usd=limit), per_s), 0.0, list[tuple[float, int]]()
    for pause, worst, used in calls:
        now += pause
        ledger.advance(now)
        reservation = ledger.reserve(Amounts(usd=worst))
        if reservation is not None:
            reservation.settle(Amounts(usd=min(worst, used)))
            spent.append((now, min(worst, used)))
    for end, _ in spent:
        stretch = sum(usd for at, usd in spent if end - per_s < at <= end)
        note(f"{stretch} until {end}")
        assert stretch <= limit


@given(
    per_s=st.floats(1, 1000), spend=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 10)), min_size=1, max_size=30)
)
def test_a_window_forgets_and_not_much_later_than_it_says(per_s: float, spend: list[tuple[float, int]]) -> None:
    ledger, now = Window(Limits(usd=10_000), per_s), 0.0
    for pause, usd in spend:
        now += pause
        ledger.advance(now)
        ledger.move(NOTHING, Amounts(usd=usd))
    ledger.advance(now + per_s * (1 + 1 / 60) + 1e-6)
    assert ledger.spent == NOTHING


@given(
    limit=st.integers(1, 30),
    per_s=st.floats(1, 1000),
    spend=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 10)), max_size=20),
    held=st.integers(0, 10),
    above=limits,
    asked=amounts,
)
def test_a_window_says_from_when_on_something_fits(  # noqa: PLR0917
    limit: int, per_s: float, spend: list[tuple[float, int]], held: int, above: Limits, asked: Amounts
) -> None:
    """Against trying: it fits at that moment and not just before, if nobody gives anything back meanwhile."""

    def made() -> Ledger:
        window, now = Window(Limits(usd=limit), per_s), 0.0
        for pause, usd in spend:
            now += pause
            window.advance(now)
            window.move(NOTHING, Amounts(usd=usd))
        ledger = Ledger(above=[window, Ledger(above)])
        ledger.shift(Amounts(usd=held))
        return ledger

    at = made().fits_from(asked)
    last = sum(pause for pause, _ in spend)
    if math.isinf(at):
        later = made()
        assert later.fits(asked) == (at < 0)
        later.advance(last + 2 * per_s)
        assert later.fits(asked) == (at < 0)
        return
    before, after = made(), made()
    before.advance(math.nextafter(at, 0))
    after.advance(at)
    assert at <= last + per_s * 61 / 60 + 1e-9
    assert (before.fits(asked), after.fits(asked)) == (False, True)


def test_what_was_spent_before_anybody_told_the_time_is_never_forgotten() -> None:
    ledger = Window(Limits(usd=10), 60.0)
    ledger.move(NOTHING, Amounts(usd=3))
    ledger.advance(1e9)
    assert ledger.spent.usd == 3


def test_a_reservation_is_closed_once() -> None:
    ledger = Ledger(Limits(usd=10, model_calls=1))
    reservation = ledger.reserve(Amounts(6, model_calls=1))
    assert reservation is not None
    reservation.settle(Amounts(4, model_calls=1))
    reservation.settle(Amounts(4, model_calls=1))
    reservation.release()
    assert (ledger.spent, ledger.reserved) == (Amounts(4, model_calls=1), NOTHING)


def test_a_reservation_is_released_with_its_block_unless_it_was_settled() -> None:
    ledger = Ledger(Limits(usd=10, model_calls=1))
    reservation = ledger.reserve(Amounts(6, model_calls=1))
    assert reservation is not None
    assert ledger.reserve(Amounts(model_calls=1)) is None, "the one call is taken"
    with reservation:
        assert ledger.left == Limits(usd=4, model_calls=0)
    assert ledger.left == Limits(usd=10, model_calls=1)


def test_what_is_overspent_affords_nothing_free_or_not() -> None:
    ledger = Ledger(Limits(usd=10))
    reservation = ledger.reserve(Amounts(6))
    assert reservation is not None
    reservation.settle(Amounts(11))
    assert ledger.left == Limits(usd=0)
    assert ledger.reserve(NOTHING) is None


def test_who_waits_is_told_when_something_is_given_back() -> None:
    told: list[str] = []
    shared = Ledger(Limits(usd=10))
    shared.freed = lambda: told.append("freed")
    reservation = Ledger(UNLIMITED, above=[shared]).reserve(Amounts(6))
    assert reservation is not None
    assert told == []
    reservation.release()
    assert told == ["freed"]


def test_a_ledger_without_limits_grants_everything() -> None:
    assert Ledger().reserve(Amounts(10**18, 10**12, 10**6, 10**6)) is not None
