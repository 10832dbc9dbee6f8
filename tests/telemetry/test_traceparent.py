"""The header that carries a trace, and the samplers that decide what is recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.telemetry.sampling import SamplerUnknown, sampler_from
from ledger.telemetry.traceparent import Remote, format_traceparent, parse_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_header_names_the_callers_span(header: str, sampled: bool) -> None:
    assert parse_traceparent(header) == Remote(bytes.fromhex(TRACE), bytes.fromhex(SPAN), sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",  # version 00 ends there
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{'zz' + TRACE[2:]}-{SPAN}-01",
        f"00-{' ' * 2 + TRACE[2:]}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"cc-{TRACE}-{SPAN}-01.more",
    ],
)
def test_a_malformed_header_is_ignored(header: str) -> None:
    assert parse_traceparent(header) is None


@given(st.text(max_size=80))
def test_no_header_raises(header: str) -> None:
    parse_traceparent(header)


@given(
    st.binary(min_size=16, max_size=16).filter(any),
    st.binary(min_size=8, max_size=8).filter(any),
    st.booleans(),
)
def test_what_is_written_is_read(trace_id: bytes, span_id: bytes, sampled: bool) -> None:
    header = format_traceparent(trace_id, span_id, sampled)
    assert parse_traceparent(header) == Remote(trace_id, span_id, sampled)


LOW, HIGH = bytes(15) + b"\x01", b"\xff" * 16


@pytest.mark.parametrize(
    ("name", "argument", "parent_sampled", "recorded"),
    [
        ("", "", None, [True, True]),  # the standard's default: parentbased_always_on
        ("", "", False, [False, False]),
        ("always_on", "", False, [True, True]),
        ("always_off", "", True, [False, False]),
        ("parentbased_always_off", "", True, [True, True]),
        ("traceidratio", "0.5", True, [True, False]),
        ("parentbased_traceidratio", "0.5", None, [True, False]),
        ("traceidratio", "0", None, [False, False]),
        ("traceidratio", "1", None, [True, True]),
    ],
)
def test_the_standard_samplers(
    name: str, argument: str, parent_sampled: bool | None, recorded: list[bool]
) -> None:
    sampler = sampler_from({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    parent = None if parent_sampled is None else Remote(LOW, b"12345678", parent_sampled)
    assert [sampler.samples(trace, parent) for trace in (LOW, HIGH)] == recorded


@pytest.mark.parametrize(
    ("name", "argument"), [("sometimes", ""), ("traceidratio", "2"), ("traceidratio", "half")]
)
def test_an_unknown_sampler_is_refused_with_its_value(name: str, argument: str) -> None:
    with pytest.raises(SamplerUnknown, match=argument or name):
        sampler_from({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
