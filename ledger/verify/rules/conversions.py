"""Conversions: what a charge says is converted, at its rate, from books that may pay (R5)."""

from __future__ import annotations

from ledger.core.events import (
    BookKind,
    ConversionReversed,
    Event,
    Pot,
    UsageConverted,
    UsageRecorded,
)
from ledger.core.state import State
from ledger.verify.rules.corrections import look_at_given_back
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.usage import look_at_slices, over_limit_of
from rating.rounding import ROUND_HALF_EVEN, rounded


def converted_units(event: Event) -> int:
    """Units of a usage event's charge that another asset pays."""
    if not isinstance(event, UsageRecorded):
        return 0
    return sum([piece.amount for piece in event.slices if piece.pot == Pot.CONVERTED])


def goes_on_converting(judge: Judge, state: State, event: Event) -> None:
    """Right behind usage that is partly converted stands what paid it."""
    usage = judge.converting
    assert usage is not None
    judge.converting = None
    if not isinstance(event, UsageConverted):
        judge.wrong(state, "entry behind converted usage", "UsageConverted", type(event).__name__)
        return
    declared = state.declared[usage.plan]
    said = (event.account, event.entry, event.source, event.product, event.units)
    wanted = (
        usage.account, state.batch_length - 1, declared.asset, declared.product,
        converted_units(usage),
    )  # fmt: skip
    judge.equal(state, "usage that is converted", wanted, said)
    judge.equal(state, "period", usage.period, event.period)
    judge.equal(state, "effective time", usage.effective_at, event.effective_at)


def usage_converted(judge: Judge, state: State, event: UsageConverted) -> None:
    if event.source == event.target or event.numerator <= 0 or event.denominator <= 0:
        judge.wrong(state, "conversion", "to another asset at a rate above 0", event.target)
        return
    worth = rounded(event.units * event.numerator, event.denominator, ROUND_HALF_EVEN)
    judge.equal(state, "amount converted", worth, event.amount)
    judge.equal(state, "sum of slices", event.amount, sum([p.amount for p in event.slices]))
    judge.equal(state, "over_limit", over_limit_of(event.slices), event.over_limit)
    book = state.books.accounts[event.book]
    of_product = (BookKind.CONVERSION, event.target, event.product)
    judge.equal(state, f"book {event.book}", of_product, (book.kind, book.asset, book.name))
    look_at_slices(judge, state, state.accounts[event.account], event.slices, event.target)


def conversion_reversed(judge: Judge, state: State, event: ConversionReversed) -> None:
    if not event.original < state.locator or not 0 <= event.entry < state.batch_length:
        judge.wrong(state, "what is reversed", "an earlier entry", event.original)
    if event.units <= 0 or event.kept < 0:
        judge.wrong(state, "units given back", "1 or more", event.units)
    account = state.accounts[event.account]
    look_at_given_back(judge, state, account, event.target, event.given_back)
