"""Fixed charges: started, their quantity and terms changed, ended (rules T1, S1)."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.catalog import asset_number
from ledger.core.events import (
    ChargeBilling,
    ChargeDiscount,
    ChargePayer,
    ChargeTerms,
    PeriodUnit,
    Proration,
    RampStep,
    Timing,
)
from ledger.core.limits import DAY_US, HOUR_US, SECOND_US
from ledger.simulation.draws import At, Draw, Drawn, Made, Ref, again_of
from ledger.simulation.processes import EPOCH_US

CHARGED_WORLDS: Final = 24
CHARGED_WORLD: Final = 12
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

NAMES: Final = ("fee", "fee", "support", "setup", "desk", "hosting")
_WEEK_US: Final = 7 * DAY_US
_MANY: Final = 50_000_000  # of which a second's share is something
_QUANTITIES: Final = (0, 1, 2, 2, 7, 30)


def draw_charge(draw: Draw) -> Drawn:
    """A charge; the period that runs mostly ends soon, or it began weeks ago."""
    again = again_of(draw, "charge", 10, {"quantity": 9})
    if again is not None:
        return again
    random = draw.random
    tenant, account = (
        draw.account() if draw.chance(40) else (draw.home, draw.random.choice(("acme", "acme/x")))
    )
    back, ends = (
        (0, -8 * DAY_US, -30 * DAY_US, -36 * DAY_US, SECOND_US),
        (2 * SECOND_US, 9 * DAY_US),
    )
    starts_at: At | int = At(random.choice(back[1:])) if draw.chance(35) else 0
    fields: dict[str, Any] = {
        "name": random.choice(NAMES) if draw.chance(97) else "",
        "terms": _terms(draw, tenant),
        "quantity": random.choice(_QUANTITIES) if draw.chance(96) else -1,
        "starts_at": starts_at,
        "ends_at": At(random.choice((*ends, -SECOND_US))) if draw.chance(25) else 0,
    }
    return Drawn(tenant, account, fields)


def _terms(draw: Draw, tenant: int, asset: int = 0) -> Made:
    random = draw.random
    once, soon = draw.chance(12), draw.chance(70)
    ends = SECOND_US * random.choice((1, 2, 3, 3, 4, 5, 86_400, 432_000))
    steps: tuple[Made, ...] = ()
    if once:
        steps = ()
    elif draw.chance(15):
        steps = (
            Made(RampStep, (0, At(random.choice((-DAY_US, SECOND_US))), 3)),
            Made(RampStep, (0, At(2 * SECOND_US), _MANY)),
        )
    elif draw.chance(15):
        steps = (Made(RampStep, (2, 0, 70)), Made(RampStep, (3, 0, 11)))
    discount: Made | None = None
    if draw.chance(25):
        off = random.choice(((1, 3, 0), (0, 0, 5), (2, 3, 0), (0, 0, _MANY // 3)))
        discount = Made(ChargeDiscount, (*off, random.choice((0, 1, 2)), random.choice((0, 1, 2))))
    trial: tuple[int, At | int] = (0, 0)
    if not once and draw.chance(15):
        trial = random.choice(((1, 0), (0, At(SECOND_US)), (0, At(2 * SECOND_US))))
    return Made(
        ChargeTerms,
        (
            draw.product(),
            asset or asset_number(tenant, 2 if draw.chance(60) else 1),
            random.choice((_MANY, _MANY, 100, 7)) if soon else random.choice((1, 7, 100, 31_000)),
            ChargeBilling.ADVANCE if once or draw.chance(60) else ChargeBilling.ARREARS,
            PeriodUnit.WEEK if draw.chance(75) else PeriodUnit.MONTH,
            0 if once else random.choice((1, 1, 1, 2)),
            EPOCH_US + ends - _WEEK_US if soon else 0,
            random.choice(("", "", "Europe/Berlin")),
            random.choice(tuple(Proration)),
            draw.chance(80),
            draw.chance(45),
            random.choice(tuple(ChargePayer)),
            discount,
            *trial,
            steps,
            random.choice((0, 2 * SECOND_US, HOUR_US, 40 * DAY_US)) if once else 0,
        ),
    )


def _of_charge(
    draw: Draw, kind: str, other: dict[str, Any], fields: dict[str, Any]
) -> Drawn | None:
    again = again_of(draw, kind, 10, other)
    found = draw.of("charge")
    if again is not None or found is None:
        return again
    return Drawn(found[0].tenant, found[0].account, {"charge": found[1], **fields})


def draw_charge_quantity(draw: Draw) -> Drawn | None:
    """For so many, mostly from now on."""
    timing = Timing.NOW if draw.chance(75) else Timing.NEXT_PERIOD
    quantity = draw.random.choice(_QUANTITIES) if draw.chance(97) else -1
    version = draw.random.randrange(1, 5) if draw.chance(10) else 0
    fields = {"quantity": quantity, "timing": timing, "expected_version": version}
    return _of_charge(draw, "charge_quantity", {"quantity": 5}, fields)


def draw_charge_terms(draw: Draw) -> Drawn | None:
    """Other terms from the next period on, mostly in the asset that it has."""
    started = draw.earlier("charge")
    if started is None:
        return None
    terms = _terms(draw, started.tenant)
    if draw.chance(93) and started.same_as < 0:
        kept = started.fields["terms"].parts
        terms = Made(ChargeTerms, (terms.parts[0], kept[1], *terms.parts[2:5], *kept[5:7],
                                   *terms.parts[7:16], kept[16]))  # fmt: skip
    fields = {
        "charge": Ref(started.number),
        "terms": terms,
        "expected_version": draw.random.randrange(1, 5) if draw.chance(10) else 0,
    }
    again = again_of(draw, "charge_terms", 10, {"expected_version": 7})
    return again or Drawn(started.tenant, started.account, fields)


def draw_charge_end(draw: Draw) -> Drawn | None:
    """Charge nothing after this period, or from now on."""
    timing = draw.random.choice(tuple(Timing))
    return _of_charge(draw, "charge_end", {"timing": Timing.NOW}, {"timing": timing})
