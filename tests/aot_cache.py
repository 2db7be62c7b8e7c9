"""`python -m tests.aot_cache`: Kafka's classes, read and linked once for all the brokers of the tests.

A Java runtime from PyPI comes without an archive even of its own classes. With this one a broker is up in half the
time, for half the processor's work; the file belongs to the environment whose Java wrote it.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from detector.local.broker import EmbeddedBroker
from detector.local.topics import create_topics
from detector.settings import KafkaSettings

CACHE = Path(sys.prefix) / "kafka.aot"
# Brokers of tests live for seconds: the second compiler would only take the time that it never gives back (a third).
_JAVA = "-XX:TieredStopAtLevel=1"


def java_options() -> str:
    """What every broker of the tests is started with, for `JAVA_TOOL_OPTIONS`."""
    # The variable is cut at spaces, and quotes do not reach the second Java that writes the file.
    usable = CACHE.exists() and " " not in str(CACHE)
    return f"{_JAVA} -XX:AOTCache={CACHE} -Xlog:disable" if usable else _JAVA


def main() -> None:
    """Write the file, in about 15 s; where Java does not, brokers start more slowly and nothing else."""
    fresh = CACHE.with_suffix(f".{os.getpid()}")
    os.environ["JAVA_TOOL_OPTIONS"] = _JAVA
    with TemporaryDirectory() as folder:
        EmbeddedBroker(data_dir=Path(folder)).start().stop()  # formatted here, by a Java that writes nothing
        os.environ["JAVA_TOOL_OPTIONS"] = f"{_JAVA} -XX:AOTCacheOutput={fresh}"
        with EmbeddedBroker(data_dir=Path(folder)) as broker:
            create_topics(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), 1)
    if fresh.exists():
        fresh.replace(CACHE)
    else:
        sys.stderr.write(f"Java has not written {fresh}: the tests' brokers will start more slowly\n")


if __name__ == "__main__":
    main()
