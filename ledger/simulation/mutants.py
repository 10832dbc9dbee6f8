"""The list of deliberate faults. The simulator must catch every one of them.

Each is one small change of one function of the core, the engine, the journal, the projector or the
client, as a tired hand might make it. Add one with every promise that a feature makes.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutants_budgets import BUDGETS
from ledger.simulation.mutants_charges import CHARGES
from ledger.simulation.mutants_contracts import CONTRACTS
from ledger.simulation.mutants_credits import CREDITS, GRANTS
from ledger.simulation.mutants_decisions import DECISIONS
from ledger.simulation.mutants_engine import ENGINE_MUTANTS
from ledger.simulation.mutants_flips import FLIPS
from ledger.simulation.mutants_leases import CREDIT_LEASES
from ledger.simulation.mutants_mandates import MANDATES
from ledger.simulation.mutants_months import MONTHS, TRANSFERS
from ledger.simulation.mutants_operations import OPERATIONS
from ledger.simulation.mutants_packages import PACKAGES
from ledger.simulation.mutants_purchases import PURCHASES
from ledger.simulation.mutants_reserves import RESERVES
from ledger.simulation.mutants_seats import SEATS
from ledger.simulation.mutants_usage import USAGE
from ledger.simulation.mutants_waterfall import WATERFALL
from ledger.simulation.mutants_writer import CLIENT, ENGINE, JOURNAL, LEASES, PAGING, PROJECTOR

MUTANTS: Final = (
    *WATERFALL,
    *USAGE,
    *MONTHS,
    *TRANSFERS,
    *GRANTS,
    *CREDITS,
    *DECISIONS,
    *CREDIT_LEASES,
    *OPERATIONS,
    *MANDATES,
    *RESERVES,
    *BUDGETS,
    *PURCHASES,
    *SEATS,
    *CHARGES,
    *PACKAGES,
    *FLIPS,
    *CONTRACTS,
    *ENGINE,
    *LEASES,
    *JOURNAL,
    *PAGING,
    *ENGINE_MUTANTS,
    *CLIENT,
    *PROJECTOR,
)
"""All of them; names are unique."""
