"""Events of a type become quantities: aggregations, filters, scales, versions (N1, N4, R1)."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.card_file import Form, read_meters
from rating.faults import CardError
from rating.metering import (
    CompiledMeters,
    Metered,
    MeterFault,
    MeterVersion,
    MeterVersions,
    counted,
)
from rating.meters import (
    Aggregation,
    Filter,
    MeteredAttribute,
    MeteredQuantity,
    MeterRule,
    MeterSet,
    canonical_bytes,
    decode_meters,
    validate,
)
from rating.models import Scope

CHAT = MeterRule(
    "chat",
    "llm.call",
    (
        MeteredQuantity("input_tokens", Aggregation.SUM, "usage.prompt_tokens"),
        MeteredQuantity("output_tokens", Aggregation.SUM, "usage.completion_tokens"),
        MeteredQuantity("cached_tokens", Aggregation.SUM, "usage.cached_tokens", optional=True),
    ),
    product="chat",
    filters=(Filter("status", ("ok", "partial")),),
    attributes=(MeteredAttribute("model"), MeteredAttribute("region", "where")),
)
GPU = MeterRule(
    "gpu",
    "gpu.job",
    (MeteredQuantity("gpu_milliseconds", Aggregation.SUM, "seconds", 3), MeteredQuantity("jobs")),
    product_property="gpu",
)
SEATS = MeterRule(
    "seats",
    "seats",
    (
        MeteredQuantity("seats", Aggregation.MAX, "count"),
        MeteredQuantity("users", Aggregation.UNIQUE, "user", scope=Scope.DAY),
    ),
    product="desk",
)
METERS = MeterSet((CHAT, GPU, SEATS))


def meter(event_type: str, meters: MeterSet = METERS, **properties: str) -> Metered:
    named = {name.replace("__", "."): value for name, value in properties.items()}
    return CompiledMeters(meters).meter(event_type, named)


def fault(event_type: str, meters: MeterSet = METERS, **properties: str) -> tuple[str, str]:
    with pytest.raises(MeterFault) as found:
        meter(event_type, meters, **properties)
    assert found.value.message
    return found.value.reason, found.value.field


def test_an_event_becomes_the_quantities_of_its_product() -> None:
    """Names stand sorted, as a shape has them; a property that is not there is no attribute."""
    made = meter(
        "llm.call", status="ok", model="large", usage__prompt_tokens="1200",
        usage__completion_tokens="80", usage__cached_tokens="1000",
    )  # fmt: skip
    assert (made.rule, made.product, made.attributes) == ("chat", "chat", (("model", "large"),))
    assert made.quantity_names == ("cached_tokens", "input_tokens", "output_tokens")
    assert made.quantities == (1_000, 1_200, 80)
    assert made.written == ("chat", ("model",), ("large",), made.quantity_names)
    assert made.levelled == ()


def test_a_product_may_be_named_by_a_property_and_a_count_counts_one() -> None:
    made = meter("gpu.job", gpu="h100", seconds="1.5")
    assert (made.product, made.quantity_names) == ("h100", ("gpu_milliseconds", "jobs"))
    assert made.quantities == (1_500, 1)


@pytest.mark.parametrize(
    ("event_type", "properties", "reason", "field"),
    [
        ("unheard", {}, "NO_METER", "type"),
        ("llm.call", {"usage__prompt_tokens": "1"}, "NO_METER", "type"),
        ("llm.call", {"status": "failed"}, "NO_METER", "type"),
        ("llm.call", {"status": "ok"}, "PROPERTY_MISSING", "usage.prompt_tokens"),
        ("gpu.job", {"seconds": "1"}, "PROPERTY_MISSING", "gpu"),
        ("gpu.job", {"gpu": "h100", "seconds": "-1"}, "PROPERTY_NOT_NUMERIC", "seconds"),
        ("gpu.job", {"gpu": "h100", "seconds": "1/2"}, "PROPERTY_NOT_NUMERIC", "seconds"),
        ("gpu.job", {"gpu": "h100", "seconds": "a lot"}, "PROPERTY_NOT_NUMERIC", "seconds"),
        ("gpu.job", {"gpu": "h100", "seconds": ""}, "PROPERTY_NOT_NUMERIC", "seconds"),
        ("gpu.job", {"gpu": "h100", "seconds": "NaN"}, "PROPERTY_NOT_NUMERIC", "seconds"),
        ("gpu.job", {"gpu": "h100", "seconds": "0.0001"}, "PROPERTY_NOT_WHOLE", "seconds"),
        ("gpu.job", {"gpu": "h100", "seconds": "1e16"}, "PROPERTY_TOO_LARGE", "seconds"),
    ],
)
def test_what_cannot_be_metered_says_why(
    event_type: str, properties: dict[str, str], reason: str, field: str
) -> None:
    assert fault(event_type, **properties) == (reason, field)


@pytest.mark.parametrize(
    ("text", "scale", "units"),
    [
        ("12", 0, 12),
        ("0", 0, 0),
        ("0.0025", 4, 25),
        ("1.50", 1, 15),
        ("2.5e-06", 7, 25),
        ("1E+3", 0, 1_000),
        ("9223372036854775807", 0, 2**63 - 1),
        ("9.223372036854775807", 18, 2**63 - 1),
    ],
)
def test_a_value_is_exact_at_its_scale(text: str, scale: int, units: int) -> None:
    rule = MeterRule("r", "t", (MeteredQuantity("q", Aggregation.SUM, "p", scale),), "product")
    assert meter("t", MeterSet((rule,)), p=text).quantities == (units,)


@given(st.lists(st.decimals(0, 10**9, places=3), min_size=1, max_size=20))
def test_a_sum_is_the_sum_of_decimals(values: list[Decimal]) -> None:
    """Rule N1: no digit is lost on the way, however many events there are."""
    found = [meter("gpu.job", gpu="h100", seconds=str(each)).quantities[0] for each in values]
    assert sum(found) == int(sum(values, Decimal(0)).scaleb(3))


def test_the_first_rule_that_an_event_passes_meters_it() -> None:
    fast = MeterRule("fast", "call", (MeteredQuantity("q"),), "fast", "", (Filter("speed"),))
    other = MeterRule("other", "call", (MeteredQuantity("q"),), "slow")
    meters = MeterSet((fast, other))
    assert meter("call", meters, speed="").product == "fast"
    assert meter("call", meters).product == "slow"


def test_levels_are_told_apart_by_rule_product_attributes_quantity_and_value() -> None:
    """And a `unique` by its value; a value of zero raises no level."""
    made = meter("seats", count="3", user="ada")
    assert [(each.place, each.scope) for each in made.levelled] == [
        (0, Scope.MONTH),
        (1, Scope.DAY),
    ]
    assert made.quantities == (3, 1)
    again, other = meter("seats", count="9", user="ada"), meter("seats", count="3", user="bob")
    named = [[each.named for each in found.levelled] for found in (made, again, other)]
    seats, users = zip(*named, strict=True)
    assert len(set(seats)) == 1
    assert users[0] == users[1] != users[2]
    assert [each.place for each in meter("seats", count="0", user="ada").levelled] == [1]


@pytest.mark.parametrize("values", [(4, 10, 12), (12, 10, 4), (10, 4, 12, 10)])
def test_reports_count_their_largest_value_in_any_order(values: tuple[int, ...]) -> None:
    level = 0
    for value in values:
        level += counted(level, value)
    assert level == max(values)


def test_a_version_meters_from_its_time_on_and_an_earlier_event_by_the_one_of_then() -> None:
    def version(number: int, published: int, effective: int) -> MeterVersion:
        return MeterVersion(number, published, effective, CompiledMeters(METERS))

    versions = MeterVersions().adding(version(1, 100, 1)).adding(version(2, 200, 250))
    late = versions.adding(version(3, 300, 50))  # dated back: meters nothing that another does
    for known in (versions, late):
        assert [known.at(at).version for at in (1, 99, 100, 249, 250)] == [1, 1, 1, 1, 2]
    assert late.at(300).version == 3
    assert MeterVersions().at(5) is None
    assert MeterVersions([version(1, 100, 90)]).at(5) is None


def test_meters_are_the_same_bytes_again() -> None:
    assert decode_meters(canonical_bytes(METERS)) == METERS
    assert validate(METERS) == []


def _of(**changes: object) -> MeterRule:
    return msgspec.structs.replace(CHAT, **changes)


@pytest.mark.parametrize(
    ("rules", "path", "reason"),
    [
        ((), "rules", "FIELD_REQUIRED"),
        ((_of(name=""),), "rules[0].name", "NAME_EMPTY"),
        ((CHAT, _of(event_type="b")), "rules[1].name", "NAME_REPEATED"),
        ((_of(filters=()), _of(name="b")), "rules[1].event_type", "UNREACHABLE"),
        ((_of(product=""),), "rules[0].product", "PRODUCT_INVALID"),
        ((_of(product_property="p"),), "rules[0].product", "PRODUCT_INVALID"),
        ((_of(quantities=()),), "rules[0].quantities", "FIELD_REQUIRED"),
        ((_of(quantities=GPU.quantities * 9),), "rules[0].quantities", "TOO_MANY"),
        (
            (_of(quantities=(MeteredQuantity("q"), MeteredQuantity("q"))),),
            "rules[0].quantities[1].quantity",
            "NAME_REPEATED",
        ),
        (
            (_of(quantities=(MeteredQuantity("q", Aggregation.SUM),)),),
            "rules[0].quantities[0].property",
            "PROPERTY_INVALID",
        ),
        (
            (_of(quantities=(MeteredQuantity("q", Aggregation.COUNT, "p"),)),),
            "rules[0].quantities[0].property",
            "PROPERTY_INVALID",
        ),
        (
            (_of(quantities=(MeteredQuantity("q", Aggregation.UNIQUE, "p", 1),)),),
            "rules[0].quantities[0].scale",
            "SCALE_INVALID",
        ),
        (
            (_of(quantities=(MeteredQuantity("q", Aggregation.SUM, "p", 19),)),),
            "rules[0].quantities[0].scale",
            "NUMBER_OUT_OF_RANGE",
        ),
        (
            (_of(quantities=(MeteredQuantity("q", Aggregation.MAX, "p", scope=Scope.EVENT),)),),
            "rules[0].quantities[0].scope",
            "SCOPE_INVALID",
        ),
        (
            (_of(quantities=(MeteredQuantity("q", Aggregation.SUM, "p", scope=Scope.DAY),)),),
            "rules[0].quantities[0].scope",
            "SCOPE_INVALID",
        ),
        (
            (_of(quantities=(MeteredQuantity("q", optional=True),)),),
            "rules[0].quantities[0].optional",
            "OPTIONAL_INVALID",
        ),
        ((_of(filters=(Filter(""),)),), "rules[0].filters[0].property", "NAME_EMPTY"),
        (
            (_of(attributes=(MeteredAttribute("a"), MeteredAttribute("a", "b"))),),
            "rules[0].attributes[1].attribute",
            "NAME_REPEATED",
        ),
    ],
)
def test_every_fault_of_a_set_has_its_place(
    rules: tuple[MeterRule, ...], path: str, reason: str
) -> None:
    assert (path, reason) in [(each.path, each.reason) for each in validate(MeterSet(rules))]


def test_meters_are_read_from_a_file_and_what_is_no_meter_has_its_place() -> None:
    text = b"""
    [[rules]]
    name = "gpu"
    event_type = "gpu.job"
    product_property = "gpu"
    quantities = [
      { quantity = "gpu_milliseconds", aggregation = "sum", property = "seconds", scale = 3 },
      { quantity = "jobs" },
    ]
    """
    assert read_meters(text, Form.TOML) == MeterSet((GPU,))
    for bad, path in (
        (b'{"rules": [{"name": "a"}]}', "rules[0]"),
        (b'{"rules": [], "more": 1}', ""),
        (b"[]", ""),
        (
            b'{"rules": [{"name": "a", "event_type": "b", "quantities": '
            b'[{"quantity": "q", "aggregation": "median"}]}]}',
            "rules[0].quantities[0].aggregation",
        ),
    ):
        with pytest.raises(CardError) as found:
            read_meters(bad)
        assert [each.path for each in found.value.faults] == [path]


# -- gauges ----------------------------------------------------------------------------------------

DISK = MeterRule(
    "disk",
    "disk.sampled",
    (
        MeteredQuantity("gib", Aggregation.LATEST, "size", 1, scope=Scope.DAY),
        MeteredQuantity("files", Aggregation.LATEST, "files", scope=Scope.DAY),
    ),
    product_property="kind",
    attributes=(MeteredAttribute("volume"),),
)


def disk(rule: MeterRule = DISK, **properties: str) -> Metered:
    given_ = {"kind": "ssd", "size": "1.5", "files": "0", **properties}
    return meter("disk.sampled", MeterSet((rule,)), **given_)


def test_a_report_of_a_gauge_says_all_of_it() -> None:
    """Values at their scale, 0 too; it counts over no level."""
    made = disk(volume="a")
    assert (made.product, made.quantity_names, made.quantities) == (
        "ssd",
        ("files", "gib"),
        (0, 15),
    )
    assert made.levelled == ()
    assert made.gauge is not None and made.gauge.scope is Scope.DAY
    assert meter("gpu.job", gpu="h100", seconds="1").gauge is None


def test_a_gauge_is_of_its_rule_scope_product_attributes_and_quantities() -> None:
    """Whatever it shows: each other one of these is another gauge."""

    def named(rule: MeterRule = DISK, **properties: str) -> bytes:
        gauge = disk(rule, **properties).gauge
        assert gauge is not None
        return gauge.named

    monthly = tuple([msgspec.structs.replace(q, scope=Scope.MONTH) for q in DISK.quantities])
    replace = msgspec.structs.replace
    others = [
        named(volume="a"),
        named(kind="hdd"),
        named(replace(DISK, name="disks")),
        named(replace(DISK, quantities=DISK.quantities[:1])),
        named(replace(DISK, quantities=monthly)),
        named(),
    ]
    assert len(set(others)) == len(others)
    assert named(size="7") == named()


@pytest.mark.parametrize(
    ("quantity", "path", "reason"),
    [
        (MeteredQuantity("n"), "quantities[1].aggregation", "AGGREGATIONS_MIXED"),
        (
            MeteredQuantity("n", Aggregation.MAX, "p", scope=Scope.DAY),
            "quantities[1].aggregation",
            "AGGREGATIONS_MIXED",
        ),
        (MeteredQuantity("n", Aggregation.LATEST, "p"), "quantities[1].scope", "SCOPE_INVALID"),
        (
            MeteredQuantity("n", Aggregation.LATEST, "p", scope=Scope.DAY, optional=True),
            "quantities[1].optional",
            "OPTIONAL_INVALID",
        ),
        (
            MeteredQuantity("n", Aggregation.LATEST, scope=Scope.DAY),
            "quantities[1].property",
            "PROPERTY_INVALID",
        ),
    ],
)
def test_what_is_wrong_with_a_rule_of_a_gauge(
    quantity: MeteredQuantity, path: str, reason: str
) -> None:
    rule = msgspec.structs.replace(DISK, quantities=(DISK.quantities[0], quantity))
    [found] = validate(MeterSet((rule,)))
    assert (found.path, found.reason) == (f"rules[0].{path}", reason)
    assert validate(MeterSet((DISK,))) == []
    assert decode_meters(canonical_bytes(MeterSet((DISK,)))) == MeterSet((DISK,))
