"""`python -m tests.formats.generate`: write the fixtures that are missing; change none."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from pathlib import Path

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate
from tests.formats.formats import DIRECTORY, write_missing
from tests.formats.journal import SHARDS, write_missing_journal
from tests.formats.manifest import Manifest, describe, grows
from tests.formats.registered import FORMATS, ROOTS


def write_missing_entries(path: Path) -> list[str]:
    """Add classes, enum members and named fields to the manifest; returns what was added."""
    manifest: Manifest = json.loads(path.read_text()) if path.exists() else {}
    added = []
    for name, now in describe(ROOTS).items():
        before = manifest.setdefault(name, now)
        if before is now:
            added.append(name)
        elif now["kind"] == "enum":
            added += [f"{name}.{each}" for each in now["members"] if each not in before["members"]]
            before["members"] = now["members"] | before["members"]
        elif grows(before["options"]):
            known = {field["name"] for field in before["fields"]}
            new = [field for field in now["fields"] if field["name"] not in known]
            added += [f"{name}.{field['name']}" for field in new]
            before["fields"] += new
    if added:
        path.write_text(json.dumps(manifest, indent=1) + "\n")
    return [f"{path.name}: {each}" for each in added]


def generate(directory: Path = DIRECTORY) -> list[str]:
    """Add whatever is missing below a directory; returns what was added."""
    fixtures = directory / "fixtures"
    fixtures.mkdir(exist_ok=True)
    return [
        *write_missing_entries(directory / "manifest.json"),
        *write_missing(FORMATS, fixtures),
        *_journal(fixtures),
    ]


def _journal(fixtures: Path) -> list[str]:
    """The journal is projected by a PostgreSQL of its own, which is gone afterwards."""
    data_dir = throwaway_root() / f"drawdown-formats-{secrets.token_hex(4)}"
    try:
        with EmbeddedPostgres(data_dir, sync_initdb=False) as server:
            asyncio.run(migrate(server.dsn, SHARDS))
            return asyncio.run(write_missing_journal(fixtures, server.dsn))
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


if __name__ == "__main__":
    for line in generate() or ["nothing was missing"]:
        print(line)
