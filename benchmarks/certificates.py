"""A TLS certificate for the broker, valid for one benchmark run."""

from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization


def write_certificates(folder: Path) -> tuple[Path, Path]:
    """Write a CA certificate and the broker's key store, both PEM; returns their paths."""
    ca = trustme.CA()
    ca_file, key_store = folder / "ca.pem", folder / "broker.pem"
    ca.cert_pem.write_to_path(ca_file)
    certificate = ca.issue_cert("127.0.0.1", "localhost")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    key_format = serialization.PrivateFormat.PKCS8  # the only format that Kafka reads
    key_pem = key.private_bytes(serialization.Encoding.PEM, key_format, serialization.NoEncryption())
    key_store.write_bytes(key_pem + b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    return ca_file, key_store
