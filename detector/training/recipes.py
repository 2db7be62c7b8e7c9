"""How a network is trained: each recipe is data, and one loop follows them all."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The choices of a training run."""

    name: str
    epochs: int
    """At most; fewer when `patience` runs out."""
    batch_rows: int | None
    """None: the whole split is one batch."""
    learning_rate: float
    weight_decay: float = 0.0
    hidden: tuple[int, ...] = (10,)
    balance: bool = False
    """Weigh suspicious rows by the square root of how rare they are."""
    patience: int | None = None
    """Stop after so many epochs without a better one on the validation split and keep the best; None: keep the last."""
    transforms: dict[str, str] = field(default_factory=dict)
    """By feature, of the manifest's transforms; identity for those that are not named."""
    increasing: tuple[str, ...] = ()
    """Features that can only raise the score: beyond the range that was trained on, too."""
    scrambled: tuple[str, ...] = ()
    """Features that are replaced in a share of the rows, anew in each epoch, so that little hangs on them."""
    scrambled_share: float = 0.0
    exposed: tuple[str, ...] = ()
    """Features in which a share of the rows, anew in each epoch, is taken beyond all training rows, as suspicious."""
    exposed_share: float = 0.0
    threshold: str = "best-f1"
    """A rule of `detector.training.threshold`."""
    print_every: int = 1

    def __post_init__(self) -> None:
        if self.increasing and len(self.hidden) != 1:
            raise ValueError("features can be kept increasing in a network with one hidden layer only")


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
"""Mini-batches, and care for what lies outside of the training rows: docs/decisions/0005."""

SEED = Recipe(name="seed", epochs=50, batch_rows=None, learning_rate=1e-3, threshold="0.5", print_every=10)
"""The notebooks' own loop: 50 full-batch steps of Adam."""

RECIPES = {recipe.name: recipe for recipe in (DEFAULT, SEED)}
