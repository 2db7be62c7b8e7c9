"""`scraper.py PORT`: asks for the metrics again and again until its standard input ends, then says what it saw.

A process of its own, as Prometheus is: in the service's it would wait for the interpreter that it takes the time of.
"""

import http.client
import json
import select
import sys
import time

_EVERY_S = 0.05


def main() -> None:
    """A line with each scrape's page and how long it took, once all is over."""
    port = int(sys.argv[1])
    pages, durations_s = [], []
    while not select.select([sys.stdin], [], [], _EVERY_S)[0]:
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/metrics")
        pages.append(connection.getresponse().read().decode())
        connection.close()
        durations_s.append(time.perf_counter() - started)
    sys.stdout.write(json.dumps({"pages": pages, "durations_s": durations_s}))


if __name__ == "__main__":
    main()
