"""Beyond this machine clients prove who they are; a server with TLS and without, told apart."""

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cli.processes import Server, drawdown


class Authority:
    """Issues certificates for loopback, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.issue("authority", self._key, is_authority=True)

    def issue(
        self, name: str, key: ec.EllipticCurvePrivateKey | None = None, is_authority: bool = False
    ) -> Path:
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        path.with_suffix(".key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority, database: str, tmp_path: Path) -> Iterator[Server]:
    certificate = authority.issue("server")
    running = Server(
        tmp_path / "log",
        "--no-projector",
        f"--tls-cert={certificate}",
        f"--tls-key={certificate.with_suffix('.key')}",
        f"--tls-client-ca={authority.certificate}",
        DATABASE_URL=database,
    )
    yield running
    running.end()


def test_a_client_without_a_certificate_is_turned_away(
    server: Server, authority: Authority
) -> None:
    certificate = authority.issue("client")
    trusting = ["balance", "nobody", f"--address={server.address}"]
    trusting += [f"--tls-ca={authority.certificate}"]
    proving = [*trusting, f"--tls-cert={certificate}"]
    proving += [f"--tls-key={certificate.with_suffix('.key')}"]
    answered = drawdown(*proving)
    assert answered.returncode == 1
    assert "ACCOUNT_UNKNOWN" in answered.stderr
    assert drawdown(*trusting).returncode == 3
    assert drawdown("balance", "nobody", f"--address={server.address}").returncode == 3


def test_half_a_client_certificate_is_a_usage_error(authority: Authority) -> None:
    done = drawdown("balance", "nobody", f"--tls-cert={authority.certificate}")
    assert done.returncode == 2
    assert "--tls-key" in done.stderr
