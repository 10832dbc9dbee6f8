"""Whether a refusal of grants, payments, schedules, top-ups or corrections follows from the state.

One line a reason, written from the rules, over the naive model. See `refusals`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

from ledger.core.events import BookKind
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US
from ledger.simulation.messages import Record
from ledger.simulation.model import WINDOW_US, ShardModel
from ledger.simulation.model.commitments import not_movable, over
from ledger.simulation.model.corrections import PRODUCT, not_reversible
from ledger.simulation.model.money import bill_of, was_paid
from ledger.simulation.model.usage import CORRECTION_US
from ledger.simulation.naive_holdings import (
    NaiveAccount,
    NaiveGrant,
    NaiveUsage,
    Use,
)

Account = NaiveAccount | None


def corrected(model: ShardModel, record: Record) -> NaiveUsage | None:
    """The usage that a correction names; None where no usage stands there."""
    return model.originals.get((record.tenant, *record.body["original"]))


def _grant(model: ShardModel, record: Record, account: Account) -> NaiveGrant | None:
    """The account's grant that is named."""
    grant = model.grants.get(record.body["grant"])
    return grant if grant is not None and account is not None and (
        grant.account == account.number
    ) else None  # fmt: skip


def _grant_unknown(model: ShardModel, record: Record, account: Account) -> bool:
    grant = _grant(model, record, account)
    return grant is None or grant.asset != record.body.get("asset", grant.asset)


def _of_grant(
    judge: Callable[[ShardModel, Record, NaiveGrant], bool],
) -> Callable[[ShardModel, Record, Account], bool]:
    def check(model: ShardModel, record: Record, account: Account) -> bool:
        grant = _grant(model, record, account)
        return grant is not None and judge(model, record, grant)

    return check


def _not_paid(model: ShardModel, record: Record, grant: NaiveGrant) -> bool:
    if was_paid(model, grant) == "NOT_PAID":
        return True
    return record.kind == "charge_back" and (grant.part_of > 0 or grant.cash_in <= 0)


def _currency(model: ShardModel, record: Record, account: Account) -> bool:
    assert account is not None
    if record.kind == "confirm":
        grant = _grant(model, record, account)
        return grant is not None and record.body["asset"] != grant.price_asset
    asset = record.body["asset"]
    return not model.find_book(BookKind.RECEIVABLE, account.tenant, asset, account.number)


def _exceeds(model: ShardModel, record: Record, account: Account) -> bool:
    assert account is not None
    if record.kind == "confirm":
        grant = _grant(model, record, account)
        return grant is not None and record.body["amount"] > grant.unpaid
    asset, amount = record.body["asset"], record.body["amount"]
    return bool(amount > max(0, model.owed(BookKind.RECEIVABLE, account, asset)))


def _nothing_owed(model: ShardModel, record: Record, account: Account) -> bool:
    assert account is not None
    return not bill_of(model, account, record.body["asset"], record.body["most"])


def _key_taken(kind: str) -> Callable[[ShardModel, Record, Account], bool]:
    def check(model: ShardModel, record: Record, account: Account) -> bool:
        return account is not None and any(
            place[:2] == (kind, account.root) for place in model.external
        )

    return check


def _of(what: str, field: str, judge: Callable[[ShardModel, Record, Any], bool]) -> Any:
    def check(model: ShardModel, record: Record, account: Account) -> bool:
        found = getattr(model, what).get(record.body[field])
        if found is None or account is None or found.account != account.number:
            return False
        return judge(model, record, found)

    return check


def _unknown(what: str, field: str) -> Callable[[ShardModel, Record, Account], bool]:
    def check(model: ShardModel, record: Record, account: Account) -> bool:
        found = getattr(model, what).get(record.body[field])
        return found is None or account is None or found.account != account.number

    return check


def _commitment_unknown(model: ShardModel, record: Record, account: Account) -> bool:
    if record.at_field != "target_commitment_id":
        return _unknown("commitments", "commitment")(model, record, account)
    found = model.commitments.get(record.body["target"])
    return found is None or found.account != _target_account(model, record)


