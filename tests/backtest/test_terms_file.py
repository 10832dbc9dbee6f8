"""Terms of a simulation as people write them: what they mean, and every fault with its place."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.backtest.terms import GrantTerms, PolicyTerms, ScaleTerms, Terms
from ledger.backtest.terms_file import accounts_named, read_terms
from ledger.core.catalog import Asset
from ledger.core.events import AccountPolicy, Excess, GrantKind, Overage, OverdraftKind
from ledger.core.limits import DAY_US, HOUR_US
from rating.card_file import Form, document_of

CREDIT, USD = 11, 12
ASSETS = (Asset(CREDIT, 1, "credit", 6, "credit"), Asset(USD, 1, "USD", 2, "money"))
ACCOUNTS = {"acme": 7, "beta": 8}
NOVEMBER_US = 1_793_491_200_000_000  # 1 November 2026


def read(text: str, form: Form = Form.TOML) -> tuple[Terms, list[tuple[str, str, str]]]:
    document = document_of(text.encode(), form, "terms")
    terms, faults = read_terms(document, ACCOUNTS, ASSETS, NOVEMBER_US, NOVEMBER_US + 30 * DAY_US)
    return terms, [(each.path, each.reason, each.value) for each in faults]


def test_every_field_means_what_the_page_says() -> None:
    """Grants, scales and policies; instants and spans as people write them."""
    terms, faults = read("""
        [[grants]]
        asset = "credit"
        amount = 1000

        [[grants]]
        account = "acme"
        kind = "prepaid"
        asset = "credit"
        amount = 5
        price_paid = 3
        price_asset = "USD"
        priority = -2
        at = 2026-11-02T00:00:00Z
        expires_after = "36h"
        products = ["chat"]
        tags = ["gpu"]
        shared = true

        [[scale]]
        asset = "credit"
        by = "3/2"

        [[scale]]
        account = "beta"
        asset = "credit"
        by = "0.5"

        [[policies]]
        overdraft_asset = "USD"
        overdraft_limit = 50
        overdraft_kind = "percent_of_lifetime"
        overdraft_basis_points = 1000
        overdraft_grace = "none"
        overage = "self"
        overage_cap = 9
        excess = "absorb"
        max_open_holds = 4
        holds_overdraft = false
        holds_overage = true
        promotional_backfills = true

        [[policies]]
        account = "beta"
        overage_cap = "none"
        overdraft_grace = "2d"
    """)
    assert faults == []
    promotional = GrantKind.PROMOTIONAL
    assert terms.grants == (
        GrantTerms(place="grants[0]", kind=promotional, asset=CREDIT, amount=1000),
        GrantTerms(
            place="grants[1]", account=7, at_us=NOVEMBER_US + DAY_US, kind=GrantKind.PREPAID,
            asset=CREDIT, amount=5, price_paid=3, price_asset=USD, priority=-2,
            expires_after_us=36 * HOUR_US, products=("chat",), tags=("gpu",), shared=True,
        ),
    )  # fmt: skip
    assert terms.scales == (
        ScaleTerms(place="scale[0]", asset=CREDIT, numerator=3, denominator=2),
        ScaleTerms(place="scale[1]", account=8, asset=CREDIT, numerator=1, denominator=2),
    )
    everybody, beta = terms.policies
    assert everybody.of(AccountPolicy()) == AccountPolicy(
        overdraft_asset=USD,
        overdraft_limit=50,
        overdraft_kind=OverdraftKind.PERCENT_OF_LIFETIME,
        overdraft_basis_points=1000,
        overage=Overage.SELF,
        overage_cap=9,
        excess=Excess.ABSORB,
        holds_open_max=4,
        holds_overdraft=False,
        promotional_backfills=True,
    )
    assert beta == PolicyTerms(
        place="policies[1]", account=8, fields={"overdraft_grace": 2 * DAY_US, "overage_cap": -1}
    )


def test_accounts_are_named_before_they_are_known() -> None:
    document: dict[str, Any] = {
        "grants": [{"account": "acme"}, {}, 3],
        "scale": {"account": "no list"},
        "policies": [{"account": "beta"}, {"account": 5}],
    }
    assert accounts_named(document) == {"acme", "beta"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"grant": []}', [("grant", "FIELD_UNKNOWN", "")]),
        ('{"grants": 3}', [("grants", "TERMS_MALFORMED", "")]),
        ('{"grants": [3]}', [("grants[0]", "TERMS_INVALID", "3"),
                             ("grants[0].asset", "TERMS_INVALID", ""),
                             ("grants[0].amount", "TERMS_INVALID", "")]),
        ('{"grants": [{"asset": "gold", "amount": 0, "when": 1}]}',
         [("grants[0].asset", "ASSET_UNKNOWN", "gold"), ("grants[0].amount", "TERMS_INVALID", "0"),
          ("grants[0].when", "FIELD_UNKNOWN", "")]),
        ('{"grants": [{"asset": "credit", "amount": true, "account": "gamma"}]}',
         [("grants[0].account", "ACCOUNT_UNKNOWN", "gamma"),
          ("grants[0].amount", "TERMS_INVALID", "True")]),
        ('{"grants": [{"asset": "credit", "amount": 1.5}]}',
         [("grants[0].amount", "TERMS_INVALID", "1.5")]),
        ('{"grants": [{"asset": "credit", "amount": 1, "price_paid": 1}]}',
         [("grants[0].price_paid", "TERMS_INVALID", "1")]),
        ('{"grants": [{"asset": "credit", "amount": 1, "kind": "prepaid", "price_paid": 1}]}',
         [("grants[0].price_asset", "TERMS_INVALID", "")]),
        ('{"grants": [{"asset": "credit", "amount": 1, "kind": "prepaid", "price_paid": 1, '
         '"price_asset": "credit"}]}', [("grants[0].price_asset", "TERMS_INVALID", "credit")]),
        ('{"grants": [{"asset": "credit", "amount": 1, "kind": "gift", "at": "soon", '
         '"expires_after": "1w", "products": "chat"}]}',
         [("grants[0].at", "TERMS_INVALID", "soon"), ("grants[0].kind", "TERMS_INVALID", "gift"),
          ("grants[0].expires_after", "TERMS_INVALID", "1w"),
          ("grants[0].products", "TERMS_INVALID", "")]),
        ('{"grants": [{"asset": "credit", "amount": 1, "at": "2026-10-31"}, '
         '{"asset": "credit", "amount": 1, "at": "2026-12-01"}]}',
         [("grants[0].at", "TERMS_INVALID", "1793404800000000"),
          ("grants[1].at", "TERMS_INVALID", "1796083200000000")]),
        ('{"scale": [{"asset": "credit", "by": "0"}, {"asset": "credit", "by": 2}, '
         '{"asset": "credit", "by": "-1"}]}',
         [("scale[0].by", "TERMS_INVALID", "0"), ("scale[1].by", "TERMS_INVALID", "2"),
          ("scale[2].by", "TERMS_INVALID", "-1")]),
        ('{"scale": [{"asset": "credit", "by": "2"}, {"asset": "credit", "by": "3"}]}',
         [("scale[1].account", "TERMS_TWICE", "")]),
        ('{"policies": [{}]}', [("policies[0]", "TERMS_INVALID", "")]),
        ('{"policies": [{"overage": "on", "excess": 1, "holds_overdraft": "no", '
         '"overage_cap": -1, "overdraft_asset": "gold"}]}',
         [("policies[0].overdraft_asset", "ASSET_UNKNOWN", "gold"),
          ("policies[0].overage", "TERMS_INVALID", "on"),
          ("policies[0].overage_cap", "TERMS_INVALID", "-1"),
          ("policies[0].excess", "TERMS_INVALID", "1"),
          ("policies[0].holds_overdraft", "TERMS_INVALID", "no")]),
        ('{"policies": [{"overdraft_kind": "percent_of_lifetime"}]}',
         [("policies[0].overdraft_asset", "TERMS_INVALID", "")]),
        ('{"policies": [{"overdraft_kind": "percent_of_lifetime", "overdraft_asset": "credit"}]}',
         [("policies[0].overdraft_asset", "TERMS_INVALID", "credit")]),
    ],
)  # fmt: skip
def test_every_fault_is_found_with_its_place(
    text: str, expected: list[tuple[str, str, str]]
) -> None:
    """All of them at once; what is at fault is left out."""
    terms, faults = read(text, Form.JSON)
    assert faults == expected
    assert len(terms.grants) + len(terms.policies) <= 1
