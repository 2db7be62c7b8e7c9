"""Rules for names and addresses in settings, so that a wrong one is an error before anything connects."""

import re
from ipaddress import IPv6Address

_TOPIC_CHARACTERS = "letters a-z and A-Z, digits, '.', '_' and '-'"
_LONGEST_TOPIC = 249
_INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata")
_OF_PATTERNS = re.compile(r"[*^$+?|\\(){}\[\]]")
_HOST = re.compile(r"[\w.-]+")
_IN_BRACKETS = re.compile(r"\[(?P<address>[^\[\]]*)\]")
_LAST_PORT = 2**16 - 1


def check_topic(name: str) -> str:
    """The name of one topic, by Kafka's rules.

    Raises:
        ValueError: it is not such a name; the text says what to write instead.
    """
    if re.search(r"[,;\s]", name.strip()):
        raise ValueError("is a list, but this is the name of one topic: write one name")
    if pattern := _OF_PATTERNS.search(name):
        raise ValueError(f"is a pattern ('{pattern[0]}'), but this is the name of one topic: write the whole name")
    if unknown := re.search(r"[^a-zA-Z0-9._-]", name):
        raise ValueError(f"{unknown[0]!r} is not permitted in the name of a topic: write only {_TOPIC_CHARACTERS}")
    if not 0 < len(name) <= _LONGEST_TOPIC:
        raise ValueError(f"has {len(name)} characters: write the name of a topic with 1 to {_LONGEST_TOPIC}")
    if name in (".", "..", *_INTERNAL_TOPICS):
        raise ValueError("is reserved by Kafka: write the name of another topic")
    return name


def check_group(name: str) -> str:
    """The name of a consumer group or of one member. Kafka permits every text that is not empty.

    Raises:
        ValueError: it is empty, or has something that nobody wants in a name; the text says what to write instead.
    """
    if not name.strip():
        raise ValueError("is empty: write a name")
    if not name.isprintable():
        raise ValueError("has a line end or another control character: write a name on one line")
    if " #" in name:
        raise ValueError(f"has ' #', which starts no comment here: write {name.partition(' #')[0].rstrip()}")
    return name


def check_servers(text: str) -> str:
    """Brokers, as HOST:PORT separated by commas.

    Raises:
        ValueError: one of them is not HOST:PORT; the text says what to write instead.
    """
    separated = [server for server in re.split(r"[,;\s]+", text) if server]
    if re.search(r";|[^\s,]\s+[^\s,]", text):
        raise ValueError(f"separate brokers with commas: write {','.join(separated)}")
    for server in text.split(","):
        split_address(server)
    return text


def split_address(server: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPv6]:PORT` to host and port.

    Raises:
        ValueError: it is not; the text says what to write instead.
    """
    server = server.strip()
    host, _, port = server.rpartition(":")
    if not _is_host(host) or not (port.isascii() and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
        raise ValueError(f"{server!r} is not HOST:PORT: {_correction(server)}")
    return host.strip("[]"), int(port)


def _correction(server: str) -> str:
    """What to write instead of something that is not HOST:PORT."""
    if not server:
        return "remove the comma without a broker"
    if "://" in server:
        after = server.rpartition("://")[2].strip("/")
        return f"write {after}, and set the protocol by DETECTOR_KAFKA__SECURITY_PROTOCOL"
    if _is_host(server):
        return f"add the port, for example {server}:9092"
    host, _, port = server.rpartition(":")
    if _is_host(host):
        return f"the port must be a number from 1 to {_LAST_PORT}, such as {host}:9092"
    if _is_ipv6(host) and len(port) == len("9092"):
        return f"write [{host}]:{port}"
    return f"write [{server}]:9092" if _is_ipv6(server) else "write a host name and a port, such as broker-1:9092"


def check_listen_host(host: str) -> str:
    """An address or a host name to listen on; returns an IPv6 address without brackets.

    Raises:
        ValueError: it is neither; the text says what to write instead.
    """
    if not (_is_host(host) or _is_ipv6(host)):
        raise ValueError(
            "is not an address: write only an IP address or a host name, for example 127.0.0.1, 0.0.0.0, ::1 or ::; "
            "the port is DETECTOR_HTTP__PORT"
        )
    return host.strip("[]")


def _is_host(text: str) -> bool:
    """Whether it is a host name, an IPv4 address, or an IPv6 address in brackets."""
    bracketed = _IN_BRACKETS.fullmatch(text)
    return _is_ipv6(bracketed["address"]) if bracketed else _HOST.fullmatch(text) is not None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
