"""Benchmarks of the daemon, compared with its client libraries and with alternatives that users could choose."""

import os

# Set before numpy is first imported, and for every measured process, because the daemon sets the same for itself: on
# matrices of 2000 x 10 a thread pool costs more time than it saves.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
