"""The account of one recorded usage event: rated once more from what is recorded, never anew.

The plan is that of the recorded rows, the totals are those that the event says it went on from; so
the figures are the recorded ones, or, where an older event does not say, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from ledger.api.assets import Assets
from ledger.api.rendering.render_usage import UsageView, view_of
from ledger.core.events import (
    Comparator,
    GaugeReported,
    PlanDeclared,
    QuotedPart,
    Suspense,
    UsageQuarantined,
    UsageQuoted,
    UsageRecorded,
)
from ledger.core.state import State
from ledger.engine.ticket import Replay
from ledger.v1 import explain_pb2 as pb
from ledger.v1 import types_pb2, usage_pb2
from rating.compile import CompiledCard, row_number
from rating.exact import reduced
from rating.explain import ExplainedLine, Explanation, Ratio, explain
from rating.model_lines import Facts
from rating.price import UNPRICED, RatingFault, own_quantities, rate_own
from rating.wording import decimal, in_words

_NOTHING: Ratio = (0, 1)


class Account(msgspec.Struct, frozen=True):
    """What explaining an event needs of the state, taken at one position."""

    view: UsageView
    event: UsageRecorded | UsageQuarantined | GaugeReported
    declared: PlanDeclared
    explanation: Explanation | None  # None: no rate card priced it, or its totals are not known
    comparator: str
    asset_scale: int
    totals_unknown: bool = False


def account_of(state: State, recorded: Replay, tenant: int, assets: Assets) -> Account:
    """Read from one shard's state what the account of a recorded event needs."""
    event, declared = recorded.event, recorded.plan
    assert (
        isinstance(event, UsageRecorded | UsageQuarantined | GaugeReported) and declared is not None
    )
    view = view_of(state, recorded, tenant)
    account = state.accounts.get(event.account)
    comparator = Comparator(account.comparator).name if account is not None else ""
    card = state.catalog.card((tenant, declared.rate_card)).card(declared.card_version)
    scale = assets.of(declared.asset).scale
    if card is None or view.plan is None or isinstance(event, UsageQuarantined | GaugeReported):
        return Account(view, event, declared, None, comparator, scale)
    totals = _totals(event)
    known = totals is not None
    explained: Explanation | None
    if isinstance(event, UsageQuoted) and event.part is not None:
        part = event.part
        by = state.catalog.card((tenant, part.rate_card)).card(part.card_version)
        assert by is not None, part
        explained = _explained_apart(card, by, view, event, part, declared, totals or {})
    else:
        explained = _explained(card, view, event, declared, totals or {}, known=known)
    unknown = totals is None or explained is None
    return Account(view, event, declared, explained, comparator, scale, unknown)


def _totals(event: UsageRecorded) -> dict[int, int] | None:
    """The totals that the event went on from, by the keys of its plan; None = it does not say."""
    keys = [key for key, _ in event.advances] + [each.key for each in event.scoped]
    if len(event.totals_before) != len(keys):
        return None
    return dict(zip(keys, event.totals_before, strict=True))


def _explained(
    card: CompiledCard,
    view: UsageView,
    event: UsageRecorded,
    declared: PlanDeclared,
    totals: dict[int, int],
    *,
    known: bool,
) -> Explanation | None:
    attributes = dict(declared.attributes)
    assert view.plan is not None
    try:
        found = explain(
            card,
            view.plan,
            declared.product,
            attributes,
            event.quantities,
            totals,
            Facts(attributes, event.cost.lines if event.cost is not None else ()),
            card.time_class(event.effective_at),
        )
    except RatingFault:
        return None
    lines = [
        replace(line, charge=None if charge == UNPRICED else charge)
        for line, charge in zip(found.lines, event.charges, strict=True)
    ]
    if not known:  # what rests on the totals is left out
        blank = {"before": 0, "exact_before": _NOTHING, "exact_after": _NOTHING, "rerate": 0}
        lines = [replace(line, **blank) for line in lines]
    total = sum([max(charge, 0) for charge in event.charges])
    return replace(found, lines=tuple(lines), total=total)


