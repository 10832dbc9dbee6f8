"""Whether a refusal of subscriptions to packages follows from the state (rules P1, P3).

One line a reason, written from the rules, over the naive model. See `refusals`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.core.events import Follow, Timing
from ledger.simulation.messages import Record
from ledger.simulation.model import ShardModel
from ledger.simulation.model.packages import version_asked
from ledger.simulation.naive_holdings import NaiveAccount
from ledger.simulation.naive_packages import NaiveSubscription

_Check = Callable[[ShardModel, Record, NaiveAccount | None], bool]


def subscription_of(model: ShardModel, account: NaiveAccount | None) -> NaiveSubscription | None:
    """What the account has, or had last."""
    return None if account is None else model.subscriptions.get(account.number)


def _has(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    found = subscription_of(model, account)
    return found is not None and not found.over


def _asked(record: Record) -> tuple[str, int, int, int]:
    body: dict[str, Any] = record.body
    return body["package"], body["follow"], body["version"], body["locked_until"]


def _lock_invalid(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    _, follow, version, until = _asked(record)
    locked = (follow == Follow.FOLLOW_AFTER) != (until > 0) or 0 < until <= model.recorded_at
    return locked or (version > 0 and follow == Follow.FOLLOW)


def _unknown(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    return not model.packages.get((record.tenant, record.body["package"]))


def _no_version(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    return account is not None and version_asked(model, account, _asked(record)) is None


def _differs(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    found = subscription_of(model, account)
    if account is None or found is None or model.recorded_at >= found.end:
        return False
    if record.kind == "package" and record.body["timing"] != Timing.NOW:
        return False
    version = version_asked(model, account, _asked(record))
    return version is not None and version.length != found.version.length


PACKAGE_REASONS: Final[dict[str, _Check]] = {
    "SUBSCRIBED_ALREADY": _has,
    "NOT_SUBSCRIBED": lambda model, record, account: not _has(model, record, account),
    "LOCK_INVALID": _lock_invalid,
    "PACKAGE_UNKNOWN": _unknown,
    "PACKAGE_VERSION_UNKNOWN": _no_version,
    "PACKAGE_PERIOD_DIFFERS": _differs,
}
"""Reason -> whether the model's state gives it."""
