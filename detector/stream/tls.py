"""TLS as the settings want it, and what a broker or OpenSSL has against it in words for a person."""

import ssl

from detector.errors import UsageError
from detector.settings import KafkaSettings

_ADVICE = {
    "expired": "renew the broker's certificate",
    "not yet valid": "look at this host's clock, and at the broker's certificate",
    "mismatch": "use the host name that the certificate is made for in DETECTOR_KAFKA__BOOTSTRAP_SERVERS and in the "
    "broker's advertised.listeners, or a certificate for this one",
    "revoked": "give the broker a new certificate",
    "CRL": "look at DETECTOR_KAFKA__SSL_CRLFILE",
}
_TRUST = "point DETECTOR_KAFKA__SSL_CAFILE at the authority that signed the broker's certificate"


def uses_tls(kafka: KafkaSettings) -> bool:
    """Whether the settings want TLS."""
    return kafka.security_protocol.endswith("SSL")


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """What kafka-python builds from the same settings, and the ciphers, which it has no option for.

    Raises:
        UsageError: a certificate, a key or its password is of no use.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = kafka.ssl_check_hostname
    option = ""
    try:
        if kafka.ssl_cafile is None:
            context.load_default_certs()
        else:
            option = f"SSL_CAFILE={kafka.ssl_cafile}"
            context.load_verify_locations(kafka.ssl_cafile)
        if kafka.ssl_certfile is not None:
            option = f"SSL_CERTFILE={kafka.ssl_certfile}, its SSL_KEYFILE or SSL_PASSWORD"
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, key_password(kafka))
        if kafka.ssl_crlfile is not None:
            option = f"SSL_CRLFILE={kafka.ssl_crlfile}"
            context.load_verify_locations(kafka.ssl_crlfile)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if kafka.ssl_ciphers is not None:
            option = f"SSL_CIPHERS={kafka.ssl_ciphers}"
            context.set_ciphers(kafka.ssl_ciphers)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise UsageError(f"DETECTOR_KAFKA__{option}: cannot be used for TLS: {_text(error)}") from error
    return context


def key_password(kafka: KafkaSettings) -> str:
    """The password of the private key; an empty one where there is none, so that OpenSSL never asks a terminal."""
    return kafka.ssl_password.get_secret_value() if kafka.ssl_password else ""


def why_distrusted(error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a broker's certificate, and what to do."""
    advice = next((advice for word, advice in _ADVICE.items() if word in error.verify_message), _TRUST)
    return f"its certificate is not trusted: {error.verify_message.rstrip('.')}: {advice}"


def why_refused(error: ssl.SSLError, kafka: KafkaSettings) -> str:
    """What a broker that ended the handshake with an alert has against this client, and what to do."""
    told = (error.reason or str(error)).lower().replace("_", " ")
    if kafka.ssl_certfile is None and ("certificate" in told or "handshake failure" in told):
        return f"it wants a client's certificate ({told}): set DETECTOR_KAFKA__SSL_CERTFILE and its SSL_KEYFILE"
    if "certificate" in told or "unknown ca" in told:
        return f"it refuses the certificate in DETECTOR_KAFKA__SSL_CERTFILE={kafka.ssl_certfile} ({told}): renew it"
    return f"no TLS could be agreed on ({told}): look at its ssl.enabled.protocols and ciphers"


def _text(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
