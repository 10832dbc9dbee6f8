"""Terms as people write them: a document with `grants`, `scale` and `policies` (docs/pricing.md).

Every fault is found, each with its place and value, before anything is tried. A call brings the
same document; amounts are whole numbers of minor units, never floats. Must not know where accounts
and assets are looked up: it is handed what it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ledger.backtest.terms import GrantTerms, PolicyTerms, ScaleTerms, Terms
from ledger.backtest.terms_part import Part
from ledger.core.catalog import Asset
from ledger.core.events import Excess, GrantKind, Overage, OverdraftKind
from ledger.core.limits import (
    INT64_MAX,
    OVERDRAFT_BASIS_POINTS_MAX,
    PRODUCTS_A_GRANT_MAX,
    TAGS_A_GRANT_MAX,
)
from rating.faults import CardFault

PARTS_MAX: Final = 1_000  # of each list; x accounts x ~20 us a grant for every account
PRIORITY_MAX: Final = (1 << 31) - 1
HOLDS_OPEN_MAX: Final = 1_000_000
_LISTS: Final = ("grants", "scale", "policies")
_KINDS: Final = {
    each.name.lower(): each
    for each in (GrantKind.PROMOTIONAL, GrantKind.PREPAID, GrantKind.ALLOWANCE)
}
_POLICY_FIELDS: Final = {  # as callers call it -> AccountPolicy
    "overdraft_asset": "overdraft_asset",
    "overdraft_limit": "overdraft_limit",
    "overdraft_kind": "overdraft_kind",
    "overdraft_basis_points": "overdraft_basis_points",
    "overdraft_grace": "overdraft_grace",
    "overage": "overage",
    "overage_cap": "overage_cap",
    "excess": "excess",
    "max_open_holds": "holds_open_max",
    "holds_overdraft": "holds_overdraft",
    "holds_overage": "holds_overage",
    "promotional_backfills": "promotional_backfills",
}


def accounts_named(document: Mapping[str, Any]) -> set[str]:
    """Ids that the document names, to be looked up for `read_terms`."""
    found = set()
    for name in _LISTS:
        parts = document.get(name)
        for part in parts if isinstance(parts, list) else ():
            account = part.get("account") if isinstance(part, dict) else None
            if isinstance(account, str) and account:
                found.add(account)
    return found


def read_terms(
    document: Mapping[str, Any],
    accounts: Mapping[str, int],
    assets: Iterable[Asset],
    from_us: int | None,
    to_us: int | None,
) -> tuple[Terms, list[CardFault]]:
    """The terms, by numbers, for a range; where there are faults, without the parts at fault."""
    faults = [
        CardFault(name, "FIELD_UNKNOWN", "", f"terms have {', '.join(_LISTS)}")
        for name in document
        if name not in _LISTS
    ]
    known = {asset.code: asset for asset in assets}
    lists: dict[str, list[Any]] = {name: [] for name in _LISTS}
    readers: dict[str, Callable[[Part], Any]] = {
        "grants": lambda part: _grant(part, from_us, to_us),
        "scale": _scale,
        "policies": _policy,
    }
    for name in _LISTS:
        parts = document.get(name, [])
        if not isinstance(parts, list) or len(parts) > PARTS_MAX:
            message = f"a list of at most {PARTS_MAX} objects"
            faults.append(CardFault(name, "TERMS_MALFORMED", "", message))
            continue
        for place, each in enumerate(parts):
            part = Part(f"{name}[{place}]", each, accounts, known)
            made = readers[name](part)
            part.finish()
            faults += part.faults
            if not part.faults:
                lists[name].append(made)
    faults += _twice("scale", [(each.account, each.asset) for each in lists["scale"]])
    faults += _twice("policies", [each.account for each in lists["policies"]])
    return Terms(tuple(lists["grants"]), tuple(lists["scale"]), tuple(lists["policies"])), faults


def _twice(name: str, keys: list[Any]) -> list[CardFault]:
    """Of two that mean the same nobody knows which counts."""
    message = "another part is of the same account and asset; leave one out"
    return [
        CardFault(f"{name}[{place}].account", "TERMS_TWICE", "", message)
        for place, key in enumerate(keys)
        if key in keys[:place]
    ]


def _grant(part: Part, from_us: int | None, to_us: int | None) -> GrantTerms:
    at_us = part.maybe("at", part.instant)
    if at_us is not None and from_us is not None and at_us < from_us:
        part.fault("at", str(at_us), f"the range begins later, at {from_us} us")
    if at_us is not None and to_us is not None and at_us >= to_us:
        part.fault("at", str(at_us), f"the range has ended by then, at {to_us} us")
    kind = part.maybe("kind", lambda name: part.choice(name, _KINDS)) or GrantKind.PROMOTIONAL
    price_paid = part.maybe("price_paid", lambda name: part.whole(name, 0, INT64_MAX)) or 0
    price_asset = part.maybe("price_asset", part.asset)
    if price_paid and kind == GrantKind.PROMOTIONAL:
        part.fault("price_paid", str(price_paid), "a promotional grant is free; say kind prepaid")
    elif price_paid and price_asset is None and "price_asset" not in part.given:
        part.fault("price_asset", "", "name the money that the price is in")
    elif price_asset is not None and price_asset.kind != "money":
        part.fault("price_asset", price_asset.code, "a price is in money")
    asset = part.asset("asset")
    return GrantTerms(
        place=part.place,
        account=part.account(),
        at_us=at_us,
        kind=kind,
        asset=asset.number if asset is not None else 0,
        amount=part.whole("amount", 1, INT64_MAX) or 0,
        price_paid=price_paid,
        price_asset=price_asset.number if price_asset is not None else 0,
        priority=part.maybe("priority", lambda n: part.whole(n, -PRIORITY_MAX, PRIORITY_MAX)) or 0,
        expires_after_us=part.maybe("expires_after", part.span) or 0,
        products=part.texts("products", PRODUCTS_A_GRANT_MAX),
        tags=part.texts("tags", TAGS_A_GRANT_MAX),
        shared=bool(part.maybe("shared", part.flag)),
    )


def _scale(part: Part) -> ScaleTerms:
    asset = part.asset("asset")
    numerator, denominator = part.ratio("by") or (1, 1)
    return ScaleTerms(
        place=part.place,
        account=part.account(),
        asset=asset.number if asset is not None else 0,
        numerator=numerator,
        denominator=denominator,
    )


def _policy(part: Part) -> PolicyTerms:
    readers: dict[str, Callable[[str], int | None]] = {
        "overdraft_asset": lambda name: _number(part.asset(name)),
        "overdraft_limit": lambda name: part.whole(name, 0, INT64_MAX),
        "overdraft_kind": lambda name: part.choice(name, _choices(OverdraftKind)),
        "overdraft_basis_points": lambda name: part.whole(name, 0, OVERDRAFT_BASIS_POINTS_MAX),
        "overdraft_grace": lambda name: part.none_or(name, part.span),
        "overage": lambda name: part.choice(name, _choices(Overage)),
        "overage_cap": lambda name: part.none_or(name, lambda n: part.whole(n, 0, INT64_MAX)),
        "excess": lambda name: part.choice(name, _choices(Excess)),
        "max_open_holds": lambda name: part.whole(name, 0, HOLDS_OPEN_MAX),
        "holds_overdraft": part.flag,
        "holds_overage": part.flag,
        "promotional_backfills": part.flag,
    }
    fields = {}
    for name, read in readers.items():
        value = part.maybe(name, read)
        if value is not None:
            fields[_POLICY_FIELDS[name]] = value
    share = fields.get("overdraft_kind") == OverdraftKind.PERCENT_OF_LIFETIME
    if share and "overdraft_asset" not in part.given:
        part.fault("overdraft_asset", "", "lifetime value is counted in money: name which")
    elif share and not part.is_money("overdraft_asset"):
        value = part.given["overdraft_asset"]
        part.fault("overdraft_asset", str(value), "lifetime value is counted in money")
    if not fields and not part.faults:
        part.fault("", "", f"nothing is changed; the fields are {', '.join(_POLICY_FIELDS)}")
    return PolicyTerms(place=part.place, account=part.account(), fields=fields)


def _choices(of: Any) -> dict[str, int]:
    return {each.name.lower(): each for each in of}


def _number(asset: Asset | None) -> int | None:
    return asset.number if asset is not None else None
