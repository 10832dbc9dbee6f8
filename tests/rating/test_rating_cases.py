"""What events cost, case by case: matching, thresholds, subsets, rounding, suspense."""

from rating_cases import rating_case


@rating_case
def test_two_quantities_at_whole_prices():
    """
    asset  USD scale=9
    meter  input_tokens
    meter  output_tokens
    price  gpt  input_tokens   0.0000025
    price  gpt  output_tokens  1e-05
    event  gpt  input_tokens=1000 output_tokens=100 -> input_tokens 2500000, output_tokens 1000000
    event  gpt  input_tokens=0 output_tokens=1 -> input_tokens free, output_tokens 10000
    total  3510000
    """


@rating_case
def test_most_attributes_fixed_wins():
    """
    meter  input_tokens
    price  gpt  input_tokens  0.000000004  mode=batch region=eu
    price  gpt  input_tokens  0.000000003  mode=batch
    price  gpt  input_tokens  0.000000002  region=*
    price  gpt  input_tokens  0.000000001
    event  gpt  mode=batch region=eu input_tokens=10 -> input_tokens 40
    event  gpt  mode=batch region=us input_tokens=10 -> input_tokens 30
    event  gpt  mode=batch input_tokens=10 -> input_tokens 30
    event  gpt  mode=flex input_tokens=10 -> input_tokens 10
    event  gpt  input_tokens=10 -> input_tokens 10
    """


@rating_case
def test_a_wildcard_asks_for_presence_but_fixes_nothing():
    """
    meter  input_tokens
    price  gpt  input_tokens  0.000000005  region=* priority=1
    price  gpt  input_tokens  0.000000001
    event  gpt  region=anywhere input_tokens=10 -> input_tokens 50
    event  gpt  input_tokens=10 -> input_tokens 10
    """


@rating_case
def test_priority_then_the_later_row_decide_where_conditions_are_equal_in_number():
    """
    meter  input_tokens
    price  gpt  input_tokens  0.000000001  mode=batch priority=2
    price  gpt  input_tokens  0.000000002  region=eu priority=1
    price  gpt  input_tokens  0.000000003  agent=a priority=1
    event  gpt  mode=batch region=eu agent=a input_tokens=10 -> input_tokens 10
    event  gpt  region=eu agent=a input_tokens=10 -> input_tokens 30
    """


@rating_case
def test_the_product_itself_before_any_product():
    """
    meter  input_tokens
    meter  output_tokens
    price  gpt  input_tokens   0.000000001
    price  *    input_tokens   0.000000009  mode=batch
    price  *    output_tokens  0.000000005
    event  gpt  mode=batch input_tokens=10 output_tokens=10 -> input_tokens 10, output_tokens 50
    event  new  mode=batch input_tokens=10 -> input_tokens 90
    event  new  input_tokens=10 output_tokens=1 -> input_tokens unpriced, output_tokens 5
    """


@rating_case
def test_the_prompt_strictly_above_prices_the_whole_line_and_the_output_too():
    """
    meter  input_tokens
    meter  output_tokens
    meter  cached_tokens of input_tokens
    price  gpt  input_tokens   0.000000001
    price  gpt  input_tokens   0.000000002  above=128000
    price  gpt  input_tokens   0.000000003  above=200000
    price  gpt  output_tokens  0.000000010
    price  gpt  output_tokens  0.000000030  above=200000
    price  gpt  cached_tokens  0
    event  gpt  input_tokens=128000 output_tokens=1 -> input_tokens 128000, output_tokens 10
    event  gpt  input_tokens=128001 output_tokens=1 -> input_tokens 256002, output_tokens 10
    event  gpt  input_tokens=200000 output_tokens=1 -> input_tokens 400000, output_tokens 10
    event  gpt  input_tokens=200001 output_tokens=1 -> input_tokens 600003, output_tokens 30
    event  gpt  input_tokens=200001 cached_tokens=200000 -> input_tokens 3, cached_tokens free
    event  gpt  output_tokens=500000 -> output_tokens 5000000
    """


@rating_case
def test_a_fixed_attribute_comes_before_the_threshold():
    """
    meter  input_tokens
    price  gpt  input_tokens  0.000000004  above=100
    price  gpt  input_tokens  0.000000001  mode=batch
    price  gpt  input_tokens  0.000000002  mode=batch above=1000
    event  gpt  mode=batch input_tokens=200 -> input_tokens 200
    event  gpt  mode=batch input_tokens=2000 -> input_tokens 4000
    event  gpt  input_tokens=200 -> input_tokens 800
    """


@rating_case
def test_a_price_only_above_a_size_leaves_smaller_prompts_unpriced():
    """
    meter  input_tokens
    price  gpt  input_tokens  0.000000004  above=100
    event  gpt  input_tokens=100 -> input_tokens unpriced
    event  gpt  input_tokens=101 -> input_tokens 404
    """


