"""A certificate for the broker, made for the one run."""

from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization


def write_certificates(folder: Path) -> tuple[Path, Path]:
    """Write the authority to trust and the broker's store of key and certificate, both PEM; gives their paths."""
    authority = trustme.CA()
    trusted, store = folder / "authority.pem", folder / "broker.pem"
    authority.cert_pem.write_to_path(trusted)
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    form = serialization.PrivateFormat.PKCS8  # the only one that Kafka reads
    key_pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    store.write_bytes(key_pem + b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    return trusted, store
