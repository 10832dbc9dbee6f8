"""A recorded usage event as a message: lines, price rows, slices, transfers, place in the journal.

Charges, slices and rows are the recorded ones. What belongs to an immutable version of a rate card
(unit price, which quantities are parts of which) is read from that version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from ledger.api.edge import Edge
from ledger.api.gauge_levels import level_of
from ledger.api.ids import GRANT, HOLD, LEASE, OUTCOME, QUOTE, mint
from ledger.core.books import Book
from ledger.core.events import (
    OF_A_GRANT,
    OF_AN_ACCOUNT,
    BookKind,
    GaugeCharged,
    GaugeReported,
    OutcomeConfirmed,
    PlanDeclared,
    Pot,
    Slice,
    Suspense,
    SuspenseRated,
    UsageConverted,
    UsageLeased,
    UsageQuarantined,
    UsageQuoted,
    UsageRecorded,
)
from ledger.core.state import State
from ledger.engine.ticket import Replay
from ledger.v1 import types_pb2
from ledger.v1 import usage_pb2 as pb
from rating.compile import NO_ROW, Plan
from rating.overridden import plan_again
from rating.price import UNPRICED, RatingFault, own_quantities

Recorded: TypeAlias = UsageRecorded | UsageQuarantined | GaugeReported


class BookView(msgspec.Struct, frozen=True):
    """What a slice needs of a book account: who it belongs to, in numbers."""

    kind: int
    owner: int
    name: str
    price_asset: int
    holder: int  # of a book of a grant: the grant's account
    value_book: int  # what pays in money for what is drawn from it; 0 = nothing


class UsageView(msgspec.Struct, frozen=True):
    """What a usage event needs of the state, taken at one position."""

    books: dict[int, BookView]
    revenues: dict[int, int]  # the product's revenue books by money asset
    plan: Plan | None  # None: no version of a rate card applied
    corrected: int = 0  # units given back since
    corrected_quantities: tuple[int, ...] = ()
    quoted: Plan | None = None  # by whose rows a quote priced a part


def view_of(state: State, recorded: Replay, tenant: int) -> UsageView:
    """Read from one shard's state what rendering `recorded` needs."""
    event = recorded.event
    declared = recorded.plan
    assert declared is not None
    books: dict[int, BookView] = {}
    revenues: dict[int, int] = {}
    if isinstance(event, UsageRecorded):
        numbers = {piece.book for piece in event.slices} | ({event.used_book} - {0})
        conversion = recorded.conversion
        if conversion is not None:
            numbers |= {conversion.book, *[piece.book for piece in conversion.slices]}
        found = [state.books.accounts[number] for number in numbers]
        for book in found:
            books[book.number] = book_view(book)
            if book.value_book is not None:
                holder = books[book.number].holder
                books[book.value_book.number] = book_view(book.value_book, holder)
            for asset, revenue in (book.revenues or {}).items():
                revenues[asset] = revenue.number
                books[revenue.number] = book_view(revenue)
        cost = event.cost
        if cost is not None and cost.total:
            for number in (cost.cost_book, cost.payable_book):
                books[number] = book_view(state.books.accounts[number])
    plan = state.catalog.plan_of(tenant, declared)
    quoted: Plan | None = None
    if isinstance(event, UsageQuoted) and event.part is not None:
        part = event.part
        card = state.catalog.card((tenant, part.rate_card)).card(part.card_version)
        if card is not None:
            quoted = plan_again(card, declared.quantity_names, part.rows, part.overrides)
    account = state.accounts.get(event.account)
    corrected = (
        state.families[account.root].corrected.get(recorded.locator)
        if account is not None
        else None
    )
    if corrected is None:
        return UsageView(books, revenues, plan, quoted=quoted)
    given_back = tuple(corrected.quantities)
    return UsageView(books, revenues, plan, corrected.amount, given_back, quoted)


def book_view(book: Book, holder: int = 0) -> BookView:
    """The view of one book account; `holder` is the account of the grant that it belongs to."""
    price_asset = book.grant.price_asset if book.grant is not None and book.grant.price_paid else 0
    if book.grant is not None:
        holder = book.grant.account.number
    value_book = book.value_book.number if book.value_book is not None else 0
    return BookView(book.kind, book.owner, book.name, price_asset, holder, value_book)


