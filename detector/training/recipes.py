"""How a network is trained: each recipe is data, and one loop follows them all."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The choices of a training run."""

    name: str
    epochs: int
    batch_rows: int | None
    """None: the whole split is one batch."""
    learning_rate: float
    weight_decay: float = 0.0
    hidden: tuple[int, ...] = (10,)
    balance: bool = False
    """Weigh suspicious rows by the square root of how rare they are."""
    print_every: int = 1
    threshold: float = 0.5


DEFAULT = Recipe("default", epochs=30, batch_rows=256, learning_rate=5e-3, weight_decay=1e-4, balance=True)
"""Mini-batches: enough steps that the result does not hang on the initial weights."""

SEED = Recipe("seed", epochs=50, batch_rows=None, learning_rate=1e-3, print_every=10)
"""The notebooks' own loop: 50 full-batch steps of Adam."""

RECIPES = {recipe.name: recipe for recipe in (DEFAULT, SEED)}
