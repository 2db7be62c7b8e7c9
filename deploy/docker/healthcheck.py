"""The health check of the image: requests `/healthz` from the detector in this container. Standard library only."""

import os
import sys
import urllib.request

HOST = os.environ.get("DETECTOR_HTTP__HOST") or "127.0.0.1"
if HOST in ("0.0.0.0", "::", "[::]"):  # noqa: S104 - every interface, so the loopback one too
    HOST = "127.0.0.1"
if ":" in HOST:
    HOST = f"[{HOST.strip('[]')}]"
PORT = os.environ.get("DETECTOR_HTTP__PORT") or "8000"

try:
    with urllib.request.urlopen(f"http://{HOST}:{PORT}/healthz", timeout=4) as response:
        sys.stdout.write(response.read().decode())
except OSError as error:  # the base class of URLError and HTTPError
    sys.exit(f"/healthz: {error}")