async def render_rating(
    edge: Edge, view: UsageView, recorded: Replay, shard: int
) -> pb.UsageRating:
    """What rated quantities of a usage event that had waited for a price (rule B8)."""
    event, declared = recorded.event, recorded.plan
    assert isinstance(event, SuspenseRated) and declared is not None
    owners = {book.owner for book in view.books.values() if book.kind in OF_AN_ACCOUNT}
    names = await edge.names({event.account, *owners})
    entry = pb.UsageEntry()
    _render_recorded(edge, entry, view, event, declared, shard, names)
    rating = pb.UsageRating(
        recorded_at_us=recorded.recorded_at,
        lines=[entry.lines[place] for place in event.rated],
        charge=entry.charge,
        asset=entry.asset,
        scale=entry.scale,
        slices=entry.slices,
        transfers=entry.transfers,
        over_limit=entry.over_limit,
        rate_card=declared.rate_card,
        rate_card_version=declared.card_version,
        batch_seq=recorded.batch_seq,
        entry_seq=recorded.entry_seq,
        reversed=entry.reversed,
    )
    if recorded.conversion is not None:
        conversion = _render_conversion(edge, view, recorded.conversion, shard, names)
        rating.conversion.CopyFrom(conversion)
    return rating


async def render_entry(edge: Edge, view: UsageView, recorded: Replay, shard: int) -> pb.UsageEntry:
    """The whole entry but for source and id, which the caller named."""
    event, declared = recorded.event, recorded.plan
    assert isinstance(event, Recorded) and declared is not None
    first_event, private = await edge.private(shard, recorded.batch_seq)
    index = recorded.entry_seq - first_event
    owners = {book.owner for book in view.books.values() if book.kind in OF_AN_ACCOUNT}
    names = await edge.names({event.account, *owners})
    entry = pb.UsageEntry(
        account=names[event.account],
        effective_at_us=event.effective_at,
        recorded_at_us=recorded.recorded_at,
        product=declared.product,
        attributes=dict(declared.attributes),
        personal_attributes=private.personal.get(index, {}),
        rate_card=declared.rate_card if declared.card_version else "",
        rate_card_version=declared.card_version,
        shard=shard,
        batch_seq=recorded.batch_seq,
        entry_seq=recorded.entry_seq,
        trace_id=event.trace.hex(),
    )
    if index in private.indexes:
        place = private.indexes.index(index)
        entry.operation = private.operations[place]
        entry.operation_parent = private.operation_parents[place]
    if isinstance(event, UsageQuarantined):
        entry.outcome, entry.reason = pb.INGEST_OUTCOME_QUARANTINED, event.reason
        unrated = (UNPRICED,) * len(event.quantities)
        entry.lines.extend(render_lines(edge, declared, view.plan, event.quantities, unrated))
        return entry
    if isinstance(event, GaugeReported):
        entry.outcome = pb.INGEST_OUTCOME_APPLIED
        nothing = (0,) * len(event.quantities)
        entry.lines.extend(render_lines(edge, declared, view.plan, event.quantities, nothing))
        entry.gauge.CopyFrom(level_of(event, declared))
        return entry
    _render_recorded(edge, entry, view, event, declared, shard, names)
    if recorded.conversion is not None:
        entry.conversion.CopyFrom(_render_conversion(edge, view, recorded.conversion, shard, names))
    if event.cost is not None:
        _render_cost(edge, entry, view, recorded, event)
    return entry


def _render_recorded(
    edge: Edge,
    entry: pb.UsageEntry,
    view: UsageView,
    event: UsageRecorded,
    declared: PlanDeclared,
    shard: int,
    names: dict[int, str],
) -> None:
    suspense = Suspense(event.suspense).name if event.suspense else ""
    entry.outcome = pb.INGEST_OUTCOME_SUSPENSE if suspense else pb.INGEST_OUTCOME_APPLIED
    entry.reason = suspense
    entry.over_limit = event.over_limit > 0
    entry.charge = sum([piece.amount for piece in event.slices])
    entry.reversed = view.corrected
    entry.reversed_quantities.update(
        {
            name: quantity
            for name, quantity in zip(
                declared.quantity_names, view.corrected_quantities, strict=False
            )
            if quantity
        }
    )
    if isinstance(event, GaugeCharged):
        entry.gauge.CopyFrom(level_of(event, declared))
    if isinstance(event, OutcomeConfirmed):
        entry.outcome_id = mint(OUTCOME, shard, event.account, event.hold)
    elif isinstance(event, UsageLeased):
        entry.lease_id = mint(LEASE, shard, event.account, event.hold)
        entry.lease_over = event.over
    elif event.hold:
        entry.hold_id = mint(HOLD, shard, event.account, event.hold)
    entry.lines.extend(
        render_lines(
            edge,
            declared,
            view.plan,
            event.quantities,
            event.charges,
            reasons_of(event),
        )
    )
    for listed in event.listed:
        line = entry.lines[listed.place]
        line.commit_charge, line.list_charge = listed.commit, listed.listed
        line.committed = listed.paid
    if isinstance(event, UsageQuoted):
        _render_quoted(entry, view.quoted, event, shard)
    if not event.slices:
        return
    asset = edge.assets.of(declared.asset)
    entry.asset, entry.scale = asset.code, asset.scale
    entry.slices.extend(
        [
            render_slice(
                edge, piece, view.books[piece.book], declared.asset, shard, event.account, names
            )
            for piece in event.slices
        ]
    )
    entry.transfers.extend(
        _transfers(edge, view, event.slices, event.used_book, declared.asset, shard, names)
    )


