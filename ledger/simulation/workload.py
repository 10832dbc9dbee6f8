"""What clients ask for: one entry a command of the core, with its weight and how it is drawn.

A command without an entry fails a test. To add one: write a function that draws its fields (named
as the command names them) in the module of its topic, `draws_*`, and put it into ENTRIES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from ledger.core.commands import (
    AbandonRequest,
    AcquireLease,
    AddSeats,
    AddSegment,
    AdjustBalance,
    AmendContract,
    AmendUsage,
    ApplyConfiguration,
    AuthorizeHold,
    BillAccount,
    CancelSubscription,
    CaptureHold,
    ChangePackage,
    ChangeQuantity,
    ChangeRecurring,
    ChangeSeatTerms,
    ChangeTerms,
    ChargeBack,
    CloseAccount,
    ConfirmPayment,
    ConfirmTopUp,
    CreateAccount,
    CreateCommitment,
    CreateQuote,
    DebitWork,
    DeclineTopUp,
    EndCharge,
    EndCommitment,
    EndContract,
    EndRecurring,
    EndSeatPlan,
    ExtendHold,
    FailPayment,
    FreezeAccount,
    GrantMandate,
    IssueCreditNote,
    IssueGrant,
    LeasedUsage,
    LinkedUsage,
    PauseRecurring,
    QuotedUsage,
    ReassignSeat,
    RecallLease,
    RecordPayment,
    RecordUsage,
    RefundGrant,
    ReleaseHold,
    RemoveBudget,
    RemoveSeats,
    RemoveTopUpRule,
    RenewLease,
    ReopenAccount,
    RequestTopUp,
    ReserveOperation,
    ResumeRecurring,
    ResumeSeat,
    ReturnLease,
    ReverseUsage,
    RevokeMandate,
    SetBudget,
    SetDecisionPolicy,
    SetOperationBudget,
    SetPriceOverrides,
    SetTopUpRule,
    SignContract,
    StartCharge,
    StartRecurring,
    StartSeatPlan,
    Subscribe,
    SuspendSeat,
    UnfreezeAccount,
    UpdatePolicy,
    UpdateProfile,
    VoidGrant,
    WriteOffReceivable,
)
from ledger.core.events import CommitmentEnding, OldGrants
from ledger.core.limits import SECOND_US
from ledger.simulation.draws import SANDBOX, TENANTS, Draw, Drawn, Made, Ref
from ledger.simulation.draws_accounts import (
    draw_abandon,
    draw_check,
    draw_clock,
    draw_close,
    draw_create,
    draw_freeze,
    draw_override,
    draw_policy,
    draw_profile,
    draw_publish,
    draw_read,
    draw_reopen,
    draw_unfreeze,
)
from ledger.simulation.draws_budgets import (
    BUDGETED_WORLD,
    BUDGETED_WORLDS,
    draw_budget,
    draw_unbudget,
)
from ledger.simulation.draws_charges import (
    CHARGED_WORLD,
    CHARGED_WORLDS,
    draw_charge,
    draw_charge_end,
    draw_charge_quantity,
    draw_charge_terms,
)
from ledger.simulation.draws_contracts import (
    CONTRACTED_WORLD,
    CONTRACTED_WORLDS,
    draw_amend_contract,
    draw_end_contract,
    draw_sign,
)
from ledger.simulation.draws_decisions import (
    DECIDED_WORLD,
    DECIDED_WORLDS,
    RULED_WORLD,
    draw_debit,
    draw_range,
    draw_rules,
)
from ledger.simulation.draws_leases import (
    LEASED_WORLD,
    LEASED_WORLDS,
    draw_acquire,
    draw_leased,
    draw_recall,
    draw_renew,
    draw_return,
)
from ledger.simulation.draws_mandates import (
    BUYING_WORLD,
    MANDATED_WORLD,
    MANDATED_WORLDS,
    draw_buy,
    draw_mandate,
    draw_revoke,
)
from ledger.simulation.draws_money import (
    draw_adjust,
    draw_bill,
    draw_charge_back,
    draw_confirm,
    draw_credit_note,
    draw_fail,
    draw_issue,
    draw_pay,
    draw_refund,
    draw_void,
    draw_write_off,
)
from ledger.simulation.draws_operations import (
    OPERATED_WORLD,
    OPERATED_WORLDS,
    draw_operation,
)
from ledger.simulation.draws_packages import (
    FLIPPED_WORLD,
    FLIPPED_WORLDS,
    PACKAGED_WORLD,
    PACKAGED_WORLDS,
    draw_cancel,
    draw_package,
    draw_subscribe,
)
from ledger.simulation.draws_quotes import (
    QUOTED_WORLD,
    QUOTED_WORLDS,
    draw_quote,
    draw_quoted,
)
from ledger.simulation.draws_reserves import (
    RESERVED_WORLD,
    RESERVED_WORLDS,
    draw_reserve,
)
from ledger.simulation.draws_schedules import (
    draw_change,
    draw_commit,
    draw_declined,
    draw_end,
    draw_end_commitment,
    draw_pause,
    draw_resume,
    draw_rule,
    draw_segment,
    draw_start,
    draw_topped,
    draw_unrule,
)
from ledger.simulation.draws_seats import (
    ATTRIBUTE,
    SEATED,
    SEATED_WORLD,
    SEATED_WORLDS,
    draw_seat_add,
    draw_seat_end,
    draw_seat_plan,
    draw_seat_reassign,
    draw_seat_remove,
    draw_seat_resume,
    draw_seat_suspend,
    draw_seat_terms,
)
from ledger.simulation.draws_usage import (
    draw_amend,
    draw_authorize,
    draw_capture,
    draw_extend,
    draw_linked,
    draw_release,
    draw_reverse,
    draw_usage,
)
from ledger.simulation.plans import DEAL, FLIPPED, PLANS
from ledger.simulation.scenario import Operation


@dataclass(frozen=True)
class Entry:
    """How often a kind of operation comes, how it is drawn, and which command it becomes."""

    weight: int
    draw: Callable[[Draw], Drawn | None]
    command: type | None = None
    topic: str = ""  # "" = of every world; else of those that draw the whole credit model, by topic
    request: bool = True  # whether its identity is a request id
    added: bool = False  # to few worlds, by a stream of its own: the others stay as they are


ENTRIES: Final[dict[str, Entry]] = {
    "usage": Entry(40, draw_usage, RecordUsage, request=False),
    "authorize": Entry(20, draw_authorize, AuthorizeHold),
    "capture": Entry(14, draw_capture, CaptureHold),
    "release": Entry(6, draw_release, ReleaseHold),
    "create": Entry(5, draw_create, CreateAccount, request=False),
    "policy": Entry(7, draw_policy, UpdatePolicy),
    "close": Entry(4, draw_close, CloseAccount),
    "issue": Entry(18, draw_issue, IssueGrant),
    "void": Entry(5, draw_void, VoidGrant),
    "abandon": Entry(6, draw_abandon, AbandonRequest, request=False),
    "publish": Entry(2, draw_publish, ApplyConfiguration, request=False),
    "read": Entry(16, draw_read),
    "check": Entry(3, draw_check),
    "linked": Entry(10, draw_linked, LinkedUsage, topic="usage", request=False),
    "reverse": Entry(12, draw_reverse, ReverseUsage, topic="corrections"),
    "amend": Entry(6, draw_amend, AmendUsage, topic="corrections"),
    "adjust": Entry(6, draw_adjust, AdjustBalance, topic="corrections"),
    "extend": Entry(8, draw_extend, ExtendHold, topic="usage"),
    "freeze": Entry(3, draw_freeze, FreezeAccount, topic="standing"),
    "unfreeze": Entry(5, draw_unfreeze, UnfreezeAccount, topic="standing"),
    "reopen": Entry(5, draw_reopen, ReopenAccount, topic="standing"),
    "profile": Entry(3, draw_profile, UpdateProfile, topic="standing"),
    "confirm": Entry(9, draw_confirm, ConfirmPayment, topic="money"),
    "fail": Entry(3, draw_fail, FailPayment, topic="money"),
    "refund": Entry(6, draw_refund, RefundGrant, topic="money"),
    "charge_back": Entry(4, draw_charge_back, ChargeBack, topic="money"),
    "bill": Entry(9, draw_bill, BillAccount, topic="money"),
    "pay": Entry(5, draw_pay, RecordPayment, topic="money"),
    "credit_note": Entry(3, draw_credit_note, IssueCreditNote, topic="money"),
    "write_off": Entry(3, draw_write_off, WriteOffReceivable, topic="money"),
    "start": Entry(8, draw_start, StartRecurring, topic="recurring"),
    "change": Entry(6, draw_change, ChangeRecurring, topic="recurring"),
    "pause": Entry(4, draw_pause, PauseRecurring, topic="recurring"),
    "resume": Entry(5, draw_resume, ResumeRecurring, topic="recurring"),
    "end": Entry(4, draw_end, EndRecurring, topic="recurring"),
    "commit": Entry(8, draw_commit, CreateCommitment, topic="commitments"),
    "segment": Entry(4, draw_segment, AddSegment, topic="commitments"),
    "end_commitment": Entry(9, draw_end_commitment, EndCommitment, topic="commitments"),
    "rule": Entry(7, draw_rule, SetTopUpRule, topic="top-ups"),
    "unrule": Entry(2, draw_unrule, RemoveTopUpRule, topic="top-ups"),
    "topped": Entry(8, draw_topped, ConfirmTopUp, topic="top-ups"),
    "declined": Entry(4, draw_declined, DeclineTopUp, topic="top-ups"),
    "clock": Entry(3, draw_clock, topic="sandbox", request=False),
    "override": Entry(1, draw_override, SetPriceOverrides, topic="overrides", added=True),
    "quote": Entry(12, draw_quote, CreateQuote, topic="quotes", added=True),
    "quoted": Entry(16, draw_quoted, QuotedUsage, topic="quotes", added=True),
    "debit": Entry(20, draw_debit, DebitWork, topic="decisions", added=True),
    "range": Entry(12, draw_range, AuthorizeHold, topic="decisions", added=True),
    "rules": Entry(10, draw_rules, SetDecisionPolicy, topic="rules", added=True),
    "mandate": Entry(14, draw_mandate, GrantMandate, topic="mandates", added=True),
    "revoke": Entry(4, draw_revoke, RevokeMandate, topic="mandates", added=True),
    "buy": Entry(14, draw_buy, RequestTopUp, topic="purchases", added=True),
    "operation": Entry(12, draw_operation, SetOperationBudget, topic="operations", added=True),
    "budget": Entry(10, draw_budget, SetBudget, topic="budgets", added=True),
    "unbudget": Entry(2, draw_unbudget, RemoveBudget, topic="budgets", added=True),
    "reserve": Entry(14, draw_reserve, ReserveOperation, topic="reserves", added=True),
    "seat_plan": Entry(5, draw_seat_plan, StartSeatPlan, topic="seats", added=True),
    "seat_add": Entry(7, draw_seat_add, AddSeats, topic="seats", added=True),
    "seat_remove": Entry(8, draw_seat_remove, RemoveSeats, topic="seats", added=True),
    "seat_reassign": Entry(5, draw_seat_reassign, ReassignSeat, topic="seats", added=True),
    "seat_suspend": Entry(4, draw_seat_suspend, SuspendSeat, topic="seats", added=True),
    "seat_resume": Entry(4, draw_seat_resume, ResumeSeat, topic="seats", added=True),
    "seat_terms": Entry(5, draw_seat_terms, ChangeSeatTerms, topic="seats", added=True),
    "seat_end": Entry(3, draw_seat_end, EndSeatPlan, topic="seats", added=True),
    "charge": Entry(9, draw_charge, StartCharge, topic="charges", added=True),
    "charge_quantity": Entry(24, draw_charge_quantity, ChangeQuantity, topic="charges", added=True),
    "charge_terms": Entry(4, draw_charge_terms, ChangeTerms, topic="charges", added=True),
    "charge_end": Entry(4, draw_charge_end, EndCharge, topic="charges", added=True),
    "subscribe": Entry(4, draw_subscribe, Subscribe, topic="packages", added=True),
    "package": Entry(20, draw_package, ChangePackage, topic="packages", added=True),
    "cancel": Entry(4, draw_cancel, CancelSubscription, topic="packages", added=True),
    "sign": Entry(7, draw_sign, SignContract, topic="contracts", added=True),
    "amend_contract": Entry(10, draw_amend_contract, AmendContract, topic="contracts", added=True),
    "end_contract": Entry(4, draw_end_contract, EndContract, topic="contracts", added=True),
    "acquire": Entry(10, draw_acquire, AcquireLease, topic="leases", added=True),
    "renew": Entry(10, draw_renew, RenewLease, topic="leases", added=True),
    "leased": Entry(16, draw_leased, LeasedUsage, topic="leases", added=True),
    "return": Entry(4, draw_return, ReturnLease, topic="leases", added=True),
    "recall": Entry(3, draw_recall, RecallLease, topic="leases", added=True),
}
"""Every command of the core, and the reads."""

QUOTES: Final = "quotes"
DECISIONS: Final = "decisions"
RULES: Final = "rules"
LEASES: Final = "leases"
OPERATIONS: Final = "operations"
RESERVES: Final = "reserves"
BUDGETS: Final = "budgets"
PURCHASES: Final = "purchases"
SEATS: Final = "seats"
CHARGES: Final = "charges"
PACKAGES: Final = "packages"
CONTRACTS: Final = "contracts"
FLIPS: Final = "flips"
FLIPPING: Final = ("seat_add", "seat_remove", "seat_reassign", "seat_suspend", "seat_resume")
"""Of seats that packages say: more than of packages alone is not drawn."""
MANDATES: Final = "mandates"
AGENTS: Final = ("acme/x", "acme/x", "acme/x", "acme", "acme/x/z")
BELOW: Final = ("acme", "acme", "acme/x")
"""Accounts of which most is in worlds of budgets: those above count what is below."""
NAMED: Final = ("run", "tool", "search", "leaf")
"""Operations that calls are part of: of each the parent is mostly the one at half its place."""
TOPICS: Final = tuple(
    dict.fromkeys(each.topic for each in ENTRIES.values() if each.topic and not each.added)
)
WHOLE_PERCENT: Final = 60
"""Worlds that draw the whole credit model, some topics each. The others are left to usage, holds
and plain grants, so that what only much of those shows is found as well."""

REQUESTS: Final = tuple(kind for kind, entry in ENTRIES.items() if entry.request and entry.command)
"""Kinds whose identity is a request id."""


HELD_BEFORE_TRANSFERS: Final = (40, 3)
FIRST_ADDED: Final = 10_000  # no drawn operation has such a number
OVERRIDDEN_PERCENT: Final = 6
"""Worlds in which accounts have price overrides."""


def draw_topics(seed: int, random: Random) -> tuple[str, ...]:
    """What a world draws beside usage, holds and plain grants; () = nothing."""
    topics: tuple[str, ...] = ()
    if random.randrange(100) < WHOLE_PERCENT:
        topics = tuple(random.sample(TOPICS, random.choice((1, 2, 3))))
    if seed % DECIDED_WORLDS == DECIDED_WORLD:
        topics = (*topics, DECISIONS)
    if seed % LEASED_WORLDS == LEASED_WORLD:
        topics = (*topics, LEASES)
    if seed % DECIDED_WORLDS == RULED_WORLD:  # what a rule asks of top-ups has tests of its own
        topics = (*[each for each in topics if each != "top-ups"], DECISIONS, RULES)
    if seed % OPERATED_WORLDS == OPERATED_WORLD:
        topics = (*[each for each in topics if each != "corrections"], "corrections")
        topics = (*topics, DECISIONS, OPERATIONS)
    if seed % RESERVED_WORLDS == RESERVED_WORLD:
        topics = (*[each for each in topics if each not in ("corrections", DECISIONS)],)
        topics = (*topics, "corrections", DECISIONS, OPERATIONS, RESERVES)
        if seed % (2 * RESERVED_WORLDS) == RESERVED_WORLD:
            topics = (*topics, MANDATES)
    if seed % BUDGETED_WORLDS == BUDGETED_WORLD:
        topics = (*[each for each in topics if each not in ("corrections", "sandbox")],)
        topics = (*topics, "corrections", DECISIONS, BUDGETS)
        if seed % (2 * BUDGETED_WORLDS) == BUDGETED_WORLD:
            topics = (*topics, "sandbox")  # whose clock moves windows on
        elif seed % (4 * BUDGETED_WORLDS) == BUDGETED_WORLDS + BUDGETED_WORLD:
            topics = (*topics, OPERATIONS, RESERVES)
    if seed % SEATED_WORLDS == SEATED_WORLD:
        topics = (*[each for each in topics if each not in ("corrections", "sandbox")],)
        topics = (*topics, "corrections", DECISIONS, SEATS)
        if seed % (2 * SEATED_WORLDS) == SEATED_WORLD:
            topics = (*topics, "sandbox")  # whose clock moves periods on
    if seed % FLIPPED_WORLDS == FLIPPED_WORLD:
        topics = (*[each for each in topics if each not in ("corrections", "sandbox")],)
        topics = (*topics, "corrections", "sandbox", DECISIONS, PACKAGES, FLIPS)
    if seed % CHARGED_WORLDS == CHARGED_WORLD:
        others = ("corrections", "sandbox", "money")
        topics = (*[each for each in topics if each not in others], CHARGES)
        if seed % (4 * CHARGED_WORLDS) == CHARGED_WORLDS + CHARGED_WORLD:
            topics = (*topics, "money", "corrections")
        else:
            topics = (*topics, "sandbox")  # whose clock moves periods and months on
        if seed % PACKAGED_WORLDS == PACKAGED_WORLD:
            topics = (*topics, PACKAGES)
    if seed % CONTRACTED_WORLDS == CONTRACTED_WORLD:
        drawn = ("corrections", "sandbox", "money", "commitments")
        topics = (*[each for each in topics if each not in drawn],)
        topics = (*topics, "sandbox", "commitments", PACKAGES, CONTRACTS)
    if seed % MANDATED_WORLDS == MANDATED_WORLD:
        topics = (*topics, DECISIONS, MANDATES)
    if seed % (4 * MANDATED_WORLDS) == BUYING_WORLD:
        topics = (*[each for each in topics if each != "money"], "money", PURCHASES)
    return (*topics, QUOTES) if seed % QUOTED_WORLDS == QUOTED_WORLD else topics


def plans_of(topics: Sequence[str]) -> tuple[str, ...]:
    """The packages that a world publishes."""
    if CONTRACTS in topics:
        return (*PLANS, DEAL)
    if FLIPS in topics:
        return FLIPPED
    return PLANS if PACKAGES in topics else ()


def draw_operations(
    random: Random, clients: int, span_us: int, topics: Sequence[str] = ()
) -> tuple[Operation, ...]:
    """The operations of a world, spread over about `span_us` by the clients' pauses."""
    draw = Draw(random, bool(topics), SANDBOX if "sandbox" in topics else TENANTS[0])
    draw.requests, draw.ruled = REQUESTS, RULES in topics
    if OPERATIONS in topics:
        draw.named, draw.scarce, draw.focus = NAMED, False, True
    draw.reserves, draw.buys = RESERVES in topics, PURCHASES in topics
    if BUDGETS in topics:
        draw.scarce, draw.agents = False, BELOW
    if MANDATES in topics:
        draw.scarce, draw.agents = False, AGENTS
    draw.plans = plans_of(topics)
    if SEATS in topics or FLIPS in topics:
        draw.seats, draw.agents = SEATED, BELOW
    count = random.choice((20, 40, 70, 70) if topics else (8, 20, 40, 70))
    drawn_of = [kind for kind, entry in ENTRIES.items() if entry.topic in ("", *topics)]
    if FLIPS in topics:
        drawn_of += FLIPPING
    always = (
        "usage",
        "read",
        "quote",
        "quoted",
        "debit",
        "range",
        "rules",
        "acquire",
        "operation",
        "mandate",
        "reserve",
        "budget",
        "unbudget",
        "buy",
        "charge",
        "charge_quantity",
        "charge_terms",
        "charge_end",
        "subscribe",
        "package",
        "cancel",
        "sign",
        "amend_contract",
        "end_contract",
        "seat_plan",
        "seat_add",
        "seat_remove",
        "seat_reassign",
        "seat_suspend",
        "seat_resume",
        "seat_terms",
        "seat_end",
    )
    kinds = [kind for kind in drawn_of if kind in always or draw.chance(80)]
    weights = [ENTRIES[kind].weight * random.choice((1, 1, 3)) for kind in kinds]
    for place, kind in enumerate(kinds):
        if ENTRIES[kind].topic and kind != "reserve":
            weights[place] *= 3
        elif topics and kind in ("issue", "authorize", "capture", "release"):
            weights[place] = max(weights[place], 2 * ENTRIES[kind].weight)
        if draw.plans and kind in ("publish", "clock"):
            weights[place] *= 3
        if FLIPS in topics and kind in FLIPPING[:2]:
            weights[place] *= 3
        if CONTRACTS in topics and kind in ("usage", "authorize"):
            weights[place] *= 4
        if CONTRACTS in topics and kind in ("package", "commit", "cancel"):
            weights[place] = -(-weights[place] // 4)
        if draw.reserves and kind in ("debit", "capture"):
            weights[place] *= 3
    if draw.chance(30):
        weights[kinds.index("read")] *= 8
    # How often a client waits for its answer: what names a number has to wait for it.
    patience = random.choice((75, 75, 30) if topics else (75, 30, 10))
    pause_us = 2 * span_us * clients // count
    for number in range(count):
        kind = "issue" if number < 3 else random.choices(kinds, weights)[0]
        if draw.named and 3 <= number < 6:
            kind = "operation"
        if MANDATES in topics and 3 <= number < 5:
            kind = "mandate"
        if draw.buys and 5 <= number < 8:
            kind = "buy"
        if draw.reserves and 6 <= number < 8:
            kind = "reserve"
        if BUDGETS in topics and 3 <= number < 6:
            kind = "budget"
        if CONTRACTS in topics and 4 <= number < 8:
            kind = "sign"
        elif draw.plans and 3 <= number < 7:
            kind = "subscribe"
        elif CHARGES in topics and 3 <= number < 6:
            kind = "charge"
        if SEATS in topics and 3 <= number < 5:
            kind = "seat_plan"
        drawn = ENTRIES[kind].draw(draw)
        if drawn is None:
            continue
        client = random.randrange(clients)
        named = _named(drawn.fields) if topics else -1
        if named >= 0 and draw.chance(80):  # the client that has made it, once it knows its number
            client = _waiting(draw, named)
        operation = Operation(
            number,
            client,
            kind,
            drawn.tenant,
            drawn.account,
            drawn.fields,
            random.randrange(pause_us) if draw.chance(70) else 0,
            draw.chance(patience),
            drawn.same_as,
            drawn.identity,
        )
        draw.operations.append(operation)
    return tuple(_bridged(_seats_again(_held_before_transfers(draw.operations))))


def with_overrides(
    random: Random, operations: Sequence[Operation], clients: int
) -> tuple[Operation, ...]:
    """The same, and in few worlds price overrides of the accounts that they are of."""
    if random.randrange(100) >= OVERRIDDEN_PERCENT:
        return tuple(operations)
    draw = Draw(random)
    found = list(operations)
    for number in range(random.choice((3, 6, 10))):
        of = random.choice(operations)
        drawn = draw_override(draw)
        place = random.randrange(len(found) // 2 if number < 2 else len(found))
        found.insert(
            place,
            Operation(
                2 * FIRST_ADDED + number,
                random.randrange(clients),
                "override",
                of.tenant,
                of.account,
                drawn.fields,
            ),
        )
    return tuple(found)


def _held_before_transfers(operations: Sequence[Operation]) -> list[Operation]:
    """The same, and just before each transfer of a commitment holds that reserve of it, for what
    they give back has to follow (rule D7). Drawn of nothing: other worlds stay as they are."""
    found: list[Operation] = []
    for each in operations:
        if each.kind == "end_commitment" and isinstance(each.fields.get("target"), Ref):
            for quantity in HELD_BEFORE_TRANSFERS:
                fields = {"product": "chat", "quantities": (quantity,), "lifetime": 2 * SECOND_US}
                number = len(operations) + len(found) + FIRST_ADDED
                found.append(
                    Operation(number, each.client, "authorize", each.tenant, each.account, fields)
                )
        found.append(each)
    return found


def _seats_again(operations: Sequence[Operation]) -> list[Operation]:
    """The same, and each seat that is removed by name works just before, and is added again right
    after, for that gives no more than was taken back (rule S2). Drawn of nothing, as above."""
    found: list[Operation] = []
    for each in operations:
        names = each.fields.get("seats") if each.kind == "seat_remove" else ()
        if not names or each.same_as >= 0:
            found.append(each)
            continue
        work = {"product": "chat", "quantities": (7,), "attributes": ((ATTRIBUTE, names[0]),)}
        again = {"seat_plan": each.fields["seat_plan"], "expected_version": 0, "seats": names}
        number = 3 * FIRST_ADDED + 2 * len(found)
        found.append(replace(each, number=number, kind="debit", fields=work, waits=True))
        found.append(replace(each, waits=True))
        fields = {**again, "count": 0}
        found.append(replace(each, number=number + 1, kind="seat_add", fields=fields))
    return found


def _bridged(operations: Sequence[Operation]) -> list[Operation]:
    """The same, and behind each contract that is signed for a later midnight one that ends there,
    for its end comes before that begins (rule P5). Drawn of nothing, as above."""
    found: list[Operation] = []
    for each in operations:
        found.append(each)
        if each.kind == "sign" and each.same_as < 0 and isinstance(each.fields["starts_at"], Made):
            said = {"contract": "bridge", "starts_at": 0, "ends_at": each.fields["starts_at"]}
            none = {"auto_renew": 0, "committed": (), "overrides": (), "rollover": None}
            fields = {**each.fields, **said, **none}
            number = 4 * FIRST_ADDED + len(found)
            found.append(replace(each, number=number, fields=fields))
    return [*found, *_ended([each for each in found if each.kind == "sign" and each.same_as < 0])]


def _ended(signed: Sequence[Operation]) -> list[Operation]:
    """In the end the last two contracts that were to be signed are ended, if they go on."""
    found: list[Operation] = []
    for place, each in enumerate(signed[-2:]):
        fields = {
            "contract": each.fields["contract"],
            "ending": (CommitmentEnding.TRUE_UP, CommitmentEnding.WAIVE)[(each.number + place) % 2],
            "old_grants": tuple(OldGrants)[each.number % 3],
            "target": 0,
            "target_account": "",
            "expected_version": 0,
        }
        number = 5 * FIRST_ADDED + place
        found.append(replace(each, number=number, kind="end_contract", fields=fields))
    return found


def _named(fields: dict[str, Any]) -> int:
    """The operation whose number one of the fields refers to; -1 = none."""
    return max([each.operation for each in fields.values() if isinstance(each, Ref)], default=-1)


def _waiting(draw: Draw, number: int) -> int:
    """Let the client of an earlier operation wait for its answer; returns the client."""
    for place, each in enumerate(draw.operations):
        if each.number == number:
            draw.operations[place] = replace(each, waits=True)
            return each.client
    raise LookupError(number)
