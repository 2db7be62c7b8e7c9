"""Another model while the service runs: on SIGHUP, and when the model folder is another one."""

import time
from pathlib import Path

import structlog

from detector.errors import DetectorError
from detector.metrics import Metrics
from detector.model.folder import MANIFEST
from detector.service.scoring import Scorer
from detector.service.systemd import notify, notify_reloading
from detector.settings import ModelSettings

_log = structlog.get_logger("detector.model")
_LOOK_EVERY_S = 1.0


class ModelKeeper:
    """Holds the model that scores; asked between two batches, so that each batch is scored by one model.

    A model that is refused changes nothing but the log and a counter, and is not looked at again until it changes.
    """

    def __init__(self, settings: ModelSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._asked = False
        self._seen = _fingerprint(settings.path)
        self._next_look = 0.0
        self.scorer = self._take(Scorer.load(settings))

    def ask(self) -> None:
        """Have the model loaded again before the next batch, changed or not; safe in a signal handler."""
        self._asked = True

    def refresh(self) -> bool:
        """Load the model again when somebody asked for it, or when it changed; True when another one scores now."""
        now = time.monotonic()
        if not self._asked and now < self._next_look:
            return False
        self._next_look = now + _LOOK_EVERY_S
        present = _fingerprint(self._settings.path)
        if not self._asked and present == self._seen:
            return False
        self._asked, self._seen = False, present
        return self._reload()

    def _reload(self) -> bool:
        notify_reloading()
        try:
            scorer = Scorer.load(self._settings)
        except DetectorError as error:
            self._metrics.model_reloads.labels("refused").inc()
            _log.error("model refused; the one before goes on", reason=str(error), model_version=self._version)
            return False
        finally:
            notify("READY=1")
        before = self.scorer
        self._metrics.model_info.remove(*_labels(before))
        self.scorer = self._take(scorer)
        self._metrics.model_reloads.labels("loaded").inc()
        return True

    @property
    def _version(self) -> str:
        return self.scorer.identity.version

    def _take(self, scorer: Scorer) -> Scorer:
        self._metrics.model_info.labels(*_labels(scorer)).set(1)
        self._metrics.model_loaded.set_to_current_time()
        _log.info(
            "model loaded",
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
    """What changes whenever another model is at the path; None while there is none, which is no change to act on."""
    try:
        status = (path / MANIFEST).stat()
    except OSError:
        return None
    return path.resolve(), status.st_ino, status.st_mtime_ns
