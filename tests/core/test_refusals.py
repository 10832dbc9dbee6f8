"""Every reason that the core can give: what causes it, that it changes nothing, its precedence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_world import CREDITS, FAMILY, START_US, TENANT, USD, Core
from msgspec.structs import replace

from ledger.core.commands import (
    NO_NAMES,
    AbandonRequest,
    AddSegment,
    ApplyConfiguration,
    AuthorizeHold,
    BillAccount,
    CaptureHold,
    ChangeRecurring,
    ChargeBack,
    CloseAccount,
    Command,
    ConfirmPayment,
    ConfirmTopUp,
    CreateAccount,
    CreateCommitment,
    DebitWork,
    DeclineTopUp,
    EndCommitment,
    EndRecurring,
    FailPayment,
    FreezeAccount,
    IssueGrant,
    MoveAccount,
    PauseRecurring,
    RecordPayment,
    RecordUsage,
    RefundGrant,
    ReleaseHold,
    RemoveBudget,
    RemoveRunwayAlert,
    RemoveTopUpRule,
    ReopenAccount,
    ReportRunway,
    ResumeRecurring,
    ReverseUsage,
    SetBudget,
    SetDecisionPolicy,
    SetPriceOverrides,
    SetRunwayAlert,
    SetTopUpRule,
    StartRecurring,
    UnfreezeAccount,
    UpdatePolicy,
    UpdateProfile,
    VoidGrant,
)
from ledger.core.digest import digest
from ledger.core.events import (
    AccountPolicy,
    Alternative,
    BudgetMeasure,
    BudgetTerms,
    BudgetValues,
    CommitmentEnding,
    CommitmentTerms,
    GrantKind,
    HoldAuthorized,
    Invoice,
    Overage,
    OverdraftKind,
    PeriodUnit,
    PolicyAction,
    PolicyRule,
    Proration,
    RecurringStarted,
    RecurringTerms,
    Rollover,
    RunwayAlert,
    Segment,
    Timing,
    TopUpRule,
    UsageQuarantined,
    ValueLimit,
    Window,
    WindowKind,
)
from ledger.core.keys import KeyMap
from ledger.core.limits import (
    ANCHOR_MAX_US,
    COMMITMENTS_AN_ACCOUNT_MAX,
    CORRECTED_A_FAMILY_MAX,
    DAY_US,
    DEDUPE_WINDOW_US,
    EXPIRES_AFTER_MAX_US,
    HOUR_US,
    INT64_MAX,
    INVOICES_MAX,
    OVERRIDES_REMEMBERED_MAX,
    RECURRING_AN_ACCOUNT_MAX,
    REOPENINGS_MAX,
    SEGMENTS_MAX,
    SUSPENDED_A_FAMILY_MAX,
)
from ledger.core.metering.waiting import Rated, Waiting
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import Corrected
from rating.overrides import OVERRIDES_MAX, Override, Overwrite

ACME, CLOSED, FULL, HELD = 1, 2, 3, 4  # accounts: usual, closed, one with credits, one at its limit
FROZEN, BELOW = 5, 6  # frozen, and an account below it
NEW = FAMILY.request("new")


def world() -> Core:
    core = Core()
    for number in (ACME, CLOSED, FULL, HELD):
        policy = AccountPolicy(holds_open_max=1) if number == HELD else AccountPolicy()
        core.run(CreateAccount(FAMILY.request(f"a{number}"), TENANT, number, 0, number, policy))
    core.run(CloseAccount(FAMILY.request("close"), CLOSED))
    for number in (FROZEN, BELOW):
        parent = number - FROZEN and FROZEN
        key = FAMILY.request(f"a{number}")
        core.run(CreateAccount(key, TENANT, number, parent, FROZEN, AccountPolicy()))
    core.run(FreezeAccount(FAMILY.request("freeze"), FROZEN))
    for number in (FULL, HELD):
        core.run(replace(GRANT, key=FAMILY.request(f"g{number}"), account=number))
    core.run(VoidGrant(FAMILY.request("void"), FULL, 1))
    core.run(replace(GRANT, key=FAMILY.request("third"), account=FULL, external_key=b"taken"))
    hold = AuthorizeHold(FAMILY.request("h"), HELD, core.shape("chat", "tokens"), (1,), 0)
    assert isinstance(core.run(hold), HoldAuthorized)
    hold = AuthorizeHold(FAMILY.request("i"), FULL, core.shape("chat", "tokens"), (1,), 0)
    assert isinstance(core.run(hold), HoldAuthorized)
    core.run(ReleaseHold(FAMILY.request("r"), FULL, 2))
    for number, external_key in ((RUNNING, b"taken"), (PAUSED, b""), (ENDED, b"")):
        start = StartRecurring(
            FAMILY.request(f"start {number}"), HELD, TERMS, external_key, TOMORROW, 0
        )
        assert isinstance(core.run(start), RecurringStarted)
    core.run(PauseRecurring(FAMILY.request("pause"), HELD, PAUSED))
    core.run(EndRecurring(FAMILY.request("end"), HELD, ENDED, Timing.NOW))
    return core


def committed(core: Core, command: Command) -> Command:
    """With two commitments of the account HELD, of which the second is ended."""
    for number, external_key in enumerate((b"taken", b""), start=1):
        key = FAMILY.request(f"commit {number}")
        core.run(replace(COMMIT, key=key, account=HELD, external_key=external_key))
    core.run(EndCommitment(FAMILY.request("over"), HELD, 2, CommitmentEnding.WAIVE))
    return command


def overcommitted(core: Core) -> Command:
    """One more than an account may have."""
    for number in range(COMMITMENTS_AN_ACCOUNT_MAX):
        core.run(replace(COMMIT, key=FAMILY.request(f"c{number}")))
    return COMMIT


def committing(*segments: Segment, invoices: tuple[Invoice, ...] = (), **terms: object) -> Command:
    return replace(
        COMMIT,
        segments=segments or COMMIT.segments,
        invoices=invoices,
        terms=replace(COMMIT.terms, **terms),
    )


def transferring(core: Core, **target: object) -> Command:
    """The end of HELD's commitment by transfer to another that differs so; without: to itself."""
    invoices = (Invoice(core.now + DAY_US, 1),)
    core.run(replace(COMMIT, key=FAMILY.request("ends"), account=HELD, invoices=invoices))
    if not target:
        return TRANSFER
    terms = {name: target.pop(name) for name in ("asset", "price_asset") if name in target}
    command = replace(COMMIT, **{"key": FAMILY.request("takes"), "account": HELD, **target})
    core.run(replace(command, terms=replace(command.terms, **terms)))
    return replace(TRANSFER, target_account=command.account, target=2)


def full_of_segments(core: Core) -> Command:
    core.run(replace(COMMIT, key=FAMILY.request("first"), segments=steps(SEGMENTS_MAX)))
    return AddSegment(NEW, ACME, 1, SEGMENT, ())


