"""The installations of docs/gateway.md that ask over HTTP: NGINX, Caddy, Traefik, as they are.

Each runs its file in deploy/; nothing but ports and clients is another. A client of a proxy proves
who it is by the key `key-of-ACCOUNT`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from bench.ports import free_port
from bench.programs import CADDY, NGINX, ROOT, TRAEFIK, Program, find
from ledger.client import DrawdownClient
from tests.crash.processes import LastingServer
from tests.gateway.front import Caller
from tests.gateway.upstream import Upstream
from tests.patience import HANGS_S

WAITS = re.compile(r"(_timeout) [12]s")
PORTS = {"front": 8080, "drawdown": 9464, "upstream": 8081}
PAY_URL = "https://pay.example"


def key(account: str) -> str:
    return f"key-of-{account}"


def by_key(account: str) -> Mapping[str, str]:
    return {"x-api-key": key(account)}


def by_password(account: str) -> Mapping[str, str]:
    said = base64.b64encode(f"{account}:{key(account)}".encode()).decode()
    return {"authorization": f"Basic {said}"}


def _hashed(account: str) -> str:
    digest = base64.b64encode(hashlib.sha1(key(account).encode()).digest()).decode()
    return f'"{account}:{{SHA}}{digest}"'


class Kind(NamedTuple):
    """What differs between the proxies."""

    name: str
    program: Program
    file: str
    command: Callable[[Path, Mapping[str, int]], Sequence[object]]
    client: str
    """The line of the file that names its one client begins so."""

    listed: Callable[[str], str]
    """The same line for an account."""

    credentials: Callable[[str], Mapping[str, str]]
    holds: bool
    """Whether its file holds; otherwise it asks for advice."""

    away: tuple[int, ...]
    """What a client is answered while Drawdown does not answer."""


def _nginx(folder: Path, ports: Mapping[str, int]) -> Sequence[object]:
    more = ["-e", folder / "error.log", "-g", "daemon off;"]
    return ["-p", folder, "-c", folder / "nginx.conf", *more]


def _caddy(folder: Path, ports: Mapping[str, int]) -> Sequence[object]:
    return ["run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"]


def _traefik(folder: Path, ports: Mapping[str, int]) -> Sequence[object]:
    return [
        f"--entryPoints.web.address=127.0.0.1:{ports['front']}",
        f"--providers.file.filename={folder / 'traefik-dynamic.yaml'}",
    ]


KINDS = (
    Kind(
        "nginx",
        NGINX,
        "nginx.conf",
        _nginx,
        '"key-of-acme"',
        lambda account: f'"{key(account)}" "{account}";',
        by_key,
        holds=True,
        away=(503,),
    ),
    Kind(
        "caddy",
        CADDY,
        "Caddyfile",
        _caddy,
        "key-of-acme",
        lambda account: f"{key(account)} {account}",
        by_key,
        holds=True,
        away=(502, 503, 504),
    ),
    Kind(
        "traefik",
        TRAEFIK,
        "traefik-dynamic.yaml",
        _traefik,
        '- "acme:',
        lambda account: f"- {_hashed(account)}",
        by_password,
        holds=False,
        away=(500, 503),
    ),
)


class Proxied:
    """`drawdown serve`, a proxy before an upstream; `url` is where clients ask."""

    def __init__(self, kind: Kind, dsn: str, folder: Path, accounts: Sequence[str]) -> None:
        self.kind = kind
        self.folder = folder
        self.accounts = accounts
        self.server = LastingServer(dsn, folder / "server.log", gateway_pay_url=PAY_URL)
        self.upstream = Upstream()
        self.ports = {
            "front": free_port(),
            "drawdown": int(self.server.metrics.rpartition(":")[2]),
            "upstream": self.upstream.port,
        }
        self._proxy: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['front']}"

    def start(self) -> None:
        self.server.start()
        asyncio.run(self.server.ready())
        self.start_proxy(self.configuration())

    def configuration(self, *, hasty: bool = False) -> str:
        """The file in deploy/ with these ports and clients; it waits as long as a busy machine
        takes unless it is `hasty`, as it stands."""
        text = (ROOT / "deploy" / self.kind.file).read_text()
        if not hasty:
            text = WAITS.sub(rf"\1 {HANGS_S}s", text)
        for name, port in PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.ports[name]}")
        lines = text.splitlines()
        [at] = [n for n, line in enumerate(lines) if line.strip().startswith(self.kind.client)]
        indent = lines[at].partition(lines[at].strip())[0]
        lines[at : at + 1] = [indent + self.kind.listed(account) for account in self.accounts]
        return "\n".join(lines) + "\n"

    def start_proxy(self, configured: str) -> None:
        (self.folder / self.kind.file).write_text(configured)
        log = self.folder / "proxy.log"
        own = {"HOME": str(self.folder), "CADDY_ADMIN": f"unix/{self.folder / 'admin.sock'}"}
        with log.open("ab") as said:
            self._proxy = subprocess.Popen(
                [find(self.kind.program), *map(str, self.kind.command(self.folder, self.ports))],
                cwd=self.folder,
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        deadline = time.monotonic() + HANGS_S
        while True:
            assert self._proxy.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(f"{self.url}/v1/ready").status_code == 401:  # no account is named
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Behind]:
        async with (
            httpx.AsyncClient(base_url=self.url, timeout=HANGS_S) as client,
            DrawdownClient(self.server.address, tenant="default") as ledger,
        ):
            yield Behind(self, client, ledger)

    @contextmanager
    def configured(self, text: str) -> Iterator[None]:
        """Run the proxy with such a file meanwhile."""
        self.stop_proxy()
        self.start_proxy(text)
        yield
        self.stop_proxy()
        self.start_proxy(self.configuration())

    def stop_proxy(self) -> None:
        if self._proxy is not None:
            self._proxy.terminate()
            try:
                self._proxy.wait(10)
            except subprocess.TimeoutExpired:
                self._proxy.kill()
                self._proxy.wait()

    def stop(self) -> None:
        self.stop_proxy()
        self.server.stop()
        self.upstream.close()


class Behind(Caller):
    """A client of the proxy, and one of the ledger to look behind it."""

    def __init__(self, proxied: Proxied, client: httpx.AsyncClient, ledger: DrawdownClient) -> None:
        super().__init__(proxied, client, ledger)
        self.proxied = proxied

    async def ask(self, account: str, path: str = "/v1/chat", **headers: object) -> httpx.Response:
        """One request; "" is nobody's."""
        sent = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        proof = self.proxied.kind.credentials(account) if account else {}
        return await self.client.post(path, headers={**sent, **proof}, json={"asks": account})
