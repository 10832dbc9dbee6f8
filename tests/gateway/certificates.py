"""An authority for the tests, and certificates of hosts and of workloads (by URI, as SPIFFE's)."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Issued(NamedTuple):
    certificate: Path
    key: Path


class Authority:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issue(
            "authority", self._key, x509.DNSName("authority")
        ).certificate

    def issue(self, name: str) -> Issued:
        """Of a workload where the name is a URI, else of a host."""
        named = x509.UniformResourceIdentifier(name) if "://" in name else x509.DNSName(name)
        return self._issue(name, ec.generate_private_key(ec.SECP256R1()), named)

    def _issue(self, name: str, key: ec.EllipticCurvePrivateKey, named: x509.GeneralName) -> Issued:
        now, hour = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
        own = key is self._key
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - hour)
            .not_valid_after(now + hour)
            .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([named]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = name.replace("/", "_").replace(":", "_")
        issued = Issued(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return issued
