"""Draws bench/results/latest.png from latest.json: ours beside what it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

OURS: Final = "#1f6feb"
OTHERS: Final = "#b6bec9"
Bar = tuple[str, float, str]


def draw(document: dict[str, Any], path: Path) -> None:
    """One picture of three panels; panels without figures stay away."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    runs = document["runs"]
    panels = [
        ("events a second, batches of usage", _batches(runs)),
        ("calls a second, 64 callers", _calls(runs, "callers_64")),
        ("calls a second, 1 caller", _calls(runs, "callers_1")),
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    figure, axes = pyplot.subplots(
        len(panels),
        1,
        figsize=(9, 1.2 + sum(0.7 + 0.36 * len(bars) for _, bars in panels)),
        height_ratios=[1 + len(bars) for _, bars in panels],
        squeeze=False,
    )
    for axis, (title, bars) in zip(axes[:, 0], panels, strict=True):
        drawn = axis.barh(
            [bar[0] for bar in bars], [bar[1] for bar in bars], color=[bar[2] for bar in bars]
        )
        axis.bar_label(drawn, labels=[f"{bar[1]:,.0f}" for bar in bars], padding=3, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=10, loc="left")
        axis.margins(x=0.12)
        axis.tick_params(labelsize=8)
        axis.xaxis.set_visible(False)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    machine = document["machine"]
    figure.suptitle(
        f"Drawdown, everything on one machine of {machine['cores']} cores "
        f"({machine['processor']}), medians of {document['rounds']} runs",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _batches(runs: dict[str, Any]) -> list[Bar]:
    names = {
        "ingest_uniform": ("durable, plain form", OURS),
        "ingest_compact": ("durable, compact form", OURS),
        "ingest_hot_account": ("durable, plain form, one hot account", OURS),
        "plain_postgres": ("plain PostgreSQL, 16 connections", OTHERS),
        "plain_postgres_hot": ("plain PostgreSQL, one hot account", OTHERS),
        "decode_only": ("decode only, plain form", OTHERS),
        "decode_only_compact": ("decode only, compact form", OTHERS),
    }
    return [
        (label, runs[name]["events_per_s"], colour)
        for name, (label, colour) in names.items()
        if name in runs
    ]


def _calls(runs: dict[str, Any], callers: str) -> list[Bar]:
    bars = []
    for name, echo, label in (
        ("decide_unary", "echo_check", "Check"),
        ("authorize_unary", "echo_authorize", "Authorize (durable hold)"),
    ):
        if callers in runs.get(name, {}):
            bars.append((label, runs[name][callers]["calls_per_s"], OURS))
        reference = runs.get("empty_echo", {}).get(f"{echo}_{callers}")
        if reference:
            bars.append((f"{label}, empty echo", reference["calls_per_s"], OTHERS))
    return bars
