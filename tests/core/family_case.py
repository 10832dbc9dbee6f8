"""Ledgers as in `ledger_case`, of families that share:

share    GRANT none | all | NAME ... | labels=LABEL,... [version=N]
cap      NAME BELOW [LIMIT] [as=CAP] [of=N/D] [grant=GRANT] [asset=usd] [reserve=N]
         [window=day | week | month | billing | fixed/DURATION | sliding/DURATION] [zone=ZONE]
recap    CAP [LIMIT] [of=N/D] [reserve=N] [version=N]        uncap CAP [version=N]
expect   counted CAP N: drawn and held in the window of now
expect   total CAP N: drawn and held since it was set
expect   room CAP N: what may still be drawn      expect aside GRANT N
"""

from __future__ import annotations

from collections.abc import Callable

from core_world import CREDITS, USD, duration_us
from ledger_case import LedgerCase, told_to

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.funding.caps import Cap

_ASSETS = {"credits": CREDITS, "usd": USD}
_CALENDAR = {"day": e.WindowUnit.DAY, "week": e.WindowUnit.WEEK, "month": e.WindowUnit.MONTH}
_LENGTHS = {"fixed": e.WindowKind.FIXED, "sliding": e.WindowKind.SLIDING}


class FamilyCase(LedgerCase):
    """Knows what caps are called."""

    def __init__(self) -> None:
        super().__init__()
        self.caps: dict[str, tuple[str, int]] = {}

    def _share(self, options: dict[str, str], grant: str, *words: str) -> str:
        labels = tuple(options["labels"].split(",")) if "labels" in options else ()
        mode = e.SharingMode.MATCHING if labels else e.SharingMode.LISTED
        if words in (("none",), ("all",)):
            mode, words = e.SharingMode[words[0].upper()], ()
        accounts = tuple([self.accounts.get(name, 404) for name in words])
        command = c.UpdateSharing(
            self._request(options),
            self.grant(grant).account.number,
            self.grants[grant],
            e.Sharing(mode, accounts, labels),
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _cap(self, options: dict[str, str], name: str, below: str, limit: str = "-1") -> str:
        grant = self.grants[options["grant"]] if "grant" in options else 0
        asset = 0 if grant else _ASSETS[options.get("asset", "credits")]
        terms = self._ceiling(options, limit, _window(options))
        number = self.accounts.get(below, 404)
        command = c.SetCap(self._request(options), self.accounts[name], number, asset, grant, terms)
        outcome, told = self.execute(command)
        if isinstance(outcome, e.CapSet):
            self.caps[options.get("as", below)] = name, outcome.cap
        return told

    def _recap(self, options: dict[str, str], called: str, limit: str = "-1") -> str:
        name, number = self.caps.get(called, ("acme", 404))
        found = self.account(name).caps_given.get(number)
        window = found.terms.window if found is not None else e.Window()
        terms = self._ceiling(options, limit, window)
        version = int(options.get("version", 0))
        command = c.SetCap(
            self._request(options), self.accounts[name], 0, 0, 0, terms, number, version
        )
        return self.execute(command)[1]

    def _uncap(self, options: dict[str, str], called: str) -> str:
        name, number = self.caps.get(called, ("acme", 404))
        version = int(options.get("version", 0))
        command = c.RemoveCap(self._request(options), self.accounts[name], number, version)
        return self.execute(command)[1]

    @staticmethod
    def _ceiling(options: dict[str, str], limit: str, window: e.Window) -> e.CapTerms:
        numerator, denominator = options.get("of", "0/0").split("/")
        reserved = int(options.get("reserve", 0))
        return e.CapTerms(int(limit), int(numerator), int(denominator), window, reserved)

    def cap(self, called: str) -> Cap:
        name, number = self.caps[called]
        return self.account(name).caps_given[number]

    def tell(self, event: e.Event) -> str:
        if isinstance(event, e.CapWindowOpened):
            return ""
        return super().tell(event)

    def _seen_counted(self, called: str, product: str) -> int:
        return sum(self.cap(called).counted(self.core.now))

    def _seen_total(self, called: str, product: str) -> int:
        counter = self.cap(called).counter
        return counter.posted + counter.pending

    def _seen_room(self, called: str, product: str) -> int:
        left = self.cap(called).left(self.core.now)
        assert left is not None
        return left

    def _seen_aside(self, grant: str, product: str) -> int:
        return self.grant(grant).aside


def _window(options: dict[str, str]) -> e.Window:
    name, _, length = options.get("window", "").partition("/")
    if not name:
        return e.Window()
    if name == "billing":
        return e.Window(e.WindowKind.BILLING)
    if name in _CALENDAR:
        return e.Window(e.WindowKind.CALENDAR, _CALENDAR[name], options.get("zone", "UTC"))
    return e.Window(_LENGTHS[name], length=duration_us(length))


def family_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    """As `ledger_case`, in the language of this module too."""
    return told_to(FamilyCase, test)
