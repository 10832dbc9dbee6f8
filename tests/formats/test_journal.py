"""A whole journal of the first version, replayed to what it was replayed to then."""

from __future__ import annotations

from typing import get_args

from ledger.core.digest import DIGEST_VERSION
from ledger.core.events import (
    AccountBilled,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountMoved,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    AdjustmentNoted,
    BalanceAdjusted,
    BudgetCrossed,
    BudgetDenied,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
    CapRemoved,
    CapSet,
    CapWindowOpened,
    ChargeChanged,
    ChargeEnded,
    ChargePeriodBegun,
    ChargeStarted,
    ClockAdvanced,
    CommitmentCreated,
    CommitmentEnded,
    ConversionReversed,
    CreditNoteIssued,
    Event,
    FeeCharged,
    FeeRecognised,
    GaugeCharged,
    GaugeReported,
    GaugeReversed,
    GrantCancelled,
    GrantChargedBack,
    GrantExpired,
    GrantIssued,
    GrantReduced,
    GrantRefunded,
    GrantReleased,
    GrantRestored,
    GrantRolledOver,
    GrantStarted,
    GrantVoided,
    HoldAuthorized,
    HoldCharged,
    HoldExtended,
    InvoiceDue,
    MetersReversed,
    MinimumCharged,
    MinimumsAwaited,
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
    PackageChanged,
    PackagePeriodBegun,
    PackagePhaseBegun,
    PackagePricesSet,
    PaymentRecorded,
    PlanOverridden,
    PriceOverridesSet,
    QuotedDenied,
    QuoteExpired,
    QuoteMade,
    ReceivableWrittenOff,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    SeatAllowanceLow,
    SeatPeriodBegun,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SegmentAdded,
    SharingUpdated,
    StatementClosed,
    StatementEnded,
    StatementsSet,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    SuspenseRated,
    TimeShifted,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleRemoved,
    TopUpRuleSet,
    TrueUpCounted,
    UsageCaptured,
    UsageConverted,
    UsageCosted,
    UsageMetered,
    UsageModeled,
    UsageQuoted,
    UsageRepriced,
    UsageRerated,
    UsageReversed,
)
from ledger.core.upcast import UPCASTS
from ledger.journal.protocol import check_row
from ledger.verify import verify
from tests.formats import journal
from tests.formats.formats import FIXTURES
from tests.formats.registered import AS_WRITTEN

RECORDED, REPLAYED = journal.read(FIXTURES)
LATER = {  # classes that came after the first version
    BudgetSet,
    CapRemoved,
    CapSet,
    CapWindowOpened,
    SharingUpdated,
    BudgetRemoved,
    BudgetsCounted,
    BudgetsTallied,
    BudgetCrossed,
    BudgetDenied,
    AccountMoved,
    SuspenseRated,
    QuoteMade,
    QuoteExpired,
    UsageQuoted,
    QuotedDenied,
    OutcomeReported,
    OutcomeConfirmed,
    OutcomeRejected,
    ClockAdvanced,
    TimeShifted,
    AccountBilled,
    CreditNoteIssued,
    GrantChargedBack,
    GrantRefunded,
    PaymentRecorded,
    ReceivableWrittenOff,
    AccountCreated,
    AccountPolicyUpdated,
    AccountClosedOut,
    AccountFrozen,
    AccountUnfrozen,
    AccountReopened,
    AccountProfileUpdated,
    GrantCancelled,
    GrantExpired,
    GrantIssued,
    GrantReleased,
    GrantRolledOver,
    GrantStarted,
    GrantVoided,
    UsageReversed,
    GrantRestored,
    AdjustmentNoted,
    GrantReduced,
    CommitmentCreated,
    CommitmentEnded,
    InvoiceDue,
    TrueUpCounted,
    SegmentAdded,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleRemoved,
    TopUpRuleSet,
    PlanOverridden,
    PriceOverridesSet,
    BalanceAdjusted,
    HoldAuthorized,
    HoldCharged,
    HoldExtended,
    UsageCaptured,
    UsageConverted,
    UsageCosted,
    ConversionReversed,
    MinimumCharged,
    MinimumsAwaited,
    UsageMetered,
    MetersReversed,
    StatementsSet,
    StatementEnded,
    StatementClosed,
    GaugeReported,
    GaugeCharged,
    GaugeReversed,
    Subscribed,
    PackageChanged,
    PackagePeriodBegun,
    PackagePhaseBegun,
    PackagePricesSet,
    SubscriptionCancelled,
    SubscriptionEnded,
    ChargeStarted,
    ChargePeriodBegun,
    FeeCharged,
    FeeRecognised,
    ChargeChanged,
    ChargeEnded,
    SeatPlanStarted,
    SeatsAdded,
    SeatsRemoved,
    SeatReassigned,
    SeatSuspended,
    SeatPeriodBegun,
    SeatPlanEnded,
    SeatAllowanceLow,
    UsageModeled,
    UsageRepriced,
    UsageRerated,
}


def test_every_row_has_the_hash_that_it_had() -> None:
    rows = [row for shard in range(journal.SHARDS) for row in RECORDED.journal(shard)]
    assert [check_row(row).hash.hex() for row in rows] == REPLAYED["hashes"]


def test_the_journal_holds_every_event_of_the_first_version() -> None:
    rows = [row for shard in range(journal.SHARDS) for row in RECORDED.journal(shard)]
    held = {type(event) for row in rows for event in AS_WRITTEN.decode(row.payload)}
    assert held == {*get_args(Event), *UPCASTS} - LATER


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
