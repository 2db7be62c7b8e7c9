"""The registry of alert formats; a new format is added here."""

from collections.abc import Callable

from detector.alerts.alert import Alert, AlertModel
from detector.alerts.native import native_encoder
from detector.records import OutgoingRecord

EncodeAlert = Callable[[Alert], OutgoingRecord]
MakeEncoder = Callable[[str, AlertModel, float], EncodeAlert]
"""Makes the encoder for a topic, a model and its threshold."""

ALERT_FORMATS: dict[str, MakeEncoder] = {
    "detector": native_encoder,
}
