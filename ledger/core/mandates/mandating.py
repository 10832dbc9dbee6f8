"""Deciding mandates: granted, delegated, revoked, and asked before work goes ahead (rule H4); what
they buy is decided by `buying`.

A mandate stands at an account of its own, below the account that pays: so what its agent uses, and
what sub-agents below it use, is accounted there, counts in its budget and in every budget above,
and is all that its agent may see. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import known_account, open_account
from ledger.core.budgets.budgeting import budget_of, budget_set, invalid_budget, most_applying
from ledger.core.commands import GrantMandate, RevokeMandate
from ledger.core.events import (
    MANDATE_BUDGET,
    BudgetMeasure,
    BudgetTerms,
    BuyingMandateGranted,
    Event,
    MandateGranted,
    MandateRevoked,
    MandateTerms,
    PurchaseTerms,
    Window,
    WindowKind,
)
from ledger.core.limits import (
    BUDGETS_A_LINE_MAX,
    INT64_MAX,
    MANDATE_NAMES_MAX,
    MANDATES_BELOW_MAX,
    MANDATES_IN_ALL_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.shapes import Use
from ledger.core.state import Account, State


class MandateDenial:
    """The mandate that does not allow work, why, and what one request may cost by it."""

    __slots__ = ("account", "left", "reason")

    def __init__(self, account: Account, reason: Reason, left: int = 0) -> None:
        self.account = account
        self.reason = reason
        self.left = left


# -- asked -----------------------------------------------------------------------------------------


def first_mandate_denying(
    account: Account, asset: int, use: Use | None, charge: int, now: int
) -> MandateDenial | None:
    """The nearest mandate, of the account or above it, that does not allow work of that price;
    what is left of their budgets is asked as of any budget (rule H4). `use`: None = it is of any,
    of which each is asked about by itself."""
    node: Account | None = account
    while node is not None:
        mandate = node.mandate
        if mandate is not None:
            reason = _denies(mandate.terms, asset, use, charge)
            if mandate.revoked_at:
                reason = Reason.MANDATE_REVOKED
            elif mandate.over(now):
                reason = Reason.MANDATE_EXPIRED
            if reason is not None:
                left = mandate.terms.price_max if reason == Reason.MANDATE_PRICE else 0
                return MandateDenial(node, reason, left)
        node = node.parent
    return None


def _denies(terms: MandateTerms, asset: int, use: Use | None, charge: int) -> Reason | None:
    if use is not None and terms.products and use.product not in terms.products:
        return Reason.MANDATE_PRODUCT
    if use is not None and not use.attributes.issuperset(terms.attributes):
        return Reason.MANDATE_ATTRIBUTES
    if terms.asset != asset:
        return Reason.MANDATE_ASSET
    return Reason.MANDATE_PRICE if 0 < terms.price_max < charge else None


def is_mandated(account: Account) -> bool:
    """Whether a mandate, of the account or above it, bounds what it may do."""
    node: Account | None = account
    while node is not None:
        if node.mandate is not None:
            return True
        node = node.parent
    return False


def mandate_above(parent: Account | None) -> Account | None:
    """The nearest account with a mandate from `parent` on upwards."""
    while parent is not None and parent.mandate is None:
        parent = parent.parent
    return parent


# -- granted and revoked ---------------------------------------------------------------------------


def decide_grant_mandate(
    state: State, command: GrantMandate, out: list[Event]
) -> Event | Known | Refusal:
    """Give an account the budget of its mandate, and the mandate."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    if account.mandate is not None or budget_of(account, MANDATE_BUDGET) is not None:
        return Refusal(
            Reason.MANDATE_EXISTS,
            "account",
            str(account.number),
            f"the account has a mandate, or a budget by the name {MANDATE_BUDGET!r}; a mandate "
            "never changes: revoke it and grant another, at another account",
        )
    refusal = refuse_mandate(state, account.parent, account.tenant, command.terms, command.purchase)
    if refusal is not None:
        return refusal
    budget = _budget(command.terms)
    refusal = invalid_budget(state, account, budget, None)
    if refusal is not None:
        return refusal
    most = most_applying(state, account)
    if most >= BUDGETS_A_LINE_MAX:
        return Refusal(
            Reason.BUDGETS_LIMIT,
            "account",
            str(most),
            f"at most {BUDGETS_A_LINE_MAX} budgets apply to an account, that of each mandate above "
            "it included; remove some, or delegate less deep",
        )
    out.append(budget_set(b"", account.number, state.next_budget, MANDATE_BUDGET, budget, 1))
    granted = MandateGranted(command.key, account.number, command.terms, command.trace)
    if command.purchase is not None:
        granted = BuyingMandateGranted(
            command.key, account.number, command.terms, command.trace, command.purchase
        )
    out.append(granted)
    return granted


