"""Ledgers with mandates, in the language of `budget_case`:

    mandate  NAME BUDGET [parent=NAME] [for=PRODUCT,...] [with=NAME:VALUE,...] [most=N] [until=TIME]
             [buys=MONEY@N/D [source=NAME]] opens the account if there is none of that name
    asks     NAME UNITS [as=GRANT] [of=usd]   requests a top-up: the payer's gated grant
    revoke   NAME
    buys     NAME N                       a debit: charged at once
    expect   spent NAME/mandate N | pends NAME/mandate N | bought NAME MONEY | waits NAME PURCHASES

At the end the rules of `verify` have no finding, and the families survive being packed.
"""

from __future__ import annotations

from collections.abc import Callable

from budget_case import BudgetCase
from case_options import pairs_of
from core_world import CREDITS, USD
from ledger_case import told_to

from ledger.core import commands as c
from ledger.core import events as e


class MandateCase(BudgetCase):
    """Tells stories of agents."""

    def _mandate(self, options: dict[str, str], name: str, budget: str) -> str:
        if name not in self.accounts and "parent" in options:
            self.run(f"account {name} parent={options['parent']}")
        terms = e.MandateTerms(
            {"usd": USD}.get(options.get("in", ""), CREDITS),
            int(budget),
            tuple(options["for"].split(",")) if "for" in options else (),
            pairs_of(options.get("with", "")),
            int(options.get("most", 0)),
            self._time(options.get("until")) if "until" in options else 0,
        )
        command = c.GrantMandate(
            self._request(options),
            self.accounts.get(name, 404),
            terms,
            purchase=_purchase(options) if "buys" in options else None,
        )
        return self.execute(command)[1]

    def _asks(self, options: dict[str, str], name: str, units: str) -> str:
        asset = {"usd": USD, "none": 404}.get(options.get("of", ""), CREDITS)
        command = c.RequestTopUp(
            self._request(options), self.accounts.get(name, 404), asset, int(units)
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.PurchaseRequested):
            self.grants[options.get("as", f"G{outcome.grant}")] = outcome.grant
        return told

    def _seen_bought(self, name: str, product: str) -> int:
        mandate = self.account(name).mandate
        assert mandate is not None, name
        return mandate.purchased

    def _seen_waits(self, name: str, product: str) -> int:
        mandate = self.account(name).mandate
        assert mandate is not None, name
        return mandate.pending

    def _revoke(self, options: dict[str, str], name: str) -> str:
        command = c.RevokeMandate(self._request(options), self.accounts[name], "stopped")
        return self.execute(command)[1]

    def _buys(self, options: dict[str, str], name: str, tokens: str) -> str:
        command = c.DebitWork(
            self._request(options),
            self.accounts[name],
            self.core.shape(
                options.get("of", "chat"), "tokens", attributes=pairs_of(options.get("with", ""))
            ),
            (int(tokens),),
        )
        return self.execute(command)[1]

    def tell(self, event: e.Event) -> str:
        match event:
            case e.MandateGranted():
                return "mandate"
            case e.PurchaseRequested():
                [payer] = [name for name, each in self.accounts.items() if each == event.payer]
                return f"{event.amount} for {event.price_paid} from {payer}"
            case e.GrantIssued(key=b""):
                return ""
            case e.MandateRevoked():
                return "revoked"
            case e.BudgetSet(key=b""):
                return ""
            case e.WorkDenied(limit=e.Limit(kind=e.LimitKind.MANDATE) as limit):
                [name] = [name for name, each in self.accounts.items() if each == limit.account]
                return f"{event.reason} of {name}, {limit.left} left"
        return super().tell(event)


def _purchase(options: dict[str, str]) -> e.PurchaseTerms:
    limit, price = options["buys"].split("@")
    numerator, denominator = price.split("/")
    asset = {"credits": CREDITS, "none": 404}.get(options.get("money", ""), USD)
    return e.PurchaseTerms(
        int(limit), asset, int(numerator), int(denominator), options.get("source", "")
    )


def mandate_case(test: Callable[[MandateCase], None]) -> Callable[[], None]:
    """As `ledger_case`, for ledgers with mandates."""
    return told_to(MandateCase, test)  # type: ignore[arg-type]