def _render_conversion(
    edge: Edge, view: UsageView, event: UsageConverted, shard: int, names: dict[int, str]
) -> pb.ConvertedCharge:
    asset = edge.assets.of(event.target)
    return pb.ConvertedCharge(
        units=event.units,
        amount=event.amount,
        asset=asset.code,
        scale=asset.scale,
        rate=_ratio(event.numerator, event.denominator),
        rate_version=event.version,
        slices=[
            render_slice(
                edge, piece, view.books[piece.book], event.target, shard, event.account, names
            )
            for piece in event.slices
        ],
        transfers=_transfers(edge, view, event.slices, event.book, event.target, shard, names),
        over_limit=event.over_limit > 0,
    )


def _transfers(
    edge: Edge,
    view: UsageView,
    slices: Sequence[Slice],
    credited: int,
    charged: int,
    shard: int,
    names: dict[int, str],
) -> list[types_pb2.Transfer]:
    """What a draw posts: its units in the asset that is charged, then the money of its slices."""
    asset = edge.assets.of(charged)
    posted = [
        types_pb2.Transfer(
            debit_account=book_name(view.books[piece.book], shard, names),
            credit_account=book_name(view.books[credited], shard, names),
            amount=piece.amount,
            asset=asset.code,
            scale=asset.scale,
            phase=types_pb2.TRANSFER_PHASE_POSTED,
        )
        for piece in slices
    ]
    for piece in slices:
        book = view.books[piece.book]
        if piece.value and book.value_book:
            money = _money_of(book, piece.pot, charged, piece.value)
            value_asset = edge.assets.of(money)
            posted.append(
                types_pb2.Transfer(
                    debit_account=book_name(view.books[book.value_book], shard, names),
                    credit_account=book_name(view.books[view.revenues[money]], shard, names),
                    amount=piece.value,
                    asset=value_asset.code,
                    scale=value_asset.scale,
                    phase=types_pb2.TRANSFER_PHASE_POSTED,
                )
            )
    return posted


def _render_cost(
    edge: Edge,
    entry: pb.UsageEntry,
    view: UsageView,
    recorded: Replay,
    event: UsageRecorded,
) -> None:
    """What the provider takes, by line and by slice, its transfer, and what is left (rule B4)."""
    cost, declared = event.cost, recorded.cost_plan
    assert cost is not None and declared is not None
    asset = edge.assets.of(declared.asset)
    total = cost.total
    charged = recorded.plan.asset if recorded.plan is not None else 0
    value = sum(
        [
            piece.value
            for piece in event.slices
            if _money_of(view.books[piece.book], piece.pot, charged, piece.value) == declared.asset
        ]
    )
    entry.cost.CopyFrom(
        types_pb2.ProviderCost(
            cost=total,
            asset=asset.code,
            scale=asset.scale,
            unknown=[
                name
                for name, line in zip(declared.quantity_names, cost.lines, strict=True)
                if line == UNPRICED
            ],
            cost_card=declared.rate_card,
            cost_card_version=declared.card_version,
            value=value,
            margin=value - total,
        )
    )
    for shown, line in zip(entry.lines, cost.lines, strict=True):
        if line != UNPRICED:
            shown.cost = line
    for piece in entry.slices:
        piece.cost_asset, piece.cost_scale = asset.code, asset.scale
    if total:
        entry.transfers.add(
            debit_account=book_name(view.books[cost.cost_book], entry.shard, {}),
            credit_account=book_name(view.books[cost.payable_book], entry.shard, {}),
            amount=total,
            asset=asset.code,
            scale=asset.scale,
            phase=types_pb2.TRANSFER_PHASE_POSTED,
        )


