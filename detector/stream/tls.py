"""TLS from the settings, and TLS errors in words for a person."""

import ssl

from detector.errors import UsageError
from detector.settings import KafkaSettings

_ADVICE = {
    "expired": "renew the broker's certificate",
    "not yet valid": "check this host's clock and the broker's certificate",
    "mismatch": "use the host name in the certificate for DETECTOR_KAFKA__BOOTSTRAP_SERVERS and for the broker's "
    "advertised.listeners, or issue a certificate for this host name",
    "revoked": "give the broker a new certificate",
    "CRL": "check DETECTOR_KAFKA__SSL_CRLFILE",
}
_TRUST = "set DETECTOR_KAFKA__SSL_CAFILE to the authority that signed the broker's certificate"


def uses_tls(kafka: KafkaSettings) -> bool:
    """Whether the security protocol uses TLS."""
    return kafka.security_protocol.endswith("SSL")


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """The context that kafka-python builds from the same settings, and the ciphers, for which it has no option.

    Raises:
        UsageError: a certificate, a key or its password cannot be used.
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
    """The password of the private key; empty when there is none, so that OpenSSL never prompts on a terminal."""
    return kafka.ssl_password.get_secret_value() if kafka.ssl_password else ""


def describe_untrusted(error: ssl.SSLCertVerificationError) -> str:
    """Why a broker's certificate is not trusted, and what to do."""
    advice = next((advice for word, advice in _ADVICE.items() if word in error.verify_message), _TRUST)
    return f"its certificate is not trusted: {error.verify_message.rstrip('.')}: {advice}"


def describe_tls_alert(error: ssl.SSLError, kafka: KafkaSettings) -> str:
    """Why a broker ended the TLS handshake with an alert, and what to do."""
    told = (error.reason or str(error)).lower().replace("_", " ")
    if kafka.ssl_certfile is None and ("certificate" in told or "handshake failure" in told):
        return f"it requires a client certificate ({told}): set DETECTOR_KAFKA__SSL_CERTFILE and its SSL_KEYFILE"
    if "certificate" in told or "unknown ca" in told:
        return f"it rejects the client certificate DETECTOR_KAFKA__SSL_CERTFILE={kafka.ssl_certfile} ({told}): renew it"
    return f"TLS handshake failed ({told}): check the broker's ssl.enabled.protocols and ciphers"


def _text(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
