"""All settings: types, defaults and help; `detector.settings.sources` reads their values."""

from detector.settings.options import (
    BatchSettings,
    DeadLetterSettings,
    DeliverySettings,
    Guarantee,
    HttpSettings,
    KafkaClient,
    KafkaSettings,
    LogSettings,
    ModelSettings,
    Settings,
    ShutdownSettings,
)

__all__ = [
    "BatchSettings",
    "DeadLetterSettings",
    "DeliverySettings",
    "Guarantee",
    "HttpSettings",
    "KafkaClient",
    "KafkaSettings",
    "LogSettings",
    "ModelSettings",
    "Settings",
    "ShutdownSettings",
]
