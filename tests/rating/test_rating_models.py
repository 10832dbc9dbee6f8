"""What each price model charges, with figures worked out by hand: rules R1 and R2."""

from rating_cases import rating_case


@rating_case
def test_graduated_prices_each_unit_by_its_own_tier():
    """
    asset      USD scale=2
    meter      calls
    graduated  api calls 100=0.10 1000=0.05 rest=0.02
    event      api calls=100 -> calls 1000
    event      api calls=1 -> calls 5
    event      api calls=1099 -> calls 4895
    event      api calls=1 -> calls 2
    total      5902
    back       api calls=1 -> calls 2
    back       api calls=1100 -> calls 4900
    back       api calls=100 -> calls 1000
    total      0
    """


@rating_case
def test_a_flat_amount_is_due_once_a_tier_is_entered():
    """
    asset      USD scale=2
    meter      calls
    graduated  api calls 10=0.10+5 rest=0.05+7
    event      api calls=0 -> calls free
    event      api calls=1 -> calls 510
    event      api calls=9 -> calls 90
    event      api calls=1 -> calls 705
    total      1305
    """


@rating_case
def test_one_event_may_cross_every_tier():
    """
    asset      USD scale=0
    meter      calls
    graduated  api calls 10=3 20=2 30=1+4 rest=0
    event      api calls=35 -> calls 64
    event      api calls=1000 -> calls free
    """


@rating_case
def test_graduated_rounds_the_running_total_not_each_tier():
    """
    asset      credit scale=0
    meter      calls
    graduated  api calls 3=1/2 rest=1/3
    event      api calls=1 -> calls 0
    event      api calls=1 -> calls 1
    event      api calls=1 -> calls 1
    event      api calls=1 -> calls 0
    event      api calls=2 -> calls 0
    event      api calls=1 -> calls 1
    """


@rating_case
def test_volume_prices_everything_at_the_tier_reached_and_says_the_rerate_apart():
    """
    asset   USD scale=2
    meter   calls
    volume  api calls 100=0.10 rest=0.05
    event   api calls=100 -> calls 1000
    event   api calls=50 -> calls 250, rerate -500
    total   750
    event   api calls=10 -> calls 50
    back    api calls=10 -> calls 50
    back    api calls=50 -> calls 250, rerate -500
    total   1000
    """


@rating_case
def test_a_volume_price_that_rises_rerates_upwards():
    """
    asset   USD scale=2
    meter   calls
    volume  api calls 10=0.10+1 rest=0.20+3
    event   api calls=10 -> calls 200
    event   api calls=5 -> calls 100, rerate 300
    total   600
    """


@rating_case
def test_a_first_event_beyond_a_boundary_rerates_nothing():
    """
    asset   USD scale=2
    meter   calls
    volume  api calls 10=1 100=0.5 rest=0.25+2
    event   api calls=200 -> calls 5200
    """


@rating_case
def test_stairs_cost_their_amount_whatever_is_on_them():
    """
    asset      USD scale=2
    meter      seats
    stairstep  app seats 5=+50 10=+80 rest=+100
    event      app seats=1 -> seats 5000
    event      app seats=4 -> seats free
    event      app seats=1 -> seats 3000
    event      app seats=100 -> seats 2000
    event      app seats=100 -> seats free
    back       app seats=200 -> seats 2000
    """


@rating_case
def test_packages_are_charged_as_they_are_begun():
    """
    asset    USD scale=2
    meter    calls
    package  api calls size=100 price=5
    event    api calls=1 -> calls 500
    event    api calls=99 -> calls free
    event    api calls=1 -> calls 500
    event    api calls=250 -> calls 1000
    back     api calls=51 -> calls 500
    total    1500
    """


@rating_case
def test_a_package_whose_price_is_not_whole_rounds_over_the_packages():
    """
    asset    credit scale=0
    meter    calls
    package  api calls size=10 price=1/2
    event    api calls=10 -> calls 0
    event    api calls=10 -> calls 1
    event    api calls=10 -> calls 1
    """


@rating_case
def test_a_percentage_with_a_fixed_part_a_transaction():
    """
    asset       USD scale=2
    meter       amount scale=2
    percentage  card amount rate=0.029 fixed=0.30
    event       card amount=10000 -> amount 320
    event       card amount=1 -> amount 30
    event       card amount=17 -> amount 31
    """


@rating_case
def test_a_free_quantity_comes_first_and_what_is_wholly_in_it_is_no_transaction():
    """
    asset       USD scale=2
    meter       amount scale=2
    percentage  card amount rate=0.10 fixed=1 free=1000
    event       card amount=600 -> amount free
    event       card amount=400 -> amount free
    event       card amount=100 -> amount 110
    newday
    event       card amount=1500 -> amount 150
    """


@rating_case
def test_a_transaction_costs_within_its_minimum_and_maximum():
    """
    asset       USD scale=2
    meter       amount scale=2
    percentage  card amount rate=0.01 fixed=0.10 transaction_minimum=0.50 transaction_maximum=5
    event       card amount=100 -> amount 50
    event       card amount=4000 -> amount 50
    event       card amount=4100 -> amount 51
    event       card amount=49000 -> amount 500
    event       card amount=99000000 -> amount 500
    """


@rating_case
def test_a_share_alone_runs_on_so_that_no_unit_is_lost():
    """
    asset       credit scale=0
    meter       amount
    percentage  card amount rate=0.3
    event       card times=10 amount=1
    total       3
    """


