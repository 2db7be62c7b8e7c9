"""`scraper.py PORT`: scrapes the metrics until its standard input is closed, then prints the pages and durations.

It is a separate process, as Prometheus is: a thread of the service would wait for the interpreter lock of the process
that it measures.
"""

import http.client
import json
import select
import sys
import time

_EVERY_S = 0.05


def main() -> None:
    """Scrape until standard input is closed, then print one JSON object."""
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