def steps(count: int) -> tuple[Segment, ...]:
    return tuple(
        Segment(START_US + day * DAY_US, START_US + (day + 1) * DAY_US, 1, 1)
        for day in range(1, count + 1)
    )


def topped_up(core: Core) -> None:
    """A rule of ACME that has asked for one charge, which was confirmed."""
    core.run(SetTopUpRule(FAMILY.request("rule"), ACME, TOP_UP_RULE))
    core.run(ConfirmTopUp(FAMILY.request("confirm"), ACME, 1))


def confirming(core: Core) -> Command:
    topped_up(core)
    return ConfirmTopUp(NEW, ACME, 1)


def declining(core: Core) -> Command:
    topped_up(core)
    return DeclineTopUp(NEW, ACME, 1)


def anothers(core: Core) -> Command:
    topped_up(core)
    return ConfirmTopUp(NEW, FULL, 1)


def forgotten(core: Core) -> Command:
    topped_up(core)
    core.advance(2 * DEDUPE_WINDOW_US)
    return ConfirmTopUp(NEW, ACME, 1)


def closed_since(core: Core) -> Command:
    core.run(SetTopUpRule(FAMILY.request("rule"), ACME, TOP_UP_RULE))
    core.run(CloseAccount(FAMILY.request("shut"), ACME))
    return ConfirmTopUp(NEW, ACME, 1)


def alerting(hours: int, rearm_hours: int, asset: int = CREDITS) -> Command:
    return SetRunwayAlert(NEW, ACME, RunwayAlert(asset, hours, rearm_hours))


def reporting(core: Core, as_of: int, empty_at: int, version: int = 1) -> Command:
    """A forecast of ACME, which has an alert at 72 hours."""
    alert = RunwayAlert(CREDITS, 72, 96)
    core.run(SetRunwayAlert(FAMILY.request("alert"), ACME, alert))
    return ReportRunway(NEW, ACME, CREDITS, version, 1, as_of, empty_at, 0, 0)


def budget(**changed: object) -> Command:
    """Set a budget of 100 credits, but for what is said."""
    terms = replace(BudgetTerms(BudgetMeasure.CHARGE, 100, CREDITS), **changed)
    return SetBudget(NEW, ACME, "all", terms)


def budget_by_value(*fields: object) -> Command:
    """The same of one that counts each value by itself."""
    terms = BudgetTerms(BudgetMeasure.CHARGE, 100, CREDITS)
    return SetBudget(NEW, ACME, "all", terms, values=BudgetValues(*fields))  # type: ignore[arg-type]


def ruling(account: int = 1, version: int = 0, **changes: object) -> Command:
    return SetTopUpRule(NEW, account, replace(TOP_UP_RULE, **changes), version)


def override(price: str = "1", priority: int = 0) -> Override:
    return Override("chat", "tokens", Overwrite("credits", price), priority=priority)


def overriding(*overrides: Override) -> Command:
    return SetPriceOverrides(NEW, ACME, overrides)


