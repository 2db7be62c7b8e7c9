"""Measurements of the service, against what it is built on and what a user would otherwise pick."""

import os

# Before numpy is first imported; for all processes alike, as the daemon has it for itself: on matrices of 2000 x 10 a
# pool of threads costs more than it computes.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
