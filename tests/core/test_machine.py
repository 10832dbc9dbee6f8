"""Every command of the core in any order, over a family: what must hold after each step.

Debits equal credits; no grant goes below zero; what was issued is drawn, gone or left, and what was
paid is earned, gone or deferred; what was billed is paid, waived or owed; holds are accounted for;
draws agree with a naive waterfall; a refusal changes nothing; the journal replays to the same
state, and packed families come back as they were. A command that no rule draws fails a test.
"""

from __future__ import annotations

from random import Random

from core_machine import DRAWN, STEPS, WORLDS, CoreMachine, not_refused
from hypothesis import settings

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decide import _DECIDERS
from ledger.core.evolve import EVOLVERS

OF_BUDGETS = {c.SetBudget, c.RemoveBudget}  # test_budget_properties draws them
OF_BUDGETS |= {c.SetOperationBudget}  # and test_operation_properties
OF_BUDGETS |= {c.SetOperationPolicy}  # and test_operation_policies
OF_BUDGETS |= {c.ReserveOperation}  # and test_operation_holds
OF_PACKAGES = {c.Subscribe, c.ChangePackage, c.CancelSubscription}  # and test_packages these
OF_PACKAGES |= {c.SignContract, c.AmendContract, c.EndContract}  # and test_contracts these
OF_SEATS = {  # and test_seat_properties these
    c.StartSeatPlan,
    c.AddSeats,
    c.RemoveSeats,
    c.ReassignSeat,
    c.SuspendSeat,
    c.ResumeSeat,
    c.EndSeatPlan,
    c.ChangeSeatTerms,
}
OF_MANDATES = {c.GrantMandate, c.RevokeMandate}  # test_mandates draws them
OF_MANDATES |= {c.RequestTopUp}  # and test_mandate_purchases this
OF_RUNWAYS = {c.SetRunwayAlert, c.RemoveRunwayAlert, c.ReportRunway}  # test_runways draws them
OF_STATEMENTS = {c.SetStatements, c.EndStatement, c.CloseStatement}  # and test_statements these
OF_CAPS = {c.UpdateSharing, c.SetCap, c.RemoveCap}  # and test_cap_properties these
OF_METERS = {c.MeteredUsage, c.ReportGauge}  # test_levels and test_gauges draw them
OF_LEASES = {  # and test_lease_properties these
    c.AcquireLease,
    c.RenewLease,
    c.LeasedUsage,
    c.ReturnLease,
    c.RecallLease,
}
OF_POLICIES = {c.SetDecisionPolicy}  # and test_policy_properties this

LOOKED_EVERY = 10
CoreMachine.TestCase.settings = settings(stateful_step_count=30)
test_whatever_is_asked_in_whatever_order = CoreMachine.TestCase


def test_every_command_is_drawn() -> None:
    """A command that no rule of the machine draws is one that nothing here holds for."""
    elsewhere = OF_METERS | OF_BUDGETS | OF_PACKAGES | OF_CAPS | OF_SEATS | OF_STATEMENTS
    elsewhere |= OF_LEASES | OF_POLICIES | OF_MANDATES | OF_RUNWAYS
    assert set(_DECIDERS) - elsewhere == DRAWN


def walk(seed: int, length: int) -> CoreMachine:
    """So many steps, each as likely as any other; the seed says which."""
    machine, drawn = CoreMachine(), Random(seed)
    machine.begin(WORLDS[seed % len(WORLDS)])
    names = sorted(STEPS)
    for step in range(length):
        name = drawn.choice(names)
        arguments = {each: drawn.choice(domain) for each, domain in STEPS[name].items()}
        getattr(machine, name)(**arguments)
        if step % LOOKED_EVERY == 0 or step == length - 1:  # the journal is replayed each time
            for each in machine.invariants:
                each.function(machine)
    machine.teardown()
    return machine


