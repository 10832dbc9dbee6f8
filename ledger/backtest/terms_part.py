"""One object of a document of terms: its fields by name, and what is wrong with each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar

from ledger.core.catalog import Asset
from ledger.core.limits import (
    DAY_US,
    EXPIRES_AFTER_MAX_US,
    HOUR_US,
    INT64_MAX,
    MINUTE_US,
    SECOND_US,
)
from rating.exact import PriceError, parse_price
from rating.faults import CardFault

_SPAN: Final = re.compile(r"([0-9]{1,18})([smhd])")
_UNITS: Final = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_NONE: Final = "none"

_T = TypeVar("_T")


class Part:
    """One object of a list: its fields are read by name, what is wrong with them is kept."""

    def __init__(
        self, place: str, part: Any, accounts: Mapping[str, int], assets: Mapping[str, Asset]
    ) -> None:
        self.place = place
        self.faults: list[CardFault] = []
        self.given: dict[str, Any] = part if isinstance(part, dict) else {}
        self._read: set[str] = set()
        self._accounts = accounts
        self._assets = assets
        if not isinstance(part, dict):
            self.fault("", str(part), "an object is needed here")

    def fault(self, name: str, value: str, message: str, reason: str = "TERMS_INVALID") -> None:
        """Note what is wrong."""
        path = f"{self.place}.{name}" if name else self.place
        self.faults.append(CardFault(path, reason, value, message))

    def finish(self) -> None:
        """Whatever was not read is no field of it."""
        for name in self.given:
            if name not in self._read:
                self.fault(name, "", f"it has {', '.join(sorted(self._read))}", "FIELD_UNKNOWN")

    def maybe(self, name: str, read: Callable[[str], _T | None]) -> _T | None:
        """What `read` makes of the field; None where it is left out."""
        self._read.add(name)
        return read(name) if name in self.given else None

    def _value(self, name: str, kind: type[_T], what: str) -> _T | None:
        self._read.add(name)
        value = self.given.get(name)
        if type(value) is kind:
            return value
        self.fault(name, "" if value is None else str(value), f"{what} is needed here")
        return None

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number within limits."""
        value = self._value(name, int, f"a whole number from {low} to {high}")
        if value is not None and not low <= value <= high:
            self.fault(name, str(value), f"it is from {low} to {high}")
            return None
        return value

    def flag(self, name: str) -> bool | None:
        """True or false."""
        return self._value(name, bool, "true or false")

    def choice(self, name: str, choices: Mapping[str, _T]) -> _T | None:
        """One of some words."""
        words = " or ".join(choices)
        value = self._value(name, str, words)
        if value is not None and value not in choices:
            self.fault(name, value, f"it is {words}")
        return choices.get(value) if value is not None else None

    def none_or(self, name: str, read: Callable[[str], int | None]) -> int | None:
        """A number; -1 for "none"."""
        return -1 if self.given.get(name) == _NONE else read(name)

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        """A list of names; () where it is left out."""
        self._read.add(name)
        value = self.given.get(name, [])
        found = value if isinstance(value, list) else [None]
        if len(found) > most or not all(isinstance(each, str) and each for each in found):
            self.fault(name, "", f"a list of at most {most} names is needed here")
            return ()
        return tuple(found)

    def account(self) -> int:
        """The number of an account that there is; 0 = every one."""
        if "account" not in self.given:
            self._read.add("account")
            return 0
        value = self._value("account", str, "the id of an account, or no such field at all,")
        if value is not None and value not in self._accounts:
            self.fault("account", value, "the tenant has no account of this id", "ACCOUNT_UNKNOWN")
        return self._accounts.get(value, 0) if value is not None else 0

    def asset(self, name: str) -> Asset | None:
        """An asset of the tenant."""
        value = self._value(name, str, "the code of an asset")
        if value is not None and value not in self._assets:
            codes = ", ".join(sorted(self._assets)) or "none"
            self.fault(name, value, f"the tenant's assets: {codes}", "ASSET_UNKNOWN")
        return self._assets.get(value) if value is not None else None

    def is_money(self, name: str) -> bool:
        """Whether a field names money."""
        value = self.given.get(name)
        asset = self._assets.get(value) if isinstance(value, str) else None
        return asset is not None and asset.kind == "money"

    def ratio(self, name: str) -> tuple[int, int] | None:
        """An exact ratio above 0."""
        value = self._value(name, str, 'an exact ratio as a text, "3/2" or "1.5",')
        if value is None:
            return None
        try:
            numerator, denominator = parse_price(value)
        except PriceError as error:
            self.fault(name, value, str(error))
            return None
        if not numerator:
            self.fault(name, value, "a ratio is above 0")
        return numerator, denominator

    def span(self, name: str) -> int | None:
        """Microseconds, or a text as "30d"."""
        value = self.given.get(name)
        found = _SPAN.fullmatch(value) if isinstance(value, str) else None
        if found is not None:
            value = int(found[1]) * _UNITS[found[2]]
        if type(value) is not int or not 0 < value <= EXPIRES_AFTER_MAX_US:
            most = EXPIRES_AFTER_MAX_US // DAY_US
            message = f'a text as "30d", "12h", "5m" or "10s", or microseconds; at most {most} days'
            self.fault(name, str(self.given.get(name)), message)
            return None
        return value

    def instant(self, name: str) -> int | None:
        """Microseconds since 1970, or a day or an instant as a text."""
        value = self.given.get(name)
        try:
            if isinstance(value, date) and not isinstance(value, datetime):
                value = value.isoformat()  # a day of TOML
            if isinstance(value, str):
                value = datetime.fromisoformat(value)
            if isinstance(value, datetime):
                at = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
                value = (at - _EPOCH) // _US
        except (ValueError, OverflowError):
            value = None
        if type(value) is not int or not 0 < value <= INT64_MAX:
            message = "an instant as 2026-11-01T12:00:00Z, or microseconds since 1970"
            self.fault(name, str(self.given.get(name)), message)
            return None
        return value
