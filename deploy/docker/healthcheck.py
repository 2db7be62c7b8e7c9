"""The image's health check: `/healthz` of the daemon in this container, with nothing but Python's own library."""

import os
import sys
import urllib.request

PORT = os.environ.get("DETECTOR_HTTP__PORT") or "8000"

try:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=4) as response:
        sys.stdout.write(response.read().decode())
except OSError as error:  # URLError and HTTPError are OSErrors
    sys.exit(f"/healthz: {error}")
