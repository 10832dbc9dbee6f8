"""What a simulation found, as one document: amounts as decimal texts in minor units, never floats.

Costs are those of usage whose rate card names a card of costs; how much usage has one, and of how
much a part is not known, is said beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ledger.backtest.figures import Denials, Earnings, Figures, Pair, ProductLine, Tally
from ledger.core.catalog import Asset
from ledger.exports.amounts import instant_text


class Trial(msgspec.Struct, frozen=True):
    """The candidate: `version` 0 = it was never published."""

    card: str
    version: int
    content_hash: str


class Report(msgspec.Struct, frozen=True):
    """Figures with the names that people know. `trial` None = cards as they were published; `terms`
    as they were given."""

    tenant: str
    trial: Trial | None
    terms: Mapping[str, Any]
    from_us: int | None
    to_us: int | None
    figures: Figures
    assets: Mapping[int, Asset]
    names: Mapping[int, str]

    @property
    def reproduces(self) -> bool:
        """Whether nothing differs from what the ledger has."""
        return self.figures.reproduces

    def document(self) -> dict[str, Any]:
        """All of it, for scripts."""
        figures = self.figures
        return {
            "tenant": self.tenant,
            "candidate": None if self.trial is None else msgspec.to_builtins(self.trial),
            "terms": msgspec.to_builtins(self.terms),
            "terms_applied": {
                "grants_issued": figures.granted,
                "grants_scaled": figures.scaled,
                "policies_changed": figures.limited,
                "not_applied": [
                    {"place": each.entry, "reason": each.reason, "count": each.count}
                    for each in figures.not_tried
                ],
            },
            "from": None if self.from_us is None else instant_text(self.from_us),
            "to": None if self.to_us is None else instant_text(self.to_us),
            "entries": figures.entries,
            "usage_events": figures.usage_events,
            "reproduces_the_ledger": self.reproduces,
            "revenue": self._lines(figures.revenue),
            "burn": self._lines(figures.burn),
            "cost": self._lines(figures.cost),
            "margin": self._lines(figures.margin),
            "costed_events": _pair(figures.costed),
            "cost_unknown_events": _pair(figures.cost_unknown),
            "accounts": {
                "charged": figures.accounts,
                "dearer": figures.dearer,
                "cheaper": figures.cheaper,
                "over_limit": figures.over_limit_accounts,
                "denied": figures.denied_accounts,
                "losing": _pair(figures.losing),
            },
            "account_margins": [self._earnings(each) for each in figures.margins],
            "bill_shock": [self._tally(each) for each in figures.shocks],
            "authorisations": {
                "allowed": _pair(figures.authorized),
                "denied": _pair(figures.denied),
                "now_denied": figures.denied_now,
                "now_allowed": figures.allowed_now,
                "captures_not_run": figures.unrun_captures,
                "cost_not_run": [
                    {"product": line.product} | self._amounts(line.asset, cost=line.old)
                    for line in figures.unrun_cost
                ],
                "accounts": [self._denials(each) for each in figures.denials],
            },
            "over_limit": [self._over_limit(each) for each in figures.over_limit],
            "unpriced_events": _pair(figures.suspense),
            "top_ups_requested": _pair(figures.top_ups),
            "not_repeated": msgspec.to_builtins(figures.not_repeated),
        }

    def sums(self, lines: Iterable[ProductLine]) -> dict[int, Pair]:
        """By asset, over all products."""
        found: dict[int, Pair] = {}
        for line in lines:
            found.setdefault(line.asset, Pair()).add(Pair(line.old, line.new))
        return found

    def asset(self, number: int) -> tuple[str, int]:
        """Code and scale of an asset."""
        asset = self.assets.get(number)
        return (asset.code, asset.scale) if asset is not None else (str(number), 0)

    def name(self, account: int) -> str:
        """An account's id as its customer wrote it; its number once it was erased."""
        return self.names.get(account, "") or f"#{account}"

    def _amounts(self, asset: int, **amounts: int) -> dict[str, Any]:
        code, scale = self.asset(asset)
        return {"asset": code, "scale": scale} | {
            name: str(amount) for name, amount in amounts.items()
        }

    def _lines(self, lines: Iterable[ProductLine]) -> list[dict[str, Any]]:
        return [
            {"product": line.product} | self._amounts(line.asset, old=line.old, new=line.new)
            for line in lines
        ]

    def _tally(self, tally: Tally) -> dict[str, Any]:
        return {"account": self.name(tally.account)} | self._amounts(
            tally.asset, old=tally.old, new=tally.new, difference=tally.new - tally.old
        )

    def _earnings(self, earnings: Earnings) -> dict[str, Any]:
        revenue, cost, margin = earnings.revenue, earnings.cost, earnings.margin
        code, scale = self.asset(earnings.asset)
        return {
            "account": self.name(earnings.account),
            "asset": code,
            "scale": scale,
            "revenue": _texts(revenue),
            "cost": _texts(cost),
            "margin": _texts(margin),
        }

    def _over_limit(self, tally: Tally) -> dict[str, Any]:
        return {"account": self.name(tally.account)} | self._amounts(
            tally.asset, old=tally.over_limit_old, new=tally.over_limit_new
        )

    def _denials(self, denials: Denials) -> dict[str, Any]:
        return {
            "account": self.name(denials.account),
            "now_denied": denials.denied,
            "now_allowed": denials.allowed,
            "first_at": instant_text(denials.first_at_us) if denials.first_at_us else None,
        } | self._amounts(denials.asset, charge=denials.charge, captured=denials.unrun)


def _pair(pair: Pair) -> dict[str, int]:
    return {"old": pair.old, "new": pair.new}


def _texts(pair: Pair) -> dict[str, str]:
    return {"old": str(pair.old), "new": str(pair.new)}
