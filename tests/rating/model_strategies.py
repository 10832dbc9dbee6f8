"""Cards of one row with any model, and amounts, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from rating.card import Meter, PriceRow, RateCard, Rounding, validate
from rating.compile import CompiledCard
from rating.models import (
    CostPlus,
    Graduated,
    Model,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    Volume,
    cumulative,
)
from rating.plan import Plan

prices = st.sampled_from(["0", "1", "2.5", "0.001", "1/3", "7/11", "1e-9", "12345678.9"])
bounds = st.lists(st.integers(1, 300), max_size=6, unique=True).map(sorted)
amounts = st.one_of(st.integers(0, 40), st.integers(0, 10**6), st.integers(2**63 - 1, 2**63 + 1))


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    return tuple(
        Tier(bound, draw(prices), draw(st.one_of(st.just(""), prices)))
        for bound in [*draw(bounds), None]
    )


@st.composite
def stairs(draw: st.DrawFn) -> tuple[Tier, ...]:
    ends = [*draw(bounds), None]
    flats = sorted(draw(st.lists(st.integers(0, 99), min_size=len(ends), max_size=len(ends))))
    return tuple(Tier(end, flat=str(flat)) for end, flat in zip(ends, flats, strict=True))


monotone = st.one_of(
    st.none(),
    st.builds(Graduated, tiers()),
    st.builds(Stairstep, stairs()),
    st.builds(Package, st.integers(1, 50), prices),
    st.builds(Percentage, prices, free=st.sampled_from([0, 7, 100])),
    st.builds(CostPlus, prices),
)
volumes = st.builds(Volume, tiers())
transactional = st.one_of(
    st.builds(
        Percentage,
        prices,
        st.sampled_from(["", "1", "30"]),
        st.sampled_from([0, 0, 50]),
        st.sampled_from(["", "2"]),
        st.sampled_from(["", "40"]),
    ),
    st.builds(CostPlus, prices, st.just("3")),
).filter(lambda model: not cumulative(model))


@st.composite
def plans(draw: st.DrawFn, models: st.SearchStrategy[Model | None]) -> tuple[RateCard, Plan]:
    model = draw(models)
    own = isinstance(model, Percentage | CostPlus)
    row = PriceRow(
        "api",
        "calls",
        "" if model is not None else draw(prices),
        model=model,
        included=0 if own else draw(st.sampled_from([0, 0, 3, 100])),
        maximum=""
        if not cumulative(model)
        else draw(st.sampled_from(["", "", "0", "25", "1000000"])),
        scope=draw(st.sampled_from([Scope.MONTH, Scope.DAY, Scope.PERIOD])),
    )
    card = RateCard(
        name="any",
        asset="USD",
        asset_scale=draw(st.sampled_from([0, 2, 9])),
        rounding=draw(st.sampled_from(Rounding)),
        meters=(Meter("calls", draw(st.integers(0, 3))),),
        rows=(row,),
    )
    assert validate(card) == []
    return card, CompiledCard(card, version=1).match("api", {}, ("calls",))