def overridden_often(core: Core) -> Command:
    """Every time others, so that one more is remembered than may be."""
    for time in range(OVERRIDES_REMEMBERED_MAX // OVERRIDES_MAX + 1):
        several = tuple(override(str(time), priority) for priority in range(OVERRIDES_MAX))
        command = SetPriceOverrides(FAMILY.request(f"list {time}"), ACME, several)
        if time < OVERRIDES_REMEMBERED_MAX // OVERRIDES_MAX:
            core.run(command)
    return command


def crowded(core: Core) -> StartRecurring:
    """One more than an account may have."""
    for number in range(RECURRING_AN_ACCOUNT_MAX):
        core.run(StartRecurring(FAMILY.request(f"s{number}"), ACME, TERMS, b"", TOMORROW, 0))
    return START


RUNNING, PAUSED, ENDED = 1, 2, 3  # recurring grants of the account HELD
TOMORROW = START_US + DAY_US
SEGMENT = Segment(0, START_US + 9 * DAY_US, 10, 5)
COMMIT = CreateCommitment(
    NEW, ACME, CommitmentTerms(GrantKind.POSTPAID, CREDITS, USD, 0, ()), (SEGMENT,), (), b""
)
ADD = AddSegment(NEW, HELD, 1, SEGMENT, ())
TRANSFER = EndCommitment(NEW, HELD, 1, CommitmentEnding.TRANSFER, HELD, 1)
TERMS = RecurringTerms(
    GrantKind.PREPAID, CREDITS, 100, 0, 0, 0, (), PeriodUnit.MONTH, 1, 0, "", Proration.NONE, 0
)
START = StartRecurring(NEW, ACME, TERMS, b"", 0, 0)
CHANGE = ChangeRecurring(NEW, HELD, RUNNING, TERMS, Timing.NEXT_PERIOD)


def starting(**changes: object) -> StartRecurring:
    return replace(START, terms=replace(TERMS, **changes))


def changing(**changes: object) -> ChangeRecurring:
    return replace(CHANGE, terms=replace(TERMS, **changes))


TOP_UP_RULE = TopUpRule(CREDITS, 10, 20, 0, 1, 1, USD, "card", 1, DAY_US)
GRANT = IssueGrant(
    NEW, ACME, GrantKind.PREPAID, CREDITS, 100, 0, USD, 0, 0, 0, (), b"", NO_NAMES, b""
)


def paid(core: Core, command: Callable[..., Command], *given: int, gated: bool = False) -> Command:
    """About a grant that was paid for, or is to be."""
    key = FAMILY.request("paid")
    core.run(replace(GRANT, key=key, price_paid=10, pending=gated))
    return command(NEW, ACME, core.state.next_grant - 1, *given)


def paid_late(core: Core) -> Command:
    command = paid(core, ConfirmPayment, gated=True)
    core.run(FailPayment(FAMILY.request("fail"), ACME, core.state.next_grant - 1))
    return command


def charged_back(core: Core) -> Command:
    command = paid(core, ChargeBack)
    core.run(replace(command, key=FAMILY.request("first")))
    return command


def owing_dollars(core: Core) -> Command:
    charged_back_later = paid(core, ChargeBack)
    core.run(usage(core, ACME, 50))
    core.run(replace(charged_back_later, key=FAMILY.request("first")))
    return RecordPayment(FAMILY.request("other"), ACME, CREDITS, 1)


def rolling(core: Core, rollover: Rollover, expires_at: int | None = None) -> Command:
    expires_at = core.now + DAY_US if expires_at is None else expires_at
    return replace(GRANT, rollover=rollover, expires_at=expires_at)


def usage(core: Core, account: int, *quantities: int, of: str = "chat", at: int = 0) -> RecordUsage:
    names = ("cached", "input") if of == "gpt" else ("tokens",)
    return RecordUsage(NEW, account, core.shape(of, *names), quantities, at, NO_NAMES)


def hold(core: Core, account: int, tokens: int, lifetime: int = 0, of: str = "chat") -> Command:
    return AuthorizeHold(NEW, account, core.shape(of, "tokens"), (tokens,), lifetime)


def debit(core: Core, account: int, tokens: int, of: str = "chat", **more: Any) -> Command:
    return DebitWork(NEW, account, core.shape(of, "tokens"), (tokens,), **more)


def capture(account: int, number: int, tokens: int, at: int = 0) -> Command:
    return CaptureHold(NEW, account, number, ("tokens",), (tokens,), at)


def reversal(core: Core, *quantities: int, charged: int = 0, age: int = 0) -> ReverseUsage:
    """Of usage that is so old by now."""
    key = FAMILY.usage("case", "recorded")
    core.run(replace(usage(core, FULL, 5), key=key))
    locator = core.state.keys.find(key)
    assert locator is not None
    original = core.original(locator)
    if age:
        core.advance(age)
    return ReverseUsage(NEW, FULL, original, quantities, charged)


def reversed_twice(core: Core) -> ReverseUsage:
    command = reversal(core)
    core.run(replace(command, key=FAMILY.request("first")))
    return command


def reversal_of_a_reversal(core: Core) -> ReverseUsage:
    command = reversed_twice(core)
    locator = core.state.keys.find(FAMILY.request("first"))
    assert locator is not None
    return replace(command, original=core.original(locator))


def corrected_too_often(core: Core) -> ReverseUsage:
    command = reversal(core)
    family = core.state.families[FULL]
    one = Corrected(core.now, (0,), 0, 0)
    family.corrected = dict.fromkeys(range(CORRECTED_A_FAMILY_MAX), one)
    return command


def waits_too_much(core: Core) -> Command:
    one = Waiting(ACME, 1, core.now, "unknown", (), ("tokens",), (1,), (0,))
    root = core.state.accounts[ACME].root
    core.state.families[root].waiting = dict.fromkeys(range(SUSPENDED_A_FAMILY_MAX), one)
    return usage(core, ACME, 1, of="unknown")


def rated_meanwhile(core: Core) -> ReverseUsage:
    command = reversal(core)
    rated = Rated(core.now, (core.state.locator,))
    core.state.families[FULL].rated[command.original.locator] = rated
    return command


def settles_otherwise(core: Core) -> Command:
    policy = AccountPolicy("usd", overage=Overage.SELF, settlement_asset=USD)
    core.run(CreateAccount(FAMILY.request("settles"), TENANT, 201, 0, 201, policy))
    core.run(usage(core, 201, 1))
    return UpdatePolicy(FAMILY.request("otherwise"), 201, AccountPolicy())


def deep(core: Core) -> Command:
    for number in range(101, 117):
        parent = number - 1 if number > 101 else 0
        core.run(
            CreateAccount(
                FAMILY.request(f"deep{number}"), TENANT, number, parent, 101, AccountPolicy()
            )
        )
    return CreateAccount(NEW, TENANT, 117, 116, 101, AccountPolicy())


def reopened(core: Core) -> Command:
    for number in range(2 * REOPENINGS_MAX + 1):
        command = ReopenAccount if number % 2 else CloseAccount
        core.run(command(FAMILY.request(f"often{number}"), ACME))
    return ReopenAccount(NEW, ACME)


def late(core: Core) -> Command:
    """The capture of a hold that has expired on an account that is frozen by now."""
    core.run(hold(core, ACME, 1, of="free"))
    number = core.state.next_hold - 1
    core.run(FreezeAccount(FAMILY.request("now"), ACME))
    core.advance(HOUR_US)
    core.sweep()
    return replace(capture(ACME, number, 1), key=FAMILY.request("late"))


def exhausted(core: Core) -> Command:
    core.state.keys = KeyMap(keys_max=1)
    core.state.keys.add(b"one", 1)
    return usage(core, ACME, 1)


# reason -> (what causes it, the field that it names)
CASES: dict[Reason, list[tuple[Callable[[Core], Command], str]]] = {
    Reason.KEYS_EXHAUSTED: [(exhausted, "id")],
    Reason.ACCOUNT_UNKNOWN: [
        (lambda core: ruling(9), "account"),
        (lambda core: RemoveTopUpRule(NEW, 9, CREDITS), "account"),
        (lambda core: ConfirmTopUp(NEW, 9, 1), "account"),
        (lambda core: DeclineTopUp(NEW, 9, 1), "account"),
        (lambda core: replace(START, account=9), "account"),
        (lambda core: PauseRecurring(NEW, 9, RUNNING), "account"),
        (lambda core: usage(core, 9, 1), "account"),
        (lambda core: hold(core, 9, 1), "account"),
        (lambda core: capture(9, 1, 1), "account"),
        (lambda core: ReleaseHold(NEW, 9, 1), "account"),
        (lambda core: UpdatePolicy(NEW, 9, AccountPolicy()), "account"),
        (lambda core: CloseAccount(NEW, 9), "account"),
        (lambda core: replace(GRANT, account=9), "account"),
        (lambda core: VoidGrant(NEW, 9, 1), "account"),
        (lambda core: AbandonRequest(NEW, 9), "account"),
        (lambda core: UpdateProfile(NEW, 9, b""), "account"),
        (lambda core: FreezeAccount(NEW, 9), "account"),
        (lambda core: UnfreezeAccount(NEW, 9), "account"),
        (lambda core: ReopenAccount(NEW, 9), "account"),
        (lambda core: MoveAccount(NEW, 9, ACME), "account"),
    ],
    Reason.ACCOUNT_EXISTS: [
        (lambda core: CreateAccount(NEW, TENANT, ACME, 0, ACME, AccountPolicy()), "account")
    ],
    Reason.PARENT_UNKNOWN: [
        (lambda core: CreateAccount(NEW, TENANT, 7, 99, 99, AccountPolicy()), "parent"),
        (lambda core: MoveAccount(NEW, BELOW, 99), "parent"),
    ],
    Reason.ACCOUNT_IS_ROOT: [(lambda core: MoveAccount(NEW, ACME, FULL), "account")],
    Reason.PARENT_BELOW: [(lambda core: MoveAccount(NEW, BELOW, BELOW), "parent")],
    Reason.PARENT_ELSEWHERE: [(lambda core: MoveAccount(NEW, BELOW, ACME), "parent")],
    Reason.PARENT_SAME: [(lambda core: MoveAccount(NEW, BELOW, FROZEN), "parent")],
    Reason.ACCOUNT_CLOSED: [
        (lambda core: ruling(CLOSED), "account"),
        (closed_since, "account"),
        (lambda core: replace(START, account=CLOSED), "account"),
        (lambda core: usage(core, CLOSED, 1), "account"),
        (lambda core: hold(core, CLOSED, 1), "account"),
        (lambda core: UpdatePolicy(NEW, CLOSED, AccountPolicy()), "account"),
        (lambda core: CloseAccount(NEW, CLOSED), "account"),
        (lambda core: replace(GRANT, account=CLOSED), "account"),
        (lambda core: CreateAccount(NEW, TENANT, 7, CLOSED, CLOSED, AccountPolicy()), "account"),
        (lambda core: FreezeAccount(NEW, CLOSED), "account"),
        (lambda core: MoveAccount(NEW, CLOSED, ACME), "account"),
        (lambda core: UnfreezeAccount(NEW, CLOSED), "account"),
    ],
    Reason.ACCOUNT_FROZEN: [
        (lambda core: usage(core, FROZEN, 1), "account"),
        (lambda core: usage(core, BELOW, 1), "account"),
        (lambda core: hold(core, FROZEN, 1), "account"),
        (lambda core: hold(core, BELOW, 1), "account"),
        (late, "account"),
        (lambda core: FreezeAccount(NEW, FROZEN), "account"),
    ],
    Reason.ACCOUNT_NOT_FROZEN: [
        (lambda core: UnfreezeAccount(NEW, ACME), "account"),
        (lambda core: UnfreezeAccount(NEW, BELOW), "account"),
    ],
    Reason.ACCOUNT_NOT_CLOSED: [
        (lambda core: ReopenAccount(NEW, ACME), "account"),
        (lambda core: ReopenAccount(NEW, FROZEN), "account"),
    ],
    Reason.REOPENINGS_LIMIT: [(reopened, "account")],
    Reason.DEPTH_EXCEEDED: [(deep, "parent")],
    Reason.VERSION_MISMATCH: [
        (lambda core: ruling(version=3), "expected_version"),
        (lambda core: replace(alerting(72, 96), expected_version=3), "expected_version"),
        (lambda core: reporting(core, core.state.now, 0, 2), "version"),
        (lambda core: replace(CHANGE, expected_version=2), "expected_version"),
        (lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(), 2), "expected_version"),
        (lambda core: UpdateProfile(NEW, ACME, b"", 2), "expected_version"),
        (lambda core: MoveAccount(NEW, BELOW, ACME, 2), "expected_version"),
        (lambda core: ApplyConfiguration(TENANT, 2, b""), "version"),
    ],
    Reason.ACCOUNT_NOT_EMPTY: [
        (lambda core: CloseAccount(NEW, FULL), "account"),
        (lambda core: CloseAccount(NEW, FULL, release_holds=True), "account"),
        (lambda core: CloseAccount(NEW, HELD, write_off=True), "account"),
        (lambda core: CloseAccount(NEW, FROZEN, write_off=True, release_holds=True), "account"),
    ],
    Reason.GRANT_UNKNOWN: [
        (lambda core: VoidGrant(NEW, ACME, 99), "grant_id"),
        (lambda core: VoidGrant(NEW, ACME, 3), "grant_id"),
    ],
    Reason.GRANT_SETTLED: [(lambda core: VoidGrant(NEW, FULL, 1), "grant_id")],
    Reason.GRANT_KEY_TAKEN: [
        (lambda core: replace(GRANT, account=FULL, external_key=b"taken"), "external_key")
    ],
    Reason.HOLD_UNKNOWN: [
        (lambda core: capture(ACME, 99, 1), "hold_id"),
        (lambda core: capture(ACME, 1, 1), "hold_id"),
        (lambda core: ReleaseHold(NEW, ACME, 99), "hold_id"),
        (lambda core: ReleaseHold(NEW, ACME, 1), "hold_id"),
    ],
    Reason.HOLD_SETTLED: [
        (lambda core: capture(FULL, 2, 1), "hold_id"),
        (lambda core: ReleaseHold(NEW, FULL, 2), "hold_id"),
    ],
    Reason.HOLD_LIFETIME_INVALID: [
        (lambda core: hold(core, ACME, 1, -1), "lifetime_us"),
        (lambda core: hold(core, ACME, 1, DAY_US + 1), "lifetime_us"),
    ],
    Reason.POLICY_RULE_INVALID: [
        (
            lambda core: SetDecisionPolicy(NEW, ACME, (PolicyRule(PolicyAction.NONE),)),
            "rules[0].action",
        ),
    ],
    Reason.ALTERNATIVES_INVALID: [
        (
            lambda core: replace(hold(core, ACME, 5), alternatives=(Alternative(),)),
            "alternatives[0]",
        ),
        (
            lambda core: replace(hold(core, ACME, 5), quote=1, alternatives=(Alternative("x"),)),
            "alternatives",
        ),
    ],
    Reason.UP_TO_INVALID: [
        (lambda core: replace(hold(core, ACME, 5), up_to="other"), "up_to.quantity"),
        (lambda core: replace(hold(core, ACME, 5), up_to="tokens", minimum=6), "up_to.minimum"),
        (lambda core: debit(core, ACME, 5, up_to="tokens", minimum=-1), "up_to.minimum"),
    ],
    Reason.HOLDS_LIMIT: [(lambda core: hold(core, HELD, 1), "account")],
    Reason.BUDGET_UNKNOWN: [(lambda core: RemoveBudget(NEW, ACME, "none"), "name")],
    Reason.BUDGET_INVALID: [
        (lambda core: budget(limit=-1), "budget.limit"),
        (lambda core: budget(limit=INT64_MAX + 1), "budget.limit"),
        (lambda core: budget(quantity="tokens"), "budget.quantity"),
        (lambda core: budget(measure=BudgetMeasure.REQUESTS), "budget.asset"),
        (lambda core: budget(thresholds=tuple(range(1, 12))), "budget.thresholds"),
        (lambda core: budget(thresholds=(80, 80)), "budget.thresholds"),
        (lambda core: budget(thresholds=(1_001,)), "budget.thresholds"),
        (lambda core: budget(window=Window(WindowKind.FIXED)), "budget.window.length_us"),
        (lambda core: budget(window=Window(WindowKind.BILLING, 1)), "budget.window.unit"),
        (lambda core: budget(products=("p",) * 101), "budget.products"),
        (lambda core: budget(tags=("t",) * 101), "budget.tags"),
        (lambda core: budget(attributes=(("a", "b"),) * 17), "budget.attributes"),
        (lambda core: budget_by_value((), 9), "budget.group_by"),
        (lambda core: budget_by_value(("a", "b", "c"), 9), "budget.group_by"),
        (lambda core: budget_by_value(("a", "a"), 9), "budget.group_by"),
        (lambda core: budget_by_value(("a",), 0), "budget.values_max"),
        (lambda core: budget_by_value(("a",), 10_001), "budget.values_max"),
        (
            lambda core: budget_by_value(("a",), 9, (ValueLimit(("b", "c"), 1),)),
            "budget.value_limits",
        ),
        (lambda core: budget_by_value(("a",), 9, (ValueLimit(("b",), -1),)), "budget.value_limits"),
        (
            lambda core: budget_by_value(("a",), 9, (ValueLimit(("b",), 1),) * 2),
            "budget.value_limits",
        ),
        (
            lambda core: budget_by_value(
                ("a",), 9, tuple([ValueLimit((str(each),), 1) for each in range(101)])
            ),
            "budget.value_limits",
        ),
    ],
    Reason.RUNWAY_ALERT_UNKNOWN: [
        (lambda core: RemoveRunwayAlert(NEW, ACME, CREDITS), "asset"),
        (lambda core: ReportRunway(NEW, ACME, CREDITS, 1, 1, 0, 0, 0, 0), "asset"),
    ],
    Reason.RUNWAY_ALERT_INVALID: [
        (lambda core: alerting(0, 1), "alert.hours"),
        (lambda core: alerting(2_161, 2_161), "alert.hours"),
        (lambda core: alerting(72, 71), "alert.rearm_hours"),
        (lambda core: alerting(72, 2_161), "alert.rearm_hours"),
    ],
    Reason.RUNWAY_REPORT_OLD: [
        (lambda core: reporting(core, core.state.now - HOUR_US, 0), "as_of"),
        (lambda core: reporting(core, core.state.now + 1, 0), "as_of"),
    ],
    Reason.RUNWAY_NOT_CROSSED: [(lambda core: reporting(core, core.state.now, 0), "empty_at")],
    Reason.TOP_UP_RULE_UNKNOWN: [
        (lambda core: RemoveTopUpRule(NEW, ACME, CREDITS), "asset"),
    ],
    Reason.TOP_UP_RULE_INVALID: [
        (lambda core: ruling(threshold=-1), "rule.threshold"),
        (lambda core: ruling(threshold=INT64_MAX + 1), "rule.threshold"),
        (lambda core: ruling(amount=1), "rule.amount"),
        (lambda core: ruling(target=0), "rule.amount"),
        (lambda core: ruling(target=-1), "rule.target"),
        (lambda core: ruling(target=9), "rule.target"),
        (lambda core: ruling(target=INT64_MAX + 1), "rule.target"),
        (lambda core: ruling(price_numerator=0), "rule.price_numerator"),
        (lambda core: ruling(price_denominator=0), "rule.price_denominator"),
        (lambda core: ruling(requests_max=0), "rule.requests_max"),
        (lambda core: ruling(requests_max=25), "rule.requests_max"),
        (lambda core: ruling(window=HOUR_US - 1), "rule.window_us"),
        (lambda core: ruling(window=DEDUPE_WINDOW_US + 1), "rule.window_us"),
    ],
    Reason.TOP_UP_UNKNOWN: [
        (lambda core: ConfirmTopUp(NEW, ACME, 1), "top_up_id"),
        (lambda core: DeclineTopUp(NEW, ACME, 1), "top_up_id"),
        (anothers, "top_up_id"),
        (forgotten, "top_up_id"),
    ],
    Reason.TOP_UP_SETTLED: [(confirming, "top_up_id"), (declining, "top_up_id")],
    Reason.ASSET_UNKNOWN: [
        (lambda core: alerting(72, 96, 77), "alert.asset"),
        (lambda core: ruling(asset=77), "rule.asset"),
        (lambda core: ruling(price_asset=77), "rule.price_asset"),
        (lambda core: starting(asset=99), "terms.asset"),
        (lambda core: changing(price_paid=1, price_asset=99), "terms.price_asset"),
        (lambda core: replace(GRANT, asset=77), "asset"),
        (lambda core: replace(GRANT, price_paid=1, price_asset=77), "price_asset"),
        (
            lambda core: UpdatePolicy(
                NEW, ACME, AccountPolicy(overdraft_asset=77, overdraft_limit=1)
            ),
            "policy.overdraft_asset",
        ),
    ],
    Reason.ASSET_KIND_INVALID: [
        (lambda core: ruling(price_asset=CREDITS), "rule.price_asset"),
        (
            lambda core: UpdatePolicy(
                NEW,
                ACME,
                AccountPolicy(
                    overdraft_asset=CREDITS,
                    overdraft_limit=1,
                    overdraft_kind=OverdraftKind.PERCENT_OF_LIFETIME,
                ),
            ),
            "policy.overdraft_asset",
        ),
    ],
    Reason.AMOUNT_INVALID: [
        (lambda core: starting(amount=0), "terms.amount"),
        (lambda core: starting(amount=INT64_MAX + 1), "terms.amount"),
        (lambda core: changing(price_paid=-1), "terms.price_paid"),
        (
            lambda core: starting(price_paid=1, price_asset=USD, kind=GrantKind.PROMOTIONAL),
            "terms.price_paid",
        ),
        (lambda core: replace(GRANT, amount=0), "amount"),
        (lambda core: replace(GRANT, amount=-1), "amount"),
        (lambda core: replace(GRANT, amount=INT64_MAX + 1), "amount"),
        (lambda core: replace(GRANT, price_paid=-1), "price_paid"),
        (lambda core: replace(GRANT, price_paid=INT64_MAX + 1), "price_paid"),
        (lambda core: replace(GRANT, kind=GrantKind.PROMOTIONAL, price_paid=1), "price_paid"),
        (lambda core: replace(GRANT, products=("p",) * 101), "products"),
        (lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(overage_cap=-2)), "policy.overage_cap"),
        (
            lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(overdraft_limit=-1)),
            "policy.overdraft_limit",
        ),
        (
            lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(overdraft_limit=INT64_MAX + 1)),
            "policy.overdraft_limit",
        ),
        (
            lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(holds_open_max=-1)),
            "policy.holds_open_max",
        ),
        (
            lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(overdraft_basis_points=-1)),
            "policy.overdraft_basis_points",
        ),
        (
            lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(period_grace=36 * DAY_US)),
            "policy.period_grace_us",
        ),
        (
            lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(overdraft_grace=-2)),
            "policy.overdraft_grace_us",
        ),
    ],
    Reason.GATE_INVALID: [
        (lambda core: replace(GRANT, pending=True, price_paid=0), "gated"),
        (lambda core: replace(GRANT, kind=GrantKind.POSTPAID, price_paid=5, pending=True), "gated"),
    ],
    Reason.ROLLOVER_INVALID: [
        (lambda core: rolling(core, Rollover(1, 1), expires_at=0), "rollover"),
        (lambda core: rolling(core, Rollover(2, 1)), "rollover.fraction"),
        (lambda core: rolling(core, Rollover(-1, 1)), "rollover.fraction"),
        (lambda core: rolling(core, Rollover(0, 0)), "rollover.fraction"),
        (lambda core: rolling(core, Rollover(1, 2, cap=-2)), "rollover.cap"),
        (lambda core: rolling(core, Rollover(1, 2, lifetime=-1)), "rollover.lifetime_us"),
        (lambda core: rolling(core, Rollover(1, 2, again=True)), "rollover.again"),
        (lambda core: rolling(core, Rollover(1, 2, -1, HOUR_US - 1, True)), "rollover.lifetime_us"),
    ],
    Reason.ZONE_UNKNOWN: [
        (lambda core: starting(zone="Mars/Olympus"), "terms.zone"),
        (lambda core: UpdatePolicy(NEW, ACME, AccountPolicy(zone="Mars/Olympus")), "policy.zone"),
    ],
    Reason.OVERRIDES_INVALID: [
        (lambda core: overriding(override(price="-1")), "overrides[0].change.price"),
        (lambda core: overriding(override(), override()), "overrides[1]"),
    ],
    Reason.OVERRIDES_LIMIT: [(overridden_often, "overrides")],
    Reason.EXPIRY_INVALID: [
        (lambda core: starting(expires_after=-1), "terms.expires_after_us"),
        (lambda core: changing(expires_after=EXPIRES_AFTER_MAX_US + 1), "terms.expires_after_us"),
        (lambda core: replace(GRANT, expires_at=core.now), "expires_at_us"),
        (
            lambda core: replace(
                GRANT, effective_at=core.now + HOUR_US, expires_at=core.now + HOUR_US
            ),
            "expires_at_us",
        ),
    ],
    Reason.PAYMENT_LATE: [(paid_late, "grant_id")],
    Reason.PAYMENT_NOT_AWAITED: [(lambda core: paid(core, ConfirmPayment), "grant_id")],
    Reason.NOT_PAID: [
        (lambda core: RefundGrant(NEW, HELD, 2), "grant_id"),
        (lambda core: ChargeBack(NEW, HELD, 2), "grant_id"),
        (lambda core: paid(core, ChargeBack, gated=True), "grant_id"),
    ],
    Reason.CHARGED_BACK: [(charged_back, "grant_id")],
    Reason.CURRENCY_DIFFERS: [
        (lambda core: paid(core, ConfirmPayment, 0, CREDITS, gated=True), "asset"),
        (owing_dollars, "asset"),
    ],
    Reason.REFUND_TOO_LARGE: [(lambda core: paid(core, RefundGrant, 101), "units")],
    Reason.AMOUNT_EXCEEDS_OWED: [
        (lambda core: paid(core, ConfirmPayment, 11, gated=True), "amount"),
        (lambda core: RecordPayment(NEW, ACME, USD, 1), "amount"),
    ],
    Reason.NOTHING_OWED: [(lambda core: BillAccount(NEW, ACME), "account")],
    Reason.RECURRING_UNKNOWN: [
        (lambda core: replace(CHANGE, recurring=99), "recurring_grant_id"),
        (lambda core: replace(CHANGE, account=ACME), "recurring_grant_id"),
        (lambda core: PauseRecurring(NEW, HELD, 99), "recurring_grant_id"),
        (lambda core: ResumeRecurring(NEW, ACME, PAUSED), "recurring_grant_id"),
        (lambda core: EndRecurring(NEW, ACME, RUNNING, Timing.NOW), "recurring_grant_id"),
    ],
    Reason.RECURRING_ENDED: [
        (lambda core: replace(CHANGE, recurring=ENDED), "recurring_grant_id"),
        (lambda core: PauseRecurring(NEW, HELD, ENDED), "recurring_grant_id"),
        (lambda core: ResumeRecurring(NEW, HELD, ENDED), "recurring_grant_id"),
        (lambda core: EndRecurring(NEW, HELD, ENDED, Timing.NOW), "recurring_grant_id"),
    ],
    Reason.RECURRING_PAUSED: [
        (lambda core: PauseRecurring(NEW, HELD, PAUSED), "recurring_grant_id"),
    ],
    Reason.RECURRING_NOT_PAUSED: [
        (lambda core: ResumeRecurring(NEW, HELD, RUNNING), "recurring_grant_id"),
    ],
    Reason.RECURRING_KEY_TAKEN: [
        (lambda core: replace(START, account=HELD, external_key=b"taken"), "external_key"),
    ],
    Reason.RECURRING_LIMIT: [(crowded, "account")],
    Reason.COMMITMENT_UNKNOWN: [
        (lambda core: committed(core, replace(ADD, commitment=99)), "commitment_id"),
        (lambda core: committed(core, replace(ADD, account=ACME)), "commitment_id"),
        (
            lambda core: committed(core, EndCommitment(NEW, HELD, 9, CommitmentEnding.WAIVE)),
            "commitment_id",
        ),
        (
            lambda core: committed(core, replace(TRANSFER, target=99)),
            "target_commitment_id",
        ),
    ],
    Reason.TRANSFER_INVALID: [
        (lambda core: transferring(core), "target_commitment_id"),  # to itself
        (
            lambda core: replace(transferring(core), target_account=404),
            "target_commitment_id",
        ),
        (lambda core: transferring(core, asset=USD), "target_commitment_id"),
        (lambda core: transferring(core, price_asset=CREDITS), "target_commitment_id"),
        (lambda core: transferring(core, account=ACME), "target_commitment_id"),
    ],
    Reason.COMMITMENT_ENDED: [
        (
            lambda core: committed(core, replace(TRANSFER, target=2)),
            "target_commitment_id",
        ),
        (lambda core: committed(core, replace(ADD, commitment=2)), "commitment_id"),
        (
            lambda core: committed(core, EndCommitment(NEW, HELD, 2, CommitmentEnding.TRUE_UP)),
            "commitment_id",
        ),
    ],
    Reason.COMMITMENT_KEY_TAKEN: [
        (
            lambda core: committed(core, replace(COMMIT, account=HELD, external_key=b"taken")),
            "external_key",
        ),
    ],
    Reason.COMMITMENTS_LIMIT: [(overcommitted, "account")],
    Reason.COMMITMENT_INVALID: [
        (lambda core: committing(kind=GrantKind.PROMOTIONAL), "terms.kind"),
        (lambda core: committing(kind=GrantKind.ALLOWANCE), "terms.kind"),
    ],
    Reason.SEGMENT_INVALID: [
        (lambda core: replace(COMMIT, segments=()), "segments"),
        (lambda core: replace(COMMIT, segments=steps(SEGMENTS_MAX + 1)), "segments"),
        (full_of_segments, "segments"),
        (
            lambda core: transferring(core, segments=steps(SEGMENTS_MAX)),
            "target_commitment_id",
        ),
        (lambda core: committing(replace(SEGMENT, starts_at=-1)), "segments[0].starts_at_us"),
        (lambda core: committing(SEGMENT, SEGMENT), "segments[1].starts_at_us"),
        (lambda core: committing(replace(SEGMENT, ends_at=core.now)), "segments[0].ends_at_us"),
        (
            lambda core: committing(replace(SEGMENT, starts_at=SEGMENT.ends_at)),
            "segments[0].ends_at_us",
        ),
        (
            lambda core: committing(replace(SEGMENT, ends_at=ANCHOR_MAX_US + 1)),
            "segments[0].ends_at_us",
        ),
        (lambda core: committing(replace(SEGMENT, price=0)), "segments[0].price"),
        (
            lambda core: committed(core, replace(ADD, segment=replace(SEGMENT, price=0))),
            "segment.price",
        ),
    ],
    Reason.SEGMENTS_OVERLAP: [
        (
            lambda core: committing(
                SEGMENT, replace(SEGMENT, starts_at=SEGMENT.ends_at - 1, ends_at=ANCHOR_MAX_US)
            ),
            "segments[1].starts_at_us",
        ),
    ],
    Reason.INVOICES_INVALID: [
        (lambda core: committing(invoices=(Invoice(9, 1), Invoice(8, 1))), "invoices[1].at_us"),
        (lambda core: committing(invoices=(Invoice(0, 1),)), "invoices[0].at_us"),
        (lambda core: committing(invoices=(Invoice(9, 0),)), "invoices[0].amount"),
        (lambda core: committing(invoices=(Invoice(9, 1),) * (INVOICES_MAX + 1)), "invoices"),
        (
            lambda core: transferring(
                core, invoices=(Invoice(core.now + DAY_US, 1),) * INVOICES_MAX
            ),
            "target_commitment_id",
        ),
        (
            lambda core: committed(core, replace(ADD, invoices=(Invoice(9, -1),))),
            "invoices[0].amount",
        ),
    ],
    Reason.TERMS_FIXED: [
        (lambda core: changing(kind=GrantKind.PROMOTIONAL), "terms.kind"),
        (lambda core: changing(asset=USD), "terms.asset"),
    ],
    Reason.START_INVALID: [
        (
            lambda core: replace(START, starts_at=core.now - DEDUPE_WINDOW_US - 1),
            "starts_at_us",
        ),
        (lambda core: replace(START, starts_at=ANCHOR_MAX_US + 1), "starts_at_us"),
    ],
    Reason.END_INVALID: [
        (lambda core: replace(START, ends_at=core.now), "ends_at_us"),
        (lambda core: replace(START, starts_at=TOMORROW, ends_at=TOMORROW), "ends_at_us"),
        (lambda core: replace(START, ends_at=ANCHOR_MAX_US + 1), "ends_at_us"),
    ],
    Reason.PERIOD_INVALID: [
        (lambda core: starting(every=0), "terms.every"),
        (lambda core: starting(every=121), "terms.every"),
        (lambda core: changing(every=-1), "terms.every"),
    ],
    Reason.ANCHOR_INVALID: [
        (lambda core: starting(anchor=-1), "terms.anchor_us"),
        (lambda core: changing(anchor=ANCHOR_MAX_US + 1), "terms.anchor_us"),
    ],
    Reason.QUANTITY_INVALID: [
        (lambda core: usage(core, ACME, -1), "quantities"),
        (lambda core: usage(core, ACME, -1, 5, of="gpt"), "quantities"),
        (lambda core: hold(core, ACME, -1), "quantities"),
        (lambda core: capture(HELD, 1, -1), "quantities"),
    ],
    Reason.QUANTITIES_ALL_ZERO: [
        (lambda core: usage(core, ACME, 0), "quantities"),
        (lambda core: usage(core, ACME, 0, 0, of="gpt"), "quantities"),
        (lambda core: usage(core, ACME, 0, at=START_US - 40 * DAY_US), "quantities"),
        (lambda core: hold(core, ACME, 0), "quantities"),
        (lambda core: capture(HELD, 1, 0), "quantities"),
    ],
    Reason.IN_FUTURE: [
        (lambda core: usage(core, ACME, 1, at=core.now + HOUR_US), "effective_at_us"),
        (lambda core: capture(HELD, 1, 1, core.now + HOUR_US), "effective_at_us"),
    ],
    Reason.TOO_OLD: [(lambda core: capture(HELD, 1, 1, 1), "effective_at_us")],
    Reason.CORRECTION_TOO_OLD: [(lambda core: reversal(core, age=401 * DAY_US), "entry")],
    Reason.CORRECTION_TOO_LARGE: [
        (lambda core: reversal(core, 6), "quantities"),
        (lambda core: reversal(core, charged=6), "as_charged"),
        (reversed_twice, "quantities"),
    ],
    Reason.CORRECTIONS_LIMIT: [(corrected_too_often, "entry")],
    Reason.NOT_REVERSIBLE: [
        (reversal_of_a_reversal, "entry"),
        (lambda core: replace(reversal(core), account=ACME), "entry"),
    ],
    Reason.SUBSET_EXCEEDS_PARENT: [
        (lambda core: usage(core, ACME, 2, 1, of="gpt"), "quantities"),
    ],
    Reason.SETTLEMENT_ASSET_OPEN: [(settles_otherwise, "policy.settlement_asset")],
    Reason.SUSPENSE_FULL: [(waits_too_much, "product")],
    Reason.RATED_MEANWHILE: [(rated_meanwhile, "entry")],
    Reason.OVERFLOW: [
        (lambda core: usage(core, ACME, 4, of="huge"), "quantities"),
        (lambda core: hold(core, ACME, 4, of="huge"), "quantities"),
    ],
}

