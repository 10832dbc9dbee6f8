"""What issues grants by itself: recurring grants, commitments, rules for top-ups."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.catalog import asset_number
from ledger.core.events import (
    CommitmentEnding,
    CommitmentTerms,
    GrantKind,
    Invoice,
    PeriodUnit,
    Proration,
    RecurringTerms,
    Segment,
    Timing,
    TopUpRule,
)
from ledger.core.limits import DAY_US, HOUR_US, SECOND_US
from ledger.simulation.draws import At, Draw, Drawn, Listed, Made, Ref, again_of
from ledger.simulation.draws_money import draw_rollover
from ledger.simulation.scenario import Operation

WEEK_US: Final = 7 * DAY_US


def _terms(draw: Draw, tenant: int) -> Made:
    random = draw.random
    free = draw.chance(40)
    return Made(
        RecurringTerms,
        (
            GrantKind.PROMOTIONAL if free else random.choice((GrantKind.PREPAID, *_PAID)),
            draw.asset(tenant),
            random.choice((1, 10, 70, 700)),
            0 if free else random.choice((1, 30, 999)),
            asset_number(tenant, 2),
            random.randrange(3),
            (draw.product(),) if draw.chance(20) else (),
            random.choice((PeriodUnit.WEEK, PeriodUnit.WEEK, PeriodUnit.MONTH, PeriodUnit.QUARTER)),
            random.choice((1, 1, 2)),
            At(random.choice((-WEEK_US + SECOND_US, -WEEK_US + 2 * SECOND_US, -40 * DAY_US)))
            if draw.chance(50)
            else 0,
            random.choice(("", "", "Europe/Berlin", "America/New_York")),
            random.choice(tuple(Proration)),
            random.choice((0, 0, SECOND_US, 3 * DAY_US)),
            (),
            (),
            draw.chance(30),
            draw_rollover(draw) if draw.chance(20) else None,
        ),
    )


_PAID: Final = (GrantKind.PREPAID, GrantKind.ALLOWANCE, GrantKind.POSTPAID)


def draw_start(draw: Draw) -> Drawn:
    """The same every period; many began weeks ago, so that periods are missed."""
    again = again_of(draw, "start", 12, {"ends_at": At(400 * DAY_US)})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account()
    starts_at: At | int = 0
    if draw.chance(50):
        starts_at = At(random.choice((-30 * DAY_US, -8 * DAY_US, SECOND_US, HOUR_US, -36 * DAY_US)))
    fields: dict[str, Any] = {
        "terms": _terms(draw, tenant),
        "external_key": f"rec-{random.randrange(3)}" if draw.chance(20) else "",
        "starts_at": starts_at,
        "ends_at": At(random.choice((2 * SECOND_US, 9 * DAY_US, -SECOND_US))) if draw.chance(40)
        else 0,
    }  # fmt: skip
    return Drawn(tenant, account, fields)


def _recurring(
    draw: Draw, kind: str, other: dict[str, Any], fields: dict[str, Any]
) -> Drawn | None:
    again = again_of(draw, kind, 12, other)
    found = draw.of("start")
    if again is not None or found is None:
        return again
    return Drawn(found[0].tenant, found[0].account, {"recurring": found[1], **fields})


def draw_change(draw: Draw) -> Drawn | None:
    """Other terms, now or from the next period on: of the same kind and asset, for most."""
    started = draw.earlier("start")
    if started is None:
        return None
    terms = _terms(draw, started.tenant)
    if draw.chance(80):
        kept = started.fields["terms"].parts
        terms = Made(RecurringTerms, (*kept[:2], *terms.parts[2:]))
        if (kept[0] == GrantKind.PROMOTIONAL) != (terms.parts[3] == 0):
            terms = Made(RecurringTerms, (*terms.parts[:3], kept[3], *terms.parts[4:]))
    fields = {
        "recurring": Ref(started.number),
        "terms": terms,
        "timing": draw.random.choice(tuple(Timing)),
        "expected_version": draw.random.randrange(1, 4) if draw.chance(20) else 0,
    }
    return again_of(draw, "change", 12, {"expected_version": 7}) or Drawn(
        started.tenant, started.account, fields
    )


def draw_pause(draw: Draw) -> Drawn | None:
    """Issue nothing for a while."""
    return _recurring(draw, "pause", {}, {})


def draw_resume(draw: Draw) -> Drawn | None:
    """Go on."""
    return _recurring(draw, "resume", {}, {})


def draw_end(draw: Draw) -> Drawn | None:
    """Issue nothing any more."""
    timing = draw.random.choice(tuple(Timing))
    return _recurring(draw, "end", {"timing": Timing.NOW}, {"timing": timing})


def _segment(draw: Draw, start_us: int) -> tuple[Made, int]:
    """A segment that begins so long from now, and when the next one may begin."""
    lasts = draw.random.choice((SECOND_US, 4 * SECOND_US, *[9 * DAY_US] * 3))
    lasts = 9 * DAY_US if start_us < 0 else lasts
    amount, price = draw.random.choice((5, 60, 900)), draw.random.choice((1, 70, 5_000))
    starts_at = At(start_us) if start_us else 0
    segment = Made(Segment, (starts_at, At(start_us + lasts), amount, price))
    return segment, start_us + lasts + draw.random.choice((*[0, SECOND_US] * 8, -SECOND_US // 2))


def _invoices(draw: Draw) -> tuple[Made, ...]:
    times = sorted(draw.random.choice((-DAY_US, SECOND_US, 3 * SECOND_US, 9 * DAY_US))
                   for _ in range(draw.random.randrange(4)))  # fmt: skip
    return tuple(Made(Invoice, (At(each), draw.random.choice((1, 40)))) for each in times)


def draw_commit(draw: Draw) -> Drawn:
    """A commitment of one to three segments, with invoices of its own."""
    again = again_of(draw, "commit", 12, {"invoices": ()})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account()
    segments = []
    start_us = random.choice((0, 0, 0, SECOND_US, -DAY_US))
    for _ in range(random.choice((1, 2, 2, 3))):
        segment, start_us = _segment(draw, start_us)
        segments.append(segment)
    terms = CommitmentTerms(
        random.choice((GrantKind.POSTPAID, GrantKind.POSTPAID, GrantKind.PREPAID)),
        draw.asset(tenant),
        asset_number(tenant, 2),
        random.randrange(3),
        (draw.product(),) if draw.chance(20) else (),
        ("text",) if draw.chance(10) else (),
        (),
        draw.chance(40),
    )
    fields: dict[str, Any] = {
        "terms": terms,
        "segments": tuple(segments),
        "invoices": _invoices(draw),
        "external_key": f"com-{random.randrange(3)}" if draw.chance(20) else "",
    }
    return Drawn(tenant, account, fields)


def draw_segment(draw: Draw) -> Drawn | None:
    """One segment more."""
    again = again_of(draw, "segment", 12, {"invoices": ()})
    found = draw.of("commit")
    if again is not None or found is None:
        return again
    segment, _ = _segment(draw, draw.random.choice((0, 0, SECOND_US)))
    fields = {"commitment": found[1], "segment": segment, "invoices": _invoices(draw)}
    return Drawn(found[0].tenant, found[0].account, fields)


def draw_end_commitment(draw: Draw) -> Drawn | None:
    """End one before its time, that nobody was to end before; often by transfer to another."""
    other = {"ending": CommitmentEnding.WAIVE, "target": 0, "target_account": ""}
    again = again_of(draw, "end_commitment", 12, other)
    going_on = _going_on(draw)
    if again is not None or not going_on:
        return again
    ends, to = draw.random.choice(going_on), None
    pairs = [(a, b) for a in going_on for b in going_on if a is not b and _alike(a, b)]
    if pairs and draw.chance(70):
        ends, to = draw.random.choice(pairs)
    elif draw.chance(10):
        to = draw.random.choice(going_on)  # to itself, or to one that cannot take it
    ending = draw.random.choice((CommitmentEnding.TRUE_UP, CommitmentEnding.WAIVE))
    fields: dict[str, Any] = {
        "commitment": Ref(ends.number),
        "ending": ending if to is None else CommitmentEnding.TRANSFER,
        "target": 0 if to is None else Ref(to.number),
        "target_account": "" if to is None else to.account,
    }
    return Drawn(ends.tenant, ends.account, fields)


def _going_on(draw: Draw) -> list[Operation]:
    """The last commitments that no operation was to end; at times those as well."""
    ended = {
        each.fields["commitment"].operation
        for each in draw.operations
        if each.kind == "end_commitment" and each.same_as < 0
    }
    again = draw.chance(10)
    return [
        each
        for each in draw.operations
        if each.kind == "commit" and each.same_as < 0 and (again or each.number not in ended)
    ][-8:]


def _alike(ends: Operation, to: Operation) -> bool:
    """Whether one may take what is left of the other: of the same family and asset."""
    family = [(each.tenant, each.account.split("/")[0]) for each in (ends, to)]
    return family[0] == family[1] and ends.fields["terms"].asset == to.fields["terms"].asset


def draw_rule(draw: Draw) -> Drawn:
    """When an account is to buy units by itself, and how many."""
    again = again_of(draw, "rule", 12, {"expected_version": 7})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account()
    threshold = random.choice((0, 1, 20, 400))
    target = random.choice((0, threshold + random.choice((1, 50))))
    rule = TopUpRule(
        draw.asset(tenant), threshold, target, 0 if target else random.choice((1, 7, 100)),
        random.choice((1, 2, 7)), random.choice((1, 3)), asset_number(tenant, 2), "card",
        random.choice((1, 2, 24)), random.choice((HOUR_US, DAY_US)), draw.chance(90),
    )  # fmt: skip
    version = draw.random.randrange(1, 4) if draw.chance(20) else 0
    return Drawn(tenant, account, {"rule": rule, "expected_version": version})


def draw_unrule(draw: Draw) -> Drawn:
    """Buy nothing any more."""
    again = again_of(draw, "unrule", 12, {})
    if again is not None:
        return again
    rule = draw.earlier("rule") if draw.chance(80) else None
    if rule is None:
        tenant, account = draw.account()
        return Drawn(tenant, account, {"asset": draw.asset(tenant)})
    asset = asset_number(rule.tenant, 1)
    if "rule" in rule.fields:
        asset = rule.fields["rule"].asset
    return Drawn(rule.tenant, rule.account, {"asset": asset})


def _top_up(draw: Draw, kind: str) -> Drawn:
    again = again_of(draw, kind, 12, {})
    if again is not None:
        return again
    rule = draw.earlier("rule") if draw.chance(90) else None
    tenant, account = draw.account() if rule is None else (rule.tenant, rule.account)
    return Drawn(tenant, account, {"top_up": Listed("top_ups", draw.random.randrange(2))})


def draw_topped(draw: Draw) -> Drawn:
    """The charge of a top-up was made."""
    return _top_up(draw, "topped")


def draw_declined(draw: Draw) -> Drawn:
    """It was refused."""
    return _top_up(draw, "declined")
