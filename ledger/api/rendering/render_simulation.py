"""What a simulation found, as the message of PricingService.Simulate.

The same figures as `ledger.backtest.report` has for files and people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ledger.backtest.candidate import Candidate
from ledger.backtest.figures import (
    Denials,
    Earnings,
    Figures,
    NotRepeated,
    Pair,
    ProductLine,
    Tally,
)
from ledger.core.catalog import Asset
from rating.v1 import simulation_pb2 as pb


def render_report(
    figures: Figures,
    candidate: Candidate,
    content_hash: bytes,
    assets: Mapping[int, Asset],
    names: Mapping[int, str],
) -> pb.SimulationReport:
    """The report, by the names that people know."""
    named = _Names(assets, names)
    return pb.SimulationReport(
        version=candidate.version,
        rate_card=candidate.name,
        content_hash=content_hash,
        reproduces_the_ledger=figures.reproduces,
        entries=figures.entries,
        usage_events=figures.usage_events,
        revenue=named.sums(figures.revenue),
        burn=named.sums(figures.burn),
        cost=named.sums(figures.cost),
        margin=named.sums(figures.margin),
        costed_events=_count(figures.costed),
        cost_unknown_events=_count(figures.cost_unknown),
        accounts=figures.accounts,
        dearer=figures.dearer,
        cheaper=figures.cheaper,
        losing=_count(figures.losing),
        bills=[named.bill(each, each.old, each.new) for each in figures.shocks],
        over_limit=[
            named.bill(each, each.over_limit_old, each.over_limit_new)
            for each in figures.over_limit
        ],
        account_margins=[named.margin(each) for each in figures.margins],
        authorized=_count(figures.authorized),
        denied=_count(figures.denied),
        now_denied=figures.denied_now,
        now_allowed=figures.allowed_now,
        captures_not_run=figures.unrun_captures,
        cost_not_run=named.sums(figures.unrun_cost),
        denials=[named.denials(each) for each in figures.denials],
        unpriced_events=_count(figures.suspense),
        top_ups_requested=_count(figures.top_ups),
        not_repeated=_faults(figures.not_repeated),
        grants_issued=figures.granted,
        grants_scaled=figures.scaled,
        policies_changed=figures.limited,
        not_applied=_faults(figures.not_tried),
    )


class _Names:
    """Messages of accounts and assets by the names that they have."""

    def __init__(self, assets: Mapping[int, Asset], names: Mapping[int, str]) -> None:
        self._assets = assets
        self._names = names

    def sums(self, lines: Iterable[ProductLine]) -> list[pb.SimulatedSum]:
        """Amounts by product."""
        return [
            pb.SimulatedSum(
                product=line.product,
                asset=self._assets[line.asset].code,
                scale=self._assets[line.asset].scale,
                old=str(line.old),
                new=str(line.new),
            )
            for line in lines
        ]

    def bill(self, tally: Tally, old: int, new: int) -> pb.SimulatedBill:
        """An amount of an account."""
        asset = self._assets[tally.asset]
        return pb.SimulatedBill(
            account=self._account(tally.account),
            asset=asset.code,
            scale=asset.scale,
            old=str(old),
            new=str(new),
        )

    def margin(self, earnings: Earnings) -> pb.SimulatedMargin:
        """What an account earned and cost."""
        asset = self._assets[earnings.asset]
        return pb.SimulatedMargin(
            account=self._account(earnings.account),
            asset=asset.code,
            scale=asset.scale,
            old_revenue=str(earnings.revenue.old),
            new_revenue=str(earnings.revenue.new),
            old_cost=str(earnings.cost.old),
            new_cost=str(earnings.cost.new),
        )

    def denials(self, denials: Denials) -> pb.SimulatedDenials:
        """What is decided otherwise for an account."""
        asset = self._assets[denials.asset]
        return pb.SimulatedDenials(
            account=self._account(denials.account),
            asset=asset.code,
            scale=asset.scale,
            now_denied=denials.denied,
            now_allowed=denials.allowed,
            first_denied_at_us=denials.first_at_us,
            charge=str(denials.charge),
            captured=str(denials.unrun),
        )

    def _account(self, number: int) -> str:
        return self._names.get(number, "") or f"#{number}"


def _count(pair: Pair) -> pb.SimulatedCount:
    return pb.SimulatedCount(old=pair.old, new=pair.new)


def _faults(lines: Iterable[NotRepeated]) -> list[pb.SimulatedFault]:
    return [
        pb.SimulatedFault(what=line.entry, reason=line.reason, count=line.count) for line in lines
    ]
