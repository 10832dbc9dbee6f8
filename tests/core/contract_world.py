"""Stories of packages and contracts, told as `ledger_case` tells those of accounts.

    plan       NAME AMOUNT [PRICE ...] [overage=self] [excess=absorb] [trial=DAYS:AMOUNT]
    subscribe  NAME PLAN                    switch NAME PLAN [forfeit | prorate]
    sign       NAME CONTRACT PLAN until=TIME [from=TIME] [PRICE ...] [commit=SEGMENT] [renews]
    revise     NAME CONTRACT [PRICE ...] [from=TIME] [until=TIME] [commit=SEGMENT]
    leave      NAME CONTRACT [waive | to=C] [forfeit]

A plan grants so much a month, free. What it grants is called PLAN@START, what a contract commits to
CONTRACT.1 and so on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from core_world import CREDITS, TENANT, USD
from ledger_case import LedgerCase, told_to
from replaying import replayed
from test_backtest import assert_is_the_ledger
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.packages.packaged import (
    Package,
    PackagedExcess,
    PackagedGrant,
    PackagedKind,
    PackagedOverage,
    PackagedPolicy,
    PackageVersion,
    Phase,
    PhasedGrant,
)
from ledger.core.packing import drop_family, pack_family, unpack_family


class ContractCase(LedgerCase):
    """At the end its families have to survive being packed, verify has to find nothing, and its
    journal, decided again, makes the same entries."""

    def run(self, text: str) -> None:
        """What is expected may go on in the next line, after a comma or semicolon."""
        super().run(re.sub(r"([;,])\n\s*", r"\1 ", text))

    def _plan(self, options: dict[str, str], name: str, amount: str, *prices: str) -> str:
        core = self.core
        version = core.state.configuration.get(TENANT, 0) + 1
        core.run(c.ApplyConfiguration(TENANT, version, b"plan"))
        free = PackagedKind.PROMOTIONAL
        phases: tuple[Phase, ...] = ()
        if "trial" in options:
            days, _, less = options["trial"].partition(":")
            phases = (Phase("trial", days=int(days), grants=(PhasedGrant("plan", int(less)),)),)
        package = Package(
            grants=(PackagedGrant("plan", "credits", int(amount), free),),
            policy=PackagedPolicy(
                overage=PackagedOverage(options["overage"]) if "overage" in options else None,
                excess=PackagedExcess(options["excess"]) if "excess" in options else None,
            ),
            overrides=tuple([self._price(each, "credits") for each in prices]),
            phases=phases,
        )
        core.catalog.add_package(TENANT, name, PackageVersion(version, core.now, 1, package))
        return "published"

    def _subscribe(self, options: dict[str, str], name: str, plan: str) -> str:
        return self.execute(c.Subscribe(self._request(options), self.accounts[name], plan))[1]

    def _switch(self, options: dict[str, str], name: str, plan: str, *flags: str) -> str:
        old = e.OldGrants.KEEP
        if "forfeit" in flags:
            old = e.OldGrants.FORFEIT_UNUSED
        elif "prorate" in flags:
            old = e.OldGrants.PRORATE
        number = self.accounts[name]
        return self.execute(
            c.ChangePackage(self._request(options), number, plan, e.Timing.NOW, old_grants=old)
        )[1]

    def _sign(
        self, options: dict[str, str], name: str, contract: str, plan: str, *words: str
    ) -> str:
        prices = [word for word in words if word != "renews"]
        return self.execute(
            c.SignContract(
                self._request(options),
                self.accounts[name],
                contract,
                plan,
                0,
                self._time(options.get("from")),
                self._time(options["until"]),
                tuple([self._price(each, "credits") for each in prices]),
                int("renews" in words),
                committed=self._agreed(options),
            )
        )[1]

    def _revise(self, options: dict[str, str], name: str, contract: str, *prices: str) -> str:
        return self.execute(
            c.AmendContract(
                self._request(options),
                self.accounts[name],
                contract,
                self._time(options.get("from")),
                tuple([self._price(each, "credits") for each in prices]) if prices else None,
                ends_at=self._time(options.get("until")),
                committed=self._agreed(options),
            )
        )[1]

    def _leave(self, options: dict[str, str], name: str, contract: str, *flags: str) -> str:
        ending, target = e.CommitmentEnding.TRUE_UP, (0, 0)
        if "waive" in flags:
            ending = e.CommitmentEnding.WAIVE
        elif "to" in options:
            ending, target = e.CommitmentEnding.TRANSFER, self._committed(options["to"])
        old = e.OldGrants.FORFEIT_UNUSED if "forfeit" in flags else e.OldGrants.KEEP
        return self.execute(
            c.EndContract(
                self._request(options), self.accounts[name], contract, ending, old, *target
            )
        )[1]

    def _agreed(self, options: dict[str, str]) -> tuple[e.Committed, ...]:
        if "commit" not in options:
            return ()
        terms = e.CommitmentTerms(e.GrantKind.POSTPAID, CREDITS, USD, 5, ())
        return (e.Committed(terms, (self._segment(options["commit"]),)),)

    def tell(self, event: e.Event) -> str:
        """What packages and contracts do in words, naming what they grant."""
        match event:
            case e.Subscribed() | e.PackagePeriodBegun() | e.PackageChanged():
                if event.term is None:
                    return "from the next period on"
                term, given = event.term, 0
                for issued in term.issues:
                    if issued.grant:
                        self.grants[f"{term.package}@{_day(term.start)}"] = issued.grant
                        given = issued.amount
                return f"{term.package} {given} to {_day(term.end)}"
            case e.PackagePhaseBegun():
                return event.phase or "own terms"
            case e.ContractSigned() | e.ContractAmended() | e.ContractRenewed():
                for place, number in enumerate(event.commitments, 1):
                    commitment = self.core.state.commitments[number]
                    called = event.contract
                    while f"{called}.{place}" in self.grants:
                        called += "+"
                    self.grants[f"{called}.{place}"] = commitment.grants[0].number
                if isinstance(event, e.ContractRenewed):
                    return f"renewed to {_day(event.ends_at)}"
                if isinstance(event, e.ContractSigned):
                    return "signed"
                again = f", rate again from {_day(event.rerate_from)}"
                return "amended" + (again if event.rerate_from else "")
            case e.ContractBegun():
                return "begun"
            case e.ContractEnded():
                return "ended"
            case e.SubscriptionCancelled() if not event.key:
                return ""
            case e.PackagePricesSet():
                return ""
            case e.GrantIssued() | e.AccountPolicyUpdated() | e.CommitmentCreated() if (
                not event.key
            ):
                return ""
        return super().tell(event)

    def finish(self) -> None:
        super().finish()
        state = self.core.state
        for root in list(state.families):
            body = pack_family(state, root, state.settled_before)
            drop_family(state, root)
            unpack_family(state, body)
            assert pack_family(state, root, state.settled_before) == body
        assert judged(self.core) == []
        again = replayed(self.core, catalog=self.core.catalog, faithfully=True)
        assert_is_the_ledger(again, self.core)


def contract_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    """Run the test's docstring as a ledger with packages and contracts."""
    return told_to(ContractCase, test)


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d")
