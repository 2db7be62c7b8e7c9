"""`detector check`: is everything in place, one line for each thing."""

from collections.abc import Iterator
from typing import NamedTuple

from detector.errors import DetectorError
from detector.model.folder import load_model
from detector.settings import Settings
from detector.stream.connect import client_of
from detector.stream.inspect import inspect_kafka


class Finding(NamedTuple):
    """One thing that was looked at; `error` is None when it is in order."""

    subject: str
    detail: str
    error: DetectorError | None = None


def check(settings: Settings, *, connect: bool) -> Iterator[Finding]:
    """Look at the client library, the model and, when asked, at Kafka; settings that could be read are in order."""
    yield _client(settings)
    yield _model(settings)
    if connect:
        for sight in inspect_kafka(settings.kafka, settings.delivery.guarantee):
            yield Finding(sight.subject, sight.detail, DetectorError(sight.problem) if sight.problem else None)


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