@rating_case
def test_cost_plus_marks_up_what_the_provider_takes():
    """
    asset      USD scale=2
    meter      tokens
    cost_plus  gpt tokens markup=1.2 fixed=0.01
    event      gpt tokens=1000 cost.tokens=50 -> tokens 61
    event      gpt tokens=1000 cost.tokens=2 -> tokens 3
    event      gpt tokens=1000 cost.tokens=2 -> tokens 4
    event      gpt tokens=7 cost.tokens=0 -> tokens 1
    event      gpt tokens=1000 -> invalid COST_MISSING
    """


@rating_case
def test_a_formula_over_quantities_and_attributes():
    """
    asset    USD scale=2
    meter    images
    meter    steps
    formula  img images : images * ceil(attr("width") * attr("height") / 1048576) * 0.04 + steps / 100
    price    img steps 0
    event    img images=2 steps=30 width=1024 height=1024 -> images 38, steps free
    event    img images=2 steps=0 width=1025 height=1024 -> images 16
    event    img images=1 width=0 height=5 -> images free
    event    img images=0 steps=4 -> images free
    event    img images=1 steps=1 width=1024 -> invalid ATTRIBUTE_MISSING
    event    img images=1 steps=1 width=wide height=1 -> invalid ATTRIBUTE_NOT_NUMERIC
    """  # noqa: E501


@rating_case
def test_a_formula_sees_meters_in_their_major_units_and_its_own_part_of_a_parent():
    """
    asset    USD scale=2
    meter    hours scale=3
    meter    night_hours scale=3 of hours
    formula  gpu hours : hours * 2 + night_hours
    price    gpu night_hours 0
    event    gpu hours=1500 -> hours 300
    event    gpu hours=1500 night_hours=500 -> hours 250, night_hours free
    """


@rating_case
def test_only_the_branch_taken_is_worked_out():
    """
    asset    USD scale=2
    meter    calls
    meter    errors
    formula  api calls : if(errors == 0, 1, calls / errors)
    formula  bad calls : calls / errors
    formula  low calls : calls - errors
    formula  big calls : calls * 1e40 * 1e40 * 1e40 * 1e38
    price    *   errors 0
    event    api calls=3 -> calls 100
    event    api calls=3 errors=2 -> calls 150, errors free
    event    bad calls=3 -> invalid FORMULA_DIVISION_BY_ZERO
    event    low calls=3 errors=4 -> invalid FORMULA_NEGATIVE
    event    big calls=9 errors=1 -> invalid FORMULA_OVERFLOW
    """


@rating_case
def test_round_is_half_to_even_and_floor_and_ceil_go_their_ways():
    """
    asset    USD scale=0
    meter    calls
    formula  a calls : round(calls / 2)
    formula  b calls : floor(calls / 2)
    formula  c calls : ceil(calls / 2)
    formula  d calls : max(min(calls, 4), 2, calls - 6)
    formula  e calls : 10 - round(-calls / 2) - 2 * 3
    event    a calls=5 -> calls 2
    event    a calls=7 -> calls 4
    event    b calls=5 -> calls 2
    event    c calls=5 -> calls 3
    event    d calls=1 -> calls 2
    event    d calls=9 -> calls 4
    event    d calls=12 -> calls 6
    event    e calls=5 -> calls 6
    """


@rating_case
def test_included_units_are_free_at_the_start_of_the_period():
    """
    asset      USD scale=2
    meter      calls
    included   api calls price=0.10 included=100
    graduated  tier calls 10=1 rest=0.5 included=5
    volume     vol calls 10=1 rest=0.5 included=5
    package    pack calls size=10 price=3 included=15
    event      api calls=60 -> calls free
    event      api calls=60 -> calls 200
    event      tier calls=15 -> calls 1000
    event      tier calls=1 -> calls 50
    event      vol calls=4 -> calls free
    event      vol calls=11 -> calls 1000
    event      vol calls=1 -> calls 50, rerate -500
    event      pack calls=15 -> calls free
    event      pack calls=1 -> calls 300
    """


@rating_case
def test_a_maximum_caps_what_is_charged_in_the_period():
    """
    asset      USD scale=2
    meter      calls
    included   api calls price=0.30 maximum=1
    volume     vol calls 10=1 rest=0.5 maximum=8
    event      api calls=3 -> calls 90
    event      api calls=1 -> calls 10
    event      api calls=1000 -> calls free
    back       api calls=1000 -> calls 0
    back       api calls=1 -> calls 10
    event      vol calls=9 -> calls 800
    event      vol calls=3 -> calls 150, rerate -350
    event      vol calls=30 -> calls 200
    newday
    event      api calls=2 -> calls 60
    """


@rating_case
def test_in_the_scope_of_an_event_every_event_starts_from_zero():
    """
    asset      USD scale=2
    meter      calls
    graduated  api calls 10=1 rest=0.5 scope=event
    included   one calls price=0.005 scope=event
    event      api calls=12 -> calls 1100
    event      api calls=12 -> calls 1100
    event      one calls=1 -> calls 0
    event      one calls=1 -> calls 0
    event      one calls=3 -> calls 2
    """


@rating_case
def test_models_and_plain_rows_price_one_event_together():
    """
    asset      USD scale=2
    meter      calls
    meter      bytes
    meter      lookups
    graduated  api calls 10=1 rest=0.5
    price      api bytes 0.005
    event      api calls=11 bytes=1 lookups=2 -> calls 1050, bytes 0, lookups unpriced
    event      api calls=1 bytes=2 -> calls 50, bytes 2
    event      api calls=0 bytes=1 lookups=0 -> calls free, bytes 0, lookups nothing
    """


@rating_case
def test_models_are_exact_beyond_64_bits():
    """
    asset      USD scale=0
    meter      calls
    graduated  api calls 9223372036854775807=3 rest=2
    event      api calls=9223372036854775807 -> calls 27670116110564327421
    event      api calls=9223372036854775809 -> calls 18446744073709551618
    """
