"""Lines with a list price: commitments first, the rest its share of the list charge (rule R9)."""

from __future__ import annotations

from ledger.core.events import GrantKind, UsageRecorded
from ledger.core.state import State
from ledger.verify.rules.judge import Judge
from rating.rounding import ROUND_DOWN, rounded


def look_at_listed(judge: Judge, state: State, event: UsageRecorded) -> None:
    paid = 0
    for line in event.listed:
        if not 0 <= line.paid <= line.commit or line.listed < 0 or line.commit <= 0:
            judge.wrong(state, f"paid of line {line.place}", f"0 to {line.commit}", line.paid)
            continue
        share = rounded(line.listed * (line.commit - line.paid), line.commit, ROUND_DOWN)
        rest = event.charges[line.place] - line.paid
        if not share <= rest <= share + 1:  # one for the largest remainders (rule N3)
            judge.wrong(state, f"rest at list price of line {line.place}", share, rest)
        paid += line.paid
    committed = 0
    for piece in event.slices if paid else ():
        grant = state.books.accounts[piece.book].grant
        if grant is not None and (grant.commitment is not None or grant.kind == GrantKind.POSTPAID):
            committed += piece.amount
    if committed < paid:
        judge.wrong(state, "drawn from commitments", f"{paid} or more", committed)