@rating_case
def test_nothing_is_charged_twice():
    """
    meter  input_tokens
    meter  cached_tokens of input_tokens
    meter  cached_audio_tokens of cached_tokens
    price  gpt  input_tokens         0.000000010
    price  gpt  cached_tokens        0.000000001
    price  gpt  cached_audio_tokens  0.000000003
    event  gpt  input_tokens=100 cached_tokens=100 -> input_tokens free, cached_tokens 100
    event  gpt  cached_audio_tokens=10 cached_tokens=30 input_tokens=100 -> input_tokens 700, cached_tokens 20, cached_audio_tokens 30
    event  gpt  cached_audio_tokens=10 input_tokens=100 -> input_tokens 900, cached_audio_tokens 30
    event  gpt  cached_tokens=30 -> cached_tokens 30
    event  gpt  input_tokens=100 cached_tokens=101 -> invalid SUBSET_EXCEEDS_PARENT
    event  gpt  input_tokens=9 cached_audio_tokens=10 -> invalid SUBSET_EXCEEDS_PARENT
    event  gpt  input_tokens=99 cached_tokens=9 cached_audio_tokens=10 -> invalid SUBSET_EXCEEDS_PARENT
    """  # noqa: E501


@rating_case
def test_an_unpriced_subset_waits_alone_and_its_parent_is_charged_without_it():
    """
    meter  output_tokens
    meter  reasoning_tokens of output_tokens
    price  gpt  output_tokens  0.000000010
    event  gpt  output_tokens=100 reasoning_tokens=60 -> output_tokens 400, reasoning_tokens unpriced
    event  gpt  output_tokens=100 unheard_of=5 -> output_tokens 1000, unheard_of unpriced
    event  unknown  output_tokens=100 -> output_tokens unpriced
    """  # noqa: E501


@rating_case
def test_a_zero_without_a_price_waits_for_none():
    """
    meter  input_tokens
    meter  cached_tokens of input_tokens
    price  gpt  cached_tokens  0.000000001
    price  new  input_tokens   0.000000001
    event  new  input_tokens=100 cached_tokens=0 -> input_tokens 100, cached_tokens nothing
    event  gpt  input_tokens=100 cached_tokens=100 -> input_tokens nothing, cached_tokens 100
    event  gpt  input_tokens=101 cached_tokens=100 -> input_tokens unpriced, cached_tokens 100
    """


@rating_case
def test_free_is_not_unpriced():
    """
    meter  input_tokens
    meter  output_tokens
    price  gpt  input_tokens  0
    event  gpt  input_tokens=5 output_tokens=5 -> input_tokens free, output_tokens unpriced
    total  0
    """


@rating_case
def test_ten_thousand_events_of_400_tokens_at_one_credit_a_thousand_charge_4000():
    """
    asset  credit scale=0
    meter  input_tokens
    price  gpt  input_tokens  1/1000
    event  gpt  times=10000 input_tokens=400
    total  4000
    """


@rating_case
def test_a_line_is_the_difference_of_rounded_totals_half_to_even():
    """
    asset  credit scale=0
    meter  calls
    price  api  calls  0.5
    event  api  calls=1 -> calls 0
    event  api  calls=1 -> calls 1
    event  api  calls=1 -> calls 1
    event  api  calls=1 -> calls 0
    event  api  calls=0 -> calls 0
    event  api  calls=3 -> calls 2
    total  4
    """


@rating_case
def test_rounding_half_up():
    """
    asset  credit scale=0 rounding=half_up
    meter  calls
    price  api  calls  0.5
    event  api  calls=1 -> calls 1
    event  api  calls=1 -> calls 0
    event  api  calls=1 -> calls 1
    """


@rating_case
def test_rounding_up():
    """
    asset  credit scale=0 rounding=up
    meter  calls
    price  api  calls  1/3
    event  api  calls=1 -> calls 1
    event  api  calls=2 -> calls 0
    event  api  calls=1 -> calls 1
    """


@rating_case
def test_rounding_down():
    """
    asset  credit scale=0 rounding=down
    meter  calls
    price  api  calls  2/3
    event  api  calls=1 -> calls 0
    event  api  calls=1 -> calls 1
    event  api  calls=1 -> calls 1
    """


@rating_case
def test_totals_are_kept_by_row_so_that_modes_round_apart():
    """
    asset  credit scale=0
    meter  calls
    price  api  calls  1/2
    price  api  calls  1/4  mode=batch
    event  api  calls=1 -> calls 0
    event  api  mode=batch calls=3 -> calls 1
    event  api  calls=2 -> calls 2
    event  api  mode=batch calls=3 -> calls 1
    """


@rating_case
def test_a_meter_with_a_scale_is_priced_for_its_major_unit():
    """
    asset  USD scale=9
    meter  gpu_hours scale=3
    price  h100  gpu_hours  2.50
    event  h100  gpu_hours=1500 -> gpu_hours 3750000000
    """


@rating_case
def test_charges_beyond_64_bits_are_exact():
    """
    asset  USD scale=0
    meter  small
    meter  large
    price  x  small  1
    price  x  large  1000000000.5
    event  x  small=9223372036854775807 -> small 9223372036854775807
    event  x  small=9223372036854775808 -> small 9223372036854775808
    event  x  small=9223372036854775809 large=0 -> small 9223372036854775809, large free
    event  x  large=9223372036854775807 -> large 9223372041466461825427387904
    event  x  large=9223372036854775809 -> large 9223372041466461827427387904
    """
