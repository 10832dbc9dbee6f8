"""One table: method -> who may call it, and where in its request tenant and accounts stand.

Every method of every service stands here once; a test asserts it, and calls each of them without a
right. A method that does not stand here is refused. Must not know how anybody proves anything, nor
which account is below which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from ledger.api.ids import (
    CAP,
    CHARGE,
    COMMITMENT,
    GRANT,
    HOLD,
    LEASE,
    OUTCOME,
    QUOTE,
    RECURRING,
    TOP_UP,
)
from ledger.auth.principal import ALL_SCOPES, Scope

ACCOUNT: Final = "account"
"""Instead of a kind of id: the place holds the id or an alias of an account."""


class Reach(Enum):
    """Whom a call concerns, and so what a principal has to cover."""

    ACCOUNTS = "the accounts that it names; the whole tenant where it names none"
    ITEMS = "the account of each item, each on its own"
    TENANT = "the whole tenant"
    CATALOG = "what all of a tenant may see: any principal of it"
    SERVERS = "servers of the same database alone"
    PROVEN = "anybody who is proven"
    OPEN = "anybody"


class Place(NamedTuple):
    """Where in a request an account is named: a path through its fields, `[]` after a repeated
    one, and the kind of the id that stands there."""

    path: str
    kind: str = ACCOUNT


class Rule(NamedTuple):
    """What one method asks of a principal: one of the scopes, its tenants, its accounts.

    `family`: a path to a field that, where it is set, widens the call to the whole family of its
    account; "*" = always. `no_read`: where that field is set, the scope `read` is not enough.
    `noted`: the call changes what no journal entry stands for, so who asks for it is written down
    first, with the text of that path.
    """

    scopes: frozenset[Scope]
    reach: Reach
    places: tuple[Place, ...] = ()
    tenants: tuple[str, ...] = ("tenant",)
    family: str = ""
    no_read: str = ""
    noted: str | None = None


_ACCOUNT: Final = (Place("account"),)
_READ: Final = frozenset({Scope.READ})
_ADMIN: Final = frozenset({Scope.ADMIN})
_DECIDE: Final = frozenset({Scope.DECIDE})
_PRICE: Final = frozenset({Scope.PRICE})
_INGEST: Final = frozenset({Scope.INGEST})
_AGENT: Final = frozenset({Scope.AGENT})
_WORKS: Final = _DECIDE | _AGENT
_SEES: Final = _READ | _ADMIN
"""Whoever changes grants and accounts sees them, too."""


def _of_account(scopes: frozenset[Scope], *more: Place, **changes: Any) -> Rule:
    return Rule(scopes, Reach.ACCOUNTS, (*_ACCOUNT, *more), **changes)


def _by_id(scopes: frozenset[Scope], kind: str, *more: Place) -> Rule:
    return Rule(scopes, Reach.ACCOUNTS, (Place(f"{kind}_id", kind), *more))


def _of_tenant(scopes: frozenset[Scope], noted: str | None = None) -> Rule:
    return Rule(scopes, Reach.TENANT, noted=noted)


def _catalog(scopes: frozenset[Scope] = ALL_SCOPES) -> Rule:
    return Rule(scopes, Reach.CATALOG)


def _named(service: str, rules: Mapping[str, Rule]) -> Iterable[tuple[str, Rule]]:
    return [(f"{service}/{method}", rule) for method, rule in rules.items()]


def _alike(rule: Rule, *methods: str) -> dict[str, Rule]:
    return dict.fromkeys(methods, rule)


_SERVERS: Final = Rule(frozenset(), Reach.SERVERS, tenants=())
_OPEN: Final = Rule(frozenset(), Reach.OPEN, tenants=())
_GATEWAY: Final = Rule(_WORKS, Reach.ITEMS, tenants=())
_PROVEN: Final = Rule(frozenset(), Reach.PROVEN, tenants=())

ACCESS: Final[Mapping[str, Rule]] = dict(
    (
        *_named(
            "ledger.v1.UsageService",
            {
                "Ingest": Rule(_INGEST, Reach.ITEMS),
                "IngestStream": Rule(_INGEST, Reach.ITEMS, tenants=("batch.tenant",)),
                "Get": _of_account(_READ | _INGEST),
                "ListSuspense": _of_account(_READ),
                "ListGauges": _of_account(_READ),
            },
        ),
        *_named(
            "ledger.v1.ExplainService",
            {
                "Explain": _of_account(_READ),
                "ExplainDifference": Rule(
                    _READ,
                    Reach.ACCOUNTS,
                    (Place("one.account"), Place("other.account")),
                    tenants=("tenant", "one.tenant", "other.tenant"),
                ),
            },
        ),
        *_named(
            "ledger.v1.DecisionService",
            {
                "Check": _of_account(_WORKS, Place("hold_id", HOLD)),
                "CheckMany": Rule(_WORKS, Reach.ITEMS),
                # It says what budgets and grants above hold, and what work costs.
                "ExplainDecision": _of_account(_READ, Place("hold_id", HOLD)),
                "ExplainRecorded": _of_account(_READ, Place("hold_id", HOLD)),
                "Authorize": _of_account(_WORKS, Place("quote_id", QUOTE), Place("hold_id", HOLD)),
                "Debit": _of_account(_WORKS, Place("hold_id", HOLD)),
                # Each item is let in as a call of its own would be.
                "DecideStream": Rule(_WORKS, Reach.ITEMS, tenants=()),
                **_alike(_by_id(_WORKS, HOLD), "Extend", "Capture", "Release"),
                "GetHold": _by_id(_WORKS | _READ, HOLD),
                "ListHolds": _of_account(_WORKS | _READ),
            },
        ),
        *_named(
            "ledger.v1.LeaseService",
            {
                "Acquire": _of_account(_DECIDE),
                **_alike(_by_id(_DECIDE, LEASE), "Renew", "ReportUsage", "GiveBack"),
                "Recall": _by_id(_DECIDE | _ADMIN, LEASE),
                "Get": _by_id(_DECIDE | _SEES, LEASE),
                **_alike(_of_account(_DECIDE | _SEES), "List", "GetExposure"),
            },
        ),
        *_named(
            "ledger.v1.SizingService",
            {
                "PublishRules": _of_tenant(_ADMIN),
                "ListRules": _catalog(),
                "GetAccuracy": _of_account(_SEES),
            },
        ),
        *_named(
            "ledger.v1.OutcomeService",
            {
                "Report": _of_account(_INGEST),
                **_alike(_by_id(_ADMIN, OUTCOME), "Confirm", "Reject"),
                "Get": _by_id(_SEES | _INGEST, OUTCOME),
                "List": _of_account(_SEES),
            },
        ),
        *_named(
            "ledger.v1.AccountService",
            {
                "Create": Rule(_ADMIN, Reach.ACCOUNTS, (Place("parent"),)),
                "Get": _of_account(_SEES),
                "List": Rule(_SEES, Reach.ACCOUNTS, (Place("parent"),)),
                **_alike(
                    _of_account(_ADMIN),
                    "UpdatePolicy",
                    "Freeze",
                    "Unfreeze",
                    "UpdateMetadata",
                    "Reopen",
                    "Close",
                ),
                "Move": _of_account(_ADMIN, Place("parent")),
                **_alike(_of_account(_ADMIN, noted="account"), "AssignAlias", "EndAlias", "Erase"),
                "ListAliases": _of_account(_SEES),
            },
        ),
        *_named(
            "ledger.v1.GrantService",
            {
                "Issue": _of_account(_ADMIN),
                "Void": _by_id(_ADMIN, GRANT),
                "List": _of_account(_SEES),
                "Get": _by_id(_SEES, GRANT),
            },
        ),
        *_named(
            "ledger.v1.CorrectionService",
            {
                "ReverseUsage": Rule(_ADMIN, Reach.ACCOUNTS, (Place("reversals[].account"),)),
                "AmendUsage": _of_account(
                    _ADMIN, Place("replacement.account"), Place("replacement.quote_id", QUOTE)
                ),
                "AdjustBalance": _of_account(_ADMIN, Place("grant_id", GRANT)),
                "ListAdjustments": _of_account(_SEES),
            },
        ),
        *_named(
            "ledger.v1.RecurringGrantService",
            {
                "Start": _of_account(_ADMIN),
                **_alike(_by_id(_ADMIN, RECURRING), "Change", "Pause", "Resume", "End"),
                "List": _of_account(_SEES),
                "Get": _by_id(_SEES, RECURRING),
            },
        ),
        *_named(
            "ledger.v1.SeatService",
            {
                **_alike(
                    _of_account(_ADMIN),
                    "StartPlan",
                    "Add",
                    "Remove",
                    "Reassign",
                    "Suspend",
                    "Resume",
                    "ChangeTerms",
                    "EndPlan",
                ),
                **_alike(_of_account(_SEES), "GetPlan", "ListPlans", "ListSeats"),
            },
        ),
        *_named(
            "ledger.v1.ChargeService",
            {
                "StartCharge": _of_account(_ADMIN),
                **_alike(_by_id(_ADMIN, CHARGE), "ChangeQuantity", "ChangeTerms", "EndCharge"),
                "ListCharges": _of_account(_SEES),
                "GetCharge": _by_id(_SEES, CHARGE),
                "ListFees": _of_account(_SEES, Place("charge_id", CHARGE)),
            },
        ),
        *_named(
            "ledger.v1.DecisionPolicyService",
            {"Set": _of_account(_ADMIN), "Get": _of_account(_SEES)},
        ),
        *_named(
            "ledger.v1.FailModeService",
            {"SetFailMode": _of_tenant(_ADMIN, noted="product"), "ListFailModes": _catalog()},
        ),
        *_named(
            "ledger.v1.BudgetService",
            {
                **_alike(
                    _of_account(_ADMIN), "Set", "Remove", "SetOperationBudget", "SetOperationPolicy"
                ),
                "Get": _of_account(_SEES | _AGENT),
                "GetOperationBudget": _of_account(_SEES),
                "GetOperationPolicy": _of_account(_SEES),
                "List": _of_account(_SEES | _AGENT, family="include_above"),
                "ListValues": _of_account(_SEES),
            },
        ),
        *_named(
            "ledger.v1.MandateService",
            {
                # An agent grants below its own mandate alone, and within it.
                "Grant": Rule(_ADMIN | _AGENT, Reach.ACCOUNTS, (Place("parent"),)),
                **_alike(_of_account(_ADMIN | _AGENT), "Revoke", "IssueToken", "RequestTopUp"),
                **_alike(_of_account(_SEES | _AGENT), "Get", "List"),
                "Present": _PROVEN,  # by the token that it brings
            },
        ),
        *_named(
            "ledger.v1.FamilyService",
            {
                "UpdateSharing": _by_id(_ADMIN, GRANT, Place("sharing.accounts[]")),
                "GetSharing": _by_id(_SEES, GRANT),
                "SetCap": Rule(
                    _ADMIN,
                    Reach.ACCOUNTS,
                    (
                        Place("cap.account"),
                        Place("cap.below"),
                        Place("cap.cap_id", CAP),
                        Place("cap.grant_id", GRANT),
                    ),
                ),
                "RemoveCap": _by_id(_ADMIN, CAP),
                "GetCap": _by_id(_SEES, CAP),
                "ListCaps": _of_account(_SEES, family="binding"),
            },
        ),
        *_named(
            "ledger.v1.TopUpService",
            {
                **_alike(_of_account(_ADMIN), "SetRule", "RemoveRule"),
                **_alike(_of_account(_SEES), "GetRules", "List"),
                "Get": _by_id(_SEES, TOP_UP),
                **_alike(_by_id(_ADMIN, TOP_UP), "Confirm", "Decline"),
            },
        ),
        *_named(
            "ledger.v1.RunwayService",
            {
                **_alike(_of_account(_ADMIN), "SetAlert", "RemoveAlert"),
                "GetAlerts": _of_account(_SEES),
            },
        ),
        *_named(
            "ledger.v1.BalanceService",
            {
                "Get": _of_account(_SEES | _WORKS, Place("grant_id", GRANT)),
                "ListChanges": _of_account(_SEES),
                "Forecast": _of_account(_SEES | _WORKS),
                "Watch": Rule(_SEES | _WORKS, Reach.ACCOUNTS, (Place("accounts[]"),)),
            },
        ),
        *_named(
            "ledger.v1.PaymentService",
            {
                **_alike(_by_id(_ADMIN, GRANT), "Confirm", "Fail", "Refund", "Chargeback"),
                **_alike(
                    _of_account(_ADMIN), "Bill", "RecordPayment", "IssueCreditNote", "WriteOff"
                ),
                "GetOwed": _of_account(_SEES),
            },
        ),
        *_named(
            "ledger.v1.CommitmentService",
            {
                "Create": _of_account(_ADMIN),
                "AddSegment": _by_id(_ADMIN, COMMITMENT),
                "End": _by_id(_ADMIN, COMMITMENT, Place("target_commitment_id", COMMITMENT)),
                "List": _of_account(_SEES),
                "Get": _by_id(_SEES, COMMITMENT),
            },
        ),
        *_named(
            "ledger.v1.JournalService",
            {
                "GetOutcome": _of_account(ALL_SCOPES, family="abandon", no_read="abandon"),
                "GetRouting": _catalog(),
                "TrialBalance": _of_tenant(_READ),
                "GetProof": _of_account(_READ),
                "ListSeals": _catalog(),
                "GetSealKeys": _catalog(),
            },
        ),
        *_named(
            "ledger.v1.ReportService",
            {
                "GetMargin": _of_account(_READ),
                "GetOverage": _of_account(_READ),
                "GetOperation": _of_account(_READ, family="*"),
            },
        ),
        *_named(
            "ledger.v1.StatementService",
            {
                **_alike(_of_account(_ADMIN), "Set", "Close"),
                **_alike(_of_account(_SEES), "Draft", "Get", "List", "RollUp"),
            },
        ),
        *_named(
            "ledger.v1.PeerService", _alike(_SERVERS, "ApplyPublished", "Settle", "SettleClock")
        ),
        *_named(
            "ledger.v1.ClockService", {"Get": _catalog(), "Advance": _of_tenant(_ADMIN, noted="")}
        ),
        *_named(
            "rating.v1.PricingService",
            {
                "CreateAsset": _of_tenant(_PRICE, noted="asset.asset"),
                "ListAssets": _catalog(),
                "PublishRateCard": _of_tenant(_PRICE, noted="card.name"),
                **_alike(_of_tenant(_READ | _PRICE), "GetRateCard", "ListRateCards"),
                "SetRateCardAlias": _of_tenant(_PRICE, noted="alias"),
                **_alike(_of_tenant(_READ | _PRICE), "ListRateCardAliases", "DiffRateCards"),
                "GetPriceSheet": _of_account(_READ | _PRICE | _WORKS),
                "SetPriceOverrides": _of_account(_PRICE),
                "GetPriceOverrides": _of_account(_READ | _PRICE),
                **_alike(_of_account(_READ | _PRICE | _WORKS), "Quote", "Compare"),
                "CreateQuote": _of_account(_WORKS),
                "GetQuote": _by_id(_READ | _WORKS, QUOTE),
                "ListQuotes": _of_account(_READ | _WORKS),
                **_alike(_of_tenant(_PRICE), "Rerate", "Simulate"),
            },
        ),
        # What a gateway asks is asked of DecisionService in its name, account and all.
        *_named("envoy.service.auth.v3.Authorization", {"Check": _GATEWAY}),
        *_named("envoy.service.ratelimit.v3.RateLimitService", {"ShouldRateLimit": _GATEWAY}),
        *_named(
            "rating.v1.ConversionService",
            {
                "PublishConversion": _of_tenant(_PRICE, noted=""),
                "ListConversions": _of_tenant(_READ | _PRICE),
            },
        ),
        *_named(
            "rating.v1.MeterService",
            {"PublishMeters": _of_tenant(_PRICE, noted=""), "ListMeters": _catalog()},
        ),
        *_named(
            "ledger.v1.ContractService",
            {
                **_alike(_of_account(_ADMIN), "Sign", "Amend"),
                "End": _of_account(_ADMIN, Place("target_commitment_id", COMMITMENT)),
                **_alike(_of_account(_SEES), "Get", "List"),
            },
        ),
        *_named(
            "ledger.v1.PackageService",
            {
                "Publish": _of_tenant(_PRICE, noted="package.name"),
                "List": _of_tenant(_READ | _PRICE | _ADMIN),
                **_alike(_of_account(_ADMIN), "Subscribe", "Change", "Cancel"),
                "GetSubscription": _of_account(_SEES),
                "Preview": _of_account(_SEES | _PRICE),
                "PreviewSubscribers": _of_tenant(_SEES | _PRICE),
                "ResolveEntitlements": _of_account(_SEES | _DECIDE),
            },
        ),
        *_named("grpc.health.v1.Health", _alike(_OPEN, "Check", "List", "Watch")),
        *_named("grpc.reflection.v1alpha.ServerReflection", {"ServerReflectionInfo": _PROVEN}),
    )
)


def texts_at(message: Any, path: str) -> list[str]:
    """The texts that stand at a path, those that are empty left out."""
    if path.isidentifier():  # most are, and each call looks at one or two
        text = getattr(message, path)
        return [text] if text else []
    found = [message]
    for step in path.split("."):
        name = step.removesuffix("[]")
        values = [getattr(each, name) for each in found]
        found = [one for many in values for one in many] if step != name else values
    return [text for text in found if text]
