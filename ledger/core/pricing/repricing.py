"""Deciding re-rates by a job: usage that was charged costs what another version says (rule R7).

The job gives usage back, the last first, as any reversal does, and records it again in the order in
which it was recorded. So totals that run on fall to where they stood before it and rise again by
the new price: charges of a scope add up to what the price would have charged from the start. What
is to come of it is worked out here beforehand by the same functions, for a dry run and so that
nothing is given back that could not be recorded again. Reads state, changes nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.core.admission import (
    recorded_before,
    unknown_account,
)
from ledger.core.commands import NO_NAMES, Names, Original, RepriceUsage, ReverseUsage
from ledger.core.events import (
    Event,
    UsageRecorded,
)
from ledger.core.identity import FamilyDigest
from ledger.core.metering.given_back import WholeRefund, whole_refund
from ledger.core.metering.usage import decide_replacement
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.costs import costs_for
from ledger.core.pricing.pricing import Place, price
from ledger.core.pricing.repriced import unpriced
from ledger.core.pricing.scopes import scope_starts
from ledger.core.pricing.touched import UNCORRECTED, LeftAlone, Touched
from ledger.core.shapes import Shape
from ledger.core.state import State
from rating.functions import SCOPE_MONTH
from rating.model_lines import Facts
from rating.price import UNPRICED, RatingFault, rate, rerate

REPRICED_A_DECISION_MAX: Final = 128  # usage events; x 2 entries at ~60 us = 15 ms of a writer


def decide_reprice(
    state: State, command: RepriceUsage, out: list[Event]
) -> Event | Known | Refusal:
    """Record usage again that the job has given back, by the version that it names."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    if command.account not in state.accounts:
        return unknown_account(command.account)
    if state.keys.find(command.taken) is None:
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            str(command.original_entry),
            "the job has not given this usage back, so it does not record it again",
        )
    began = len(out)
    recorded = decide_replacement(state, command, out)
    if isinstance(recorded, UsageRecorded) and recorded.suspense:
        del out[began:]
        return unpriced(command)
    return recorded


class Job(NamedTuple):
    """Who rates again, and by what."""

    name: str
    rate_card: str
    card_version: int

    @property
    def source(self) -> str:
        """The source of the usage that it records; the ids are numbers of the entries before."""
        return f"rerate/{self.name}"

    def keys_of(self, family: FamilyDigest, entry_seq: int) -> tuple[bytes, bytes]:
        """Identities of the reversal of an entry and of what is recorded in its stead: the same
        however often the job is begun."""
        taken = family.request(f"{self.source}/{entry_seq}")
        return taken, family.usage(self.source, str(entry_seq))

    def commands_of(
        self,
        family: FamilyDigest,
        original: Original,
        shape: Shape,
        quantities: tuple[int, ...],
        names: Names = NO_NAMES,
        reversal_entry: int = 0,
        trace: bytes = b"",
    ) -> tuple[ReverseUsage, RepriceUsage]:
        """What gives usage back, and what records those quantities of it again. `names` are those
        of the usage before."""
        recorded = original.event
        assert isinstance(recorded, UsageRecorded)
        taken, key = self.keys_of(family, original.entry_seq)
        by = (("card", self.rate_card), ("job", self.name), ("version", str(self.card_version)))
        take = ReverseUsage(
            taken,
            recorded.account,
            original,
            names=Names("", f"{self.source}/{original.entry_seq}"),
            trace=trace,
            replaced_by=key,
            replacement=family.pairs(by),
        )
        put = RepriceUsage(
            key,
            recorded.account,
            shape,
            quantities,
            recorded.effective_at,
            Names(
                self.source,
                str(original.entry_seq),
                names.operation,
                names.operation_parent,
                names.personal,
            ),
            recorded.operation,
            recorded.personal,
            trace,
            rate_card=self.rate_card,
            card_version=self.card_version,
            job=self.name,
            original=original.locator,
            original_entry=original.entry_seq,
            taken=taken,
            reversal_entry=reversal_entry,
            metered=original.metered,
        )
        return take, put