def _render_quoted(entry: pb.UsageEntry, plan: Plan | None, event: UsageQuoted, shard: int) -> None:
    """The quote that it names, and what of each line that priced (rule H9)."""
    entry.quote_id = mint(QUOTE, shard, event.account, event.quote)
    part = event.part
    if part is None:
        entry.quote_reason = event.unused.name
        return
    for place, line in enumerate(entry.lines):
        if part.quantities[place]:
            line.quoted_quantity = part.quantities[place]
            line.quoted_charge = part.charges[place]
            line.quoted_price_row = max(part.rows[place], NO_ROW)
            line.quoted_unit_price = unit_price(plan, place)


def render_slice(
    edge: Edge,
    piece: Slice,
    book: BookView,
    charged: int,
    shard: int,
    account: int,
    names: dict[int, str],
) -> types_pb2.Slice:
    """One slice of a draw in the asset that is `charged`; `account` = of the grant, or who drew."""
    asset = edge.assets.of(charged)
    value_asset = edge.assets.of(_money_of(book, piece.pot, charged, piece.value))
    return types_pb2.Slice(
        pot=types_pb2.Pot.ValueType(piece.pot),
        grant_id=mint(GRANT, shard, book.holder, book.owner) if piece.pot == Pot.GRANT else "",
        payer=names[book.owner] if _paid_by_another(book, account) else "",
        amount=piece.amount,
        asset=asset.code,
        scale=asset.scale,
        value=piece.value,
        value_asset=value_asset.code,
        value_scale=value_asset.scale,
        cost=piece.cost,
    )


def render_lines(
    edge: Edge,
    declared: PlanDeclared,
    plan: Plan | None,
    quantities: tuple[int, ...],
    charges: tuple[int, ...],
    reasons: Sequence[str] = (),
) -> list[types_pb2.Line]:
    """One line a quantity, ascending by name."""
    asset = edge.assets.of(declared.asset)
    own = _priced_quantities(plan, quantities)
    return [
        types_pb2.Line(
            quantity_name=name,
            quantity=quantities[place],
            priced_quantity=own[place],
            price_row=max(declared.rows[place], NO_ROW),
            price_override=override_at(declared, place),
            unit_price=unit_price(plan, place),
            charge=max(charges[place], 0),
            asset=asset.code,
            scale=asset.scale,
            unrated_reason=reasons[place] if reasons else "",
        )
        for place, name in enumerate(declared.quantity_names)
    ]


def reasons_of(event: UsageRecorded) -> tuple[str, ...]:
    """Why each quantity waits for its price, "" where it does not; () where none does (B8)."""
    if not event.suspense:
        return ()
    of_all = event.reasons or (event.suspense,) * len(event.charges)
    return tuple(
        [
            Suspense(reason).name if charge == UNPRICED else ""
            for charge, reason in zip(event.charges, of_all, strict=True)
        ]
    )


def override_at(declared: PlanDeclared, place: int) -> int:
    """The number of the override that prices a quantity; 0 = none does."""
    numbered = declared.overrides[place] if declared.overrides else None
    return numbered.number if numbered is not None else 0


def _priced_quantities(plan: Plan | None, quantities: tuple[int, ...]) -> Sequence[int]:
    """What is left of each quantity without its parts.

    What was quarantined was never rated, so that its quantities may contradict each other: then
    they are shown as they came.
    """
    if plan is None:
        return quantities
    try:
        return own_quantities(plan, quantities)
    except RatingFault:
        return quantities


def unit_price(plan: Plan | None, place: int) -> str:
    """An integer or "p/q" in lowest terms; "" where no row matched, or one that has no such price
    but a model."""
    if plan is None or plan.rows[place] == NO_ROW:
        return ""
    if plan.modeled and plan.functions[place] is not None:
        return ""
    return _ratio(plan.numerators[place], plan.denominators[place])


def _ratio(numerator: int, denominator: int) -> str:
    return str(numerator) if denominator == 1 else f"{numerator}/{denominator}"


def book_name(book: BookView, shard: int, names: dict[int, str]) -> str:
    """The name of a book account as rule B2 writes it."""
    kind = BookKind(book.kind)
    name = kind.name.lower()
    if kind in OF_A_GRANT:
        return f"{name}/{mint(GRANT, shard, book.holder, book.owner)}"
    if kind in OF_AN_ACCOUNT:
        return f"{name}/{names[book.owner]}"
    return f"{name}/{book.name}" if book.name else name


def _money_of(book: BookView, pot: int, charged: int, value: int) -> int:
    """The money that a slice's value is in: the grant's, else the charged asset (rule B4)."""
    if pot == Pot.GRANT:
        return book.price_asset
    return charged if value else 0


def _paid_by_another(book: BookView, account: int) -> bool:
    return book.kind == BookKind.OVERAGE and book.owner != account
