"""What can go wrong between a writer and its journal, and how sure we are of it (rule I6).

    JournalError
    ├── JournalConflict      definite: another writer holds that batch_seq; ours was not written
    ├── JournalUnavailable   definite: not written (or not read); safe to try again
    ├── CommitUnknown        may or may not be written: reopen the shard and read to the tail
    ├── JournalCorrupt       what is stored contradicts itself; stop, never repair
    ├── MigrationRefused     the schema is not the one that these files make
    │   └── SettingsMismatch the installation was made with other fixed settings
    └── EmbeddedUnavailable  the embedded PostgreSQL cannot run here; the message says what to do

Refusals of a caller's request are values, not exceptions (see `directory.Refused`).
"""

from __future__ import annotations


class JournalError(Exception):
    """Root of this package's exceptions."""


class JournalConflict(JournalError):
    """Another writer has that batch_seq. Definite: the row was not written by us."""


class JournalUnavailable(JournalError):
    """The database could not be reached, or refused. Definite: nothing was written."""


class CommitUnknown(JournalError):
    """The row was sent and its fate is not known: connection lost, or a warning on commit."""


class JournalCorrupt(JournalError):
    """A stored row does not match its own hash, or a new row does not continue the stored tail."""


class MigrationRefused(JournalError):
    """A migration changed after it was applied, is missing, or comes out of order."""


class SettingsMismatch(MigrationRefused):
    """The first `migrate` fixed another number of shards, or another hash."""


class EmbeddedUnavailable(JournalError):
    """The embedded PostgreSQL cannot be started here."""
