"""Accounts that report gauges, and what is charged of them."""

from __future__ import annotations

from itertools import count
from typing import Any

from core_world import (
    FAMILY,
    TENANT,
    Core,
    replay,
)
from replaying import replayed, totals
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US
from ledger.core.metering.gauging import charge_key
from ledger.core.outcomes import Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family
from rating.functions import SCOPE_MONTH

ACME, BETA = 1, 2
MONTH_US = 31 * DAY_US
GRACE_US = DAY_US
KEYS = FAMILY.level


class World:
    """Two accounts with overage of their own, and reports of gauges, one credit a unit of chat."""

    def __init__(self, core: Core | None = None, **policy: Any) -> None:
        self.core = core or Core()
        self.ids = count(1)
        for number in (ACME, BETA):
            kept = e.AccountPolicy(overage=e.Overage.SELF, **policy)
            self.core.run(
                c.CreateAccount(FAMILY.request(f"a{number}"), TENANT, number, 0, number, kept)
            )

    def command(self, *values: int, **options: Any) -> c.ReportGauge:
        names = options.get("names", ("tokens",))
        event_id = options.get("id") or f"r{next(self.ids)}"
        named = options.get("named", "disk")
        return c.ReportGauge(
            FAMILY.usage("s", event_id),
            options.get("account", ACME),
            self.core.shape(options.get("product", "chat"), *names),
            values,
            options.get("at", 0),
            c.Names("s", event_id),
            gauge=KEYS(named.encode()),
            scope=options.get("scope", SCOPE_MONTH),
        )

    def report(self, *values: int, **options: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The level before and after."""
        self.core.advance(1)
        outcome = self.core.run(self.command(*values, **options))
        assert isinstance(outcome, e.GaugeReported), outcome
        return outcome.before, outcome.after

    def refused(self, *values: int, **options: Any) -> str:
        before = digest(self.core.state)
        outcome = self.core.run(self.command(*values, **options))
        assert isinstance(outcome, Refusal), outcome
        assert digest(self.core.state) == before
        return outcome.reason

    def original(self, event_id: str, charged: bool = False) -> c.Original:
        key = FAMILY.usage("s", event_id)
        known = self.core.state.keys.find(charge_key(key) if charged else key)
        assert known is not None
        return self.core.original(known)

    def back(self, event_id: str, charged: bool = False, **more: Any) -> Any:
        self.core.advance(1)
        key = FAMILY.request(more.pop("request", f"back {next(self.ids)}"))
        original = self.original(event_id, charged)
        return self.core.run(c.ReverseUsage(key, ACME, original, **more))

    def to(self, at: int) -> list[e.GaugeCharged]:
        """Go on to a time, and what the sweep charges there."""
        self.core.advance(at - self.core.now)
        return self.sweep()

    def sweep(self) -> list[e.GaugeCharged]:
        return [each for each in self.core.sweep() if isinstance(each, e.GaugeCharged)]

    def close(self) -> None:
        outcome = self.core.run(c.CloseAccount(FAMILY.request(f"c{next(self.ids)}"), ACME))
        assert isinstance(outcome, e.AccountClosed), outcome

    def check(self, *, backtest: bool = True) -> None:
        """The journal says all of it: a replay is the same state, and breaks no rule; families come
        back as they were; the unchanged card makes the journal's own entries."""
        state = self.core.state
        state.books.check()
        again = replay(self.core.journal())
        assert digest(again) == digest(state)
        assert judged(self.core) == []
        for root in (ACME, BETA):
            packed = pack_family(state, root, state.settled_before)
            assert packed == pack_family(again, root, again.settled_before)
            due = {each.number: each.gauges and each.gauges.due for each in state.accounts.values()}
            drop_family(state, root)
            assert unpack_family(state, packed) == root
            assert pack_family(state, root, state.settled_before) == packed
            assert due == {
                each.number: each.gauges and each.gauges.due for each in state.accounts.values()
            }
            gauged = [each for each in state.family_accounts(root) if each.gauges is not None]
            assert state.families[root].gauged == len(gauged)
        assert digest(again) == digest(state)
        if backtest:
            assert totals(replayed(self.core).state) == totals(state)


def amounts(charged: list[e.GaugeCharged]) -> list[int]:
    return [sum([piece.amount for piece in each.slices]) for each in charged]
