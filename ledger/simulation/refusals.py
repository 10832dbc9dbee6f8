"""Whether a refusal follows from the state that it rests on, and whether two bodies are the same.

One line a reason, written from the rules, over the naive model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from ledger.core.events import (
    AccountBilled,
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    AuthorizeDenied,
    BalanceAdjusted,
    BudgetRemoved,
    BudgetSet,
    BuyingMandateGranted,
    ChargeChanged,
    ChargeEnded,
    ChargeStarted,
    CommitmentCreated,
    CommitmentEnded,
    ContractAmended,
    ContractEnded,
    ContractSigned,
    CreditNoteIssued,
    DecisionPolicySet,
    GrantCancelled,
    GrantChargedBack,
    GrantIssued,
    GrantRefunded,
    GrantReleased,
    GrantVoided,
    HoldAuthorized,
    HoldDebitDenied,
    HoldDebited,
    HoldExtended,
    HoldReleased,
    HoldUpTo,
    LeaseGranted,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    MandateGranted,
    MandateRevoked,
    OperationBudgetSet,
    OperationHeld,
    OperationReserved,
    PackageChanged,
    PaymentRecorded,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    PriceOverridesSet,
    PurchaseRequested,
    QuotedDenied,
    QuoteMade,
    ReceivableWrittenOff,
    RecurringChanged,
    RecurringEnded,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    RequestAbandoned,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SeatTermsChanged,
    SegmentAdded,
    Subscribed,
    SubscriptionCancelled,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpRuleRemoved,
    TopUpRuleSet,
    UsageCaptured,
    UsageDebited,
    UsageLeased,
    UsageQuarantined,
    UsageQuoted,
    UsageRecorded,
    UsageReversed,
    WorkDenied,
)
from ledger.core.limits import DAY_US, MINUTE_US
from ledger.simulation import naive
from ledger.simulation.messages import Record
from ledger.simulation.model import WINDOW_US, ShardModel
from ledger.simulation.model.accounts import goes_on, still_open
from ledger.simulation.model.budgets import named
from ledger.simulation.model.holds import open_holds
from ledger.simulation.model.operations import DIGEST, standing
from ledger.simulation.model.overrides import are_wrong
from ledger.simulation.model.reserves import price_of
from ledger.simulation.model.rulings import are_wrong as rules_wrong
from ledger.simulation.naive import own_quantities
from ledger.simulation.naive_holdings import NaiveAccount
from ledger.simulation.prices import PRODUCTS
from ledger.simulation.refused_budgets import BUDGET_REASONS
from ledger.simulation.refused_charges import CHARGE_REASONS, no_end
from ledger.simulation.refused_charges import terms_fixed as charge_fixed
from ledger.simulation.refused_contracts import (
    CONTRACT_REASONS,
    OF_CONTRACTS,
    SHARED_REASONS,
    contract_of,
)
from ledger.simulation.refused_credits import CREDIT_REASONS
from ledger.simulation.refused_credits import corrected as _corrected
from ledger.simulation.refused_leases import LEASE_REASONS
from ledger.simulation.refused_packages import PACKAGE_REASONS
from ledger.simulation.refused_seats import SEAT_REASONS, plan_of, terms_fixed

KINDS: Final[dict[str, tuple[type, ...]]] = {
    "usage": (UsageRecorded, UsageQuarantined),
    "authorize": (
        HoldAuthorized,
        OperationHeld,
        PolicyHeld,
        AuthorizeDenied,
        QuotedDenied,
        WorkDenied,
        PolicyDenied,
    ),
    "range": (HoldUpTo, PolicyHeld, OperationHeld, WorkDenied, PolicyDenied),
    "reserve": (OperationReserved, WorkDenied),
    "debit": (
        UsageDebited,
        PolicyDebited,
        HoldDebited,
        WorkDenied,
        PolicyDenied,
        HoldDebitDenied,
    ),
    "rules": (DecisionPolicySet,),
    "operation": (OperationBudgetSet,),
    "budget": (BudgetSet,),
    "unbudget": (BudgetRemoved,),
    "mandate": (MandateGranted, BuyingMandateGranted),
    "buy": (PurchaseRequested,),
    "revoke": (MandateRevoked,),
    "acquire": (LeaseGranted,),
    "renew": (LeaseRenewed,),
    "leased": (UsageLeased, UsageQuarantined),
    "return": (LeaseReturned,),
    "recall": (LeaseRecalled,),
    "capture": (UsageRecorded, UsageCaptured),
    "extend": (HoldExtended,),
    "release": (HoldReleased,),
    "create": (AccountCreated,),
    "policy": (AccountPolicyUpdated,),
    "profile": (AccountProfileUpdated,),
    "close": (AccountClosed, AccountClosedOut),
    "freeze": (AccountFrozen,),
    "unfreeze": (AccountUnfrozen,),
    "reopen": (AccountReopened,),
    "issue": (GrantIssued,),
    "void": (GrantVoided,),
    "linked": (UsageRecorded, UsageQuarantined),
    "reverse": (UsageReversed,),
    "amend": (UsageReversed,),
    "adjust": (BalanceAdjusted,),
    "confirm": (GrantReleased,),
    "fail": (GrantCancelled,),
    "refund": (GrantRefunded,),
    "charge_back": (GrantChargedBack,),
    "bill": (AccountBilled,),
    "pay": (PaymentRecorded,),
    "credit_note": (CreditNoteIssued,),
    "write_off": (ReceivableWrittenOff,),
    "start": (RecurringStarted,),
    "change": (RecurringChanged,),
    "pause": (RecurringPaused,),
    "resume": (RecurringResumed,),
    "end": (RecurringEnded,),
    "commit": (CommitmentCreated,),
    "segment": (SegmentAdded,),
    "end_commitment": (CommitmentEnded,),
    "rule": (TopUpRuleSet,),
    "unrule": (TopUpRuleRemoved,),
    "topped": (TopUpConfirmed,),
    "declined": (TopUpDeclined,),
    "override": (PriceOverridesSet,),
    "seat_plan": (SeatPlanStarted,),
    "seat_add": (SeatsAdded,),
    "seat_remove": (SeatsRemoved,),
    "seat_reassign": (SeatReassigned,),
    "seat_suspend": (SeatSuspended,),
    "seat_resume": (SeatSuspended,),
    "seat_terms": (SeatTermsChanged,),
    "seat_end": (SeatPlanEnded,),
    "charge": (ChargeStarted,),
    "charge_quantity": (ChargeChanged,),
    "charge_terms": (ChargeChanged,),
    "charge_end": (ChargeEnded,),
    "subscribe": (Subscribed,),
    "package": (PackageChanged,),
    "cancel": (SubscriptionCancelled,),
    "sign": (ContractSigned,),
    "amend_contract": (ContractAmended,),
    "end_contract": (ContractEnded,),
    "quote": (QuoteMade,),
    "quoted": (UsageQuoted, UsageQuarantined),
}
"""Operation -> the events that may answer it."""

NOT_IN_EVENT: Final = frozenset(
    {
        "parent",
        "external_key",
        "product",
        "attributes",
        "quantity_names",
        "account",
        "original",
        "target_account",
        "operation",
        "operation_parent",
    }
)
AMENDED: Final = frozenset({"usage", "product", "quantities", "effective_at"})
"""Of an amendment: they are in the usage that follows its reversal."""

SAID: Final[dict[tuple[str, str], Callable[[Any], Any]]] = {
    ("confirm", "amount"): lambda event: 0 if event.rest else event.payment,
    ("refund", "amount"): lambda event: 0 if event.rest else event.amount,
    ("reverse", "quantities"): lambda event: () if event.whole else event.quantities,
    ("adjust", "grant"): lambda event: event.grant if event.grant_given else 0,
    ("start", "starts_at"): lambda event: event.start_given,
    ("charge", "starts_at"): lambda event: event.start_given,
    ("sign", "overrides"): lambda event: tuple(each.override for each in event.overrides),
    ("amend_contract", "overrides"): lambda event: (
        None if event.overrides is None else tuple(each.override for each in event.overrides)
    ),
    ("sign", "starts_at"): lambda event: event.starts_given,
    ("sign", "version"): lambda event: event.version_given,
    ("sign", "committed"): lambda event: _committed(event, event.starts_at, event.starts_given),
    ("amend_contract", "committed"): lambda event: _committed(event, event.effective_at, 0),
    ("capture", "keep_open"): lambda event: isinstance(event, UsageCaptured),
    ("close", "write_off"): lambda event: getattr(event, "write_off", False),
    ("close", "release_holds"): lambda event: getattr(event, "release_holds", False),
    ("close", "note"): lambda event: getattr(event, "note", b""),
    ("override", "overrides"): lambda event: tuple(each.override for each in event.overrides),
    ("quote", "tolerance"): lambda event: event.tolerance_given,
    ("mandate", "purchase"): lambda event: getattr(event, "purchase", None),
    ("reserve", "amount"): lambda event: event.quantities[0],
    ("return", "write_off"): lambda event: bool(event.written_off),
    ("operation", "idle"): lambda event: 0 if event.idle == DAY_US else event.idle,
    **{
        (kind, name): said
        for kind, name, said in (
            ("seat_plan", "seats", lambda event: event.names),
            ("seat_add", "seats", lambda event: event.names),
            ("seat_remove", "seats", lambda event: event.names),
            ("seat_reassign", "seat", lambda event: event.name),
            ("seat_suspend", "seat", lambda event: event.name),
            ("seat_resume", "seat", lambda event: event.name),
        )
    },
    ("quote", "held"): lambda event: event.hold > 0,
    **{
        (kind, name): said
        for kind in ("debit", "range")
        for name, said in (
            ("up_to", lambda event: _range(event).quantity if _range(event) else ""),
            ("minimum", lambda event: _range(event).minimum if _range(event) else 0),
            ("alternatives", lambda event: event.ruling.alternatives if event.ruling else ()),
        )
    },
}
"""(kind, field) -> what was asked, where the entry says it otherwise."""


def _committed(event: Any, at: int, given: int) -> tuple[Any, ...]:
    """What was asked to be committed: a first segment that starts with it said no start."""
    if given:
        return tuple(event.committed)
    return tuple(
        [
            replace(
                each,
                segments=tuple(
                    [
                        replace(part, starts_at=0) if not place and part.starts_at == at else part
                        for place, part in enumerate(each.segments)
                    ]
                ),
            )
            for each in event.committed
        ]
    )


DECIDED: Final = ("authorize", "range", "debit")
OF_OPERATIONS: Final = ("usage", "linked", "operation", "reserve", *DECIDED)


def same_body(record: Record, event: Any, number: int) -> str:
    """The first field in which an operation differs from an entry; "" = the same body."""
    if type(event) not in KINDS[record.kind]:
        return "request"
    if record.kind in ("reverse", "amend") and (record.kind == "amend") != bool(event.replaced_by):
        return "request"
    if getattr(event, "suspended", None) is True and record.kind == "seat_resume":
        return "request"
    if getattr(event, "suspended", None) is False and record.kind == "seat_suspend":
        return "request"
    hold: int | None = getattr(event, "hold", None)
    if record.kind in ("usage", "linked") and hold:
        return "request"
    if getattr(event, "debit", record.kind == "debit") != (record.kind == "debit"):
        return "request"
    if event.account != number:
        return "account"
    operation: bytes = getattr(event, "operation", b"")
    from_hold = record.kind == "debit" and record.body.get("hold") and not record.said
    if record.kind in OF_OPERATIONS and record.said != operation and not from_hold:
        return "operation"  # but a debit of a hold may say none: then it is the hold's
    called = record.said[:DIGEST]
    if record.kind == "capture" and called and called != operation[:DIGEST]:
        return "operation"
    for name, value in record.body.items():
        if name in NOT_IN_EVENT or (record.kind == "amend" and name in AMENDED):
            continue
        said = SAID.get((record.kind, name))
        found: Any = said(event) if said is not None else getattr(event, name, value)
        if name == "quantities" and record.kind in DECIDED:
            found = _asked(record, event)
        elif name == "lifetime" and _instead_of(event) is not None:
            found = _instead_of(event).lifetime
        if name == "effective_at" and getattr(event, "effective_given", True) == 0:
            found = 0
        if found != value:
            return name
    if record.kind == "debit" and "up_to" not in record.body and _range(event):
        return "up_to"
    return ""


def _asked(record: Record, event: Any) -> Any:
    """The quantities that were asked for, where as much of one as was affordable may run, or other
    work in its stead."""
    asked = _instead_of(event)
    if asked is not None:
        return asked.quantities
    up_to, found = getattr(event, "up_to", None), event.quantities
    names = PRODUCTS[record.body["product"]]
    if up_to is None or isinstance(event, WorkDenied) or up_to.quantity not in names:
        return found
    place = names.index(up_to.quantity)
    return (*found[:place], up_to.maximum, *found[place + 1 :])


def _instead_of(event: Any) -> Any:
    """What was asked for, where a rule had other work run in its stead."""
    ruling = getattr(event, "ruling", None)
    return ruling.asked if ruling is not None else None


def _range(event: Any) -> Any:
    return (_instead_of(event) or event).up_to


def is_justified(model: ShardModel, record: Record, number: int, standing: Any) -> str:
    """Why a refusal is wrong; "" where it is right. `standing`: what its identity stands for."""
    if record.reason.startswith(("NAME_", "DIRECTORY_", "CONFIGURATION_")):
        return ""
    assert record.mark is not None
    with model.at(record.mark.recorded_at):
        return _judged(model, record, number, standing)


def _judged(model: ShardModel, record: Record, number: int, standing: Any) -> str:
    if record.reason.startswith("LINKED_"):
        return _linked(model, record, standing)
    check = REASONS.get(record.reason)
    if record.kind in OF_CONTRACTS:
        check = SHARED_REASONS.get(record.reason, check)
    if check is None:
        return f"nobody expects the reason {record.reason}"
    if record.reason == "CONFLICT":
        return _conflict(record, number, standing)
    if record.reason == "ABANDONED":
        gone = isinstance(standing, RequestAbandoned)
        return "" if gone else f"it was never abandoned: {standing}"
    return "" if check(model, record, model.accounts.get(number)) else "the model disagrees"


def _conflict(record: Record, number: int, standing: Any) -> str:
    if standing is None:
        return "nothing stands under this identity"
    if isinstance(standing, RequestAbandoned):
        return "it was abandoned, and the answer should say so"
    if same_body(record, standing, number):
        return ""
    # The product stands in the plan, which the event only names.
    in_plan = record.kind in PRICED or "product" in record.body
    in_plan = in_plan and record.at_field in IN_PLAN
    if record.at_field == "quantities":
        in_plan = in_plan and len(standing.quantities) != len(record.body["quantities"])
    return "" if in_plan else "no field differs"


PRICED: Final = (
    "usage",
    "linked",
    "leased",
    "acquire",
    "authorize",
    "range",
    "debit",
    "quote",
    "quoted",
)
IN_PLAN: Final = frozenset({"product", "quantities", "attributes"})


def _linked(model: ShardModel, record: Record, standing: Any) -> str:
    """Of a group it is known that it is one; what else failed is for the record that says so."""
    if record.kind != "linked":
        return "it is linked with nothing"
    if record.reason == "LINKED_RECORDED":
        return "" if standing is not None else "nothing stands under its identity"
    if record.reason == "LINKED_TOO_OLD":
        return "" if _at(model, record) < model.recorded_at - WINDOW_US else "it is not too old"
    return "" if record.reason == "LINKED_FAILED" else f"nobody expects {record.reason}"


def _closed(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    if record.kind == "buy" and account is not None:  # that of whoever pays may be
        return any(each.closed_at for each in model.line(account))
    if account is not None and account.gaps:
        return True
    if record.kind == "reopen" and account is not None:
        return any(each.closed_at for each in model.above(account))
    if record.kind == "create":
        parents = [each for each in model.accounts.values() if each.closed_at]
        return bool(parents)
    return account is not None and account.closed_at > 0


def _at(model: ShardModel, record: Record) -> int:
    at: int = record.body.get("effective_at", 0)
    return at or model.recorded_at


def _hold_ended(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    hold = model.holds.get(record.body["hold"])
    if hold is None or not hold.ended:
        return False
    return bool(
        record.kind in ("release", "extend", "debit") or hold.ended != "expired" or hold.late
    )


def _contradicts(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    if record.kind == "reverse":
        used = _corrected(model, record)
        taken = record.body.get("quantities") or (used.left if used is not None else ())
        if used is None:
            return False
        rest = [a - b for a, b in zip(used.left, taken, strict=True)]
        return None in (own_quantities(used.names, taken), own_quantities(used.names, rest))
    names = record.body.get("quantity_names") or PRODUCTS[record.body["product"]]
    found = dict(zip(names, record.body["quantities"], strict=False))
    return bool(found.get("cached", 0) > found.get("input", 0))


def _range_invalid(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    """Of no quantity that was asked for, or from more than was asked for."""
    names, named = PRODUCTS[record.body["product"]], record.body["up_to"]
    if named not in names:
        return True
    return bool(record.body["minimum"] > record.body["quantities"][names.index(named)])


def _denied(model: ShardModel, record: Record, account: NaiveAccount | None) -> str:
    """Why a quote is not made: it has no price, or cannot be reserved."""
    if account is None or record.kind != "quote":
        return ""
    product, now = record.body["product"], model.recorded_at
    names, month = PRODUCTS[product], model.month(account)
    version = naive.version_for(model.versions_of(account), product, names, now)
    price = naive.price(account, version, product, names, record.body["quantities"], month, {})
    if -1 in price.charges:
        return "UNPRICED"
    payers = model.payers(account)
    if price.total and payers.grace_ended(price.asset):
        return "GRACE_ENDED"
    use = model.use(account.tenant, price.version, product, record.body.get("attributes", ()))
    _, missing, _ = payers.waterfall(
        price.asset, use, price.total, now, month, price.asset in model.money, False
    )
    return "INSUFFICIENT_CREDITS" if missing and record.body["held"] else ""


def _asset_unknown(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    tenant = record.tenant
    applied = model.applied.get(tenant, 0)
    return applied < 2


def _other_version(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    assert account is not None
    match record.kind:
        case "profile":
            version = account.profile_version
        case "change":
            version = model.recurring[record.body["recurring"]].version
        case kind if kind.startswith("seat_"):
            plan = plan_of(record, account)
            version = plan.version if plan is not None else 0
        case "charge_quantity" | "charge_terms":
            version = model.charges[record.body["charge"]].version
        case "amend_contract" | "end_contract":
            contract = contract_of(model, record, account)
            version = contract.revision if contract is not None else 0
        case "package" | "cancel":
            version = model.subscriptions[account.number].revision
        case "override":
            version = account.overrides_version
        case "rules":
            version = account.ruled
        case "operation":
            budget = standing(model, account, record.said)
            version = budget.version if budget is not None else 0
        case "budget":
            own = named(account, record.body["name"])
            version = own.version if own is not None else 0
        case "rule":
            version, _ = account.rules.get(record.body["rule"].asset, (0, None))
        case _:
            version = account.version
    return bool(version != record.body["expected_version"])


def _overrides_wrong(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    return account is not None and are_wrong(model, account, record.body["overrides"] or ())


def _not_empty(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    assert account is not None
    if account.holds and not record.body.get("release_holds"):
        return True
    if record.body.get("write_off"):
        return bool(goes_on(model, account))
    return bool(still_open(model, account, holds=not record.body.get("release_holds")))


REASONS: Final[dict[str, Callable[[ShardModel, Record, NaiveAccount | None], bool]]] = {
    "CONFLICT": lambda model, record, account: True,
    "ABANDONED": lambda model, record, account: True,
    "ACCOUNT_UNKNOWN": lambda model, record, account: account is None,
    "ACCOUNT_EXISTS": lambda model, record, account: account is not None,
    "PARENT_UNKNOWN": lambda model, record, account: account is None,
    "ACCOUNT_CLOSED": _closed,
    "ACCOUNT_FROZEN": lambda model, record, account: model.frozen(account),
    "ACCOUNT_NOT_FROZEN": lambda model, record, account: (
        account is not None and not account.frozen_at
    ),
    "ACCOUNT_NOT_CLOSED": lambda model, record, account: (
        account is not None and not account.closed_at
    ),
    "VERSION_MISMATCH": _other_version,
    "ACCOUNT_NOT_EMPTY": _not_empty,
    "OVERRIDES_INVALID": _overrides_wrong,
    "HOLD_UNKNOWN": lambda model, record, account: (
        record.body["hold"] not in model.holds
        or (account is not None and model.holds[record.body["hold"]].account != account.number)
        or model.recorded_at - model.holds[record.body["hold"]].ended_at > WINDOW_US
    ),
    "HOLD_SETTLED": _hold_ended,
    "HOLDS_LIMIT": lambda model, record, account: (
        account is not None and open_holds(account) >= account.policy.holds_open_max
    ),
    "ASSET_UNKNOWN": _asset_unknown,
    "EXPIRY_INVALID": lambda model, record, account: (
        record.body["expires_at"] <= max(model.recorded_at, _at(model, record))
    ),
    "POLICY_RULE_INVALID": lambda model, record, account: rules_wrong(record.body["rules"]),
    **BUDGET_REASONS,
    **LEASE_REASONS,
    "UP_TO_INVALID": _range_invalid,
    "QUANTITIES_ALL_ZERO": lambda model, record, account: (
        not any(record.body.get("quantities", (record.body.get("amount"),)))
    ),
    "SUBSET_EXCEEDS_PARENT": _contradicts,
    "IN_FUTURE": lambda model, record, account: (
        _at(model, record) > model.recorded_at + 5 * MINUTE_US
    ),
    "TOO_OLD": lambda model, record, account: _at(model, record) < model.recorded_at - WINDOW_US,
    **CREDIT_REASONS,
    **SEAT_REASONS,
    **CHARGE_REASONS,
    **PACKAGE_REASONS,
    **CONTRACT_REASONS,
    "TERMS_FIXED": lambda model, record, account: (
        terms_fixed(model, record, account)
        if record.kind == "seat_terms"
        else charge_fixed(model, record, account)
        if record.kind.startswith("charge_")
        else CREDIT_REASONS["TERMS_FIXED"](model, record, account)
    ),
    "END_INVALID": lambda model, record, account: (
        no_end(record) or CREDIT_REASONS["END_INVALID"](model, record, account)
    ),
    "INSUFFICIENT_CREDITS": lambda model, record, account: (
        _denied(model, record, account) == "INSUFFICIENT_CREDITS"
        if record.kind == "quote"
        else CREDIT_REASONS["INSUFFICIENT_CREDITS"](model, record, account)
    ),
    "GRACE_ENDED": lambda model, record, account: _denied(model, record, account) == "GRACE_ENDED",
    "UNPRICED": lambda model, record, account: (
        account is not None and price_of(model, account, 1).asset == 0
        if record.kind == "reserve"
        else _denied(model, record, account) == "UNPRICED"
    ),
}
"""Reason -> whether the model's state gives it."""
