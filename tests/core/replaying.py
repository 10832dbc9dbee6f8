"""Replays of a core's journal under other prices, for tests of the simulation of prices."""

from __future__ import annotations

from fractions import Fraction
from itertools import zip_longest
from random import Random
from typing import Any

import msgspec
from core_machine import STEPS, WORLDS, CoreMachine
from core_world import CREDITS, ROWS, SUPPLIER, TENANT, USD, Core, card
from msgspec.structs import asdict, replace

from ledger.backtest.originals import Corrected
from ledger.backtest.replay import Replay
from ledger.backtest.terms import NO_TERMS, Terms
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.budgets.counted_before import counted_behind
from ledger.core.catalog import Asset, Catalog
from ledger.core.drawing.conversion import conversion_behind
from ledger.core.evolve import evolve_all
from ledger.core.outcomes import locator_of
from ledger.core.pricing.costs import cost_plan_of
from ledger.core.state import State
from rating.compile import CompiledCard
from rating.versions import CardVersion

_decode = msgspec.msgpack.Decoder(list[e.Event]).decode
ELSEWHERE = ("plan", "original", "original_entry", "reversal_entry", "entry", "debt", "cause")
"""Fields that name entries: a replay declares a plan no second time, so that later ones differ."""


class NoCards:
    """The catalog has its cards already."""

    def apply(self, tenant: int, version: int) -> None:
        """Nothing is published in these histories."""


class Watched(Replay):
    """A replay that keeps what it makes, a batch."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self.kept: list[e.Event] = []
        super().__init__(*arguments, **more)

    def _take(self) -> None:
        self.kept += self.made
        super()._take()


def catalog_at(factor: Fraction = Fraction(1)) -> Catalog:
    """The world's cards with every price times `factor`."""
    catalog = Catalog()
    catalog.add_asset(Asset(CREDITS, TENANT, "credits", 0, "credit"))
    catalog.add_asset(Asset(USD, TENANT, "USD", 0, "money"))
    rows = tuple(replace(row, price=str(Fraction(row.price) * factor)) for row in ROWS)
    for number, made in enumerate(
        (
            card("default", "credits", rows),
            card("usd", "USD", rows[:1]),
            card("resold", "credits", rows, "supplier"),
            card("supplier", "USD", SUPPLIER),
        ),
        start=3,
    ):
        compiled = CompiledCard(made, number)
        catalog.add_card(TENANT, made.name, CardVersion(number, 0, 0, compiled))
    return catalog


def replayed(
    core: Core,
    factor: Fraction = Fraction(1),
    *,
    catalog: Catalog | None = None,
    first: int = 0,
    plainly: bool = False,
    faithfully: bool = False,
    terms: Terms = NO_TERMS,
) -> Replay:
    """The journal after its `first` batches, decided again, at prices times `factor` or by another
    catalog, with `terms` beside them. `faithfully`: each batch must make the journal's own
    entries."""
    batches = [(recorded_at, _decode(payload)) for recorded_at, payload in core.journal()]
    corrected = Corrected()
    for _, events in batches[first:]:
        corrected.note([each.original for each in events if isinstance(each, e.UsageReversed)])
    state = State(0, catalog if catalog is not None else catalog_at(factor))
    originals: dict[int, c.Original] = {}
    before = 0
    for batch_seq, (recorded_at, events) in enumerate(batches[:first], start=1):
        state.begin_batch(batch_seq, recorded_at)
        evolve_all(state, events)
        for index in corrected.places.get(batch_seq, ()):
            locator, event = locator_of(batch_seq, index), events[index]
            assert isinstance(event, e.UsageRecorded)
            plan = events[event.plan]
            assert isinstance(plan, e.PlanDeclared)
            originals[locator] = c.Original(
                locator,
                before + index,
                event,
                plan,
                conversion_behind(events, index),
                cost_plan_of(events, index),
                counted=counted_behind(events, index),
            )
        before += len(events)
    began_us = batches[first][0] if first else None
    replay = Watched(
        state,
        NoCards(),
        originals,
        corrected.places,
        0,
        plainly,
        terms=terms,
        began_us=began_us,
    )
    for batch_seq, (recorded_at, events) in enumerate(batches[first:], start=first + 1):
        replay.kept = []
        replay.batch(batch_seq, recorded_at, events)
        if faithfully:
            for made, found in zip_longest(said(replay.kept), said(events)):
                assert made == found, batch_seq
    replay.state.books.check()
    return replay


def said(events: list[e.Event]) -> list[tuple[str, dict[str, Any]]]:
    """What entries say, but where other entries stand."""
    found = []
    for event in events:
        if not isinstance(event, e.PlanDeclared | e.WriterOpened):
            fields = {k: v for k, v in asdict(event).items() if k not in ELSEWHERE}
            if fields.get("cost") is not None:
                fields["cost"] = replace(fields["cost"], plan=0)
            # Of one event the same, in each form.
            if isinstance(event, e.BudgetsCounted) and event.hold == 0:
                found.append(("counts", {"moves": sorted(event.moves, key=repr)}))
                continue
            if isinstance(event, e.BudgetsTallied):
                found.append(("counts", {"moves": sorted(event.moves(), key=repr)}))
                continue
            if isinstance(event, e.UsageReversed | e.UsageRerated):
                fields["given_back"] = [replace(part, debt=0) for part in event.given_back]
            found.append((type(event).__name__, fields))
    return found


def counters(state: State) -> dict[int, tuple[Any, ...]]:
    """Every book, with its four counters."""
    return {
        book.number: (
            book.tenant, book.kind, book.asset, book.owner, book.name,
            book.debits_posted, book.credits_posted, book.debits_pending, book.credits_pending,
        )
        for book in state.books.accounts.values()
    }  # fmt: skip


def totals(state: State) -> dict[int, tuple[Any, ...]]:
    """What every account counts, and what it has open."""
    return {
        account.number: (
            account.totals,
            account.overage_posted,
            account.overage_pending,
            account.lifetime,
            account.suspended,
            account.closed_at,
            account.frozen_at,
            sorted(account.holds),
            [(each.number, each.state, each.amount) for each in account.top_ups.values()],
            [
                (g.number, g.drawn, g.recognised, g.settled, g.returned, g.unused, g.expires_at)
                for g in account.grants
            ],
        )
        for account in state.accounts.values()
    }


def walked(seed: int, length: int) -> Core:
    """A life in which everything is asked, in whatever order (test_machine)."""
    machine, drawn = CoreMachine(), Random(seed)
    machine.begin(WORLDS[seed % len(WORLDS)])
    names = sorted(STEPS)
    for _ in range(length):
        name = drawn.choice(names)
        arguments = {each: drawn.choice(domain) for each, domain in STEPS[name].items()}
        getattr(machine, name)(**arguments)
    machine.case.core.sweep(10_000)
    return machine.case.core
