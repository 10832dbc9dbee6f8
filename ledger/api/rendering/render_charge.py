"""Fixed charges as messages, from the state at one position; terms as the core takes them."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import CHARGE, mint
from ledger.core.events import (
    ChargeBilling,
    ChargeDiscount,
    ChargePayer,
    ChargeTerms,
    PeriodUnit,
    Proration,
    RampStep,
)
from ledger.core.state import NEVER, FixedCharge, State
from ledger.projections.fees import FeeRow
from ledger.v1 import charge_pb2 as pb
from ledger.v1 import recurring_pb2

UNITS: Final = {int(unit): unit for unit in PeriodUnit}
BILLINGS: Final = {0: ChargeBilling.ADVANCE, **{int(each): each for each in ChargeBilling}}
PAYERS: Final = {0: ChargePayer.OVERAGE, **{int(each): each for each in ChargePayer}}
_PRORATIONS: Final = {
    (False, False): Proration.BOTH,
    (False, True): Proration.FIRST,
    (True, False): Proration.LAST,
    (True, True): Proration.NONE,
}
_WHOLE: Final = {proration: whole for whole, proration in _PRORATIONS.items()}


class ChargeView(NamedTuple):
    """What a charge's message needs of the state, taken at one position."""

    number: int
    account: int
    name: str
    terms: ChargeTerms
    next_terms: ChargeTerms | None
    quantity: int
    next_quantity: int
    version: int
    over: bool
    starts_at_us: int
    ends_at_us: int  # NEVER = it goes on
    next_at_us: int
    period: int
    period_start_us: int
    period_end_us: int
    charged: int
    unearned: tuple[tuple[int, int], ...]
    created_at_us: int


def charge_view(charge: FixedCharge, now_us: int) -> ChargeView:
    """The view of a charge at that instant."""
    return ChargeView(
        charge.number,
        charge.account.number,
        charge.name,
        charge.terms,
        charge.next_terms,
        charge.quantity,
        charge.next_quantity if charge.next_quantity >= 0 else charge.quantity,
        charge.version,
        charge.ends_at <= now_us,
        charge.starts_at,
        charge.ends_at,
        charge.next_at if charge.next_at < charge.ends_at else NEVER,
        charge.begun,
        charge.period_start,
        charge.period_end,
        charge.charged,
        charge.unearned,
        charge.created_at,
    )


def find_view(state: State, account: int, number: int, clock_us: int) -> ChargeView | None:
    """The view of an account's charge; None where it has none of that number."""
    charge = state.charges.get(number)
    if charge is None or charge.account.number != account:
        return None
    return charge_view(charge, clock_us)


def render_charge(assets: Assets, view: ChargeView, shard: int, account: str) -> pb.FixedCharge:
    """One charge."""
    return pb.FixedCharge(
        charge_id=mint(CHARGE, shard, view.account, view.number),
        account=account,
        name=view.name,
        terms=render_terms(assets, view.terms),
        next_terms=render_terms(assets, view.next_terms) if view.next_terms is not None else None,
        quantity=view.quantity,
        next_quantity=view.next_quantity,
        version=view.version,
        state=pb.CHARGE_STATE_ENDED if view.over else pb.CHARGE_STATE_ACTIVE,
        starts_at_us=view.starts_at_us,
        ends_at_us=_or_zero(view.ends_at_us),
        next_at_us=_or_zero(view.next_at_us),
        period=view.period,
        period_start_us=view.period_start_us,
        period_end_us=view.period_end_us,
        charged=view.charged,
        unearned=[_unearned(assets, asset, money) for asset, money in view.unearned],
        created_at_us=view.created_at_us,
    )


def _unearned(assets: Assets, asset: int, money: int) -> pb.UnearnedMoney:
    found = assets.of(asset)
    return pb.UnearnedMoney(asset=found.code, scale=found.scale, amount=str(money))


def render_terms(assets: Assets, terms: ChargeTerms) -> pb.ChargeTerms:
    """Terms as they are in force: what was left to a default is filled."""
    asset, discount = assets.of(terms.asset), terms.discount
    whole_first, whole_last = _WHOLE[terms.proration]
    return pb.ChargeTerms(
        product=terms.product,
        asset=asset.code,
        unit_amount=terms.unit_amount,
        billing=pb.ChargeBilling.ValueType(terms.billing),
        unit=recurring_pb2.PeriodUnit.ValueType(terms.unit if terms.every else 0),
        every=terms.every,
        once=not terms.every,
        anchor_us=terms.anchor,
        zone=terms.zone,
        whole_first=whole_first,
        whole_last=whole_last,
        whole_changes=not terms.prorate_changes,
        cash_only=terms.cash_only,
        payer=pb.ChargePayer.ValueType(terms.payer),
        discount=pb.ChargeDiscount(
            numerator=discount.numerator,
            denominator=discount.denominator,
            amount=discount.amount,
            from_period=discount.from_period,
            periods=discount.periods,
        )
        if discount is not None
        else None,
        trial_periods=terms.trial_periods,
        trial_until_us=terms.trial_until,
        ramp=[
            pb.ChargeRampStep(period=each.period, at_us=each.instant, unit_amount=each.unit_amount)
            for each in terms.ramp
        ],
        earned_over_us=terms.earned_over,
        scale=asset.scale,
    )


def terms_of(terms: pb.ChargeTerms, asset: int) -> ChargeTerms:
    """Checked terms as the core takes them."""
    discount = terms.discount
    return ChargeTerms(
        terms.product,
        asset,
        terms.unit_amount,
        BILLINGS[terms.billing],
        UNITS.get(terms.unit, PeriodUnit.MONTH),
        0 if terms.once else terms.every or 1,
        terms.anchor_us,
        terms.zone,
        _PRORATIONS[terms.whole_first, terms.whole_last],
        not terms.whole_changes,
        terms.cash_only,
        PAYERS[terms.payer],
        ChargeDiscount(
            discount.numerator,
            discount.denominator,
            discount.amount,
            discount.from_period,
            discount.periods,
        )
        if terms.HasField("discount")
        else None,
        terms.trial_periods,
        terms.trial_until_us,
        tuple([RampStep(each.period, each.at_us, each.unit_amount) for each in terms.ramp]),
        terms.earned_over_us,
    )


def render_fee(assets: Assets, row: FeeRow, shard: int, account: int) -> pb.Fee:
    """One fee."""
    asset = assets.of(row.asset)
    return pb.Fee(
        charge_id=mint(CHARGE, shard, account, row.charge),
        name=row.name,
        product=row.product,
        period=row.period,
        start_us=row.start,
        end_us=row.end,
        quantity=row.quantity,
        asset=asset.code,
        scale=asset.scale,
        amount=row.amount,
        total=row.total,
        effective_at_us=row.effective_at,
        recorded_at_us=row.recorded_at,
        shard=shard,
        entry_seq=row.entry_seq,
    )


def _or_zero(instant: int) -> int:
    return 0 if instant == NEVER else instant
