"""Where credit comes from, and with whom it is shared.

grants, recurring       issued, voided, by time; period after period
payments, top_ups       money for them; asked for when credit runs low
runway, runways         told of, before it is empty
adjustments             by hand, with a reason
sharing, caps           with whom a grant is shared; what each may draw of those above it
commitments, true_ups   created, ended, invoiced; what a child's true-up counts toward
minimums                what a period lacks of a card's minimums
following               where units go that a grant no longer keeps
"""