def _explained_apart(
    card: CompiledCard,
    by: CompiledCard,
    view: UsageView,
    event: UsageQuoted,
    part: QuotedPart,
    declared: PlanDeclared,
    totals: dict[int, int],
) -> Explanation:
    """What a quote priced goes on from where totals stood then; what is beyond it, from those
    before the event and after what the quote priced (rule H9)."""
    assert view.plan is not None and view.quoted is not None
    attributes = dict(declared.attributes)
    about = (declared.product, attributes, event.quantities)
    stood = dict(part.positions)
    quoted = explain(by, view.quoted, *about, stood, part=part.quantities)
    _, _, moves, _ = rate_own(view.quoted, part.quantities, stood)
    for row, quantity in moves:
        totals[row] = totals.get(row, 0) + quantity
    own = own_quantities(view.plan, event.quantities)
    rest = [whole - less for whole, less in zip(own, part.quantities, strict=True)]
    found = explain(
        card, view.plan, *about, totals, time_class=card.time_class(event.effective_at), part=rest
    )
    lines = tuple(
        [
            replace(line, charge=None if charge == UNPRICED else charge - less)
            for line, charge, less in zip(found.lines, event.charges, part.charges, strict=True)
        ]
    )
    total = sum([line.charge for line in lines if line.charge is not None])
    return replace(found, lines=lines, total=total, quoted=quoted)


def render_account(account: Account, entry: usage_pb2.UsageEntry) -> pb.Explanation:
    """The account as a message, and in words."""
    found = account.explanation
    reasons = _reasons(account)
    quoted: pb.QuotedExplanation | None = None
    if found is None:
        lines = [
            pb.ExplainedLine(
                quantity_name=line.quantity_name,
                quantity=line.quantity,
                priced_quantity=line.priced_quantity,
                price_row=line.price_row,
                charge=line.charge,
                unrated_reason=line.unrated_reason,
            )
            for line in entry.lines
        ]
        words = [_head(entry)]
    else:
        rows = account.declared.rows
        lines = [
            _line(line, found, row, reason, known=not account.totals_unknown)
            for line, row, reason in zip(found.lines, rows, reasons, strict=True)
        ]
        words = in_words(found).splitlines()
        quoted = _quoted(account, found)
    return pb.Explanation(
        entry=entry,
        rounding=found.rounding if found is not None else "",
        lines=lines,
        comparator=account.comparator,
        totals_unknown=account.totals_unknown,
        quoted=quoted,
        words=[*words, *_waiting(account, reasons, _ratings(entry)), *_paid(entry)],
    )


def _reasons(account: Account) -> tuple[str, ...]:
    """Why each quantity has no price; empty where it has."""
    event = account.event
    if isinstance(event, UsageQuarantined):
        return (event.reason,) * len(event.quantities)
    if isinstance(event, GaugeReported):
        return ("GAUGE_REPORTED",) * len(event.quantities)
    said = event.reasons or (event.suspense,) * len(event.charges)
    return tuple(
        [
            Suspense(reason).name if charge == UNPRICED else ""
            for charge, reason in zip(event.charges, said, strict=True)
        ]
    )


def _quoted(account: Account, found: Explanation) -> pb.QuotedExplanation | None:
    """What a quote priced of it."""
    event, quoted = account.event, found.quoted
    if quoted is None:
        return None
    assert isinstance(event, UsageQuoted) and event.part is not None
    return pb.QuotedExplanation(
        rate_card=quoted.card,
        rate_card_version=quoted.version,
        rounding=quoted.rounding,
        lines=[
            _line(line, quoted, row, "", known=True)
            for line, row in zip(quoted.lines, event.part.rows, strict=True)
        ],
    )