def _target_account(model: ShardModel, record: Record) -> int:
    """The number of the account of which the target is said to be; 0 where it has none."""
    return model.numbers.get((record.tenant, record.body["target_account"]), 0)


def _commitment_ended(model: ShardModel, record: Record, account: Account) -> bool:
    field = "target" if record.at_field == "target_commitment_id" else "commitment"
    found = model.commitments.get(record.body[field])
    return found is not None and over(model, found)


def _not_movable(model: ShardModel, record: Record, account: Account) -> bool:
    """To itself, out of the family, or to another asset or money."""
    assert account is not None
    there = model.accounts.get(_target_account(model, record))
    if there is None or there.root != account.root:
        return True
    found = model.commitments.get(record.body["commitment"])
    target = model.commitments.get(record.body["target"])
    return found is not None and target is not None and not_movable(model, found, target)


def _segment_invalid(model: ShardModel, record: Record, account: Account) -> bool:
    segments = record.body.get("segments") or (record.body["segment"],)
    early = [each.starts_at for each in segments[1:] if each.starts_at < 1]
    late = [
        each.ends_at for each in segments if each.ends_at <= max(model.recorded_at, each.starts_at)
    ]
    return bool(early or late)


def _overlap(model: ShardModel, record: Record, account: Account) -> bool:
    return any(b.starts_at < a.ends_at for a, b in pairwise(record.body["segments"]))


def _terms_fixed(model: ShardModel, record: Record, found: Any) -> bool:
    kept = (found.terms.kind, found.terms.asset, found.price_asset)
    given = record.body["terms"]
    return bool(kept != (given.kind, given.asset, given.price_asset))


def _lifetime(model: ShardModel, record: Record, account: Account) -> bool:
    lifetime = record.body["lifetime"] or 15 * MINUTE_US
    if record.kind in ("authorize", "reserve"):
        return bool(lifetime > DAY_US)
    hold = model.holds[record.body["hold"]]
    return bool(model.recorded_at + lifetime > hold.authorized_at + hold.lifetime_max)


def _rollover(model: ShardModel, record: Record, account: Account) -> bool:
    """What never expires, or would roll over again and again without end (rule T3)."""
    terms = record.body.get("terms")
    rollover = terms.rollover if terms is not None else record.body["rollover"]
    expires = terms is not None or record.body["expires_at"] > 0
    return not expires or (rollover.again and rollover.lifetime < HOUR_US)


def _missing(model: ShardModel, record: Record, account: Account) -> bool:
    """A debit by hand that nobody affords."""
    assert account is not None
    amount, asset = -record.body["amount"], record.body["asset"]
    if record.body.get("grant"):
        grant = _grant(model, record, account)
        return grant is not None and amount > grant.available
    _, missing, _ = model.payers(account).waterfall(
        asset, Use(PRODUCT), amount, model.recorded_at, model.month(account),
        asset in model.money, False,
    )  # fmt: skip
    return missing > 0


def _not_reversible(model: ShardModel, record: Record, account: Account) -> bool:
    used = corrected(model, record)
    if used is None or account is None or used.account != account.number:
        return True
    return "written off" in not_reversible(model, account, used)


def _too_old(model: ShardModel, record: Record, account: Account) -> bool:
    used = corrected(model, record)
    times = [record.body.get("effective_at", model.recorded_at)]
    times += [used.effective_at] if used is not None else []
    return bool(min(times) < model.recorded_at - CORRECTION_US)


def _too_large(model: ShardModel, record: Record, account: Account) -> bool:
    if record.kind == "adjust":
        grant = _grant(model, record, account)
        return grant is not None and bool(record.body["amount"] > grant.drawn)
    used = corrected(model, record)
    if used is None:
        return False
    if record.body.get("as_charged"):
        return bool(record.body["as_charged"] > used.refundable)
    asked = record.body.get("quantities") or used.left
    return not any(used.left) or any(a > b for a, b in zip(asked, used.left, strict=True))


