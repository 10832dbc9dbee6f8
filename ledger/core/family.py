"""What the accounts of one family have in common as state. Only `evolve` changes it."""

from __future__ import annotations

from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.lanes import Kind, Layout
from ledger.core.holdings import NEVER, Corrected
from ledger.core.holds import SettledHold
from ledger.core.metering.waiting import Rated, Waiting
from ledger.core.pricing.quotes import Quote
from ledger.core.pricing.shared_totals import SharedTotal, is_kept


class Family:
    """What the accounts under one root share."""

    __slots__ = (
        "budgeted_holds",
        "budgets",
        "commitment_keys",
        "corrected",
        "gauged",
        "grant_keys",
        "layouts",
        "next_cap",
        "next_ordinal",
        "next_override",
        "operation_budgets",
        "operation_ends",
        "operation_policies",
        "operations",
        "rated",
        "rated_forgotten",
        "recurring_keys",
        "root",
        "scheduled",
        "settled",
        "settled_quotes",
        "shared",
        "to_try",
        "waiting",
    )

    def __init__(self, root: int) -> None:
        self.root = root
        self.next_ordinal = 1
        self.next_override = 1
        self.budgets: dict[int, Budget] = {}  # of all its accounts
        # Operation -> the budget that covers it: its own, or that of one above it; derived.
        self.operations: dict[bytes, Budget] = {}
        self.operation_budgets: dict[int, Budget] = {}  # by number, the longest idle first; derived
        self.operation_ends: list[tuple[int, int]] = []  # (when it ends, number) of those; derived
        self.layouts: dict[Kind, Layout] = {}  # of the lanes of its accounts; derived
        self.operation_policies = 0  # accounts that have one; derived
        self.budgeted_holds: dict[int, list[int]] = {}  # hold -> budgets in which it pends
        self.next_cap = 1
        self.grant_keys: dict[bytes, int] = {}  # permanent external keys -> grant (rule I5)
        self.recurring_keys: dict[bytes, int] = {}  # and those of recurring grants
        self.commitment_keys: dict[bytes, int] = {}
        self.settled: dict[int, SettledHold] = {}  # for the dedupe window, first settled first
        self.settled_quotes: dict[int, Quote] = {}  # used and expired ones, likewise
        self.corrected: dict[int, Corrected] = {}  # locator of usage -> what was given back of it
        self.waiting: dict[int, Waiting] = {}  # locator of usage -> what of it is not rated (B8)
        self.to_try: list[int] | None = None  # of those, what is still to be tried, the last first
        self.rated: dict[int, Rated] = {}  # locator of usage -> what rated it since
        self.rated_forgotten = 0  # the last usage of which that is not kept, for lack of room
        self.gauged = 0  # accounts with gauges; derived
        # (key, scope, its start) -> totals that several accounts share (rule D8); derived.
        self.shared: dict[tuple[int, int, int], SharedTotal] = {}
        self.scheduled: int = (
            NEVER  # its own timer, by the writer's clock, for what has none since it was paged in
        )

    @property
    def may_bound(self) -> bool:
        """Whether a budget, or one that a policy of operations would give, may bound work."""
        return bool(self.budgets) or self.operation_policies > 0

    def share(self, place: tuple[int, int, int], account: int, by: int) -> None:
        """Move the part that an account has in a total that several share."""
        total = self.shared.get(place)
        if total is None:
            total = self.shared[place] = SharedTotal()
        total.move(account, by)
        if not total.parts:
            del self.shared[place]

    def forget_shared(self, days: int, months: int) -> None:
        """Drop what was counted in days, and in months and periods, that began then or earlier."""
        self.shared = {
            place: total for place, total in self.shared.items() if is_kept(place, days, months)
        }

    def is_trying(self, to_try: list[int]) -> bool:
        """Whether that is still the list of what is to be tried; new prices make it anew."""
        return self.to_try is to_try

    def pend(self, hold: int, budget: int) -> None:
        """Note that a hold pends in a budget."""
        budgets = self.budgeted_holds.setdefault(hold, [])
        if budget not in budgets:
            budgets.append(budget)

    def unpend(self, hold: int, budget: int) -> None:
        """Note that it does no more."""
        budgets = self.budgeted_holds[hold]
        budgets.remove(budget)
        if not budgets:
            del self.budgeted_holds[hold]

    def forget_settled(self, before: int) -> None:
        """Drop the holds that were settled then or earlier. Whoever looks compares the time too."""
        settled = self.settled
        while settled:
            oldest = next(iter(settled))
            if settled[oldest].settled_at > before:
                return
            del settled[oldest]

    def forget_quotes(self, before: int) -> None:
        """The same of quotes."""
        settled = self.settled_quotes
        while settled:
            oldest = next(iter(settled))
            if settled[oldest].settled_at > before:
                return
            del settled[oldest]

    def remembered(self, before: int) -> dict[int, Corrected]:
        """What was corrected, by locator in order, of events that were effective after `before`."""
        corrected = self.corrected
        return {
            locator: corrected[locator]
            for locator in sorted(corrected)
            if corrected[locator].effective_at > before
        }

    def remembered_rated(self, before: int) -> dict[int, Rated]:
        """What was rated after it had waited, in the same way."""
        rated = self.rated
        return {
            locator: rated[locator]
            for locator in sorted(rated)
            if rated[locator].effective_at > before
        }
