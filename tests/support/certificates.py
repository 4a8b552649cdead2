"""A certificate authority for one test, and server certificates signed by it."""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for names; `path` is what a client has to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path = folder / "authority.pem"
        self.path.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server_context(self, name: str) -> ssl.SSLContext:
        """What a TLS server needs to prove that it is `name`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_file(name))
        return context

    def server_file(self, *names: str, ended: bool = False) -> Path:
        """A PEM file with a key and a certificate for names and addresses; it may have expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_subject(names), self._name, key.public_key(), ended=ended)
        return _write(
            self._folder, names, key, _for(builder, names).sign(self._key, hashes.SHA256())
        )


def self_signed_file(folder: Path, *names: str) -> Path:
    """A PEM file with a key and a certificate that no authority stands behind."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(names), _subject(names), key.public_key())
    return _write(folder, names, key, _for(builder, names).sign(key, hashes.SHA256()))


def _subject(names: Sequence[str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (*names, "nobody")[0])])


def _for(builder: x509.CertificateBuilder, names: Sequence[str]) -> x509.CertificateBuilder:
    if not names:
        return builder
    alternatives = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[-1].isdigit() else x509.DNSName(name)
        for name in names
    ]
    return builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)


def _write(
    folder: Path,
    names: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
) -> Path:
    both = folder / f"{(*names, 'nobody')[0]}.pem"
    both.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return both


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, ended: bool = False
) -> x509.CertificateBuilder:
    hour = datetime.timedelta(hours=1)
    now = (-2 * hour if ended else 0 * hour) + datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - hour)
        .not_valid_after(now + hour)
    )