def _start(model: ShardModel, record: Record, account: Account) -> bool:
    return bool(record.body["starts_at"] < model.recorded_at - WINDOW_US)


def _end(model: ShardModel, record: Record, account: Account) -> bool:
    starts_at = record.body["starts_at"] or model.recorded_at
    return bool(0 < record.body["ends_at"] <= max(model.recorded_at, starts_at))


def _no_rule(model: ShardModel, record: Record, account: Account) -> bool:
    assert account is not None
    return account.rules.get(record.body["asset"], (0, None))[1] is None


def _top_up_unknown(model: ShardModel, record: Record, account: Account) -> bool:
    found = model.top_ups.get(record.body["top_up"])
    if found is None or account is None or found.account != account.number:
        return True
    # Where something was due, a rule may have asked for it after it was found to be unknown.
    now = model.recorded_at
    return found.requested_at <= now - WINDOW_US or found.requested_at == now


def _top_up_settled(model: ShardModel, record: Record, found: Any) -> bool:
    if record.kind == "topped":
        return bool(found.state == "confirmed")
    return bool(found.state != "pending")


CREDIT_REASONS: Final[dict[str, Callable[[ShardModel, Record, Account], bool]]] = {
    "GRANT_UNKNOWN": _grant_unknown,
    "GRANT_SETTLED": _of_grant(lambda model, record, grant: grant.settled > 0),
    "GRANT_KEY_TAKEN": _key_taken("grant"),
    "PAYMENT_LATE": _of_grant(lambda model, record, grant: grant.cancelled > 0),
    "PAYMENT_NOT_AWAITED": _of_grant(lambda model, record, grant: not grant.pending),
    "NOT_PAID": _of_grant(_not_paid),
    "CHARGED_BACK": _of_grant(
        lambda model, record, grant: was_paid(model, grant) == "CHARGED_BACK"
    ),
    "REFUND_TOO_LARGE": _of_grant(
        lambda model, record, grant: not grant.available or record.body["amount"] > grant.available
    ),
    "CURRENCY_DIFFERS": _currency,
    "AMOUNT_EXCEEDS_OWED": _exceeds,
    "NOTHING_OWED": _nothing_owed,
    "RECURRING_UNKNOWN": _unknown("recurring", "recurring"),
    "RECURRING_ENDED": _of(
        "recurring", "recurring", lambda model, record, found: found.ends_at <= model.recorded_at
    ),
    "RECURRING_PAUSED": _of("recurring", "recurring", lambda model, record, found: found.paused),
    "RECURRING_NOT_PAUSED": _of(
        "recurring", "recurring", lambda model, record, found: not found.paused
    ),
    "RECURRING_KEY_TAKEN": _key_taken("recurring grant"),
    "TERMS_FIXED": _of("recurring", "recurring", _terms_fixed),
    "START_INVALID": _start,
    "END_INVALID": _end,
    "COMMITMENT_UNKNOWN": _commitment_unknown,
    "COMMITMENT_ENDED": _commitment_ended,
    "TRANSFER_INVALID": _not_movable,
    "COMMITMENT_KEY_TAKEN": _key_taken("commitment"),
    "SEGMENT_INVALID": _segment_invalid,
    "SEGMENTS_OVERLAP": _overlap,
    "TOP_UP_RULE_UNKNOWN": _no_rule,
    "TOP_UP_UNKNOWN": _top_up_unknown,
    "TOP_UP_SETTLED": _of("top_ups", "top_up", _top_up_settled),
    "HOLD_LIFETIME_INVALID": _lifetime,
    "ROLLOVER_INVALID": _rollover,
    "INSUFFICIENT_CREDITS": _missing,
    "CORRECTION_TOO_OLD": _too_old,
    "CORRECTION_TOO_LARGE": _too_large,
    "NOT_REVERSIBLE": _not_reversible,
}
"""Reason -> whether the model's state gives it."""
