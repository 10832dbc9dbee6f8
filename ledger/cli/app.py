"""The list of commands, what happens to errors, and the exit codes.

Errors are for humans: what happened, the value, what to do. A traceback means a bug.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

import click

from ledger.cli import (
    account,
    adjustments,
    balance,
    budgets,
    charges,
    check_proof,
    clock,
    contracts,
    conversion,
    demo,
    erase,
    explain,
    explain_decision,
    export,
    families,
    forecast,
    gauges,
    holds,
    leases,
    load,
    mandates,
    margin,
    meters,
    migrate,
    outcomes,
    packages,
    policies,
    prices,
    pricing,
    products,
    project,
    prove,
    reasons,
    rebuild,
    runway,
    runway_alerts,
    seal,
    seal_key,
    seats,
    serve,
    simulate,
    sizing,
    spool,
    statements,
    suspense,
    tenant,
    token,
    verify,
    watch,
)
from ledger.cli.output import Failed, advice_of

EXIT_CODES: Final = """
\b
Exit codes:
  0    done
  1    refused or failed; the message says why
  2    the command line or a setting is wrong
  3    the server or PostgreSQL cannot be reached
  4    `verify` found a difference, a proof does not hold, `simulate` broke a rule,
       a `runway` is short
  130  interrupted
"""

CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Commands in the order of a newcomer's day, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return list(self.commands)


@click.group(
    cls=Commands,
    context_settings=CONTEXT,
    epilog=EXIT_CODES,
    help="""Drawdown: the real-time credit ledger for usage-priced products.

\b
Start here:
  drawdown demo            watch a real AI workload metered, charged and gated
  drawdown serve           run a ledger; brings its own PostgreSQL if you name none
  drawdown import-prices   give it the public prices of about 3,000 AI models

Commands that ask a running server take --address; those that read the books themselves use
DATABASE_URL, or the embedded PostgreSQL of --data-dir.""",
)
@click.version_option(package_name="drawdown", message="drawdown %(version)s")
def cli() -> None:
    """See `help` above."""


for command in (
    demo.demo,
    serve.serve,
    prices.import_prices,
    pricing.pricing,
    conversion.conversion,
    meters.meters,
    products.product,
    spool.spool,
    contracts.contract,
    packages.package,
    seats.seat,
    load.load,
    balance.balance,
    forecast.forecast,
    runway.runway,
    runway_alerts.runway_alert,
    watch.watch,
    account.account,
    clock.clock,
    balance.changes,
    explain.explain,
    explain_decision.explain_decision,
    reasons.reasons,
    adjustments.adjustments,
    suspense.suspense,
    gauges.gauges,
    budgets.budget,
    mandates.mandate,
    policies.policy,
    charges.charge,
    statements.statement,
    statements.rollup,
    families.share,
    families.cap,
    outcomes.outcome,
    holds.hold,
    leases.lease,
    sizing.sizing,
    margin.margin,
    margin.operation,
    margin.overage,
    verify.verify,
    prove.prove,
    check_proof.check_proof,
    export.export,
    seal_key.seal_key_group,
    simulate.simulate,
    rebuild.rebuild,
    erase.erase,
    tenant.tenant,
    token.token,
    migrate.migrate,
    project.project,
    seal.seal,
):
    cli.add_command(command)


def run() -> None:
    """Run the command line and end the process."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = cli.main(prog_name="drawdown", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = 130
    except Failed as failed:
        failed.show()
        code = failed.code
    except click.ClickException as wrong:
        wrong.show()
        code = wrong.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `drawdown ... | head`
        code = 0
    except Exception as error:
        failed_as = _known(error)
        if failed_as is None:
            raise
        failed_as.show()
        code = failed_as.code
    sys.exit(code if isinstance(code, int) else 0)


def _terminated(number: int, frame: object) -> None:
    """SIGTERM unwinds the command, so that an embedded PostgreSQL is stopped with it."""
    sys.exit(128 + number)


def _known(error: Exception) -> Failed | None:
    """A failure that other packages report by exception, in a person's words."""
    if isinstance(error, ExceptionGroup):
        return _known(error.exceptions[0])
    from ledger.auth.keys import KeysUnusable
    from ledger.client.errors import DrawdownError
    from ledger.integrity.key_files import KeyUnusable
    from ledger.integrity.keys import KeyNotIntroduced
    from ledger.journal import errors
    from ledger.settings import SettingsInvalid
    from ledger.telemetry.sampling import SamplerUnknown
    from ledger.telemetry.telemetry import TelemetryInvalid
    from ledger.verify.marks import MarkUnusable

    usage = SettingsInvalid | TelemetryInvalid | SamplerUnknown | KeyUnusable | MarkUnusable
    usage |= KeyNotIntroduced | KeysUnusable
    if isinstance(error, usage):
        return Failed(str(error), exit_code=2)
    if isinstance(error, DrawdownError):
        return Failed(str(error), advice_of(getattr(error, "reason", "")))
    if isinstance(error, errors.MigrationRefused):
        return Failed(str(error))
    if isinstance(error, errors.JournalCorrupt):
        return Failed(str(error), "the journal is not what was written: restore it from a backup")
    if isinstance(error, errors.JournalError):
        return Failed(str(error), exit_code=3)
    return None
