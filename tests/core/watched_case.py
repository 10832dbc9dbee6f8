"""A ledger case that is watched: each command that draws is compared with the naive waterfall as
it is run, and a witness and a replica read every entry, as its bytes, as soon as it is written."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

import msgspec
from core_world import CREDITS, USD
from ledger_case import LedgerCase
from waterfall_model import FOREVER, Bears, Model, ModelGrant, ModelHold, Slices
from witness import Witness

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.decide import Outcome
from ledger.core.digest import digest
from ledger.core.events import BookKind, Pot
from ledger.core.evolve import evolve
from ledger.core.outcomes import Reason, Refusal
from ledger.core.periods import month_of
from ledger.core.state import NEVER, Account, Grant, State

NAMED = (Pot.GRANT, Pot.OVERAGE, Pot.EXCESS_BILLED)  # pots of which there are several
TAGS = {"image": frozenset({"media"})}

Draws: TypeAlias = c.RecordUsage | c.ReportOutcome | c.AuthorizeHold | c.DebitWork | c.AdjustBalance

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[e.Event]).decode


class WatchedCase(LedgerCase):
    """Runs statements, and holds what comes of them against what is known apart from the core."""

    def __init__(self) -> None:
        super().__init__()
        self.witness = Witness()
        self.replica = State(0, Catalog())
        self.asked: list[tuple[c.Command, Outcome]] = []
        self._overage_before: Counter[tuple[int, int, int]] = Counter()
        self._read = (0, 0)  # batches, and entries of the last of them

    def execute(self, command: c.Command) -> tuple[Outcome, str]:
        model = self._model_for(command)
        self._overage_before = Counter(self.witness.overage)
        outcome, told = super().execute(command)
        self.asked.append((command, outcome))
        self.read()
        if model is not None and isinstance(command, Draws):
            self._compare(model, command, outcome)
        if isinstance(outcome, e.HoldAuthorized) and not isinstance(outcome, e.OutcomeReported):
            self._within_its_limits(outcome)
        return outcome, told

    def read(self) -> None:
        """Let the witness and the replica read what was written since."""
        batches = self.core.batches
        batch, done = self._read
        for batch_seq in range(max(batch, 1), len(batches) + 1):
            recorded_at, events = batches[batch_seq - 1]
            if batch_seq > batch:
                self.replica.begin_batch(batch_seq, recorded_at)
                done = 0
            for event in _decode(_encode(events[done:])):
                evolve(self.replica, event)
                self.witness.see(event, recorded_at)
            self._read = (batch_seq, len(events))

    def replays(self) -> bool:
        """Whether the entries as bytes give the same state (ARCHITECTURE, the pure core)."""
        return digest(self.replica) == digest(self.core.state)

    def owes(self, name: str) -> int:
        """Money that an account was billed and has not paid."""
        number = self.accounts.get(name, 0)
        return max(0, self.witness.owed(BookKind.RECEIVABLE, number, USD))

    # -- the naive waterfall -----------------------------------------------------------------------

    def _model_for(self, command: c.Command) -> Model | None:
        if not isinstance(command, Draws):
            return None
        account = self.core.state.accounts.get(command.account)
        if account is None or (isinstance(command, c.AdjustBalance) and command.grant):
            return None
        asset = _asset_of(account, command)
        if isinstance(command, c.RecordUsage | c.AuthorizeHold) and command.quote:
            quote = self.core.state.quotes.get(command.quote)
            if quote is not None and quote.plan.asset != asset:  # whether it prices it is not known
                return None
        return self.model_of(account, asset)

    def model_of(self, account: Account, asset: int) -> Model:
        """What may pay for an account: from its policies, terms, and sums of the entries."""
        policy, state, witness = account.policy, self.core.state, self.witness
        order = account
        while order.policy.comparator == e.Comparator.INHERITED and order.parent is not None:
            order = order.parent
        own = (account.number, asset)
        model = Model(
            state.recorded_at,
            self.overdraft_of(account, asset),
            policy.overage,
            policy.overage_cap,
            policy.excess,
            order.policy.comparator,
            (policy.holds_overdraft, policy.holds_overage),
            grace=policy.overdraft_grace,
            below_since=witness.below_since.get(own, 0),
            unpaid=witness.owed(BookKind.UNBILLED, *own) + witness.owed(BookKind.RECEIVABLE, *own),
            me=account.number,
            above=account.parent.number if account.parent is not None else account.number,
        )
        model.owing = [("", witness.owed(BookKind.ADVANCE, *own))]
        distance, owner = 0, account
        while True:
            for grant in owner.grants:
                if grant.seat is not None:  # usage of a statement names no seat
                    continue
                if grant.asset == asset and (owner is account or grant.shared):
                    model.grants.append(self._model_grant(grant, distance))
            if owner.parent is None:
                break
            distance, owner = distance + 1, owner.parent
        for hold in account.holds.values():
            if hold.asset == asset:
                held = [(_held_as(piece.pot), 0, piece.amount) for piece in hold.slices]
                model.holds.append(ModelHold("", held, hold.expires_at, hold.authorized_at))
        return model

    def overdraft_of(self, account: Account, asset: int) -> int:
        """A fixed limit, or a share of lifetime value up to it, rounded down (rules D4, H6)."""
        policy = account.policy
        if policy.overdraft_asset != asset:
            return 0
        if policy.overdraft_kind == e.OverdraftKind.FIXED:
            return policy.overdraft_limit
        lifetime = max(0, self.witness.lifetime[(account.number, asset)])
        return min(policy.overdraft_limit, lifetime * policy.overdraft_basis_points // 10_000)

    def _model_grant(self, grant: Grant, distance: int) -> ModelGrant:
        held = sum(
            piece.amount
            for hold in self.core.state.holds.values()
            for piece in hold.slices
            if piece.book == grant.book.number
        )
        return ModelGrant(
            grant.number,
            grant.amount,
            grant.price_paid,
            grant.kind == e.GrantKind.PROMOTIONAL,
            grant.priority,
            grant.effective_at,
            grant.expires_at if grant.expires_at != NEVER else FOREVER,
            grant.products,
            self.witness.grants[grant.number].left,
            held,
            distance=distance,
            postpaid=grant.kind == e.GrantKind.POSTPAID,
            rolled=grant.origin > 0,
            tags=grant.tags,
            attributes=grant.attributes,
        )

    def _compare(self, model: Model, command: Draws, outcome: Outcome) -> None:
        """The same slices, or a refusal by both (rules D1, D2, D4, H3, H6)."""
        now = self.core.state.recorded_at
        if isinstance(command, c.AdjustBalance):
            if model.grace_ended:
                model.overdraft = 0
            if isinstance(outcome, Refusal) and outcome.reason == Reason.INSUFFICIENT_CREDITS:
                found = self._find(model, command, "adjustment", -command.amount, now, now)
                assert found[1] > 0
            elif isinstance(outcome, e.BalanceAdjusted) and outcome.slices:
                found = self._find(model, command, "adjustment", -command.amount, now, now)
                assert found == (self.told(outcome.slices), 0)
            return
        product = command.shape.product
        if isinstance(outcome, e.UsageRecorded | e.OutcomeReported):
            amount = sum(piece.amount for piece in outcome.slices)
            at, period = outcome.effective_at, outcome.period
            found = self._find(model, command, product, amount, at, period)
            assert found == (self.told(outcome.slices), 0)
        elif isinstance(outcome, e.HoldAuthorized):
            amount = sum(piece.amount for piece in outcome.slices)
            assert amount == 0 or not model.grace_ended
            found = self._find(model, command, product, amount, now, now)
            assert found == (self.told(outcome.slices), 0)
        elif isinstance(outcome, e.AuthorizeDenied) and outcome.reason != Reason.UNPRICED:
            assert (outcome.reason == Reason.GRACE_ENDED) == model.grace_ended
            found = self._find(model, command, product, outcome.charge, now, now)
            assert model.grace_ended or found[1] > 0

    def _find(
        self, model: Model, command: Draws, product: str, amount: int, at: int, period: int
    ) -> tuple[Slices, int]:
        account = self.core.state.accounts[command.account]
        asset = _asset_of(account, command)
        posted = self._overage_before[(account.number, asset, month_of(period)[0])]
        model.overage_by_month = {month_of(at)[0]: posted}
        attributes: frozenset[tuple[str, str]] = frozenset()
        if not isinstance(command, c.AdjustBalance):
            attributes = frozenset(command.shape.attributes)
        bears: Bears = (TAGS.get(product, frozenset()), attributes)
        recorded = isinstance(command, c.RecordUsage | c.ReportOutcome)
        return model.find(product, amount, at, recorded, bears)

    def told(self, slices: tuple[e.Slice, ...]) -> Slices:
        """Slices as the model says them."""
        books = self.core.state.books.accounts
        return [
            (
                Pot(piece.pot),
                books[piece.book].owner if piece.pot in NAMED else 0,
                piece.amount,
            )
            for piece in slices
        ]

    def _within_its_limits(self, hold: e.HoldAuthorized) -> None:
        """What is owed, billed and held afterwards stays within what the policy gives (D4, H6)."""
        state = self.core.state
        account = state.accounts[hold.account]
        policy, witness = account.policy, self.witness
        assert not account.frozen and not account.closed_at
        pots = {piece.pot for piece in hold.slices}
        if not pots:
            return
        asset = state.holds[hold.hold].asset
        held = {
            pot: sum(
                piece.amount
                for each in account.holds.values()
                if each.asset == asset
                for piece in each.slices
                if piece.pot == pot
            )
            for pot in (Pot.OVERDRAFT, Pot.OVERAGE)
        }
        since = witness.below_since.get((account.number, asset))
        if policy.overdraft_grace >= 0 and since is not None:
            assert state.recorded_at < since + policy.overdraft_grace
        if Pot.OVERDRAFT in pots:
            owed = witness.owed(BookKind.ADVANCE, account.number, asset)
            assert policy.holds_overdraft
            assert owed + held[Pot.OVERDRAFT] <= self.overdraft_of(account, asset)
        if Pot.OVERAGE in pots:
            assert policy.holds_overage and policy.overage != e.Overage.OFF
            posted = witness.overage[(account.number, asset, hold.period)]
            assert policy.overage_cap < 0 or posted + held[Pot.OVERAGE] <= policy.overage_cap


def _held_as(pot: int) -> Pot:
    """What an outcome reserves beyond every limit is owed in advance like the rest (rule D4)."""
    return Pot.OVERDRAFT if pot == Pot.EXCESS_OWED else Pot(pot)


def _asset_of(account: Account, command: Draws) -> int:
    """What the command is paid in: the asset of the nearest rate card above (rule D8)."""
    if isinstance(command, c.AdjustBalance):
        return command.asset
    if isinstance(command, c.RepriceUsage):
        return USD if command.rate_card == "usd" else CREDITS
    priced: Account | None = account
    while priced is not None and not priced.policy.rate_card:
        priced = priced.parent
    return USD if priced is not None and priced.policy.rate_card == "usd" else CREDITS