# What the engine answers after it has looked a key up, what is recorded, not refused, and what
# test_quotes tells of quotes.
ELSEWHERE = {
    Reason.OPERATION_BUDGET_EXCEEDED,  # these of test_operations
    Reason.OPERATION_DIFFERS,
    Reason.OPERATIONS_LIMIT,
    Reason.HOLD_OTHER_WORK,  # of test_operation_holds
    Reason.CHARGE_UNKNOWN,  # these of test_charges
    Reason.CHARGE_ENDED,
    Reason.CHARGE_NAME_TAKEN,
    Reason.CHARGES_LIMIT,
    Reason.CHARGE_INVALID,
    Reason.SEAT_PLAN_UNKNOWN,  # these of test_seats
    Reason.SEAT_PLAN_ENDED,
    Reason.SEAT_PLAN_EXISTS,
    Reason.SEAT_UNKNOWN,
    Reason.SEAT_TAKEN,
    Reason.SEAT_LEAVING,
    Reason.SEAT_HELD,
    Reason.SEAT_SUSPENDED,
    Reason.SEAT_NOT_SUSPENDED,
    Reason.SEAT_EXHAUSTED,
    Reason.SEATS_TOO_FEW,
    Reason.SEATS_INVALID,
    Reason.SEATS_LIMIT,
    Reason.CONTRACT_UNKNOWN,  # these of test_contracts
    Reason.CONTRACT_NAME_TAKEN,
    Reason.CONTRACTS_OVERLAP,
    Reason.CONTRACT_INVALID,
    Reason.CONTRACT_ENDED,
    Reason.CONTRACT_RUNS,
    Reason.CONTRACTS_LIMIT,
    Reason.PACKAGE_UNKNOWN,  # these of test_packages
    Reason.PACKAGE_VERSION_UNKNOWN,
    Reason.PACKAGE_PERIOD_DIFFERS,
    Reason.LOCK_INVALID,
    Reason.SUBSCRIBED_ALREADY,
    Reason.NOT_SUBSCRIBED,
    Reason.STATEMENT_UNKNOWN,  # these of test_statements
    Reason.STATEMENT_PERIOD_INVALID,
    Reason.STATEMENT_PERIOD_OPEN,
    Reason.STATEMENT_IN_GRACE,
    Reason.STATEMENT_NOT_NEXT,
    Reason.STATEMENT_CLOSED,
    Reason.MANDATE_UNKNOWN,  # these of test_mandates
    Reason.MANDATE_EXISTS,
    Reason.MANDATE_INVALID,
    Reason.MANDATE_EXCEEDS_PARENT,
    Reason.MANDATES_LIMIT,
    Reason.MANDATE_REVOKED,
    Reason.MANDATE_EXPIRED,
    Reason.MANDATE_PRODUCT,
    Reason.MANDATE_ATTRIBUTES,
    Reason.MANDATE_ASSET,
    Reason.MANDATE_PRICE,
    Reason.MANDATE_BUYS_NOTHING,  # these of test_mandate_purchases
    Reason.MANDATE_PURCHASE_EXCEEDED,
    Reason.MANDATE_PURCHASES_LIMIT,
    Reason.MANDATE_EXCEEDED,
    Reason.BUDGET_EXCEEDED,  # these of test_budgets
    Reason.BUDGETS_LIMIT,
    Reason.BUDGET_FIXED,
    Reason.MOVES_LIMIT,
    Reason.MINIMUMS_OPEN,
    Reason.SHARING_INVALID,  # these of test_caps
    Reason.NOT_BELOW,
    Reason.CAP_UNKNOWN,
    Reason.CAP_INVALID,
    Reason.CAPS_LIMIT,
    Reason.CAPS_STAND,
    Reason.RESERVE_EXCEEDS,
    Reason.BATCH_FULL,
    Reason.CONFLICT,
    Reason.ABANDONED,
    Reason.UNPRICED,
    Reason.NOT_ENTITLED,
    Reason.NO_CONTRACT,
    Reason.MARGIN_BELOW_FLOOR,  # test_decision_policies
    Reason.GRACE_ENDED,
    Reason.INSUFFICIENT_CREDITS,
    Reason.LINKED_FAILED,
    Reason.LINKED_FAMILIES,
    Reason.LINKED_RECORDED,
    Reason.LINKED_TOO_OLD,
    Reason.ATTRIBUTE_MISSING,
    Reason.ATTRIBUTE_NOT_NUMERIC,
    Reason.FORMULA_DIVISION_BY_ZERO,
    Reason.FORMULA_OVERFLOW,
    Reason.FORMULA_NEGATIVE,
    Reason.COST_MISSING,
    Reason.GAUGE_CHARGED,  # test_gauges
    Reason.GAUGES_LIMIT,
    Reason.NO_SUCH_OUTCOME,
    Reason.OUTCOME_CONFIRMED,
    Reason.OUTCOME_REJECTED,
    Reason.OUTCOMES_LIMIT,
    Reason.NOT_AN_OUTCOME,
    Reason.OUTCOME_EXPECTED,
    Reason.LEASE_UNKNOWN,  # test_leases
    Reason.LEASE_ENDED,
    Reason.LEASE_OVERDUE,
    Reason.LEASE_RUNS,
    Reason.LEASE_OTHER_WORK,
    Reason.LEASE_UNBOUNDED,
    Reason.LEASE_INVALID,
    Reason.LEASE_TERM_INVALID,
    Reason.LEASES_LIMIT,
    Reason.QUOTE_UNKNOWN,
    Reason.QUOTE_OTHER_WORK,
    Reason.QUOTE_EXPIRED,
    Reason.QUOTE_USED,
    Reason.QUOTE_HELD,
    Reason.QUOTE_SINGLE_USE,
    Reason.QUOTE_LIFETIME_INVALID,
    Reason.QUOTE_TOLERANCE_INVALID,
    Reason.QUOTES_LIMIT,
    Reason.QUOTE_MODELED,
}