def test_long_lives_meet_every_command_and_every_event() -> None:
    """Hypothesis stays close to what it knows; these walks do not, and so all is met: each command
    is applied, and each entry written that a command or the clock can cause."""
    applied: set[type] = set()
    written: set[type] = set()
    for seed in range(14):
        case = walk(seed, 200).case
        applied |= {type(command) for command, outcome in case.asked if not_refused(outcome)}
        written |= {type(event) for _, events in case.core.batches for event in events}
    elsewhere = OF_METERS | OF_BUDGETS | OF_PACKAGES | OF_CAPS | OF_SEATS | OF_STATEMENTS
    elsewhere |= OF_LEASES | OF_POLICIES | OF_MANDATES | OF_RUNWAYS
    assert applied == set(_DECIDERS) - elsewhere
    of_sandboxes = {e.ClockAdvanced, e.TimeShifted}  # test_sandbox has these stories told there
    of_models = {e.UsageModeled, e.UsageRerated}  # and test_models
    of_models |= {e.RerateShared, e.SharedRerated}  # and test_shared_total_properties
    of_quotes = {e.QuotedDenied, e.AuthorizeDenied}  # older journals have them
    of_conversions = {e.UsageConverted, e.ConversionReversed}  # and test_conversions
    of_minimums = {e.MinimumsAwaited, e.MinimumCharged}  # and test_minimums
    of_caps = {e.SharingUpdated, e.CapSet, e.CapBegun, e.CapRemoved, e.CapWindowOpened}
    of_budgets = {  # and test_budget_properties
        e.BudgetSet,
        e.BudgetRemoved,
        e.BudgetsCounted,
        e.BudgetsTallied,
        e.BudgetCrossed,
        e.BudgetDenied,
        e.GroupedBudgetSet,
        e.BudgetValueOpened,
    }
    of_meters = {e.UsageMetered, e.MetersReversed}  # and test_levels
    of_meters |= {e.GaugeReported, e.GaugeCharged, e.GaugeReversed}  # and test_gauges
    elsewhere = of_sandboxes | of_models | of_conversions | of_quotes | of_minimums | of_meters
    elsewhere |= of_budgets
    elsewhere |= {  # and test_policy_properties
        e.DecisionPolicySet,
        e.PackageRulesSet,
        e.PackageOperationsSet,  # and test_package_operations
        e.PolicyHeld,
        e.PolicyDebited,
        e.PolicyDenied,
    }
    elsewhere |= {  # and test_packages
        e.Subscribed,
        e.PackageChanged,
        e.PackagePeriodBegun,
        e.PackagePricesSet,
        e.GrantRolloverSet,  # and test_contract_rollover
        e.ContractSigned,  # and test_contracts
        e.ContractBegun,
        e.ContractAmended,
        e.ContractRenewed,
        e.ContractEnded,
        e.PackagePhaseBegun,
        e.ChargeRepriced,  # and test_package_charges
        e.SubscriptionCancelled,
        e.SubscriptionEnded,
    }
    elsewhere |= {e.StatementsSet, e.StatementEnded, e.StatementClosed}  # and test_statements
    elsewhere |= {  # and test_lease_properties
        e.LeaseGranted,
        e.LeaseRenewed,
        e.UsageLeased,
        e.LeaseReturned,
        e.LeaseLapsed,
        e.LeaseOverdue,
        e.LeaseRecalled,
    }
    elsewhere |= of_budgets | of_caps
    elsewhere |= {  # and test_operations
        e.OperationBudgetSet,
        e.OperationBudgetEnded,
        e.OperationHeld,
        e.OperationJoined,
        e.SizedOperationHeld,
    }
    elsewhere |= {e.OperationPolicySet, e.OperationBudgetBegun}  # and test_operation_policies
    elsewhere |= {e.OperationReserved, e.HoldDebited, e.HoldDebitDenied}  # and test_operation_holds
    elsewhere |= {e.OperationPartHeld, e.HoldRefilled}  # and test_operation_parts
    elsewhere |= {e.OperationLeaseGranted}  # and test_lease_operations
    elsewhere |= {e.MandateGranted, e.MandateRevoked}  # and test_mandates
    elsewhere |= {e.RunwayAlertSet, e.RunwayAlertRemoved, e.RunwayCrossed}  # and test_runways
    elsewhere |= {e.BuyingMandateGranted, e.PurchaseRequested}  # and test_mandate_purchases
    elsewhere |= {  # and test_seats
        e.SeatPlanStarted,
        e.SeatsAdded,
        e.SeatsRemoved,
        e.SeatReassigned,
        e.SeatSuspended,
        e.SeatTermsChanged,  # and test_seat_terms
        e.SeatPeriodBegun,
        e.SeatPlanEnded,
        e.SeatAllowanceLow,
    }
    assert written | elsewhere == set(EVOLVERS) - {e.WriterOpened}
