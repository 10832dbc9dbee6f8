"""What each kind of entry has a replay do: the command that it answered, or what time made due.

A confirmed top-up brings its units, whether or not it was asked for here. Usage and authorisations
stand in `usage_entries` and `hold_entries`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from ledger.backtest.asked import asked, issue_of
from ledger.backtest.hold_entries import HOLDS
from ledger.backtest.numbers import is_of_adjustment
from ledger.backtest.usage_entries import USAGE
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.evolve import evolve
from ledger.core.metering.gauges import GaugeScope
from ledger.core.outcomes import Reason
from ledger.core.state import (
    TIMER_CHARGE,
    TIMER_COMMITMENT,
    TIMER_CONTRACT,
    TIMER_GAUGE,
    TIMER_GRANT,
    TIMER_HOLD,
    TIMER_PACKAGE,
    TIMER_RECURRING,
    TIMER_SEATS,
    TIMER_TOP_UP,
)

if TYPE_CHECKING:
    from ledger.backtest.replay import Replay

_Events = Sequence[e.Event]


# -- what time made due ----------------------------------------------------------------------------


def _hold_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.HoldExpired)
    replay.post(TIMER_HOLD, event.hold, events, index)


def _grant_due(replay: Replay, events: _Events, index: int) -> None:
    event: Any = events[index]
    replay.before.take(event, None)
    replay.post(TIMER_GRANT, replay.numbers.grant(event.grant), events, index)


def _cancelled(replay: Replay, events: _Events, index: int) -> None:
    command = asked(events[index])
    if command is None:
        _grant_due(replay, events, index)
    else:
        replay.run(command, events, index)


def _recurring_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.RecurringIssued)
    replay.post(TIMER_RECURRING, event.recurring, events, index)


def _package_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.PackagePeriodBegun | e.SubscriptionEnded)
    replay.post(TIMER_PACKAGE, event.account, events, index)


def _charge_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.ChargePeriodBegun | e.FeeRecognised)
    replay.before.take(event, None)
    replay.post(TIMER_CHARGE, event.charge, events, index)


def _fee(replay: Replay, events: _Events, index: int) -> None:
    """One in advance came with its period, that of a change comes with the change: what the clock
    alone charges is a period in arrears."""
    event = events[index]
    assert isinstance(event, e.FeeCharged)
    replay.before.take(event, None)
    charge = replay.state.charges.get(event.charge)
    if charge is not None and not charge.settled:
        replay.post(TIMER_CHARGE, event.charge, events, index)


def _charge_started(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.ChargeStarted)
    before = events[:index]
    if event.charge in replay.state.charges:  # with a contract, whose entry stands before it
        return
    if event.key or not any(isinstance(each, e.ChargeStarted) and not each.key for each in before):
        replay.state.next_charge = event.charge
    if event.key:
        _as_asked(replay, events, index)


def _charge_changed(replay: Replay, events: _Events, index: int) -> None:
    if asked(events[index]) is not None:
        _as_asked(replay, events, index)


def _if_asked(replay: Replay, events: _Events, index: int) -> None:
    if asked(events[index]) is not None:
        _as_asked(replay, events, index)


def _seats_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.SeatPeriodBegun)
    replay.post(TIMER_SEATS, event.account, events, index)


def _invoice_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.InvoiceDue)
    replay.post(TIMER_COMMITMENT, event.commitment, events, index)


def _top_up_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.TopUpExpired)
    replay.post(TIMER_TOP_UP, event.top_up, events, index)


def _minimums_due(replay: Replay, events: _Events, index: int) -> None:
    """All of a period's minimums are settled at once: with the last of them."""
    event = events[index]
    assert isinstance(event, e.MinimumCharged)
    replay.before.take(event, None)
    if event.last:
        replay.settle_minimums(event.account, event.end, events, index)


# -- grants, commitments, top-ups ------------------------------------------------------------------