@pytest.mark.parametrize(
    ("reason", "cause", "field"),
    [
        pytest.param(reason, cause, field, id=f"{reason}-{index}")
        for reason, causes in CASES.items()
        for index, (cause, field) in enumerate(causes)
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    reason: Reason, cause: Callable[[Core], Command], field: str
) -> None:
    core = world()
    command = cause(core)
    before, entries = digest(core.state), len(core.batches[-1][1])
    outcome = core.run(command)
    assert isinstance(outcome, Refusal), outcome
    assert (outcome.reason, outcome.field) == (reason, field)
    assert outcome.message
    assert outcome.value or field == "external_key"
    assert digest(core.state) == before
    assert len(core.batches[-1][1]) == entries


def test_every_reason_has_a_cause() -> None:
    assert set(CASES) | ELSEWHERE == set(Reason)
    assert not set(CASES) & ELSEWHERE


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (lambda core: usage(core, 9, -1), Reason.ACCOUNT_UNKNOWN),
        (lambda core: usage(core, CLOSED, -1, at=1), Reason.QUANTITY_INVALID),
        (lambda core: usage(core, CLOSED, -1), Reason.ACCOUNT_CLOSED),
        (lambda core: usage(core, FROZEN, -1), Reason.ACCOUNT_FROZEN),
        (lambda core: usage(core, ACME, 0, at=core.now + HOUR_US), Reason.QUANTITIES_ALL_ZERO),
        (lambda core: usage(core, ACME, 9, of="huge", at=core.now + DAY_US), Reason.IN_FUTURE),
        (lambda core: capture(HELD, 99, 0), Reason.HOLD_UNKNOWN),
        (lambda core: hold(core, HELD, 0, -1), Reason.HOLD_LIFETIME_INVALID),
        (lambda core: hold(core, HELD, 0), Reason.HOLDS_LIMIT),
        (lambda core: replace(GRANT, asset=7, amount=0, expires_at=1), Reason.ASSET_UNKNOWN),
        (lambda core: replace(GRANT, amount=0, expires_at=1), Reason.AMOUNT_INVALID),
    ],
)
def test_the_first_reason_in_order_is_given(
    command: Callable[[Core], Command], reason: Reason
) -> None:
    core = world()
    outcome = core.run(command(core))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == reason


def test_a_refused_id_may_be_used_again() -> None:
    core = world()
    assert isinstance(core.run(usage(core, ACME, 0)), Refusal)
    quarantined = core.run(usage(core, ACME, 1, at=START_US - 40 * DAY_US))
    assert isinstance(quarantined, UsageQuarantined)
    assert quarantined.reason == Reason.TOO_OLD
