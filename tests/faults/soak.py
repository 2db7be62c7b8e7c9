"""How long `make soak` runs the fault tests; without its environment variables they are short."""

import os

SOAK = "DETECTOR_SOAK_KILLS" in os.environ
"""Whether `make soak` runs the tests: every fault with both clients."""
DAEMON_KILLS = int(os.environ.get("DETECTOR_SOAK_KILLS", "20"))
BROKER_KILLS = int(os.environ.get("DETECTOR_SOAK_BROKER_KILLS", "3"))
MEMORY_MINUTES = float(os.environ.get("DETECTOR_SOAK_MEMORY_MINUTES", "0"))
