"""Everything that reaches into kafka-python's private parts, behind one version check.

Each module of this package is one patch. Its docstring says which symptom it removes, which upstream code it concerns,
what was measured, and when it can go. `docs/upstream.md` has a script for each that shows the problem on the plain
library, and `tests/upstream` runs these scripts, so that a patch that upstream has made needless is noticed.

Nothing outside of this package uses a private name of kafka-python; ruff's SLF001 checks it.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from detector.errors import UsageError

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer

TESTED_VERSION = "3.0.12"


def apply() -> None:
    """Check the installed version, then patch what kafka-python shares between all clients of the process.

    Raises:
        UsageError: another version of kafka-python is installed than the one that these patches were tested with.
    """
    installed = version("kafka-python")
    if installed != TESTED_VERSION:
        raise UsageError(
            f"kafka-python {installed} is installed, but DETECTOR_KAFKA__CLIENT=kafka-python needs {TESTED_VERSION}, "
            f'the version it was tested with: pip install "kafka-python=={TESTED_VERSION}", or set '
            "DETECTOR_KAFKA__CLIENT=librdkafka"
        )
    from detector.stream.kafka_python.patches.bounded_decompression import bound_decompression  # noqa: PLC0415

    bound_decompression()


# The modules of this package import private parts of kafka-python, so they are imported after the version check only.


def client_options() -> dict[str, Any]:
    """Options for a patched consumer or producer: connections of the kind that the daemon needs."""
    from detector.stream.kafka_python.patches.network_client import network_client  # noqa: PLC0415

    return {"kafka_client": network_client}


def patch_consumer(consumer: "KafkaConsumer") -> None:
    """Patch a consumer before it subscribes."""
    from detector.stream.kafka_python.patches.fetcher import patch_fetcher  # noqa: PLC0415
    from detector.stream.kafka_python.patches.group_membership import patch_group_membership  # noqa: PLC0415

    patch_group_membership(consumer)
    patch_fetcher(consumer)


def patch_producer(producer: "KafkaProducer") -> None:
    """Patch an idempotent producer before it sends."""
    from detector.stream.kafka_python.patches.producer_id_reset import patch_producer_id_reset  # noqa: PLC0415

    patch_producer_id_reset(producer)
