"""A whole journal of the first version, replayed to what it was replayed to then."""

from __future__ import annotations

from typing import get_args

from ledger.core import events as e
from ledger.core.digest import DIGEST_VERSION
from ledger.core.upcast import (
    UPCASTS,
    BudgetsTallied1,
    ContractAmended1,
    ContractSigned1,
    UsageLeased1,
)
from ledger.journal.protocol import check_row
from ledger.verify import verify
from tests.formats import journal
from tests.formats.formats import FIXTURES
from tests.formats.registered import AS_WRITTEN

RECORDED, REPLAYED = journal.read(FIXTURES)
LATER = {  # classes that came after the first version
    e.PackageRulesSet,
    e.PackageOperationsSet,
    e.DecisionPolicySet,
    e.PolicyDenied,
    e.PolicyDebited,
    e.PolicyHeld,
    e.BudgetSet,
    e.CapRemoved,
    e.CapSet,
    e.CapBegun,
    e.CapWindowOpened,
    e.SharingUpdated,
    e.BudgetRemoved,
    e.BudgetsCounted,
    e.BudgetsTallied,
    BudgetsTallied1,
    e.BudgetCrossed,
    e.BudgetDenied,
    e.GroupedBudgetSet,
    e.BudgetValueOpened,
    e.AccountMoved,
    e.SuspenseRated,
    e.QuoteMade,
    e.QuoteExpired,
    e.UsageQuoted,
    e.QuotedDenied,
    e.SizedDenied,
    e.WorkDenied,
    e.HoldSized,
    e.HoldUpTo,
    e.UsageDebited,
    e.OutcomeReported,
    e.OutcomeConfirmed,
    e.OutcomeRejected,
    e.ClockAdvanced,
    e.TimeShifted,
    e.AccountBilled,
    e.CreditNoteIssued,
    e.GrantChargedBack,
    e.GrantRefunded,
    e.PaymentRecorded,
    e.ReceivableWrittenOff,
    e.AccountCreated,
    e.AccountPolicyUpdated,
    e.AccountClosedOut,
    e.AccountFrozen,
    e.AccountUnfrozen,
    e.AccountReopened,
    e.AccountProfileUpdated,
    e.GrantCancelled,
    e.GrantExpired,
    e.GrantIssued,
    e.GrantReleased,
    e.GrantRolledOver,
    e.GrantStarted,
    e.GrantVoided,
    e.UsageReversed,
    e.GrantRestored,
    e.AdjustmentNoted,
    e.GrantReduced,
    e.CommitmentCreated,
    e.CommitmentEnded,
    e.InvoiceDue,
    e.TrueUpCounted,
    e.SegmentAdded,
    e.RecurringChanged,
    e.RecurringEnded,
    e.RecurringIssued,
    e.RecurringPaused,
    e.RecurringResumed,
    e.RecurringStarted,
    e.TopUpConfirmed,
    e.TopUpDeclined,
    e.TopUpExpired,
    e.TopUpRequested,
    e.TopUpRuleRemoved,
    e.TopUpRuleSet,
    e.PlanOverridden,
    e.PriceOverridesSet,
    e.BalanceAdjusted,
    e.HoldAuthorized,
    e.HoldCharged,
    e.HoldExtended,
    e.UsageCaptured,
    e.UsageConverted,
    e.UsageCosted,
    e.ConversionReversed,
    e.MinimumCharged,
    e.MinimumsAwaited,
    e.UsageMetered,
    e.MetersReversed,
    e.StatementsSet,
    e.StatementEnded,
    e.StatementClosed,
    e.GaugeReported,
    e.GaugeCharged,
    e.GaugeReversed,
    e.Subscribed,
    e.PackageChanged,
    e.PackagePeriodBegun,
    e.PackagePhaseBegun,
    e.PackagePricesSet,
    e.ContractAmended,
    e.ContractBegun,
    e.ContractEnded,
    e.ContractRenewed,
    e.ContractSigned,
    ContractSigned1,
    ContractAmended1,
    e.GrantRolloverSet,
    e.SubscriptionCancelled,
    e.SubscriptionEnded,
    e.ChargeStarted,
    e.ChargePeriodBegun,
    e.ChargeRepriced,
    e.FeeCharged,
    e.FeeRecognised,
    e.ChargeChanged,
    e.ChargeEnded,
    e.SeatPlanStarted,
    e.SeatsAdded,
    e.SeatsRemoved,
    e.SeatReassigned,
    e.SeatSuspended,
    e.SeatTermsChanged,
    e.SeatPeriodBegun,
    e.SeatPlanEnded,
    e.SeatAllowanceLow,
    e.UsageModeled,
    e.UsageRepriced,
    e.UsageRerated,
    e.LeaseGranted,
    e.LeaseLapsed,
    e.LeaseOverdue,
    e.LeaseRecalled,
    e.LeaseRenewed,
    e.LeaseReturned,
    e.MandateGranted,
    e.MandateRevoked,
    e.RunwayAlertSet,
    e.RunwayAlertRemoved,
    e.RunwayCrossed,
    e.OperationBudgetBegun,
    e.OperationBudgetEnded,
    e.OperationPolicySet,
    e.OperationBudgetSet,
    e.OperationHeld,
    e.OperationLeaseGranted,
    e.OperationReserved,
    e.OperationPartHeld,
    e.HoldRefilled,
    e.HoldDebited,
    e.HoldDebitDenied,
    e.OperationJoined,
    e.SizedOperationHeld,
    e.BuyingMandateGranted,
    e.PurchaseRequested,
    e.UsageLeased,
    UsageLeased1,
    e.RerateShared,
    e.SharedRerated,
}


def test_every_row_has_the_hash_that_it_had() -> None:
    rows = [row for shard in range(journal.SHARDS) for row in RECORDED.journal(shard)]
    assert [check_row(row).hash.hex() for row in rows] == REPLAYED["hashes"]


def test_the_journal_holds_every_event_of_the_first_version() -> None:
    rows = [row for shard in range(journal.SHARDS) for row in RECORDED.journal(shard)]
    held = {type(event) for row in rows for event in AS_WRITTEN.decode(row.payload)}
    assert held == {*get_args(e.Event), *UPCASTS} - LATER


async def test_it_is_replayed_to_the_state_that_it_had() -> None:
    """If only the form of the digest changed: give it a new DIGEST_VERSION, and generate."""
    expected = REPLAYED[f"states, form {DIGEST_VERSION}"]
    found = await journal.states(RECORDED)
    for shard, then in expected.items():
        now = found[shard]
        for section, value in then["state"].items():
            assert now["state"][section] == value, f"{shard}: {section}"
        assert now == then


async def test_its_read_models_say_what_they_said(database: str) -> None:
    """Columns that came later are not looked at; `verify` looks at all."""
    await journal.store(RECORDED, database)
    then = REPLAYED["read_models"]
    columns = {table: found["columns"] for table, found in then.items()}
    now = await journal.read_models(database, columns)
    for table, found in then.items():
        assert now[table] == found, table
    report = await verify(database)
    assert report.ok, report.findings