def _issued(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.GrantIssued)
    replay.before.learn(event)
    replay.before.take(event, None)
    if event.key and not is_of_adjustment(events, index, event):
        command = replay.trying.issue(issue_of(event))
        if command is not None:
            replay.run(command, events, index, event.grant)
    elif not event.origin:
        replay.numbers.stands_ahead(event)


def _restored(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.GrantRestored)
    replay.before.learn(event)
    replay.numbers.stands_ahead(event)


def _started(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.RecurringStarted)
    replay.state.next_recurring = event.recurring
    _recurring_terms(replay, events, index)


def _recurring_terms(replay: Replay, events: _Events, index: int) -> None:
    command = asked(events[index])
    assert isinstance(command, c.StartRecurring | c.ChangeRecurring)
    command.terms = replay.trying.recurring(command.account, command.terms)
    replay.run(command, events, index)


def _subscribed(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.Subscribed | e.SubscriptionCancelled)
    if event.key:  # else it follows from a contract
        _as_asked(replay, events, index)


def _contracted(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.ContractSigned | e.ContractAmended)
    if event.commitments:
        replay.state.next_commitment = event.commitments[0]
    _as_asked(replay, events, index)


def _contract_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.ContractBegun | e.ContractRenewed)
    if isinstance(event, e.ContractRenewed) and event.commitments:
        replay.state.next_commitment = event.commitments[0]
    replay.post(TIMER_CONTRACT, event.account, events, index)


def _contract_ended(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.ContractEnded)
    if not event.key:
        replay.post(TIMER_CONTRACT, event.account, events, index)
        return
    target = replay.state.commitments.get(event.target)
    command = c.EndContract(
        event.key,
        event.account,
        event.contract,
        event.ending,
        event.old_grants,
        target.account.number if target is not None else 0,
        event.target,
        event.expected_version,
        trace=event.trace,
    )
    replay.run(command, events, index)


def _committed(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.CommitmentCreated)
    if not event.key:
        return  # it follows from a contract
    replay.state.next_commitment = event.commitment
    _as_asked(replay, events, index)


def _commitment_ended(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.CommitmentEnded)
    if not event.key:
        return  # it follows from the end of its contract
    target = replay.state.commitments.get(event.target)
    command = c.EndCommitment(
        event.key,
        event.account,
        event.commitment,
        event.ending,
        target.account.number if target is not None else 0,
        event.target,
        trace=event.trace,
    )
    replay.run(command, events, index)


def _requested(replay: Replay, events: _Events, index: int) -> None:
    """A rule asked for a top-up; here it may have asked already, or have no need."""
    event = events[index]
    assert isinstance(event, e.TopUpRequested)
    replay.before.take(event, None)
    if event.top_up not in replay.state.top_ups:
        replay.ask_for_top_ups(event.account, events, index)


def _confirmed(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.TopUpConfirmed)
    command = asked(event)
    if event.top_up not in replay.state.top_ups:
        issued = next(
            each
            for each in reversed(events[:index])
            if isinstance(each, e.GrantIssued) and each.grant == event.grant
        )
        command = issue_of(issued, event.key)
    assert command is not None
    replay.run(command, events, index, event.grant)


def _declined(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.TopUpDeclined)
    if event.top_up in replay.state.top_ups:
        _as_asked(replay, events, index)


def _purchased(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.PurchaseRequested)
    command = asked(event)
    assert command is not None
    replay.run(command, events, index, event.grant)


def _as_asked(replay: Replay, events: _Events, index: int) -> None:
    command = asked(events[index])
    assert command is not None
    replay.run(command, events, index)


# -- accounts --------------------------------------------------------------------------------------


def _opened_account(replay: Replay, events: _Events, index: int) -> None:
    _policy(replay, events, index)
    replay.trying.opened(events[index].account)