# -- what comes of it ------------------------------------------------------------------------------


class Trial:
    """What rating usage of an account again comes to, worked out step by step in the order of the
    job: `take` of each, the last first, then `put` of each, the first first. Usage of closed
    periods is only `put`."""

    __slots__ = ("moved", "totals")

    def __init__(self) -> None:
        self.moved: dict[Place, int] = {}  # what the steps before have moved totals by
        self.totals: dict[Place, int] = {}  # of closed periods, by the new price

    def take(self, state: State, touched: Touched) -> WholeRefund | str:
        """Give it back; or the reason why that is not possible."""
        refund = whole_refund(state, touched.account, touched.original, self.moved)
        if isinstance(refund, RatingFault):
            return refund.reason
        for place, by in refund.moves.items():
            self.moved[place] = self.moved.get(place, 0) - by
        return refund

    def put(self, state: State, touched: Touched, quantities: tuple[int, ...]) -> int | str:
        """What it costs now, with what earlier usage costs more or less by it."""
        account, bound, at = touched.account, touched.bound, touched.at
        costs = costs_for(state, account, bound, touched.shape, quantities, at)
        if isinstance(costs, Refusal):
            return costs.reason.value
        priced = price(state, account, bound, quantities, at, self.moved, costs)
        if isinstance(priced, Refusal):
            return priced.reason.value
        for key, by in priced.advances:
            self._move((key, SCOPE_MONTH, priced.period), by)
        for each in priced.scoped:
            self._move((each.key, each.scope, each.start), each.quantity)
        return priced.total + sum([amount for _, amount in priced.rerates])

    def put_closed(self, state: State, touched: Touched) -> tuple[int, int] | str:
        """Usage of a closed period: what it was charged as far as it was not given back, and what
        the price would have charged then, over totals from where they stood as it was first met."""
        recorded, declared = touched.original.event, touched.original.plan
        assert isinstance(recorded, UsageRecorded) and declared is not None
        account, bound, plan = touched.account, touched.bound, touched.bound.plan
        family = state.families[account.root]
        before = family.corrected.get(touched.original.locator, UNCORRECTED)
        left = recorded.quantities
        charged = sum([charge for charge in recorded.charges if charge > 0])
        if before.quantities:
            left = tuple([a - b for a, b in zip(left, before.quantities, strict=True)])
            charged -= sum(before.refunds)
        starts = scope_starts(account, plan, touched.period, touched.at)
        stood = _stood(recorded)
        totals: dict[int, int] = {}
        for key, start in starts.items():
            place = (key, *start)
            totals[key] = self.totals.get(place, stood.get(place, 0))
        costs = costs_for(state, account, bound, touched.shape, left, touched.at)
        if isinstance(costs, Refusal):
            return costs.reason.value
        facts = Facts(bound.facts.attributes, costs) if plan.costed else bound.facts
        try:
            charges, total, advances, _ = rate(plan, left, totals, facts)
        except RatingFault as fault:
            return fault.reason
        if UNPRICED in charges:
            return LeftAlone.UNPRICED.value
        total += sum([amount for _, amount in rerate(plan, left, totals)])
        for key, by in advances:
            self.totals[(key, *starts[key])] = totals.get(key, 0) + by
        return charged, total

    def _move(self, place: Place, by: int) -> None:
        self.moved[place] = self.moved.get(place, 0) + by


def _stood(recorded: UsageRecorded) -> dict[Place, int]:
    """Where the totals stood that an entry moved, as far as it says so."""
    places: list[Place] = [(key, SCOPE_MONTH, recorded.period) for key, _ in recorded.advances]
    places += [(each.key, each.scope, each.start) for each in recorded.scoped]
    if len(recorded.totals_before) != len(places):
        return {}
    return dict(zip(places, recorded.totals_before, strict=True))
