"""Whether a command that comes again is what was recorded under its key (rule I1).

The first field that differs is named: CONFLICT says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.bodies import BODIES
from ledger.core.contracts.contract_terms import from_start
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import OPERATION_IDLE_DEFAULT_US
from ledger.core.metering.levels import reported_of


def first_difference(
    command: c.Command,
    recorded: e.Event,
    plan: e.PlanDeclared | None,
    metered: e.UsageMetered | None = None,
) -> str:
    """Name of the first field in which `command` differs from what was recorded under its key.

    "" = the same body. `plan` is the declaration that the recorded event names, if it names one;
    `metered` what its meters counted over levels, if they have any.
    """
    if isinstance(command, c.AbandonRequest):
        return ""
    kinds, fields = BODIES[type(command)]
    if not isinstance(recorded, kinds):
        return "request"
    if isinstance(recorded, e.ChargeChanged) and (recorded.terms is None) != isinstance(
        command, c.ChangeQuantity
    ):
        return "request"
    if isinstance(command, c.ReverseUsage) and isinstance(recorded, e.GaugeReversed):
        return _report_back_differs(command, recorded)
    if isinstance(command, c.ReverseUsage | c.AmendUsage):
        assert isinstance(recorded, e.UsageReversed)
        return _reversal_differs(command, recorded)
    if isinstance(command, c.LeasedUsage):
        if isinstance(recorded, e.UsageLeased) and recorded.hold != command.hold:
            return "lease_id"
    elif (
        isinstance(command, c.RecordUsage)
        and isinstance(recorded, e.UsageRecorded)
        and recorded.hold
    ):
        return "request"
    if isinstance(command, c.CaptureHold) and isinstance(recorded, e.UsageLeased):
        return "request"
    if isinstance(command, c.ReleaseHold) and isinstance(recorded, e.LeaseReturned):
        return "request"
    if isinstance(command, c.AuthorizeHold) and isinstance(recorded, e.LeaseGranted):
        return "request"
    if (
        isinstance(command, c.ReturnLease)
        and isinstance(recorded, e.LeaseReturned)
        and command.write_off != bool(recorded.written_off)
    ):
        return "write_off"
    if isinstance(command, c.CaptureHold) and isinstance(recorded, e.OutcomeConfirmed):
        return "request"
    if isinstance(recorded, e.WorkDenied) and bool(recorded.debit) != isinstance(
        command, c.DebitWork
    ):
        return "request"
    if isinstance(command, c.ReserveOperation):
        assert plan is not None
        if plan.product:
            return "request"
        if (command.amount,) != getattr(recorded, "quantities", ()):
            return "operation_amount"
    if isinstance(
        command,
        c.RecordUsage
        | c.AuthorizeHold
        | c.DebitWork
        | c.CreateQuote
        | c.ReportOutcome
        | c.AcquireLease,
    ):
        shape = command.shape
        assert plan is not None
        asked: e.AskedWork | e.PlanDeclared = _asked_of(recorded) or plan
        if shape.product != asked.product:
            return "product"
        if shape.attributes != asked.attributes:
            return "attributes"
        if shape.quantity_names != asked.quantity_names:
            return "quantities"
    elif isinstance(command, c.CaptureHold):
        assert plan is not None
        if command.quantity_names != plan.quantity_names:
            return "quantities"
        if command.product not in ("", plan.product):
            return "product"
        if command.product and command.attributes != plan.attributes:
            return "attributes"
        if isinstance(recorded, e.UsageDebited):
            return "request"
        if command.keep_open != isinstance(recorded, e.UsageCaptured):
            return "keep_open"
    if isinstance(
        command, c.RecordUsage | c.CaptureHold | c.IssueGrant | c.ReportOutcome
    ) and command.effective_at != _effective_at_given(recorded):
        return "effective_at_us"
    if (
        isinstance(command, c.StartRecurring | c.StartCharge)
        and isinstance(recorded, e.RecurringStarted | e.ChargeStarted)
        and command.starts_at != recorded.start_given
    ):
        return "starts_at_us"
    if (
        isinstance(command, c.RecordUsage | c.AuthorizeHold)
        and not isinstance(recorded, e.UsageQuarantined)  # it keeps no quote
        and command.quote != getattr(recorded, "quote", 0)
    ):
        return "quote_id"
    if isinstance(command, c.ConfirmOutcome):
        assert isinstance(recorded, e.OutcomeConfirmed)
        if command.outcome != recorded.hold:
            return "outcome_id"
        if command.evidence != recorded.personal:
            return "evidence"
    if isinstance(command, c.RejectOutcome):
        assert isinstance(recorded, e.OutcomeRejected)
        if command.outcome != recorded.hold:
            return "outcome_id"
    if (
        isinstance(command, c.ReportGauge)
        and isinstance(recorded, e.GaugeReported)
        and command.gauge != recorded.gauge
    ):
        return "properties"
    if isinstance(command, c.DebitWork) and command.hold != getattr(recorded, "hold", 0):
        return "hold_id"
    if isinstance(command, c.AuthorizeHold):
        denied = recorded.hold if isinstance(recorded, e.HoldDebitDenied) else 0
        if command.hold != getattr(recorded, "of", denied):
            return "hold_id"
    if isinstance(command, c.AuthorizeHold | c.DebitWork):
        assert plan is not None
        return _work_differs(command, recorded, plan, fields)
    if (
        isinstance(command, c.SetOperationBudget)
        and isinstance(recorded, e.OperationBudgetSet)
        and (command.idle or OPERATION_IDLE_DEFAULT_US) != recorded.idle
    ):
        return "idle_us"
    if (
        isinstance(command, c.SetOperationPolicy)
        and isinstance(recorded, e.OperationPolicySet)
        and command.terms is not None
        and (command.idle or OPERATION_IDLE_DEFAULT_US) != recorded.idle
    ):
        return "idle_us"
    if (
        isinstance(command, c.CaptureHold)
        and isinstance(recorded, e.UsageRecorded)
        and command.operation
        and command.operation[:KEY_BYTES] != recorded.operation[:KEY_BYTES]
    ):
        return "operation"  # whoever names it need not name its parent
    if isinstance(command, c.CreateQuote):
        assert isinstance(recorded, e.QuoteMade)
        if command.tolerance != recorded.tolerance_given:
            return "tolerance_basis_points"
        if command.held != bool(recorded.hold):
            return "hold"
    if isinstance(command, c.ConfirmPayment):
        assert isinstance(recorded, e.GrantReleased)
        if command.amount != (0 if recorded.rest else recorded.payment):
            return "amount"
    if isinstance(command, c.RefundGrant):
        assert isinstance(recorded, e.GrantRefunded)
        if command.amount != (0 if recorded.rest else recorded.amount):
            return "units"
    if isinstance(command, c.AdjustBalance):
        assert isinstance(recorded, e.BalanceAdjusted)
        if command.grant != (recorded.grant if recorded.grant_given else 0):
            return "grant_id"
    if isinstance(command, c.SetPriceOverrides):
        assert isinstance(recorded, e.PriceOverridesSet)
        if command.overrides != tuple([each.override for each in recorded.overrides]):
            return "overrides"
    if isinstance(recorded, e.SeatSuspended):
        if recorded.suspended != isinstance(command, c.SuspendSeat):
            return "request"
        if recorded.name != getattr(command, "seat", ""):
            return "seat"
    if isinstance(command, c.StartSeatPlan | c.AddSeats | c.RemoveSeats):
        assert isinstance(recorded, e.SeatPlanStarted | e.SeatsAdded | e.SeatsRemoved)
        if command.seats != recorded.names:
            return "seats"
    if isinstance(command, c.ReassignSeat):
        assert isinstance(recorded, e.SeatReassigned)
        if command.seat != recorded.name:
            return "seat"
    if isinstance(command, c.EndStatement):
        assert isinstance(recorded, e.StatementEnded)
        for name, given in (
            ("start_us", (command.start, recorded.start_given)),
            ("end_us", (command.end, recorded.end_given)),
            ("form", (command.form, recorded.form_given)),
            ("attribute", (command.attribute, recorded.attribute_given)),
        ):
            if given[0] != given[1]:
                return name
    if isinstance(command, c.SignContract):
        assert isinstance(recorded, e.ContractSigned)
        differs = _signing_differs(command, recorded)
        if differs:
            return differs
    if isinstance(command, c.AmendContract):
        assert isinstance(recorded, e.ContractAmended)
        differs = _amendment_differs(command, recorded)
        if differs:
            return differs
    if isinstance(command, c.SetCap):
        assert isinstance(recorded, e.CapSet)
        return _cap_differs(command, recorded)
    reported: tuple[int, ...] | None = None
    if (
        isinstance(command, c.RecordUsage)
        and isinstance(recorded, e.UsageRecorded)
        and not isinstance(command, c.RepriceUsage)
    ):
        levels = tuple([(each.place, each.key) for each in command.levels])
        if levels != tuple([(each.place, each.key) for each in metered.moves] if metered else ()):
            return "properties"
        if metered is not None:
            reported = reported_of(recorded.quantities, metered)
    for field in fields:
        given = getattr(command, field)
        kept: Any = getattr(recorded, field, _UNSAID.get(field))
        if field == "quantities" and reported is not None:
            kept = reported
        if field == "operation" and not given and isinstance(recorded, e.UsageLeased):
            if recorded.apart > 0:
                return "operation"
            continue  # that of its lease
        if given != kept:
            if field == "hold" and isinstance(
                command, c.RenewLease | c.ReturnLease | c.RecallLease
            ):
                return "lease_id"
            if field == "lifetime" and isinstance(command, c.AcquireLease | c.RenewLease):
                return "term_us"
            return _said_in(field, given, kept)
    return ""


def _sizing_differs(
    command: c.AuthorizeHold, recorded: e.HoldSized | e.SizedDenied, lifetime: int
) -> str:
    """What the caller said is compared, not what was learned by then or is by now."""
    sizing = command.sizing
    bodies: tuple[tuple[str, Any, Any], ...] = (
        ("account", command.account, recorded.account),
        ("quantities", command.quantities if sizing is None else sizing.asked, recorded.asked),
        ("lifetime", command.lifetime, lifetime),
        ("sizing", sizing is not None and sizing.learned, bool(recorded.learned)),
        ("operation", command.operation, getattr(recorded, "operation", b"")),
    )
    for field, said, kept in bodies:
        if said != kept:
            return _said_in(field, said, kept)
    return ""


def _said_in(field: str, given: Any, kept: Any) -> str:
    """What a caller calls it; behind the digest of an operation stands that of its parent."""
    if field == "operation" and given[:KEY_BYTES] == kept[:KEY_BYTES]:
        return "operation_parent"
    return _WIRE_NAMES.get(field, field)


def _work_differs(
    command: c.AuthorizeHold | c.DebitWork,
    recorded: e.Event,
    plan: e.PlanDeclared,
    fields: Sequence[str],
) -> str:
    """Work that is asked for is as much as there may be of it, whatever was allowed."""
    asked = _asked_of(recorded)
    up_to: e.UpTo | None = asked.up_to if asked is not None else getattr(recorded, "up_to", None)
    sizing = command.sizing if isinstance(command, c.AuthorizeHold) else None
    if isinstance(command, c.AuthorizeHold) and isinstance(recorded, e.HoldSized | e.SizedDenied):
        lifetime = asked.lifetime if asked is not None else recorded.lifetime
        differs = _sizing_differs(command, recorded, lifetime)
        if differs:
            return differs
        fields = ()
    elif sizing is not None and sizing.learned:
        return "sizing"
    for field in fields:
        given: Any = getattr(command, field)
        kept: Any = getattr(recorded, field, _UNSAID.get(field))
        if field == "operation" and not given and command.hold:
            continue  # that of its hold
        if field == "quantities" and sizing is not None:
            given = sizing.asked
        if asked is not None and field in ("quantities", "lifetime"):
            kept = asked.quantities if field == "quantities" else asked.lifetime
        elif field == "quantities" and up_to is not None and not isinstance(recorded, e.WorkDenied):
            place = plan.quantity_names.index(up_to.quantity)
            kept = (*kept[:place], up_to.maximum, *kept[place + 1 :])
        if given != kept:
            return _said_in(field, given, kept)
    named, minimum = (up_to.quantity, up_to.minimum) if up_to is not None else ("", 0)
    if command.up_to != named:
        return "up_to.quantity"
    if command.minimum != minimum:
        return "up_to.minimum"
    ruling: e.Ruling | None = getattr(recorded, "ruling", None)
    alternatives = ruling.alternatives if ruling is not None else ()
    return "alternatives" if command.alternatives != alternatives else ""


def _asked_of(recorded: e.Event) -> e.AskedWork | None:
    """What was asked for, where a policy had other work run in its stead."""
    ruling: e.Ruling | None = getattr(recorded, "ruling", None)
    return ruling.asked if ruling is not None else None


def _report_back_differs(command: c.ReverseUsage, recorded: e.GaugeReversed) -> str:
    """What was taken back was a report, whole."""
    for field, given, kept in (
        ("request", command.replaced_by, b""),
        ("account", command.account, recorded.account),
        ("original", command.original.locator, recorded.original),
        ("as_charged", command.as_charged, 0),
        ("reason", command.note, recorded.note),
        ("refund_cost", command.refund_cost, False),
        ("quantities", command.quantities, ()),
    ):
        if given != kept:
            return field
    return ""


def _signing_differs(command: c.SignContract, recorded: e.ContractSigned) -> str:
    if command.version != recorded.version_given:
        return "package_version"
    if command.starts_at != recorded.starts_given:
        return "starts_at_us"
    if command.overrides != tuple([each.override for each in recorded.overrides]):
        return "overrides"
    at = recorded.starts_at
    committed = tuple([from_start(each, at) for each in command.committed])
    return "commitments" if committed != recorded.committed else ""


def _amendment_differs(command: c.AmendContract, recorded: e.ContractAmended) -> str:
    if command.effective_at != recorded.effective_given:
        return "effective_at_us"
    said = recorded.overrides
    overrides = tuple([each.override for each in said]) if said is not None else None
    if command.overrides != overrides:
        return "overrides"
    at = recorded.effective_at
    committed = tuple([from_start(each, at) for each in command.committed])
    return "commitments" if committed != recorded.committed else ""


def _reversal_differs(command: c.ReverseUsage | c.AmendUsage, recorded: e.UsageReversed) -> str:
    if isinstance(command, c.ReverseUsage):
        if command.replaced_by != recorded.replaced_by:
            return "request"
        if command.replacement != recorded.replacement:
            return "version"
    elif not recorded.replaced_by:
        return "request"
    if isinstance(command, c.AmendUsage):
        if command.usage.key != recorded.replaced_by:
            return "replacement.id"
        if command.body != recorded.replacement:
            return "replacement"
    quantities, as_charged = (
        (command.quantities, command.as_charged) if isinstance(command, c.ReverseUsage) else ((), 0)
    )
    goodwill = not any(recorded.quantities)  # then what stands apart was asked for with the rest
    kept_charge = recorded.as_charged + recorded.apart if goodwill else recorded.as_charged
    for field, given, kept in (
        ("account", command.account, recorded.account),
        ("original", command.original.locator, recorded.original),
        ("as_charged", as_charged, kept_charge),
        ("ended_grants", command.ended, recorded.ended),
        ("reason", command.note, recorded.note),
        (
            "refund_cost",
            isinstance(command, c.ReverseUsage) and command.refund_cost,
            bool(recorded.refund_cost),
        ),
    ):
        if given != kept:
            return field
    whole = not quantities and not as_charged
    if whole != bool(recorded.whole):
        return "quantities"
    if quantities and quantities != recorded.quantities:
        return "quantities"
    return ""


def _cap_differs(command: c.SetCap, recorded: e.CapSet) -> str:
    """What a change of a cap does not name is as it stands; a new one of a grant, of its asset."""
    named = (
        ("cap.cap_id", command.cap, recorded.cap if recorded.version > 1 else 0),
        ("cap", command.terms, recorded.terms),
        ("expected_version", command.expected_version, recorded.expected_version),
        ("cap.account", command.account, recorded.account),
    )
    for field, given, kept in named:
        if given != kept:
            return field
    for field, asked, stands in (
        ("cap.below", command.below, recorded.below),
        ("cap.asset", command.asset, recorded.asset),
        ("cap.grant_id", command.grant, recorded.grant),
    ):
        if asked != stands and (asked or not command.cap) and (field != "cap.asset" or asked):
            return field
    return ""


def _effective_at_given(recorded: e.Event) -> int:
    """The effective time that the caller gave; 0 = it was left to the writer."""
    if isinstance(recorded, e.UsageRecorded | e.GrantIssued | e.OutcomeReported | e.GaugeReported):
        return recorded.effective_at if recorded.effective_given else 0
    assert isinstance(recorded, e.UsageQuarantined), recorded
    return recorded.effective_at


_UNSAID = {
    "operation": b"",
    "write_off": False,
    "release_holds": False,
    "note": b"",
    "values": None,
    "purchase": None,
}
"""Fields that an event leaves out where they have their default: a plain AccountClosed."""


_WIRE_NAMES = {
    "seat_plan": "plan",
    "ends_at": "ends_at_us",
    "recurring": "recurring_grant_id",
    "charge": "charge_id",
    "commitment": "commitment_id",
    "target": "target_commitment_id",
    "top_up": "top_up_id",
    "hold": "hold_id",
    "grant": "grant_id",
    "lifetime": "lifetime_us",
    "expires_at": "expires_at_us",
    "personal": "personal_attributes",
    "profile": "metadata",
    "note": "reason",
    "pending": "gated",
    "most": "amount",
}


def is_abandoned(recorded: e.Event) -> bool:
    """Whether the key was given up for ever (rule I5)."""
    return isinstance(recorded, e.RequestAbandoned)
