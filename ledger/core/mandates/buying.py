"""Deciding what agents buy: a top-up within the mandate, which becomes a grant of whoever pays that
waits for its payment (rules F1, H4).

The agent says how many units; what they cost is the mandate's to say. It is counted at the mandate
and at every one above, while it waits too; what is never paid of it they count no more. The payment
side confirms or voids the grant as any that waits. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import account_closed, open_account, refuse_new
from ledger.core.commands import IssueGrant, RequestTopUp
from ledger.core.events import (
    Event,
    GrantKind,
    PurchaseRequested,
    PurchaseTerms,
    Sharing,
    SharingMode,
)
from ledger.core.funding.grants import issue
from ledger.core.funding.top_ups import price_of
from ledger.core.limits import INT64_MAX, MANDATE_PURCHASES_MAX
from ledger.core.mandates.mandates import Mandate
from ledger.core.mandates.mandating import buying_more, unknown_mandate
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State


def decide_request_top_up(
    state: State, command: RequestTopUp, out: list[Event]
) -> Event | Known | Refusal:
    """Issue a gated grant at the payer, for the agent and those below it to draw."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = refuse_new(account) or _refuse_asked(state, account, command)
    if refusal is not None:
        return refusal
    mandate = account.mandate
    assert mandate is not None and mandate.purchase is not None
    terms = mandate.purchase
    price = price_of(terms, command.amount)
    bearers = mandated(account)
    refusal = _refuse_price(bearers, terms, price)
    if refusal is not None:
        return refusal
    payer = payer_of(account)
    if payer.closed_at:
        return account_closed(payer)
    grant = IssueGrant(
        b"",
        payer.number,
        GrantKind.PREPAID,
        command.asset,
        command.amount,
        price,
        terms.price_asset,
        0,
        0,
        0,
        (),
        b"",
        source=terms.source,
        shared=True,
        pending=True,
        sharing=Sharing(SharingMode.LISTED, (account.number,)),
    )
    issued = issue(state, payer, grant, out)
    requested = PurchaseRequested(
        command.key,
        account.number,
        payer.number,
        issued.grant,
        command.asset,
        command.amount,
        price,
        terms.price_asset,
        tuple([each.number for each, _ in bearers]),
        command.trace,
    )
    out.append(requested)
    return requested


def mandated(account: Account) -> list[tuple[Account, Mandate]]:
    """The mandates of the account and above it, the nearest first."""
    return [(each, each.mandate) for each in account.line() if each.mandate is not None]


def payer_of(account: Account) -> Account:
    """Who buys for an agent: the account above all mandates of its line."""
    outermost, _ = mandated(account)[-1]
    return outermost.parent if outermost.parent is not None else outermost


def purchasable(account: Account) -> int:
    """Money that may still be spent on purchases by the account's mandate and every one above."""
    left = [
        each.purchase.limit - each.purchased if each.purchase is not None else 0
        for _, each in mandated(account)
    ]
    return max(0, min(left, default=0))


def _refuse_asked(state: State, account: Account, command: RequestTopUp) -> Refusal | None:
    """Why the mandate, or one above it, buys no such units of such an asset."""
    mandate = account.mandate
    if mandate is None:
        return unknown_mandate(account)
    for each, above in mandated(account):
        if above.over(state.now):
            return Refusal(
                Reason.MANDATE_REVOKED if above.revoked_at else Reason.MANDATE_EXPIRED,
                "account",
                str(each.number),
                "the mandate, or one above it, has ended: it buys nothing any more",
            )
    asset = state.catalog.assets.get(command.asset)
    if asset is None or asset.tenant != account.tenant:
        message = "the tenant has no such asset; create it first"
        return Refusal(Reason.ASSET_UNKNOWN, "asset", str(command.asset), message)
    if command.asset != mandate.terms.asset:
        message = "an agent buys units of the asset that its mandate is for"
        return Refusal(Reason.MANDATE_ASSET, "asset", str(mandate.terms.asset), message)
    if not 0 < command.amount <= INT64_MAX:
        message = "an amount is from 1 to 2^63 - 1"
        return Refusal(Reason.AMOUNT_INVALID, "amount", str(command.amount), message)
    for each, above in mandated(account):
        if above.purchase is None or mandate.purchase is None:
            return _buys_nothing(each if above.purchase is None else account)
        if buying_more(PurchaseTerms(0, *_price(mandate.purchase)), above.purchase):
            return _buys_nothing(each)  # moved below one of another price
    return None


def _price(terms: PurchaseTerms) -> tuple[int, int, int, str]:
    return terms.price_asset, terms.price_numerator, terms.price_denominator, terms.source


def _buys_nothing(account: Account) -> Refusal:
    return Refusal(
        Reason.MANDATE_BUYS_NOTHING,
        "account",
        str(account.number),
        "the mandate has no purchase limit, or not at that price: whoever pays tops up",
    )


def _refuse_price(
    bearers: list[tuple[Account, Mandate]], terms: PurchaseTerms, price: int
) -> Refusal | None:
    for _, mandate in bearers:
        assert mandate.purchase is not None, terms
        left = max(0, mandate.purchase.limit - mandate.purchased)
        if price > left:
            return Refusal(
                Reason.MANDATE_PURCHASE_EXCEEDED,
                "amount",
                str(left),
                f"it costs {price}, and the mandate, or one above it, has only so much of its "
                "purchase limit left",
            )
    for account, mandate in bearers:
        if mandate.pending >= MANDATE_PURCHASES_MAX:
            return Refusal(
                Reason.MANDATE_PURCHASES_LIMIT,
                "account",
                str(account.number),
                f"at most {MANDATE_PURCHASES_MAX} purchases of a mandate and those below it wait "
                "for their payment at a time",
            )
    return None
