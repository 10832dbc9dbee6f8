"""From single runs to the figures of the contract: medians, percentiles, ratios.

A ratio is formed inside a round, between runs that stood close together on the same machine, and
the median is taken of the rounds' ratios. Pure: reads results, prints and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, Final

from bench.callers import Result

Figures = dict[str, Any]
Round = Mapping[str, Figures]
"""Name of a step -> what it measured in one round."""


def batch_figures(results: Sequence[Result]) -> Figures:
    """One run of batches."""
    figures = _rates(results, "events")
    figures["distinct_ids_in_window"] = sum(result.distinct for result in results)
    figures["replayed"] = sum(result.all_replayed for result in results)
    return figures


def call_figures(results: Sequence[Result]) -> Figures:
    """One run of single calls."""
    return _rates(results, "calls")


def _rates(results: Sequence[Result], what: str) -> Figures:
    items = sum(result.items for result in results)
    latencies = sorted(latency for result in results for latency in result.latencies_us)
    one = what.removesuffix("s")
    figures: Figures = {
        f"{what}_per_s": round(
            sum(result.items * 1_000_000_000 / result.window_ns for result in results)
        ),
        "p50_ms": percentile_ms(latencies, 50),
        "p99_ms": percentile_ms(latencies, 99),
        "max_ms": percentile_ms(latencies, 100),
        "window_ms": max(result.window_ns for result in results) // 1_000_000,
        what: items,
        "outcomes": _sum_counts([result.all_outcomes for result in results]),
    }
    for name in results[0].cpu_us:
        used = sum(result.cpu_us[name] for result in results) / len(results)
        figures[f"{name}_cpu_us_per_{one}"] = round(used / max(1, items), 2)
    figures[f"caller_cpu_us_per_{one}"] = round(
        sum(result.caller_cpu_us for result in results) / max(1, items), 2
    )
    return figures


def percentile_ms(latencies_us: Sequence[int], percent: int) -> float:
    """The nearest-rank percentile of sorted latencies, in milliseconds."""
    if not latencies_us:
        return 0.0
    rank = max(1, -(-len(latencies_us) * percent // 100))
    return round(latencies_us[rank - 1] / 1_000, 3)


def faults_of(results: Sequence[Result], *, charged: bool) -> list[str]:
    """What makes a run worthless. `charged`: the server keeps books, so replays are counted."""
    faults = [fault for result in results for fault in result.faults]
    if charged:
        for result in results:
            if result.all_replayed != result.all_replayed_expected:
                faults.append(
                    f"{result.all_replayed} replayed where {result.all_replayed_expected} "
                    "were sent again"
                )
            strange = set(result.all_outcomes) - {"INGEST_OUTCOME_APPLIED", "DECISION_ALLOW"}
            if strange:
                faults.append(f"outcomes {sorted(strange)} among {result.all_outcomes}")
    return faults


def contract(rounds: Sequence[Round]) -> dict[str, Figures]:
    """The object `runs`: one object a workload that was measured, with the contract's keys."""
    made = {name: build(rounds) for name, build in _WORKLOADS.items()}
    return {name: figures for name, figures in made.items() if figures}


def _ingest_uniform(rounds: Sequence[Round]) -> Figures:
    figures = _medians(rounds, "ingest_uniform")
    _ratio(figures, "ratio_to_decode_only", rounds, "ingest_uniform", "decode_only")
    _ratio(figures, "ratio_to_plain_postgres", rounds, "ingest_uniform", "plain_postgres")
    return figures


def _ingest_compact(rounds: Sequence[Round]) -> Figures:
    figures = _medians(rounds, "ingest_compact")
    _ratio(figures, "ratio_to_plain_form", rounds, "ingest_compact", "ingest_uniform")
    _ratio(figures, "ratio_to_decode_only", rounds, "ingest_compact", "decode_only_compact")
    return figures


def _ingest_hot_account(rounds: Sequence[Round]) -> Figures:
    figures = _medians(rounds, "ingest_hot_account")
    _ratio(figures, "ratio_to_uniform", rounds, "ingest_hot_account", "ingest_uniform")
    _ratio(figures, "ratio_to_plain_postgres", rounds, "ingest_hot_account", "plain_postgres_hot")
    return figures


def _ingest_grants(rounds: Sequence[Round]) -> Figures:
    """Of 3 grants an account, and beside it of 20."""
    figures = _medians(rounds, "ingest_grants_3")
    _ratio(figures, "ratio_to_single_grant", rounds, "ingest_grants_3", "ingest_uniform")
    if figures:
        many = _medians(rounds, "ingest_grants_20")
        _ratio(many, "ratio_to_single_grant", rounds, "ingest_grants_20", "ingest_uniform")
        figures["of_20"] = many
    return figures


def _family_shared(rounds: Sequence[Round]) -> Figures:
    figures = _medians(rounds, "family_shared")
    _ratio(figures, "ratio_to_uniform", rounds, "family_shared", "ingest_uniform")
    if figures:
        figures["of_100"] = _medians(rounds, "family_small")
        figures["of_10000"] = _medians(rounds, "family_large")
        _ratio(figures, "ratio_10000_to_100_children", rounds, "family_large", "family_small")
    return figures


