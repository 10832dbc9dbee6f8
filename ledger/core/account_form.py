"""The canonical form of one account: its own fields, what was agreed with it and what it counts.

What `evolve` adds to an account belongs here. Which accounts there are, the books and the holdings
of an account stand in `digest`; a form that changes for an old journal is a new version of that.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.core.budgets.operation_terms import OperationPolicy
from ledger.core.contracts.contracts import Contract
from ledger.core.decisions.decision_policies import NO_RULES
from ledger.core.mandates.mandates import Mandate
from ledger.core.metering.gauges import Gauge, Gauges, GaugeScope
from ledger.core.packages.subscriptions import Subscription
from ledger.core.pricing.shared_totals import is_kept
from ledger.core.seats.seats import Seat, SeatPlan, SeatPlans
from ledger.core.state import (
    Account,
    Debt,
)
from ledger.core.statements.statements import Statements


def account_form(account: Account, months_before: int, days_before: int) -> list[Any]:
    """All of it; of totals those of months and days that the state still keeps."""
    return [
        account.tenant,
        account.number,
        account.root,
        account.parent.number if account.parent is not None else 0,
        account.policy,
        account.version,
        account.created_at,
        account.closed_at,
        [
            [row, period, str(quantity)]
            for (row, period), quantity in sorted(account.totals.items())
            if period > months_before
        ],
        [
            [asset, period, str(posted)]
            for (asset, period), posted in sorted(account.overage_posted.items())
            if period > months_before
        ],
        [[asset, str(pending)] for asset, pending in sorted(account.overage_pending.items())],
        account.suspended,
        account.reopened_at,
        account.written_off,
        account.gaps,
        account.frozen_at,
        account.frozen_by,
        account.freeze_cause,
        account.profile_version,
        account.profile_at,
        [
            [asset, debt.run, _debt(debt), debt.since]
            for asset, debt in sorted(account.debt.items())
        ],
        [[asset, str(value)] for asset, value in sorted(account.lifetime.items())],
        [[asset, *standing] for asset, standing in sorted(account.top_up_rules.items())],
        account.closed_until,
        account.calendar.zones,
        account.anchors,
        [
            [*place, str(quantity)]
            for place, quantity in sorted(account.scoped.items())
            if is_kept(place, days_before, months_before)
        ],
        [
            [*place, [[*part, str(units)] for part, units in drawn.items()]]
            for place, drawn in sorted(account.row_draws.items(), key=_place)
            if is_kept(place, days_before, months_before)
        ],
        account.overrides,
        account.overrides_version,
        account.minimums_until,
        account.cards_before,
        _subscription(account.subscription),
        account.place_version,
        account.parents_before,
        *([account.sold] if account.sold is not None or account.contracts else []),
        *([[_contract(each) for each in account.contracts]] if account.contracts else []),
        *_seats(account.seats),
        *_statements(account.statements),
        *([_gauges(account.gauges)] if account.gauges is not None else []),
        *([{"due": account.dues.due, "of": account.dues.waiting}] if account.dues else []),
        *([{"mandate": _mandate(account.mandate)}] if account.mandate is not None else []),
        *_operations(account.operation_policy),
        *([{"package": account.packaged_operations}] if account.packaged_operations else []),
        *([{"packaged": account.packaged}] if account.packaged else []),
        *([{"runways": account.runways}] if account.runways else []),
        *([{"rules": account.own_rules}] if account.own_rules != NO_RULES else []),
    ]


def _operations(policy: OperationPolicy | None) -> list[Any]:
    return [{"operations": policy}] if policy is not None else []


def _mandate(mandate: Mandate) -> list[Any]:
    """Without what it bought, where it buys nothing."""
    fields: list[Any] = msgspec.to_builtins(mandate)
    return fields if mandate.purchase is not None else fields[:3]


def _contract(contract: Contract) -> Any:
    """Without what it knows of the terms that followed its first, where none did."""
    fields = msgspec.to_builtins(contract)
    return fields if contract.terms else fields[:-1]


def _seats(plans: SeatPlans | None) -> list[Any]:
    """Nothing where an account has none."""
    if plans is None:
        return []
    return [
        [
            plan.name,
            plan.terms,
            plan.created_at,
            plan.started_at,
            plan.ends_at,
            plan.revision,
            plan.period_start,
            plan.period_end,
            plan.full,
            plan.grants,
            plan.tally,
            plan.next_seat,
            [_seat(plan, plan.seats[number]) for number in sorted(plan.seats)],
            *([plan.next_terms] if plan.next_terms is not None else []),
        ]
        for plan in plans.plans.values()
    ]


def _seat(plan: SeatPlan, seat: Seat) -> list[Any]:
    return [
        seat.number,
        seat.name,
        plan.by_name.get(seat.name) is seat,
        seat.until,
        seat.suspended,
        seat.entitled,
        seat.released,
        seat.grants,
        seat.allotted,
        seat.alerted,
        sorted([pot.number for pot in seat.pots]),
    ]


def _statements(statements: Statements | None) -> list[Any]:
    """Nothing where nothing was ever said or ended: digests from before stay what they are."""
    if statements is None or statements.blank:
        return []
    return [
        [
            statements.form,
            statements.attribute,
            statements.version,
            statements.since,
            statements.number,
            statements.until,
            statements.ended_by,
            [[number, *statements.ended[number]] for number in sorted(statements.ended)],
        ]
    ]


def _gauges(gauges: Gauges) -> list[Any]:
    return [
        "gauges",
        [
            [
                *scope,
                each.key,
                each.product,
                each.attributes,
                each.quantity_names,
                each.forgotten,
                each.reports,
            ]
            for scope, of_scope in sorted(gauges.scopes.items(), key=_first)
            for each in of_scope.values()
        ],
        list(gauges.charged),
    ]


def _first(pair: tuple[GaugeScope, dict[int, Gauge]]) -> GaugeScope:
    return pair[0]


def _subscription(subscription: Subscription | None) -> list[Any]:
    if subscription is None:
        return []
    return [
        subscription.subscribed_at,
        subscription.package,
        subscription.version,
        subscription.follow,
        subscription.locked_until,
        subscription.revision,
        subscription.anchor,
        subscription.period_start,
        subscription.period_end,
        subscription.full,
        subscription.grants,
        subscription.issues,
        subscription.minted,
        subscription.policy,
        subscription.scheduled,
        subscription.ends_at,
        subscription.over,
        *(
            [subscription.phase, subscription.phase_left, subscription.phased]
            if subscription.phased or subscription.contract
            else []
        ),
        *([subscription.contract] if subscription.contract else []),
    ]


def _place(draws: tuple[tuple[int, int, int], Any]) -> tuple[int, int, int]:
    return draws[0]


def _debt(debt: Debt) -> list[Any]:
    return [[*part, str(owed)] for part, owed in debt.owed.items()]
