"""Every setting with its type, its default and one line of help."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from detector.process.logs import LogFormat, LogLevel
from detector.settings.clients import CLIENT_HELP, DEFAULT_CLIENT, KAFKA_CLIENTS
from detector.settings.names import check_group, check_listen_host, check_servers, check_topic

Guarantee = Literal["at-least-once", "exactly-once"]
if TYPE_CHECKING:
    KafkaClient = str
else:
    KafkaClient = Literal[tuple(KAFKA_CLIENTS)]
PositiveInt = Annotated[int, Field(gt=0)]

_TOPICS = 3

_BATCH_RECORDS = 5_000


Topic = Annotated[str, AfterValidator(check_topic)]
GroupName = Annotated[str, AfterValidator(check_group)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Group):
    """The brokers and how to connect to them, the topics, and the consumer group."""

    bootstrap_servers: Annotated[str, AfterValidator(check_servers)] = Field(
        "localhost:9092", description="brokers to connect to first, as HOST:PORT, separated by commas"
    )
    events_topic: Topic = Field("process-events", description="topic to read events from")
    alerts_topic: Topic = Field("process-alerts", description="topic to write alerts to")
    dead_letter_topic: Topic = Field(
        "process-events-dead-letter", description="topic to write invalid records to, with the reason"
    )
    group_id: GroupName = Field(
        "detector", description="consumer group; the same for all instances that share the events"
    )
    instance_id: GroupName | None = Field(
        None,
        description="name for static membership (`group.instance.id`), different for each instance; with it a restart "
        "within the session timeout causes no rebalance",
    )
    client: KafkaClient = Field(DEFAULT_CLIENT, description=CLIENT_HELP)
    auto_offset_reset: Literal["earliest", "latest", "fail"] = Field(
        "earliest",
        description="where reading starts in a partition without a valid committed offset: at its oldest record "
        "(`earliest`) or after its newest (`latest`); with `fail` the service stops with an error",
    )
    max_record_bytes: PositiveInt = Field(
        10485760,
        description="largest record to read, and largest alert or dead letter to write, in bytes; `max.message.bytes` "
        "of the topics must permit it too",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT",
        description="security protocol of the brokers' listener: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"] | None = Field(
        None,
        description="how to authenticate when the security protocol is SASL: `PLAIN`, `SCRAM-SHA-256`, "
        "`SCRAM-SHA-512` or `GSSAPI` (Kerberos)",
    )
    sasl_plain_username: str | None = Field(None, description="PLAIN and SCRAM: user name")
    sasl_plain_password: SecretStr | None = Field(None, description="PLAIN and SCRAM: password")
    sasl_kerberos_name: str | None = Field(None, description="GSSAPI: principal of this client")
    sasl_kerberos_service_name: str = Field("kafka", description="GSSAPI: service name of the brokers")
    sasl_kerberos_domain_name: str | None = Field(
        None, description="GSSAPI: domain name of the brokers; when unset, the broker's host name"
    )
    ssl_check_hostname: bool = Field(
        default=True, description="check that the broker's certificate matches its host name"
    )
    ssl_cafile: FilePath | None = Field(
        None, description="certificate authorities to trust, PEM file; when unset, the system's"
    )
    ssl_certfile: FilePath | None = Field(None, description="client certificate, PEM file")
    ssl_keyfile: FilePath | None = Field(
        None, description="private key of the client certificate, PEM file; when unset, the key in `SSL_CERTFILE`"
    )
    ssl_password: SecretStr | None = Field(None, description="password of the private key")
    ssl_crlfile: FilePath | None = Field(None, description="certificate revocation list, PEM file")
    ssl_ciphers: str | None = Field(None, description="ciphers to permit, in OpenSSL's list format")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len({self.events_topic, self.alerts_topic, self.dead_letter_topic}) < _TOPICS:
            raise ValueError(
                "events_topic, alerts_topic and dead_letter_topic must be three different topics, but are "
                f"{self.events_topic}, {self.alerts_topic} and {self.dead_letter_topic}"
            )
        if self.security_protocol.startswith("SASL") and self.sasl_mechanism is None:
            raise ValueError(
                f"security_protocol {self.security_protocol} needs sasl_mechanism: set DETECTOR_KAFKA__SASL_MECHANISM"
            )
        if not self.security_protocol.startswith("SASL") and self.sasl_mechanism is not None:
            raise ValueError(
                f"sasl_mechanism {self.sasl_mechanism} has no effect with security_protocol {self.security_protocol}: "
                "set DETECTOR_KAFKA__SECURITY_PROTOCOL to SASL_SSL or SASL_PLAINTEXT, or unset "
                "DETECTOR_KAFKA__SASL_MECHANISM"
            )
        by_password = self.security_protocol.startswith("SASL") and self.sasl_mechanism != "GSSAPI"
        if by_password and None in (self.sasl_plain_username, self.sasl_plain_password):
            raise ValueError(
                f"sasl_mechanism {self.sasl_mechanism} needs sasl_plain_username and sasl_plain_password: set "
                "DETECTOR_KAFKA__SASL_PLAIN_USERNAME and DETECTOR_KAFKA__SASL_PLAIN_PASSWORD"
            )
        return self


class DeliverySettings(_Group):
    """The delivery guarantee."""

    guarantee: Guarantee = Field(
        "at-least-once",
        description="`at-least-once`: after a failure some alerts and dead letters are written again; `exactly-once`: "
        "readers with `read_committed` see each of them once",
    )


class BatchSettings(_Group):
    """When a batch of records closes and is scored: as soon as it reaches one of these limits."""

    max_records: PositiveInt | None = Field(
        None,
        description=f"largest number of records in a batch; when unset, {_BATCH_RECORDS} with at-least-once; with "
        "exactly-once, " + " or ".join(f"{spec.transaction_records} ({name})" for name, spec in KAFKA_CLIENTS.items()),
    )
    max_wait_ms: int = Field(
        20, description="longest time that a batch waits for more records after its first one, in ms", ge=0
    )

    @property
    def records(self) -> int:
        """The effective `max_records`: `Settings` sets the default that fits the guarantee and the client."""
        return self.max_records or _BATCH_RECORDS


class ModelSettings(_Group):
    """The model, and how it is used."""

    path: Path = Field(
        Path("models/current"), description="model folder: the directory with manifest.json and weights.safetensors"
    )
    engine: Literal["torch", "numpy"] = Field("torch", description="library that computes the scores: torch or numpy")
    threshold: float | None = Field(
        None,
        description="score at or above which an event is suspicious, from 0 to 1; when unset, the threshold in the "
        "model's manifest",
        ge=0,
        le=1,
    )


class DeadLetterSettings(_Group):
    """Limits on invalid records. Above a limit the service stops (exit code 4): it probably reads the wrong topic."""

    max_ratio: float = Field(
        0.5,
        description="largest share of invalid records among the last 10,000 records, from 0 to 1; not checked before "
        "1,000 records were read",
        ge=0,
        le=1,
    )
    max_consecutive: PositiveInt = Field(1000, description="largest number of invalid records in a row")


class HttpSettings(_Group):
    """The HTTP server for metrics and health."""

    host: Annotated[str, AfterValidator(check_listen_host)] = Field(
        "127.0.0.1",
        description="address to listen on; `0.0.0.0` for all IPv4 interfaces, `::` for all of IPv6 and IPv4",
    )
    port: int = Field(8000, description="port to listen on; 0 selects a free port, which is logged", ge=0, le=65535)


class ShutdownSettings(_Group):
    """How the service stops after SIGTERM or SIGINT."""

    timeout_s: float = Field(
        20, description="longest time to finish and commit the current batch before the exit, in seconds", gt=0
    )


class LogSettings(_Group):
    """The log."""

    level: LogLevel = Field("info", description="lowest level that is logged: `debug`, `info`, `warning` or `error`")
    format: LogFormat = Field(
        "auto", description="`console`, `json`, or `auto`: console on a terminal and JSON lines elsewhere"
    )


class Settings(BaseSettings):
    """All settings, in groups; `DETECTOR_<GROUP>__<NAME>` in the environment."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="DETECTOR_",
        env_nested_delimiter="__",
        env_ignore_empty=True,  # compose files pass "" for variables that their user left unset
        nested_model_default_partial_update=True,
        validate_default=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    delivery: DeliverySettings = DeliverySettings()
    batch: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    dead_letter: DeadLetterSettings = DeadLetterSettings()
    http: HttpSettings = HttpSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()

    @field_validator("batch")
    @classmethod
    def _default_batch_records(cls, batch: BatchSettings, info: ValidationInfo) -> BatchSettings:
        if batch.max_records is not None or not {"delivery", "kafka"} <= info.data.keys():
            return batch  # set by the user, or the groups that decide are invalid
        exactly_once = info.data["delivery"].guarantee == "exactly-once"
        records = KAFKA_CLIENTS[info.data["kafka"].client].transaction_records if exactly_once else _BATCH_RECORDS
        return batch.model_copy(update={"max_records": records})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """No sources: `detector.settings.sources` reads them, and remembers the origin of each value."""
        return (init_settings,)