def _unary(ours: str, echo: str) -> Callable[[Sequence[Round]], Figures]:
    def build(rounds: Sequence[Round]) -> Figures:
        by_callers = {}
        for callers in ("callers_1", "callers_64"):
            figures = _medians(rounds, f"{ours}_{callers}")
            if figures:
                pair = (f"{ours}_{callers}", f"{echo}_{callers}")
                _ratio(figures, "ratio_to_empty_echo", rounds, *pair, key="calls_per_s")
                by_callers[callers] = figures
        many = by_callers.get("callers_64", {})
        figures = {key: value for key, value in many.items() if key != "single_runs"}
        return {**figures, **by_callers} if by_callers else {}

    return build


def _sdk_autobatch(rounds: Sequence[Round]) -> Figures:
    """Debits by the SDK, against as many callers of a call that does nothing."""
    figures = _medians(rounds, "sdk_autobatch")
    echoes = [_as_debits(of.get("echo_authorize_callers_64", {})) for of in rounds]
    paired = [{**of, "echo": echo} if echo else of for of, echo in zip(rounds, echoes, strict=True)]
    _ratio(figures, "ratio_to_empty_echo", paired, "sdk_autobatch", "echo", key="debits_per_s")
    return figures


def _as_debits(figures: Figures) -> Figures:
    return {"debits_per_s": figures["calls_per_s"]} if figures else {}


def _decide_stream(rounds: Sequence[Round]) -> Figures:
    figures = _medians(rounds, "decide_stream")
    pair = ("decide_stream", "authorize_unary_callers_64")
    _ratio(figures, "ratio_to_unary", rounds, *pair, key="calls_per_s")
    return figures


def _rate_scalar(rounds: Sequence[Round]) -> Figures:
    return _medians(rounds, "rate_scalar")


def _recovery(rounds: Sequence[Round]) -> Figures:
    return _medians(rounds, "recovery")


def _history(rounds: Sequence[Round]) -> Figures:
    figures = _medians(rounds, "history")
    _ratio(figures, "ratio_to_empty", rounds, "history", "history_empty")
    _ratio(
        figures, "ratio_to_empty_without_checkpoints", rounds,
        "history", "history_without_checkpoints",
    )  # fmt: skip
    if figures:
        for step in ("history_fill", "history_empty", "history_without_checkpoints"):
            figures[step.removeprefix("history_")] = _medians(rounds, step)
    return figures


ECHOES: Final = tuple(
    f"echo_{method}_callers_{callers}" for method in ("check", "authorize") for callers in (64, 1)
)
_WORKLOADS: Final[Mapping[str, Callable[[Sequence[Round]], Figures]]] = {
    "ingest_uniform": _ingest_uniform,
    "ingest_compact": _ingest_compact,
    "ingest_hot_account": _ingest_hot_account,
    "ingest_grants": _ingest_grants,
    "family_shared": _family_shared,
    "decide_unary": _unary("decide_unary", "echo_check"),
    "authorize_unary": _unary("authorize_unary", "echo_authorize"),
    "sdk_autobatch": _sdk_autobatch,
    "decide_stream": _decide_stream,
    "check_many": lambda rounds: _medians(rounds, "check_many"),
    "holds": lambda rounds: _medians(rounds, "holds"),
    "envoy": lambda rounds: _medians(rounds, "envoy"),
    "rate_scalar": _rate_scalar,
    "lease_local": lambda rounds: _medians(rounds, "lease_local"),
    "lease_local_priced": lambda rounds: _medians(rounds, "lease_local_priced"),
    "sizing": lambda rounds: _medians(rounds, "sizing"),
    "price_change": lambda rounds: _medians(rounds, "price_change"),
    "recovery": _recovery,
    "simulate": lambda rounds: _medians(rounds, "simulate"),
    "history": _history,
    "decode_only": lambda rounds: _medians(rounds, "decode_only"),
    "decode_only_compact": lambda rounds: _medians(rounds, "decode_only_compact"),
    "plain_postgres": lambda rounds: _medians(rounds, "plain_postgres"),
    "plain_postgres_hot": lambda rounds: _medians(rounds, "plain_postgres_hot"),
    "empty_echo": lambda rounds: {
        name: figures for name in ECHOES if (figures := _medians(rounds, name))
    },
}


def _medians(rounds: Sequence[Round], step: str) -> Figures:
    """The median of every number of a step's runs, and the runs themselves."""
    runs = [one[step] for one in rounds if step in one]
    if not runs:
        return {}
    figures: Figures = {
        key: _median([run[key] for run in runs])
        for key, value in runs[0].items()
        if isinstance(value, int | float)
    }
    figures["single_runs"] = runs
    return figures


def _median(values: Sequence[float]) -> float:
    middle = median(values)
    return round(middle) if all(isinstance(value, int) for value in values) else round(middle, 3)


def _ratio(
    figures: Figures,
    name: str,
    rounds: Sequence[Round],
    ours: str,
    other: str,
    key: str = "events_per_s",
) -> None:
    ratios = [
        one[ours][key] / max(1, one[other][key]) for one in rounds if ours in one and other in one
    ]
    if figures and ratios:
        figures[name] = round(median(ratios), 3)


def _sum_counts(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total
