"""Mandates as messages: terms from what was granted, figures from the state (rule H4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from ledger.api.assets import Assets
from ledger.api.requests import asset_number, money_number
from ledger.core.budgets.budgeting import budget_of
from ledger.core.events import MANDATE_BUDGET, MandateTerms, PurchaseTerms
from ledger.core.limits import INT64_MAX
from ledger.core.mandates.buying import purchasable
from ledger.core.mandates.mandates import Mandate
from ledger.core.state import Account, State
from ledger.journal.directory import Entry
from ledger.v1 import mandate_pb2 as pb


class MandateView(NamedTuple):
    """What a mandate's message needs of the state, taken at one position."""

    account: int
    parent: int
    mandate: Mandate
    state: pb.MandateState.ValueType
    spent: int
    held: int
    left: int
    purchase_left: int


def mandate_view(state: State, number: int, now: int) -> MandateView | None:
    """The mandate of an account, if it has one."""
    account = state.accounts.get(number)
    return view_of(account, now) if account is not None else None


def view_of(account: Account, now: int) -> MandateView | None:
    """The same of an account that is at hand."""
    mandate = account.mandate
    if mandate is None:
        return None
    posted, pending, left = 0, 0, INT64_MAX
    standing: pb.MandateState.ValueType = pb.MANDATE_STATE_OPEN
    for node in reversed(account.line()):
        if node.mandate is None:
            continue
        budget = budget_of(node, MANDATE_BUDGET)
        assert budget is not None, "a mandate's budget is for nobody to remove"
        posted, pending = budget.counter.within(budget.terms.window, now)
        left = min(left, max(0, budget.terms.limit - posted - pending))
        if node.mandate.over(now) and standing == pb.MANDATE_STATE_OPEN:
            revoked = bool(node.mandate.revoked_at)
            standing = pb.MANDATE_STATE_REVOKED if revoked else pb.MANDATE_STATE_EXPIRED
    parent = account.parent.number if account.parent is not None else 0
    is_open = standing == pb.MANDATE_STATE_OPEN
    return MandateView(
        account.number,
        parent,
        mandate,
        standing,
        posted,
        pending,
        left if is_open else 0,
        purchasable(account) if is_open else 0,
    )


def render_mandate(assets: Assets, view: MandateView, names: Mapping[int, str]) -> pb.Mandate:
    """`names` has the account's and its parent's."""
    return pb.Mandate(
        account=names[view.account],
        terms=render_terms(assets, view.mandate.terms, view.mandate.purchase),
        state=view.state,
        spent=min(view.spent, INT64_MAX),
        held=min(view.held, INT64_MAX),
        left=view.left,
        granted_at_us=view.mandate.granted_at,
        revoked_at_us=view.mandate.revoked_at,
        parent=names[view.parent],
        purchased=view.mandate.purchased,
        purchase_left=view.purchase_left,
        purchases_pending=view.mandate.pending,
    )


def render_terms(
    assets: Assets, terms: MandateTerms, purchase: PurchaseTerms | None
) -> pb.MandateTerms:
    """What a mandate allows."""
    asset = assets.of(terms.asset)
    return pb.MandateTerms(
        asset=asset.code,
        scale=asset.scale,
        budget=terms.budget,
        products=terms.products,
        attributes=dict(terms.attributes),
        price_max=terms.price_max,
        expires_at_us=terms.expires_at,
        purchase=_render_purchase(assets, purchase) if purchase is not None else None,
    )


def _render_purchase(assets: Assets, purchase: PurchaseTerms) -> pb.PurchaseTerms:
    money = assets.of(purchase.price_asset)
    return pb.PurchaseTerms(
        limit=purchase.limit,
        price_asset=money.code,
        price_scale=money.scale,
        price_numerator=purchase.price_numerator,
        price_denominator=purchase.price_denominator,
        source=purchase.source,
    )


def purchase_of(
    assets: Assets, purchase: pb.PurchaseTerms, above: PurchaseTerms | None, entry: Entry
) -> PurchaseTerms:
    """What a request says of purchases: at the price of the mandate above, where it names none.
    Raises CallFailed ASSET_UNKNOWN, ASSET_KIND_INVALID."""
    if above is not None and not purchase.price_asset:
        return replace(above, limit=purchase.limit)
    return PurchaseTerms(
        purchase.limit,
        money_number(assets, "terms.purchase.price_asset", purchase.price_asset, entry),
        purchase.price_numerator,
        purchase.price_denominator or 1,
        purchase.source,
    )


def terms_of(assets: Assets, terms: pb.MandateTerms, entry: Entry) -> MandateTerms:
    """The terms of a request. Raises CallFailed ASSET_UNKNOWN."""
    return MandateTerms(
        asset_number(assets, "terms.asset", terms.asset, entry),
        terms.budget,
        tuple(sorted(set(terms.products))),
        tuple(sorted(terms.attributes.items())),
        terms.price_max,
        terms.expires_at_us,
    )
