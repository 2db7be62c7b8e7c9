"""Reloads the model while the service runs: on SIGHUP, and when the model folder changes."""

import time
from pathlib import Path

from detector.errors import DetectorError
from detector.metrics import Metrics
from detector.model.folder import MANIFEST, WEIGHTS
from detector.process import log_events
from detector.process.systemd import notify, notify_reloading
from detector.service.scoring import Scorer
from detector.settings import ModelSettings

_CHECK_EVERY_S = 1.0


class ReloadableModel:
    """The current model. It is refreshed between two batches, so that each batch is scored by one model.

    A rejected model changes only the log and a counter, and is not tried again until the folder changes.
    """

    def __init__(self, settings: ModelSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._requested = False
        self._last_attempt = _fingerprint(settings.path)
        self._next_check_at = 0.0
        self.scorer = self._use(Scorer.load(settings))

    def request_reload(self) -> None:
        """Reload the model before the next batch even if its folder is unchanged; safe in a signal handler."""
        self._requested = True

    def refresh(self) -> bool:
        """Reload the model if that was requested or its folder changed; True when another model is current now."""
        now = time.monotonic()
        if not self._requested and now < self._next_check_at:
            return False
        self._next_check_at = now + _CHECK_EVERY_S
        present = _fingerprint(self._settings.path)
        if not self._requested and present == self._last_attempt:
            return False
        self._requested, self._last_attempt = False, present
        return self._reload()

    def _reload(self) -> bool:
        notify_reloading()
        try:
            scorer = Scorer.load(self._settings)
        except DetectorError as error:
            self._metrics.model_reloads.labels("refused").inc()
            log_events.MODEL_REJECTED.log(reason=str(error), current_version=self._version)
            return False
        finally:
            notify("READY=1")
        self._metrics.model_info.remove(*_labels(self.scorer))
        self.scorer = self._use(scorer)
        self._metrics.model_reloads.labels("loaded").inc()
        return True

    @property
    def _version(self) -> str:
        return self.scorer.identity.version

    def _use(self, scorer: Scorer) -> Scorer:
        self._metrics.model_info.labels(*_labels(scorer)).set(1)
        self._metrics.model_loaded.set_to_current_time()
        log_events.MODEL_LOADED.log(
            model=scorer.identity.name,
            model_version=scorer.identity.version,
            engine=scorer.engine_name,
            threshold=scorer.threshold,
        )
        return scorer


def _labels(scorer: Scorer) -> tuple[str, str, str, str]:
    model = scorer.identity
    return model.name, model.version, model.sha256, scorer.engine_name


def _fingerprint(path: Path) -> object:
    """A value that changes with the files of the model at the path; None while one of them is missing."""
    try:
        files = [(path / name).stat() for name in (MANIFEST, WEIGHTS)]
    except OSError:
        return None
    return path.resolve(), *((file.st_ino, file.st_mtime_ns, file.st_size) for file in files)
