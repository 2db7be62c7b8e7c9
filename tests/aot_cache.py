"""`python -m tests.aot_cache`: writes Java's ahead-of-time cache of Kafka's classes for the tests' brokers.

A Java runtime from PyPI contains no class archive. With this cache a broker starts in half the time, with half the
processor time. The file is valid only for the environment whose Java wrote it.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from detector.local.broker import EmbeddedBroker
from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics

CACHE = Path(sys.prefix) / "kafka.aot"
# The tests' brokers run for seconds: the second compiler would cost a third more time than it saves.
_JAVA = "-XX:TieredStopAtLevel=1"


def java_options() -> str:
    """The Java options of the tests' brokers, for `JAVA_TOOL_OPTIONS`."""
    # Java splits the variable at spaces, and quotes do not reach the second Java process that writes the file.
    usable = CACHE.exists() and " " not in str(CACHE)
    return f"{_JAVA} -XX:AOTCache={CACHE} -Xlog:disable" if usable else _JAVA


def main() -> None:
    """Write the cache, which takes about 15 s. If Java cannot write it, brokers only start more slowly."""
    new_cache = CACHE.with_suffix(f".{os.getpid()}")
    os.environ["JAVA_TOOL_OPTIONS"] = _JAVA
    with TemporaryDirectory() as folder:
        EmbeddedBroker(
            data_dir=Path(folder)
        ).start().stop()  # format the folder with a Java process that writes no cache
        os.environ["JAVA_TOOL_OPTIONS"] = f"{_JAVA} -XX:AOTCacheOutput={new_cache}"
        with EmbeddedBroker(data_dir=Path(folder)) as broker:
            create_topics(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), 1)
    if new_cache.exists():
        new_cache.replace(CACHE)
    else:
        sys.stderr.write(f"Java did not write {new_cache}; the tests' brokers will start more slowly\n")


if __name__ == "__main__":
    main()
