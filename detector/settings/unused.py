"""Which settings have no effect, because others decide that they are not used."""

from collections.abc import Iterator, Mapping
from typing import Any

from detector.settings.options import KafkaSettings, Settings


def unused_settings(settings: Settings, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The dotted names of those that were given without effect, each with the reason; defaults are not reported."""
    kafka = settings.kafka
    for name, field in KafkaSettings.model_fields.items():
        reason = _why_unused(name, kafka)
        if reason and f"kafka.{name}" in given and getattr(kafka, name) != field.default:
            yield f"kafka.{name}", reason


def _why_unused(name: str, kafka: KafkaSettings) -> str | None:
    protocol = kafka.security_protocol
    if name.startswith("ssl_") and not protocol.endswith("SSL"):
        return f"no effect with DETECTOR_KAFKA__SECURITY_PROTOCOL={protocol}, which has no TLS: use SSL or SASL_SSL"
    if name.startswith("sasl_") and not protocol.startswith("SASL"):
        return (
            f"no effect with DETECTOR_KAFKA__SECURITY_PROTOCOL={protocol}, which has no login: "
            "use SASL_SSL or SASL_PLAINTEXT"
        )
    by_kerberos = kafka.sasl_mechanism == "GSSAPI"
    if name.startswith("sasl_plain_" if by_kerberos else "sasl_kerberos_"):
        return f"no effect with DETECTOR_KAFKA__SASL_MECHANISM={kafka.sasl_mechanism}"
    return None
