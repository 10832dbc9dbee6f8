"""The examples of docs/sandbox.md are run as they stand, against a real server."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ledger.client import DrawdownClient
from rating.v1 import pricing_pb2
from tests.crash.processes import ServerProcess

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


async def test_the_examples_run(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    code = "\n".join(examples)
    names: dict[str, Any] = {}
    body = textwrap.indent(code, "    ")
    exec(compile(f"async def example(ledger):\n{body}", PAGE.name, "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(
            server.address, tenant="sandbox", source="docs", product="chat"
        ) as ledger:
            await ledger.create_asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
            await ledger.create_account("acme")
            await names["example"](ledger)
    finally:
        server.stop()
    said = re.findall(r"print\(.*\)  # (.*)", code)
    assert said
    assert capsys.readouterr().out.splitlines() == said
