"""`detector check`: checks settings, model and Kafka, with one line for each."""

from collections.abc import Iterator
from typing import NamedTuple

from detector.errors import DetectorError
from detector.model.folder import load_model
from detector.settings import Settings
from detector.stream.connect import client_of
from detector.stream.preflight.topics_and_acls import check_kafka


class Finding(NamedTuple):
    """One thing that was checked; `error` is None when it passed."""

    subject: str
    detail: str
    error: DetectorError | None = None


def check(settings: Settings, *, connect: bool) -> Iterator[Finding]:
    """Check the client library, the model and, with `connect`, Kafka; settings that could be read are valid."""
    yield _client(settings)
    yield _model(settings)
    if connect:
        for result in check_kafka(settings.kafka, settings.delivery.guarantee):
            yield Finding(result.subject, result.detail, DetectorError(result.problem) if result.problem else None)


def _client(settings: Settings) -> Finding:
    try:
        client_of(settings.kafka)
    except DetectorError as error:
        return Finding("settings", str(error), error)
    return Finding("settings", "valid")


def _model(settings: Settings) -> Finding:
    try:
        model = load_model(settings.model.path)
        model.engine(settings.model.engine)
    except DetectorError as error:
        return Finding("model", str(error), error)
    manifest = model.manifest
    return Finding(
        "model",
        f"{manifest.name} {manifest.version}, engine {settings.model.engine}, golden batch reproduced",
    )
