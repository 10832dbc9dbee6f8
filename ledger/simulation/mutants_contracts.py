"""Deliberate faults of contracts (rules P5, D7).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_CONTRACTING: Final = "ledger.core.contracts.contracting"
_CONTRACTS: Final = "ledger.core.contracts.contracts"
_EVOLVE: Final = "ledger.core.evolve.contracts"

CONTRACTS: Final = (
    Mutant(
        "contract that ends takes the package of the next along",
        _CONTRACTS,
        "_due",
        "contract.state == ContractState.SIGNED",
        "False",
        "what ends comes before what begins at that instant",
    ),
    Mutant(
        "whoever signs again is granted anew",
        _CONTRACTING,
        "_begin",
        "minted, afresh = before.minted, False",
        "pass",
        "to sign again within a period mints nothing",
    ),
    Mutant(
        "whole grants for a period that a contract cuts",
        _CONTRACTING,
        "_begin",
        "clipped(part, window.end)",
        "part",
        "the last period of a contract is granted by its time",
    ),
    Mutant(
        "period of a contract's package goes on after it",
        "ledger.core.packages.subscribing",
        "carry_on",
        "part = clipped(part, contract.ends_at)",
        "pass",
        "the last period of a contract ends with it",
    ),
    Mutant(
        "policy of before a contract forgotten",
        _CONTRACTING,
        "_begin",
        "before.policy if before is not None and not before.over else ()",
        "()",
        "after a contract the policy is as it was before its package",
    ),
    Mutant(
        "contract not renewed",
        _CONTRACTING,
        "contract_due",
        "contract.auto_renew and _renew(state, account, contract, out)",
        "False",
        "a contract that is to be renewed goes on",
    ),
    Mutant(
        "contract renewed into the one that follows",
        _CONTRACTING,
        "_renew",
        "if refusal is not None or window.end > ANCHOR_MAX_US:",
        "if window.end > ANCHOR_MAX_US:",
        "an account has one contract at a time",
    ),
    Mutant(
        "next term commits as of the last one's time",
        _CONTRACTING,
        "_renew",
        "part, starts_at=shifted(part.starts_at), ends_at=shifted(part.ends_at)",
        "part, starts_at=part.starts_at, ends_at=shifted(part.ends_at)",
        "commitments are made anew as far into the new term as they were into the old",
    ),
    Mutant(
        "term of months renewed by its days",
        "ledger.core.contracts.contract_terms",
        "next_term",
        "cycle.start_of(first) == start and cycle.start_of(last) == end",
        "False",
        "a term of whole periods is renewed for as many",
    ),
    Mutant(
        "rest of a term does not roll over",
        _CONTRACTING,
        "_renew",
        "_roll_on(state, contract, numbers, window, out)",
        "pass",
        "what a term leaves rolls into the next as the contract says",
    ),
    Mutant(
        "segment of before the term's end rolls over",
        _CONTRACTING,
        "_roll_on",
        "grant.expires_at == contract.ends_at and not grant.settled",
        "not grant.settled",
        "what ends within a term is trued up at its own end",
    ),
    Mutant(
        "what has rolled into a term rolls on",
        _CONTRACTING,
        "_roll_on",
        "if ends and not grant.origin:",
        "if ends:",
        "what has rolled over once does not roll again",
    ),
    Mutant(
        "rollover of a renewal forgotten",
        "ledger.core.evolve.grants",
        "grant_rollover_set",
        "grant.rollover, grant.rolls_into = event.rollover, event.commitment",
        "grant.rollover = event.rollover",
        "what rolls over becomes a segment of the new term's commitment",
    ),
    Mutant(
        "commitment of an ended contract goes on",
        _CONTRACTING,
        "_end_commitments",
        "zip(going, targets, strict=True)",
        "zip(going[1:], targets[1:], strict=True)",
        "an early end is one of every commitment that goes on",
    ),
    Mutant(
        "commitments of earlier terms outlive the contract",
        _EVOLVE,
        "contract_renewed",
        "(*contract.commitments, *event.commitments)",
        "event.commitments",
        "a contract remembers all that it has made",
    ),
    Mutant(
        "charge of a contract's package goes on",
        _CONTRACTING,
        "_leave",
        "end_charges(state, account, at, out)",
        "pass",
        "what a package charges goes with its contract",
    ),
    Mutant(
        "policy of a contract's package stays",
        _CONTRACTING,
        "_leave",
        "set_policy(state, account, None, subscription.policy, out)",
        "pass",
        "after a contract the policy is as it was before",
    ),
    Mutant(
        "prices outlive their contract",
        _EVOLVE,
        "contract_ended",
        "min(at, event.ended_at)",
        "at",
        "a contract's prices count for usage of its time",
    ),
    Mutant(
        "prices of a contract end with its first term",
        _EVOLVE,
        "contract_renewed",
        "_until(account, contract, event.ends_at)",
        "{}",
        "a contract's prices go on as it is renewed",
    ),
    Mutant(
        "prices that an amendment says no more go on",
        _EVOLVE,
        "contract_amended",
        "until[number] = min(until.get(number, ends_at), event.effective_at)",
        "pass",
        "an amendment's prices stand in the place of those before",
    ),
    Mutant(
        "own prices before a contract's",
        "ledger.core.evolve.accounts",
        "inherited_overrides",
        "(sold.contract, own, sold.package)",
        "(own, sold.contract, sold.package)",
        "a contract's prices count before the account's own",
    ),
    Mutant(
        "contract left out of a packed family",
        "ledger.core.packing.accounts",
        "pack_account",
        "account.contracts",
        "()",
        "a checkpoint holds the whole of a family",
    ),
)
"""Faults of what is signed."""
