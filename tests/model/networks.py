"""Networks with random parameters."""

from collections.abc import Sequence

import numpy as np

from detector.model.network import Layer, Network


def random_network(
    members: int = 1, transforms: Sequence[str] = ("identity",) * 7, columns: Sequence[int] = range(7), seed: int = 0
) -> Network:
    """A network with layers of 10, 4 and 1, and one input for each of the columns."""
    random = np.random.default_rng(seed)
    width = len(columns)

    def layer(width_in: int, width_out: int) -> Layer:
        weight, bias = random.normal(size=(width_out, width_in)), random.normal(size=width_out)
        return Layer(weight.astype(np.float32), bias.astype(np.float32))

    return Network(
        list(columns),
        list(transforms[:width]),
        random.normal(size=width),
        random.uniform(0.5, 2, size=width),
        [[layer(width, 10), layer(10, 4), layer(4, 1)] for _ in range(members)],
    )