def refuse_mandate(
    state: State,
    parent: Account | None,
    tenant: int,
    terms: MandateTerms,
    purchase: PurchaseTerms | None = None,
) -> Refusal | None:
    """Why no account below `parent` may be given these terms: they are none, or more than those of
    the mandate above it."""
    refusal = _invalid(state, tenant, terms)
    above = mandate_above(parent)
    if refusal is not None or above is None:
        return refusal or _invalid_purchase(state, tenant, purchase)
    outermost, node = above, above.parent
    refusal = _refuse_below(state, above, terms, purchase)
    while node is not None and refusal is None:
        if node.mandate is not None:
            outermost = node
            refusal = _refuse_below(state, node, terms, purchase)
        node = node.parent
    return refusal or _refuse_more(above, outermost) or _invalid_purchase(state, tenant, purchase)


def _refuse_more(above: Account, outermost: Account) -> Refusal | None:
    """Why there is room for no other below a mandate: whoever holds a token says how many there
    are, and all of a family are in memory together."""
    for below, most, where in (
        (above.children, MANDATES_BELOW_MAX, "right below it"),
        (outermost.below()[1:], MANDATES_IN_ALL_MAX, "below the outermost at any depth"),
    ):
        count = sum([each.mandate is not None for each in below])
        if count >= most:
            return Refusal(
                Reason.MANDATES_LIMIT,
                "account",
                str(count),
                f"a mandate has at most {most} {where}, ended ones too; use one of those",
            )
    return None


def _refuse_below(
    state: State,
    account: Account,
    terms: MandateTerms,
    purchase: PurchaseTerms | None,
) -> Refusal | None:
    """Why one mandate above gives no account below it these terms: all are asked, since one that
    was moved may allow more than the one that it stands below by now."""
    above = account.mandate
    assert above is not None, account.number
    if above.over(state.now):
        return Refusal(
            Reason.MANDATE_REVOKED if above.revoked_at else Reason.MANDATE_EXPIRED,
            "account",
            str(account.number),
            "the mandate, or one above it, has ended: it delegates nothing any more",
        )
    field = exceeding(terms, above.terms)
    if field:
        return Refusal(
            Reason.MANDATE_EXCEEDS_PARENT,
            f"terms.{field}",
            str(getattr(terms, field)),
            "the mandate above allows less; delegate at most what it allows: "
            f"{getattr(above.terms, field)}",
        )
    field = buying_more(purchase, above.purchase)
    if not field:
        return None
    allowed = getattr(above.purchase, field) if above.purchase is not None else "nothing"
    return Refusal(
        Reason.MANDATE_EXCEEDS_PARENT,
        f"terms.purchase.{field}",
        str(getattr(purchase, field)),
        f"the mandate above buys less, or at another price; at most what it buys: {allowed}",
    )


def exceeding(terms: MandateTerms, above: MandateTerms) -> str:
    """The first field in which a mandate would allow what the one above it does not; "" = none."""
    if terms.asset != above.asset:
        return "asset"
    if terms.budget > above.budget:
        return "budget"
    if above.products and not (terms.products and set(terms.products) <= set(above.products)):
        return "products"
    if not set(above.attributes) <= set(terms.attributes):
        return "attributes"
    if above.price_max and not 0 < terms.price_max <= above.price_max:
        return "price_max"
    if above.expires_at and not 0 < terms.expires_at <= above.expires_at:
        return "expires_at"
    return ""


