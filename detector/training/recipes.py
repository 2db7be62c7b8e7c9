"""Training recipes: the choices of a training run as data, which one training loop follows."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The choices of a training run."""

    name: str
    epochs: int
    """Largest number of epochs; fewer when `patience` runs out."""
    batch_rows: int | None
    """Rows of a mini-batch; None takes the whole training split as one batch."""
    learning_rate: float
    weight_decay: float = 0.0
    hidden: tuple[int, ...] = (10,)
    balance: bool = False
    """Weight suspicious rows by the square root of the ratio of benign to suspicious rows."""
    patience: int | None = None
    """Stop after this many epochs without an improvement on the validation split, and keep the best epoch.

    None runs all epochs and keeps the last.
    """
    transforms: dict[str, str] = field(default_factory=dict)
    """One of the manifest's transforms by feature; a feature that is not named has `identity`."""
    increasing: tuple[str, ...] = ()
    """Monotonic features: a higher value never lowers the score, also outside the range of the training rows."""
    scrambled: tuple[str, ...] = ()
    """Features that get random values in a share of each epoch's rows, so that the model depends little on them."""
    scrambled_share: float = 0.0
    exposed: tuple[str, ...] = ()
    """Features for outlier exposure.

    In each epoch a share of the rows gets a value above the range of the training rows, and the label suspicious.
    """
    exposed_share: float = 0.0
    threshold: str = "best-f1"
    """A rule of `detector.training.threshold`."""
    print_every: int = 1

    def __post_init__(self) -> None:
        if self.increasing and len(self.hidden) != 1:
            raise ValueError("increasing features need a network with exactly one hidden layer")


DEFAULT = Recipe(
    name="default",
    epochs=60,
    batch_rows=256,
    learning_rate=5e-3,
    weight_decay=1e-4,
    hidden=(32,),
    balance=True,
    patience=15,
    transforms={"returnValue": "signed_log1p"},
    increasing=("userId",),
    scrambled=("mountNamespace",),
    scrambled_share=0.5,
    exposed=("userId",),
    exposed_share=0.02,
)
"""Mini-batches, with three measures for hosts unlike those of the training rows: docs/decisions/0005."""

SEED = Recipe(name="seed", epochs=50, batch_rows=None, learning_rate=1e-3, threshold="0.5", print_every=10)
"""The training loop of the original notebooks: 50 full-batch steps of Adam."""

RECIPES = {recipe.name: recipe for recipe in (DEFAULT, SEED)}
