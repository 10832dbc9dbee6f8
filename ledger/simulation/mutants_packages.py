"""Deliberate faults of packages (rules P1, P3).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_CHARGES: Final = "ledger.core.packages.package_charges"
_EVOLVE: Final = "ledger.core.evolve.packages"
_POLICY: Final = "ledger.core.packages.package_policy"
_SUBSCRIBING: Final = "ledger.core.packages.subscribing"
_TERMS: Final = "ledger.core.packages.package_terms"

PACKAGES: Final = (
    Mutant(
        "flipping plans mints anew",
        _TERMS,
        "begin",
        "if amount > room:",
        "if False:",
        "a period grants no more than the largest of its packages",
    ),
    Mutant(
        "whole grants of a package for the rest of a period",
        _TERMS,
        "begin",
        "amount = prorated(grant.amount, remaining, part.full)",
        "amount = grant.amount",
        "what is granted within a period is the share of its time",
    ),
    Mutant(
        "largest of a period's packages forgotten",
        _TERMS,
        "begin",
        "max(before.largest, amount)",
        "amount",
        "the largest package of a period counts, whatever comes after",
    ),
    Mutant(
        "share of the time taken back twice",
        _TERMS,
        "take_back",
        "prorated(grant.amount, left, lasts) - grant.unused",
        "prorated(grant.amount, left, lasts)",
        "what was taken back of a grant before counts",
    ),
    Mutant(
        "taken back beyond what is there",
        _TERMS,
        "take_back",
        "amount = min(amount, prorated(",
        "amount = max(amount, prorated(",
        "no more is taken back than is neither drawn nor held",
    ),
    Mutant(
        "what was taken back counts as granted",
        _TERMS,
        "without",
        "each.released - back.get(each.asset, 0)",
        "each.released",
        "granted is what was issued less what was taken back",
    ),
    Mutant(
        "who subscribes again begins a new period",
        _SUBSCRIBING,
        "decide_subscribe",
        "if before is not None and now < before.period_end:",
        "if False:",
        "within the period of a cancelled package it is the rest of that one",
    ),
    Mutant(
        "who has pinned a version follows the newest",
        _SUBSCRIBING,
        "_following",
        "if pinned and version",
        "if False and version",
        "who pins a version keeps it",
    ),
    Mutant(
        "who follows keeps the version",
        _SUBSCRIBING,
        "_following",
        "newest_at(versions, start)",
        "version_of(versions, version) or newest_at(versions, start)",
        "who follows goes by the newest version at each period",
    ),
    Mutant(
        "package goes on after its end",
        _SUBSCRIBING,
        "carry_on",
        "if subscription.ends_at <= subscription.period_end:",
        "if False:",
        "a cancelled package ends with its period",
    ),
    Mutant(
        "change takes no cancellation back",
        _EVOLVE,
        "package_changed",
        "subscription.ends_at = NEVER",
        "pass",
        "a change takes back a cancellation that was to come",
    ),
    Mutant(
        "change that was to come forgotten",
        _SUBSCRIBING,
        "_following",
        "if scheduled is not None:",
        "if False:",
        "a change with the next period counts then",
    ),
    Mutant(
        "change that was to come outlives one now",
        _EVOLVE,
        "package_changed",
        "        subscription.scheduled = None\n",
        "        pass\n",
        "a change now takes back one that was to come",
    ),
    Mutant(
        "policy of a package that is gone stays",
        _POLICY,
        "policy_under",
        "if field not in wanted:",
        "if False:",
        "the policy is as it was before the package",
    ),
    Mutant(
        "package changes what somebody has set",
        _POLICY,
        "policy_under",
        "if value_of(policy, part.field) == part.value:",
        "if True:",
        "a field that somebody has set otherwise holds",
    ),
    Mutant(
        "charge of a package that is gone goes on",
        _CHARGES,
        "end_charges",
        "if charge.packaged and charge.recurs and charge.ends_at > at:",
        "if False:",
        "what a package charges goes with it",
    ),
    Mutant(
        "charge that another package does not say goes on",
        _CHARGES,
        "set_charges",
        "charged_to[charge.name] = _end(charge, start, out)",
        "pass",
        "the account is charged what its package says and nothing else of one",
    ),
    Mutant(
        "setup charged again",
        _CHARGES,
        "set_charges",
        "if each.once and _was_charged(account, name):",
        "if False:",
        "nobody is charged a setup twice",
    ),
    Mutant(
        "package touches a charge that is somebody's own",
        _CHARGES,
        "set_charges",
        "if standing is not None and not standing.packaged:",
        "if False:",
        "one that somebody has started or changed by hand holds",
    ),
    Mutant(
        "what a period granted left out of a packed family",
        "ledger.core.packing.packages",
        "pack_subscription",
        "subscription.minted",
        "()",
        "a checkpoint holds the whole of a family",
    ),
)
"""Faults of what comes with a plan."""
