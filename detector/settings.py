"""Every option: its type, its default and one line of help; `detector.settings_sources` reads their values."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from detector.logs import LogFormat, LogLevel

Guarantee = Literal["at-least-once", "exactly-once"]
PositiveInt = Annotated[int, Field(gt=0)]

_DEFAULT_KAFKA_PORT = 9092
_TOPICS = 3

TRANSACTION_RECORDS = {"kafka-python": 7_000, "librdkafka": 10_000}
"""Records in a batch at most, with exactly-once, when unset: its round trips take as long for few as for many."""


def split_address(server: str) -> tuple[str, int]:
    """`HOST:PORT`, `HOST` or `[IPv6]:PORT` to host and port.

    Raises:
        ValueError: there is no host, or the port is no number from 1 to 65535.
    """
    host, colon, port = server.strip().rpartition(":")
    if not colon or port.endswith("]"):
        host, port = server.strip(), str(_DEFAULT_KAFKA_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"{server!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _check_servers(text: str) -> str:
    for server in text.split(","):
        split_address(server)
    return text


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Group):
    """The brokers, the topics and how to reach them."""

    bootstrap_servers: Annotated[str, AfterValidator(_check_servers)] = Field(
        "localhost:9092", description="brokers to start from, comma-separated"
    )
    events_topic: str = Field("process-events", description="read from", min_length=1)
    alerts_topic: str = Field("process-alerts", description="written to", min_length=1)
    dead_letter_topic: str = Field(
        "process-events-dead-letter", description="records that could not be read", min_length=1
    )
    group_id: str = Field("detector", description="consumer group", min_length=1)
    instance_id: str | None = Field(None, description="static membership: one name per instance", min_length=1)
    client: Literal["kafka-python", "librdkafka"] = Field(
        "kafka-python", description="client library; or `librdkafka` (extra `librdkafka`)"
    )
    auto_offset_reset: Literal["earliest", "latest", "fail"] = Field(
        "earliest", description="where to start when the group has no position, or its position is gone"
    )
    max_record_bytes: PositiveInt = Field(
        10485760,
        description="largest record read, alert or dead letter written; the topics must permit it too",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"] | None = Field(
        None, description="SASL mechanism"
    )
    sasl_plain_username: str | None = Field(None, description="user name for PLAIN and SCRAM")
    sasl_plain_password: SecretStr | None = Field(None, description="password for PLAIN and SCRAM")
    sasl_kerberos_name: str | None = Field(None, description="GSSAPI: full principal")
    sasl_kerberos_service_name: str = Field("kafka", description="GSSAPI: service name")
    sasl_kerberos_domain_name: str | None = Field(None, description="GSSAPI: domain name")
    ssl_check_hostname: bool = Field(default=True, description="the broker's certificate must carry its host name")
    ssl_cafile: FilePath | None = Field(None, description="authorities to trust, PEM")
    ssl_certfile: FilePath | None = Field(None, description="own certificate, PEM")
    ssl_keyfile: FilePath | None = Field(None, description="own private key, PEM")
    ssl_password: SecretStr | None = Field(None, description="password of the private key")
    ssl_crlfile: FilePath | None = Field(None, description="revoked certificates, PEM")
    ssl_ciphers: str | None = Field(None, description="permitted ciphers, in OpenSSL's list format")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len({self.events_topic, self.alerts_topic, self.dead_letter_topic}) < _TOPICS:
            raise ValueError("events_topic, alerts_topic and dead_letter_topic must be three different topics")
        if self.security_protocol.startswith("SASL") and self.sasl_mechanism is None:
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_mechanism")
        by_password = self.security_protocol.startswith("SASL") and self.sasl_mechanism != "GSSAPI"
        if by_password and None in (self.sasl_plain_username, self.sasl_plain_password):
            raise ValueError(f"sasl_mechanism {self.sasl_mechanism} needs sasl_plain_username and sasl_plain_password")
        return self


class DeliverySettings(_Group):
    """What is promised about each record."""

    guarantee: Guarantee = Field("at-least-once", description="delivery guarantee")


class BatchSettings(_Group):
    """When a micro-batch closes: at whichever comes first."""

    max_records: PositiveInt = Field(
        5000,
        description="records in a batch at most; with exactly-once {kafka-python}, with librdkafka {librdkafka}, "
        "when unset".format_map(TRANSACTION_RECORDS),
    )
    max_wait_ms: int = Field(20, description="wait after the first record at most, ms", ge=0)


class ModelSettings(_Group):
    """What scores."""

    path: Path = Field(Path("models/current"), description="a model folder")
    engine: Literal["torch", "numpy"] = Field("torch", description="what computes the scores")
    threshold: float | None = Field(
        None,
        description="score at or above which an event is suspicious; the manifest's when unset",
        ge=0,
        le=1,
    )


class DeadLetterSettings(_Group):
    """When so much is unreadable that it is more likely a wrong topic."""

    max_ratio: float = Field(0.5, description="share of the last 10,000 records that may be dead letters", ge=0, le=1)
    max_consecutive: PositiveInt = Field(1000, description="dead letters in a row that are tolerated")


class HttpSettings(_Group):
    """Metrics and health."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, description="port to listen on; 0 picks a free one and logs it", ge=0, le=65535)


class ShutdownSettings(_Group):
    """The end."""

    timeout_s: float = Field(20, description="bound on the drain, s", gt=0)


class LogSettings(_Group):
    """What is said."""

    level: LogLevel = Field("info", description="least severity that is logged")
    format: LogFormat = Field("auto", description="auto: console on a terminal, JSON lines elsewhere")


class Settings(BaseSettings):
    """All settings, in groups; `DETECTOR_<GROUP>__<NAME>` in the environment."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="DETECTOR_",
        env_nested_delimiter="__",
        env_ignore_empty=True,  # compose files pass "" for what their user left unset
        nested_model_default_partial_update=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    delivery: DeliverySettings = DeliverySettings()
    batch: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    dead_letter: DeadLetterSettings = DeadLetterSettings()
    http: HttpSettings = HttpSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind the caller's back: `detector.settings_sources` does, and keeps the origins."""
        return (init_settings,)
