"""The single measurements of a round, in the order in which they run.

A step takes the round's world and returns its figures. A step whose answers are wrong fails the
whole benchmark.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from bench import batches, family, lease_local, rating_scalar, sizing, workload
from bench.callers import AUTHORIZE, CHECK, CHECK_MANY, DEBIT, DECIDE_STREAM, Plan
from bench.gateway_steps import gateway
from bench.history_steps import HISTORY_STEPS
from bench.plain_postgres.plan import PostgresPlan
from bench.price_change import price_change
from bench.processes import call, call_postgres, reference
from bench.report import Figures, batch_figures, call_figures
from bench.seeding import candidate_card
from bench.sizes import Sizes
from bench.world import World, WrongAnswers, batch_plan, sound, with_

QUESTION_BATCHES: Final = 40  # a template of so many batches' events
MANY: Final = (100, 100)  # accounts and pieces of work a call of CheckMany
STREAM_ITEMS: Final = 32  # a message of DecideStream
FAMILIES: Final = ("family_small", "family_large")  # of `children_compared`
ECHO: Final = "bench.empty_echo"
DECODE: Final = "bench.decode_only"


def write_templates(sizes: Sizes, folder: Path) -> None:
    """Serialise what callers send. Takes seconds; nothing is measured meanwhile."""
    now_us = time.time_ns() // 1_000
    names = workload.account_ids(sizes)
    uniform = list(workload.batches(sizes, now_us))
    for name, compact in (("plain", False), ("compact", True)):
        made = (batches.ingest(batch, names, compact=compact) for batch in uniform)
        batches.write(folder / name, made)
    hot = workload.batches(sizes, now_us, hot=True)
    batches.write(folder / "hot", (batches.ingest(batch, names, compact=False) for batch in hot))
    batches.write(folder / "family", family.templates(sizes, now_us))
    for name, children in zip(FAMILIES, sizes.children_compared, strict=True):
        of_size = msgspec.structs.replace(sizes, children=children)
        batches.write(folder / name, family.templates(of_size, now_us))
    questions = uniform[:QUESTION_BATCHES]
    for name, durable in (("check", False), ("authorize", True)):
        batches.write(folder / name, batches.unary(questions, sizes, durable=durable))
    batches.write(folder / "capture", batches.captures(questions))
    authorized = batches.unary(questions, sizes, durable=True)
    batches.write(folder / "decide_stream", batches.items(authorized, STREAM_ITEMS))
    batches.write(folder / "every_account", batches.every_account(questions, sizes, MANY[0]))
    many = batches.questions_of_many(questions, sizes, *MANY)
    batches.write(folder / "check_many", many)


# -- batches ---------------------------------------------------------------------------------------


def _ingest(template: str, grants: int = 0, shared: bool = False) -> Callable[[World], Figures]:
    """`grants`: so many an account, all but one of which are passed over; 0 = as seeded. `shared`:
    of a family that is opened for it."""

    def step(world: World) -> Figures:
        world.begin_anew()
        ledger = world.ledger
        if grants:
            ledger.seed_more_grants(world.sizes, time.time_ns() // 1_000, grants - 1)
            ledger.catch_up()
        if shared:
            sizes = world.sizes
            if template in FAMILIES:
                children = sizes.children_compared[FAMILIES.index(template)]
                sizes = msgspec.structs.replace(sizes, children=children)
            ledger.seed_family(sizes, time.time_ns() // 1_000)
            ledger.catch_up()
        plan = batch_plan(world, ledger.address, template, world.sizes.ingest_distinct)
        pids = {"server": ledger.pid, "projector": ledger.projector_pid}
        results = call(with_(plan, pids=pids, trees={"postgres": ledger.postgres_pid}))
        lag = ledger.lag()
        figures = batch_figures(sound(template, results, charged=True))
        figures["end_lag_entries"] = lag
        figures["catch_up_ms"] = ledger.catch_up()
        return figures

    return step


def _decode_only(template: str) -> Callable[[World], Figures]:
    def step(world: World) -> Figures:
        with reference(DECODE) as server:
            plan = batch_plan(world, server.address, template, 0)
            results = call(with_(plan, pids={"server": server.pid}, charges=False))
        return batch_figures(sound(template, results, charged=False))

    return step


def _plain_postgres(hot: bool) -> Callable[[World], Figures]:
    def step(world: World) -> Figures:
        sizes = world.sizes
        plan = PostgresPlan(
            dsn=world.postgres.dsn,
            sizes=sizes.name,
            now_us=time.time_ns() // 1_000,
            hot=hot,
            tag=f"{world.next_tag()}0000",
            connections=sizes.postgres_connections,
            warmup_ms=sizes.ingest_warmup_ms,
            duration_ms=sizes.ingest_ms,
        )
        result = call_postgres(plan)
        figures = batch_figures([result])
        if result.faults or set(result.all_outcomes) != {"APPLIED"}:
            raise WrongAnswers(f"plain_postgres: {result.faults} {result.all_outcomes}")
        return figures

    return step


# -- single calls ----------------------------------------------------------------------------------


def _unary(method: str, template: str, callers: int) -> Callable[[World], Figures]:
    def step(world: World) -> Figures:
        ledger = world.ledger
        plan = _call_plan(world, ledger.address, method, template, callers)
        pids = {"server": ledger.pid}
        results = call(with_(plan, pids=pids, trees={"postgres": ledger.postgres_pid}))
        figures = call_figures(sound(template, results, charged=True))
        ledger.catch_up()
        return figures

    return step


def _holds(world: World) -> Figures:
    """A hold and its capture, one after the other: two durable calls."""
    ledger = world.ledger
    plan = _call_plan(world, ledger.address, AUTHORIZE, "authorize", world.sizes.unary_callers)
    pids = {"server": ledger.pid}
    capture = str(world.templates / "capture")
    results = call(with_(plan, capture=capture, pids=pids, trees={"postgres": ledger.postgres_pid}))
    figures = call_figures(sound("holds", results, charged=True))
    ledger.catch_up()
    return {"authorise_capture_per_s": figures.pop("calls_per_s"), **figures}


def _check_many(world: World) -> Figures:
    """10,000 answers a call, one call after the other."""
    ledger = world.ledger
    plan = _call_plan(world, ledger.address, CHECK_MANY, "check_many", 1)
    results = call(with_(plan, prepared=100, pids={"server": ledger.pid}))
    figures = call_figures(sound("check_many", results, charged=True))
    figures["answers_per_s"] = figures.pop("calls_per_s")
    return {"ms_per_10000": figures["p50_ms"], **figures}


def _bring_in(world: World) -> Figures:
    """Every account is asked about once, so that its family is in memory: calls that are compared
    then measure deciding, and not who comes first."""
    plan = _call_plan(world, world.ledger.address, CHECK_MANY, "every_account", 1)
    plan = with_(plan, prepared=1, warmup_ms=0, duration_ms=1, distinct=world.sizes.accounts)
    return call_figures(sound("every_account", call(plan), charged=True))


def _decide_stream(world: World) -> Figures:
    """Authorize, on one stream: as many in flight as the server takes."""
    ledger = world.ledger
    plan = _call_plan(world, ledger.address, DECIDE_STREAM, "decide_stream", 1)
    pids, trees = {"server": ledger.pid}, {"postgres": ledger.postgres_pid}
    prepared = world.sizes.prepared_calls // STREAM_ITEMS
    results = call(with_(plan, stream=True, prepared=prepared, pids=pids, trees=trees))
    figures = call_figures(sound("decide_stream", results, charged=True))
    ledger.catch_up()
    return {key: value for key, value in figures.items() if not key.endswith(("50_ms", "99_ms"))}


def _echo(method: str, template: str, callers: int) -> Callable[[World], Figures]:
    def step(world: World) -> Figures:
        with reference(ECHO) as server:
            plan = _call_plan(world, server.address, method, template, callers)
            results = call(with_(plan, pids={"server": server.pid}, charges=False))
        return call_figures(sound(template, results, charged=False))

    return step


def _sdk_autobatch(world: World) -> Figures:
    """Callers that debit one by one through one client of the SDK, which pipelines them."""
    ledger = world.ledger
    plan = _call_plan(world, ledger.address, DEBIT, "authorize", 64)
    pids = {"server": ledger.pid}
    results = call(
        with_(plan, prepared=0, pids=pids, trees={"postgres": ledger.postgres_pid}),
        module="bench.sdk_callers",
    )
    figures = call_figures(sound("sdk_autobatch", results, charged=True))
    ledger.catch_up()
    return {"debits_per_s": figures.pop("calls_per_s"), **figures}


def _call_plan(world: World, target: str, method: str, template: str, callers: int) -> Plan:
    sizes = world.sizes
    return Plan(
        target=target,
        method=method,
        template=str(world.templates / template),
        tag=world.next_tag(),
        prepared=sizes.prepared_calls,
        in_flight=callers if callers == 1 else sizes.unary_callers,
        warmup_ms=sizes.unary_warmup_ms,
        duration_ms=sizes.unary_ms,
        distinct=0,
        charges=True,
        pids={},
        trees={},
    )


# -- without callers -------------------------------------------------------------------------------


def _rate_scalar(world: World) -> Figures:
    return {"events_per_s": rating_scalar.events_per_s()}


def _lease_local(world: World) -> Figures:
    found = lease_local.measured(world.sizes.lease_decisions)
    return {
        "decisions_per_s": found["decisions_per_s"],
        "recorded_per_s": found["recorded_per_s"],
    }


def _lease_local_priced(world: World) -> Figures:
    return {"decisions_per_s": lease_local.measured(world.sizes.lease_decisions)["priced_per_s"]}


def _sizing(world: World) -> Figures:
    return dict(sizing.measured())


def _recovery(world: World) -> Figures:
    """Stop the ledger, have its books verified, start it again on the journal of the round: from
    its checkpoints, and without them."""
    ledger = world.ledger
    ledger.stop()
    verified = ledger.verify()
    ledger.start()
    restart = ledger.recovery()
    ledger.stop()
    ledger.forget_checkpoints()
    ledger.start()
    recovery = ledger.recovery()
    return {
        "events_per_s": recovery.entries_per_s,
        "entries": recovery.entries,
        "slowest_shard_ms": recovery.slowest_shard_ms,
        "start_to_serving_ms": recovery.start_ms,
        "from_checkpoints_to_serving_ms": restart.start_ms,
        "verify": verified,
    }


def _simulate(world: World) -> Figures:
    """Stop the ledger and try a card of twice the prices on its journal: each unit burnt is two."""
    ledger = world.ledger
    ledger.stop()
    took_ms, cpu_ms, found = ledger.simulate(candidate_card(), world.opened_us)
    for line in found["burn"]:
        if int(line["new"]) != 2 * int(line["old"]):
            raise WrongAnswers(f"simulate: {line}")
    events = found["usage_events"]
    return {
        "events_per_s": events * 1_000 // took_ms,
        "usage_events": events,
        "entries": found["entries"],
        "took_ms": took_ms,
        "cpu_us_per_event": round(cpu_ms * 1_000 / events, 1),
    }


STEPS: Final[Mapping[str, Callable[[World], Figures]]] = {
    "decode_only": _decode_only("plain"),
    "ingest_hot_account": _ingest("hot"),
    "ingest_compact": _ingest("compact"),
    "ingest_grants_20": _ingest("plain", grants=20),
    "ingest_grants_3": _ingest("plain", grants=3),
    "family_large": _ingest("family_large", shared=True),
    "family_small": _ingest("family_small", shared=True),
    "family_shared": _ingest("family", shared=True),
    "ingest_uniform": _ingest("plain"),  # the last: calls and recovery go on with its ledger
    "decode_only_compact": _decode_only("compact"),
    "plain_postgres": _plain_postgres(hot=False),
    "plain_postgres_hot": _plain_postgres(hot=True),
    "bring_in": _bring_in,
    "echo_check_callers_64": _echo(CHECK, "check", 64),
    "decide_unary_callers_64": _unary(CHECK, "check", 64),
    "echo_check_callers_1": _echo(CHECK, "check", 1),
    "decide_unary_callers_1": _unary(CHECK, "check", 1),
    "echo_authorize_callers_64": _echo(AUTHORIZE, "authorize", 64),
    "authorize_unary_callers_64": _unary(AUTHORIZE, "authorize", 64),
    "decide_stream": _decide_stream,
    "echo_authorize_callers_1": _echo(AUTHORIZE, "authorize", 1),
    "authorize_unary_callers_1": _unary(AUTHORIZE, "authorize", 1),
    "sdk_autobatch": _sdk_autobatch,
    "check_many": _check_many,
    "holds": _holds,
    "envoy": gateway,
    "rate_scalar": _rate_scalar,
    "lease_local": _lease_local,
    "lease_local_priced": _lease_local_priced,
    "sizing": _sizing,
    "price_change": price_change,
    "recovery": _recovery,
    "simulate": _simulate,
    **HISTORY_STEPS,
}
"""In the order in which a round takes them: what is compared stands close together. From
`price_change` on a step starts the ledger itself where it asks one, and may leave it stopped."""

WORKLOADS: Final[Mapping[str, tuple[str, ...]]] = {
    "ingest_uniform": ("decode_only", "ingest_uniform", "plain_postgres"),
    "ingest_compact": ("ingest_uniform", "ingest_compact", "decode_only_compact"),
    "ingest_hot_account": ("ingest_uniform", "ingest_hot_account", "plain_postgres_hot"),
    "ingest_grants": ("ingest_uniform", "ingest_grants_3", "ingest_grants_20"),
    "family_shared": ("ingest_uniform", "family_shared", *FAMILIES),
    "decide_unary": tuple(
        name for name in STEPS if name.startswith(("echo_check", "decide_unary"))
    ),
    "authorize_unary": tuple(name for name in STEPS if "authorize" in name),
    "sdk_autobatch": ("bring_in", "echo_authorize_callers_64", "sdk_autobatch"),
    "check_many": ("check_many",),
    "decide_stream": ("bring_in", "authorize_unary_callers_64", "decide_stream"),
    "holds": ("holds",),
    "envoy": ("envoy",),
    "rate_scalar": ("rate_scalar",),
    "lease_local": ("lease_local",),
    "lease_local_priced": ("lease_local_priced",),
    "sizing": ("sizing",),
    "price_change": ("price_change",),
    "recovery": ("ingest_uniform", "recovery"),
    "simulate": ("ingest_uniform", "simulate"),
    "history": tuple(HISTORY_STEPS),
}
"""Which steps a workload of the contract needs, its references included."""