def buying_more(purchase: PurchaseTerms | None, above: PurchaseTerms | None) -> str:
    """The first field in which a mandate would buy what the one above it does not; "" = none. The
    price is the payer's, so it is the same."""
    if purchase is None:
        return ""
    if above is None or purchase.limit > above.limit:
        return "limit"
    if purchase.price_asset != above.price_asset:
        return "price_asset"
    if (
        purchase.price_numerator * above.price_denominator
        != above.price_numerator * purchase.price_denominator
    ):
        return "price_numerator"
    return "source" if purchase.source != above.source else ""


def _invalid_purchase(state: State, tenant: int, purchase: PurchaseTerms | None) -> Refusal | None:
    if purchase is None:
        return None
    field = "terms.purchase.price_asset"
    asset = state.catalog.assets.get(purchase.price_asset)
    if asset is None or asset.tenant != tenant:
        message = "the tenant has no such asset; create it first"
        return Refusal(Reason.ASSET_UNKNOWN, field, str(purchase.price_asset), message)
    if asset.kind != "money":
        message = "what an agent buys is paid for in money"
        return Refusal(Reason.ASSET_KIND_INVALID, field, str(purchase.price_asset), message)
    for name in ("limit", "price_numerator", "price_denominator"):
        value = getattr(purchase, name)
        if not 0 < value <= INT64_MAX:
            message = f"{name} of what a mandate buys: above 0, and fits 64 bits"
            return Refusal(Reason.MANDATE_INVALID, f"terms.purchase.{name}", str(value), message)
    return None


def _invalid(state: State, tenant: int, terms: MandateTerms) -> Refusal | None:
    asset = state.catalog.assets.get(terms.asset)
    if asset is None or asset.tenant != tenant:
        message = "the tenant has no such asset; create it first"
        return Refusal(Reason.ASSET_UNKNOWN, "terms.asset", str(terms.asset), message)
    names, most = [name for name, _ in terms.attributes], MANDATE_NAMES_MAX
    past = terms.expires_at != 0 and terms.expires_at <= state.now
    repeated = len(set(names)) < len(names)
    for field, value, wrong, rule in (
        ("budget", terms.budget, not 0 < terms.budget <= INT64_MAX, "above 0, and fits 64 bits"),
        ("price_max", terms.price_max, not 0 <= terms.price_max <= INT64_MAX, "0 = none, or more"),
        ("products", len(terms.products), len(terms.products) > most, f"at most {most}"),
        ("attributes", len(names), len(names) > most or repeated, f"at most {most}, each once"),
        ("expires_at", terms.expires_at, past, "later than now, or 0 = never"),
    ):
        if wrong:
            message = f"{field} of a mandate: {rule}"
            return Refusal(Reason.MANDATE_INVALID, f"terms.{field}", str(value), message)
    return None


def _budget(terms: MandateTerms) -> BudgetTerms:
    """What a mandate may spend in all: before any grant pays, in one window that never ends."""
    return BudgetTerms(
        BudgetMeasure.CHARGE, terms.budget, terms.asset, window=Window(WindowKind.LIFETIME)
    )


def unknown_mandate(account: Account) -> Refusal:
    """The account is not bound by a mandate of its own."""
    return Refusal(
        Reason.MANDATE_UNKNOWN,
        "account",
        str(account.number),
        "the account has no mandate: it is no agent's",
    )


def decide_revoke_mandate(
    state: State, command: RevokeMandate, out: list[Event]
) -> Event | Known | Refusal:
    """End a mandate: those below it end with it. One that has expired may be revoked, too."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    mandate = account.mandate
    if mandate is None:
        return unknown_mandate(account)
    if mandate.revoked_at:
        return Refusal(
            Reason.MANDATE_REVOKED,
            "account",
            str(mandate.revoked_at),
            "the mandate is revoked since this instant",
        )
    revoked = MandateRevoked(command.key, account.number, command.note, command.trace)
    out.append(revoked)
    return revoked
