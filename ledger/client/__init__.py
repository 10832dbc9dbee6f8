"""The SDK: `DrawdownClient` over a pure core. Read in this order:

    errors          what calls raise; advice: what to do where no server answers
    events          usage events and their outcomes; raw_events: those that meters make usage of
    core            which events go into which batch, and when; parcels: what it keeps
    retry, routing, positions, compact      the core's parts, all pure
    aio             the client; sender, transports, calls, channels, failures, limits: its shell
    accounts, budgets, charges, clocks, commitments, contracts, conversions, corrections,
    decision_policies, decisions, explaining, fail_modes, families, meters, outcomes, packages,
    payments, pricing, reads, recurring, reports, rerating, runway, runway_alerts, seats, sizing,
    statements, top_ups
                    its calls, a module a service
    lease_core      a credit lease as its holder has it, pure; leases: its calls and its shell;
                    local_prices: what work costs by a pinned price sheet; lease_clock, durations:
                    whose time
    pipelined       decisions that share a stream
    operations      units held once for an operation, which its calls draw
    metered         a hold around one call of a model; shutdown: signals that end it
    mandates        calls about mandates; agent: what an agent does with the token of one;
                    mandate_words: what such a token may say, for the server that reads it too
    spool           events on this machine's disk while no server answers; spool_sending: how they
                    leave it; spool_files, spool_records, spool_aside: its files
    guarded         what may run while no server answers, by the product's fail mode
    sync            the same for those who do not await, sync_agent for agents; sync_calls,
                    sync_leases, sync_operations, sync_streams, sync_metered, sync_spool,
                    sync_guarded, looping: its parts
    forking         that gRPC does not survive a fork, said instead of suffered
    refreshing      when the shard map is asked for anew

Depends on the generated messages, grpcio, Google's error details and (local prices) `rating`; on
nothing of the server.
"""

from ledger.client.agent import Less, Mandate
from ledger.client.aio import DrawdownClient
from ledger.client.core import IngestCore
from ledger.client.decisions import ALLOWED, RUNS_INSTEAD
from ledger.client.errors import (
    CallError,
    ClientClosed,
    Denied,
    DrawdownError,
    InvalidEvent,
    NotApplied,
    OutcomeUnknown,
    Refused,
    SpoolBusy,
    SpoolError,
    SpoolFailed,
    SpoolFull,
)
from ledger.client.events import EventOutcome, GaugeLevel, Outcome, UsageEvent
from ledger.client.guarded import DecidedBy, Guard, GuardedCall, OpenBounds
from ledger.client.leases import HeldLease
from ledger.client.limits import LeaseTerms, Limits
from ledger.client.local_prices import LocalPrices
from ledger.client.metered import MeteredCall
from ledger.client.operations import HeldOperation
from ledger.client.raw_events import RawEvent
from ledger.client.retry import RetryPolicy
from ledger.client.shutdown import cancelled_by
from ledger.client.spool import Spool
from ledger.client.spool_aside import SetAside
from ledger.client.spool_files import Damage
from ledger.client.spool_records import SpooledCapture

__all__ = [
    "ALLOWED",
    "RUNS_INSTEAD",
    "CallError",
    "ClientClosed",
    "Damage",
    "DecidedBy",
    "Denied",
    "DrawdownClient",
    "DrawdownError",
    "EventOutcome",
    "GaugeLevel",
    "Guard",
    "GuardedCall",
    "HeldLease",
    "HeldOperation",
    "IngestCore",
    "InvalidEvent",
    "LeaseTerms",
    "Less",
    "Limits",
    "LocalPrices",
    "Mandate",
    "MeteredCall",
    "NotApplied",
    "OpenBounds",
    "Outcome",
    "OutcomeUnknown",
    "RawEvent",
    "Refused",
    "RetryPolicy",
    "SetAside",
    "Spool",
    "SpoolBusy",
    "SpoolError",
    "SpoolFailed",
    "SpoolFull",
    "SpooledCapture",
    "UsageEvent",
    "cancelled_by",
]