def _line(
    line: ExplainedLine, found: Explanation, row: int, reason: str, *, known: bool
) -> pb.ExplainedLine:
    if line.ordinal is None and not line.override:
        return pb.ExplainedLine(
            quantity_name=line.quantity,
            quantity=line.given,
            priced_quantity=line.own,
            price_row=-1,
            unrated_reason=reason,
        )
    return pb.ExplainedLine(
        quantity_name=line.quantity,
        quantity=line.given,
        priced_quantity=line.own,
        price_row=max(row, -1),
        price_override=line.override,
        conditions=line.conditions,
        beaten=[
            pb.BeatenRow(price_row=row_number(found.version, each.ordinal), by=each.by)
            for each in line.beaten
        ],
        model=line.model,
        scope=line.scope,
        total_before=str(line.before) if known else "",
        measured=str(line.measured),
        of_cost=line.of_cost,
        included=str(line.free),
        tiers=[
            pb.ExplainedTier(
                tier=each.tier,
                lower=str(each.lower) if known else "",
                upper=str(each.upper) if known else "",
                unit_price=_ratio(each.unit_price),
                flat=_ratio(each.flat),
                amount=_ratio(each.amount),
            )
            for each in line.slices
        ],
        fixed=line.fixed,
        exact_before=_ratio(line.exact_before) if known else "",
        exact_after=_ratio(line.exact_after) if known else "",
        limited_by=line.limited_by,
        charge=max(line.charge or 0, 0),
        rerate=line.rerate,
        unrated_reason=reason,
    )


def _ratio(ratio: Ratio) -> str:
    numerator, denominator = reduced(*ratio)
    return str(numerator) if denominator == 1 else f"{numerator}/{denominator}"


# -- in words --------------------------------------------------------------------------------------


def _head(entry: usage_pb2.UsageEntry) -> str:
    charge = _amount(entry.charge, entry.scale, entry.asset) if entry.asset else "nothing"
    return f"{entry.product}: {charge}"


def _waiting(account: Account, reasons: Sequence[str], rated: Mapping[str, str]) -> list[str]:
    """What had no price when it was recorded, and whether it has been rated since (rule B8)."""
    names = account.declared.quantity_names
    said = []
    for name, reason in zip(names, reasons, strict=True):
        if name in rated:
            said.append(f"  {name} waited: {reason}; {rated[name]}")
        elif reason:
            said.append(f"  {name} waits: {reason}")
    return said


def _ratings(entry: usage_pb2.UsageEntry) -> dict[str, str]:
    """What became of quantities that had waited for a price, by name."""
    said = {}
    for rating in entry.ratings:
        by = f"by {rating.rate_card} version {rating.rate_card_version}"
        for line in rating.lines:
            charge = _amount(line.charge, rating.scale, rating.asset) if line.charge else "nothing"
            said[line.quantity_name] = f"rated since, {charge} {by}"
    return said


def _paid(entry: usage_pb2.UsageEntry) -> list[str]:
    """Who paid, in the order drawn: for the event, then for what was rated since."""
    said = _drawn(entry)
    for rating in entry.ratings:
        said += _drawn(rating)
    if entry.reversed:
        said.append(f"  {_amount(entry.reversed, entry.scale, entry.asset)} was given back since")
    return said


def _drawn(entry: usage_pb2.UsageEntry | usage_pb2.UsageRating) -> list[str]:
    said = [f"  {_pot(each)} paid {_slice(each)}" for each in entry.slices]
    if entry.HasField("conversion"):
        found = entry.conversion
        worth = _amount(found.amount, found.scale, found.asset)
        units = _amount(found.units, entry.scale, entry.asset)
        said.append(f"  {units} was converted to {worth}, at version {found.rate_version}")
        said += [f"    {_pot(each)} paid {_slice(each)}" for each in found.slices]
    return said


def _pot(piece: types_pb2.Slice) -> str:
    if piece.grant_id:
        return f"grant {piece.grant_id}"
    name = types_pb2.Pot.Name(piece.pot).removeprefix("POT_").lower().replace("_", " ")
    return f"{name} of {piece.payer}" if piece.payer else name


def _slice(piece: types_pb2.Slice) -> str:
    paid = _amount(piece.amount, piece.scale, piece.asset)
    if not piece.value:
        return paid
    return f"{paid}, worth {_amount(piece.value, piece.value_scale, piece.value_asset)}"


def _amount(amount: int, scale: int, asset: str) -> str:
    return f"{decimal((amount, 10**scale))} {asset}"
