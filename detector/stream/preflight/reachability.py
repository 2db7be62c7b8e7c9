"""Checks whether a broker is reachable and accepts this client, before a client library connects."""

from collections.abc import Sequence

from detector.settings import KafkaSettings
from detector.stream.interfaces import StreamError
from detector.stream.preflight.handshake import advertised_brokers


def unreachable_reason(kafka: KafkaSettings) -> str | None:
    """Try each bootstrap server in turn; None as soon as one accepts this client, otherwise why none could be reached.

    A client library cannot answer this: kafka-python reports only that it could not bootstrap, and leaves a thread
    behind for each attempt.

    Raises:
        StreamError: no server accepts this client, and waiting cannot help: TLS or the authentication failed.
        UsageError: the certificates of the settings cannot be used.
    """
    servers = [server.strip() for server in kafka.bootstrap_servers.split(",")]
    return _first_reachable(servers, kafka, follow=True)


def _first_reachable(servers: Sequence[str], kafka: KafkaSettings, *, follow: bool) -> str | None:
    reasons, rejections = [], []
    for server in servers:
        try:
            advertised = advertised_brokers(server, kafka)
            if follow and advertised and server not in advertised:
                reason = _first_reachable(advertised, kafka, follow=False)
                if reason is not None:
                    reasons.append(
                        f"{server} answers, but the brokers in its advertised.listeners are unreachable: {reason}"
                    )
                    continue
        except StreamError as error:
            rejections.append(error)
        except OSError as error:
            reasons.append(f"{server}: {error.strerror or error}")
        else:
            return None
    if rejections:
        raise rejections[0]
    return "; ".join(reasons)
