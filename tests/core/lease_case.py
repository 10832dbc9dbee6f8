"""Ledgers with credit leases, in the language of `budget_case`:

    lease    NAME WANTED as=LEASE [of=PRODUCT] [with=NAME:VALUE,...] [by=HOLDER] [min=N] [term=TIME]
             [charge] [in=OPERATION]
    renew    LEASE WANTED [keep=N] [term=TIME]: keep is all of it, unless it is said
    spend    LEASE TOKENS [id=ID] [of=PRODUCT] [with=NAME:VALUE,...] [at=TIME]
             [in=OPERATION]
    giveback LEASE [off]     recall LEASE KEEP
    expect   escrow NAME N: units of its leases | slice LEASE N | share LEASE N | down LEASE N

At the end the rules of `verify` have no finding, and the families survive being packed.
"""

from __future__ import annotations

from collections.abc import Callable

from budget_case import BudgetCase
from case_options import operation_of, pairs_of
from core_world import FAMILY, duration_us
from ledger_case import LedgerCase, told_to

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.state import Hold


class LeaseCase(BudgetCase):
    """Tells stories of leases."""

    def _lease(self, options: dict[str, str], name: str, wanted: str, *flags: str) -> str:
        command = c.AcquireLease(
            self._request(options),
            self.accounts.get(name, 404),
            self.core.shape(
                options.get("of", "chat"),
                e.LEASED_QUANTITY,
                attributes=pairs_of(options.get("with", "")),
            ),
            options.get("by", "edge"),
            int(wanted),
            int(options.get("min", 0)),
            duration_us(options["term"]) if "term" in options else 0,
            e.LeaseLapse.CHARGE if "charge" in flags else e.LeaseLapse.RETURN,
            operation=operation_of(options),
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.LeaseGranted):
            self.holds[options["as"]] = (name, outcome.hold)
        return told

    def _renew(self, options: dict[str, str], called: str, wanted: str) -> str:
        account, number = self._of(called)
        hold = self.core.state.holds.get(number)
        keep = int(options.get("keep", hold.left if hold is not None else 0))
        term = duration_us(options["term"]) if "term" in options else 0
        command = c.RenewLease(self._request(options), account, number, int(wanted), keep, term)
        return self.execute(command)[1]

    def _spend(self, options: dict[str, str], called: str, tokens: str) -> str:
        account, number = self._of(called)
        event_id = options.get("id") or self._next_id()
        command = c.LeasedUsage(
            FAMILY.usage("case", event_id),
            account,
            self.core.shape(
                options.get("of", "chat"), "tokens", attributes=pairs_of(options.get("with", ""))
            ),
            (int(tokens),),
            self._time(options.get("at")),
            c.NO_NAMES,
            operation_of(options),
            hold=number,
        )
        told = self.execute(command)[1]
        self._keep(event_id, command.key)
        return told

    def _giveback(self, options: dict[str, str], called: str, *flags: str) -> str:
        account, number = self._of(called)
        command = c.ReturnLease(self._request(options), account, number, "off" in flags)
        return self.execute(command)[1]

    def _recall(self, options: dict[str, str], called: str, keep: str) -> str:
        account, number = self._of(called)
        command = c.RecallLease(self._request(options), account, number, int(keep))
        return self.execute(command)[1]

    def _of(self, called: str) -> tuple[int, int]:
        name, number = self.holds.get(called, ("acme", 404))
        return self.accounts[name], number

    def hold(self, called: str) -> Hold:
        return self.core.state.holds[self.holds[called][1]]

    def tell(self, event: e.Event) -> str:
        if isinstance(event, e.LeaseGranted):
            return f"leased {self._pieces(event.slices)}"
        if isinstance(event, e.LeaseRenewed):
            asked = f", down to {event.share}" if event.share < event.amount else ""
            return f"leased {self._pieces(event.slices)}{asked}"
        if isinstance(event, e.UsageLeased):
            said = super().tell(event) or "nothing"
            return f"{said}, over {event.over}" if event.over else said
        if isinstance(event, e.LeaseReturned):
            return "written off" if event.written_off else "returned"
        if isinstance(event, e.LeaseLapsed):
            return f"lapsed {event.unreported}"
        if isinstance(event, e.LeaseOverdue):
            return f"overdue {event.unreported}"
        if isinstance(event, e.LeaseRecalled):
            return f"recalled to {event.keep}"
        return super().tell(event)

    def _pieces(self, slices: tuple[e.Slice, ...]) -> str:
        return ", ".join([self._slice(piece, "").strip() for piece in slices]) or "nothing"

    def _seen_escrow(self, name: str, product: str) -> int:
        return sum(hold.left for hold in self.account(name).leases)

    def _seen_slice(self, called: str, product: str) -> int:
        return self.hold(called).left

    def _seen_share(self, called: str, product: str) -> int:
        lease = self.hold(called).lease
        assert lease is not None
        return lease.share

    def _seen_down(self, called: str, product: str) -> int:
        hold = self.hold(called)
        assert hold.lease is not None
        return hold.lease.down_to(hold.left)


def lease_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    """Run the test's docstring as a ledger with leases, then its body, then check."""
    return told_to(LeaseCase, test)
