"""What a case expects to stand in the books, and where it is read."""

from __future__ import annotations

from case_told import Told
from core_world import CREDITS, TENANT, USD

from ledger.core import events as e
from ledger.core.decisions.assessing import available_to
from ledger.core.shapes import Use


class Seen(Told):
    """The statement `expect`."""

    def _expect(self, text: str) -> None:
        """available NAME N [of=PRODUCT] | owed NAME N | overage NAME N | suspended NAME N |
        pending GRANT N | deferred GRANT N | unbilled NAME N | revenue PRODUCT N | lifetime NAME N |
        receivable NAME N | paid GRANT N | commitment GRANT N | cash SOURCE N |
        cost PROVIDER N | payable PROVIDER N |
        money breakage N | money cash N | money credit_note N | money bad_debt N |
        credits true_up N | credits forfeited N |
        left GRANT N | held GRANT N | recognised GRANT N | used PRODUCT N | holds NAME N |
        spent PRODUCT N: used, less what was given back |
        frozen NAME 0 or 1 | reserved HOLD N | unearned PRODUCT N
        """
        what, name, number, *rest = text.split()
        product = rest[0].removeprefix("of=") if rest else "chat"
        found = getattr(self, f"_seen_{what}")(name, product)
        assert found == int(number), f"\n  expect {text}\n  found {found}"

    def _seen_available(self, name: str, product: str) -> int:
        return available_to(self.account(name), CREDITS, Use(product), self.core.now)

    def _seen_owed(self, name: str, product: str) -> int:
        return sum(book.owed for book in self.account(name).advance.values())

    def _seen_overage(self, name: str, product: str) -> int:
        return sum(book.owed for book in self.account(name).overage.values())

    def _seen_suspended(self, name: str, product: str) -> int:
        return self.account(name).suspended

    def _seen_holds(self, name: str, product: str) -> int:
        return len(self.account(name).holds)

    def _seen_frozen(self, name: str, product: str) -> int:
        return int(self.account(name).frozen)

    def _seen_reserved(self, name: str, product: str) -> int:
        return self.core.state.holds[self.holds[name][1]].left

    def _seen_left(self, name: str, product: str) -> int:
        return self.grant(name).book.credits_posted - self.grant(name).book.debits_posted

    def _seen_held(self, name: str, product: str) -> int:
        return self.grant(name).book.debits_pending

    def _seen_recognised(self, name: str, product: str) -> int:
        return self.grant(name).recognised

    def _seen_pending(self, name: str, product: str) -> int:
        return self.grant(name).pending

    def _seen_deferred(self, name: str, product: str) -> int:
        book = self.grant(name).book.value_book
        assert book is not None, f"grant {name} has no money side"
        return book.credits_posted - book.debits_posted

    def _seen_unbilled(self, name: str, product: str) -> int:
        return self.account(name).unbilled[USD].owed

    def _seen_receivable(self, name: str, product: str) -> int:
        book = self.account(name).receivable.get(USD)
        return book.owed if book is not None else 0

    def _seen_paid(self, name: str, product: str) -> int:
        return self.grant(name).paid

    def _seen_commitment(self, name: str, product: str) -> int:
        return self.grant(name).funding.owed

    def _seen_cash(self, name: str, product: str) -> int:
        return self._money(e.BookKind.CASH, name)

    def _seen_cost(self, name: str, product: str) -> int:
        return self._money(e.BookKind.COST, name)

    def _seen_payable(self, name: str, product: str) -> int:
        return -self._money(e.BookKind.PAYABLE, name)

    def _seen_credits(self, name: str, product: str) -> int:
        """What is in one of the house's books of credits."""
        book = self.core.state.house_book(TENANT, e.BookKind[name.upper()], CREDITS, "")
        return book.credits_posted if book is not None else 0

    def _seen_revenue(self, name: str, product: str) -> int:
        return self._money(e.BookKind.REVENUE, name)

    def _seen_unearned(self, name: str, product: str) -> int:
        return -self._money(e.BookKind.UNEARNED, name)

    def _seen_money(self, name: str, product: str) -> int:
        """breakage, cash of the source `manual`: what came in less what went out."""
        kind = e.BookKind[name.upper()]
        return self._money(kind, "manual" if kind == e.BookKind.CASH else "")

    def _money(self, kind: e.BookKind, name: str) -> int:
        book = self.core.state.house_book(TENANT, kind, USD, name)
        if book is None:
            return 0
        return -book.owed if kind in (e.BookKind.REVENUE, e.BookKind.BREAKAGE) else book.owed

    def _seen_lifetime(self, name: str, product: str) -> int:
        return self.account(name).lifetime.get(USD, 0)

    def _seen_used(self, name: str, product: str) -> int:
        found = self.core.state.house_book(TENANT, e.BookKind.USED, CREDITS, name)
        return found.credits_posted if found is not None else 0

    def _seen_spent(self, name: str, product: str) -> int:
        found = self.core.state.house_book(TENANT, e.BookKind.USED, CREDITS, name)
        return found.credits_posted - found.debits_posted if found is not None else 0