def _policy(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    if isinstance(event, e.AccountPolicyUpdated) and not event.key:
        return  # it follows from a package
    command = asked(event)
    assert isinstance(command, c.CreateAccount | c.UpdatePolicy)
    command.policy = replay.trying.policy(command.account, command.policy)
    replay.run(command, events, index)


# -- the shard's own -------------------------------------------------------------------------------


def _configured(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.ConfigurationApplied)
    behind = events[index + 1] if index + 1 < len(events) else None
    offset = behind.offset if isinstance(behind, e.ClockAdvanced) else -1
    minimums = isinstance(behind, e.MinimumsAwaited)
    replay.cards.apply(event.tenant, event.version)
    replay.usual.forget_cards()
    command = c.ApplyConfiguration(
        event.tenant, event.version, event.content_hash, offset, minimums
    )
    replay.run(command, events, index)


def _opened(replay: Replay, events: _Events, index: int) -> None:
    evolve(replay.state, events[index])


def _overridden(replay: Replay, events: _Events, index: int) -> None:
    """What an account pays otherwise is a fact; of a candidate that has no such thing it changes
    nothing."""
    event = events[index]
    assert isinstance(event, e.PriceOverridesSet)
    replay.fact(event)


def _shared(replay: Replay, events: _Events, index: int) -> None:
    """With whom a grant is shared is a fact, where the replay has that grant."""
    event = events[index]
    assert isinstance(event, e.SharingUpdated)
    grants = replay.state.grants
    grant = replay.numbers.grant(event.grant)
    alike = [replay.numbers.grant(each) for each in event.alike]
    if grant in grants:
        kept = tuple([each for each in alike if each in grants])
        replay.fact(replace(event, grant=grant, alike=kept))


def _capped(replay: Replay, events: _Events, index: int) -> None:
    """So is who may draw how much of it; windows are opened as it is drawn."""
    event = events[index]
    assert isinstance(event, e.CapSet | e.CapRemoved)
    if isinstance(event, e.CapSet) and event.grant:
        grant = replay.numbers.grant(event.grant)
        if grant not in replay.state.grants:
            return
        event = replace(event, grant=grant)
    given = replay.state.accounts[event.account].caps_given
    if isinstance(event, e.CapSet) or event.cap in given:
        replay.fact(event)


def _metered(replay: Replay, events: _Events, index: int) -> None:
    """What meters count is a fact: no price changes it."""
    event = events[index]
    assert isinstance(event, e.UsageMetered | e.MetersReversed)
    replay.fact(event)


def _gauge_reported(replay: Replay, events: _Events, index: int) -> None:
    """What gauges show is a fact too."""
    event = events[index]
    assert isinstance(event, e.GaugeReported)
    replay.report(event, replay.usual.plans[event.plan].declared)


def _gauge_reversed(replay: Replay, events: _Events, index: int) -> None:
    """And what was taken back of it, where the replay has not charged it."""
    event = events[index]
    assert isinstance(event, e.GaugeReversed)
    account = replay.state.accounts[event.account]
    gauges = account.gauges
    gauge = gauges.of(GaugeScope(event.start, event.end), event.gauge) if gauges else None
    if gauge is not None and gauge.place_of(event.report) >= 0:
        replay.fact(event)
    else:
        replay.refused(event, Reason.NOT_REVERSIBLE)


def _gauge_charged(replay: Replay, events: _Events, index: int) -> None:
    """The scope of a gauge was over: its level costs what the candidate says."""
    event = events[index]
    assert isinstance(event, e.GaugeCharged)
    replay.before.take(event, replay.usual.plans[event.plan].declared)
    replay.figures.usage_events += 1
    replay.post(TIMER_GAUGE, event.account, events, index)
    for made in replay.made:
        if isinstance(made, e.GaugeCharged) and made.key == event.key:
            replay.keep(index, replay.original(made), waits=bool(event.suspense))


def _converted(replay: Replay, events: _Events, index: int) -> None:
    """It goes with the usage before it, or its reversal; what it earned then is on the old side."""
    replay.before.take(events[index], None)


def _learn(replay: Replay, events: _Events, index: int) -> None:
    replay.before.learn(events[index])


def _nothing(_replay: Replay, _events: _Events, _index: int) -> None:
    """It follows from another entry, or says what was said."""


ENTRIES: Final[dict[type, Callable[[Any, _Events, int], None]]] = (
    USAGE
    | HOLDS
    | {
        e.HoldExpired: _hold_due,
        e.HoldRefilled: _nothing,
        e.GrantStarted: _grant_due,
        e.GrantRolledOver: _grant_due,
        e.GrantRolloverSet: _nothing,
        e.GrantExpired: _grant_due,
        e.GrantCancelled: _cancelled,
        e.RecurringIssued: _recurring_due,
        e.PackagePeriodBegun: _package_due,
        e.SubscriptionEnded: _package_due,
        e.PackagePricesSet: _nothing,
        e.Subscribed: _subscribed,
        e.SubscriptionCancelled: _subscribed,
        e.ContractSigned: _contracted,
        e.ContractAmended: _contracted,
        e.ContractBegun: _contract_due,
        e.ContractRenewed: _contract_due,
        e.ContractEnded: _contract_ended,
        e.PackagePhaseBegun: _nothing,
        e.ChargeStarted: _charge_started,
        e.ChargePeriodBegun: _charge_due,
        e.FeeCharged: _fee,
        e.FeeRecognised: _charge_due,
        e.ChargeChanged: _charge_changed,
        e.ChargeRepriced: _nothing,
        e.ChargeEnded: _if_asked,
        e.SeatPlanStarted: _if_asked,
        e.SeatPlanEnded: _if_asked,
        e.DecisionPolicySet: _if_asked,
        e.PackageRulesSet: _nothing,
        e.PackageOperationsSet: _nothing,
        e.BudgetSet: _if_asked,
        e.GroupedBudgetSet: _if_asked,
        e.BudgetRemoved: _if_asked,
        e.SeatPeriodBegun: _seats_due,
        e.SeatAllowanceLow: _nothing,
        e.InvoiceDue: _invoice_due,
        e.TopUpExpired: _top_up_due,
        e.MinimumCharged: _minimums_due,
        e.GrantIssued: _issued,
        e.GrantRestored: _restored,
        e.RecurringStarted: _started,
        e.RecurringChanged: _recurring_terms,
        e.AccountCreated: _opened_account,
        e.AccountPolicyUpdated: _policy,
        e.CommitmentCreated: _committed,
        e.CommitmentEnded: _commitment_ended,
        e.TopUpRequested: _requested,
        e.TopUpConfirmed: _confirmed,
        e.TopUpDeclined: _declined,
        e.PurchaseRequested: _purchased,
        e.ConfigurationApplied: _configured,
        e.WriterOpened: _opened,
        e.PriceOverridesSet: _overridden,
        e.BookOpened: _learn,
        e.ClockAdvanced: _nothing,
        e.MinimumsAwaited: _nothing,
        e.TimeShifted: _nothing,
        e.LimitExceeded: _nothing,
        e.SharingUpdated: _shared,
        e.CapSet: _capped,
        e.CapBegun: _capped,
        e.CapRemoved: _capped,
        e.CapWindowOpened: _nothing,
        e.BudgetValueOpened: _nothing,
        e.OperationBudgetSet: _if_asked,
        e.OperationPolicySet: _if_asked,
        e.OperationBudgetBegun: _nothing,
        e.OperationJoined: _nothing,
        e.OperationBudgetEnded: _nothing,
        e.BudgetsCounted: _nothing,
        e.BudgetsTallied: _nothing,
        e.BudgetCrossed: _nothing,
        e.UsageConverted: _converted,
        e.ConversionReversed: _converted,
        e.UsageMetered: _metered,
        e.MetersReversed: _metered,
        e.GaugeReported: _gauge_reported,
        e.GaugeReversed: _gauge_reversed,
        e.GaugeCharged: _gauge_charged,
        e.AdjustmentNoted: _nothing,
        e.StatementsSet: _nothing,
        e.StatementEnded: _nothing,
        e.StatementClosed: _nothing,
        e.GrantReduced: _nothing,
        e.TrueUpCounted: _nothing,
    }
)
"""Those that need more than `asked` knows of them, or have no command at all."""
