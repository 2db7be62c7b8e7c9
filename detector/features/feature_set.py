"""A feature set: the inputs that a model may use, and the event field that each comes from."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model."""

    name: str
    """Its name in manifests and reports."""
    field: str
    """The event field that it comes from, as event sources name it."""


@dataclass(frozen=True)
class FeatureSet:
    """Features in the order of the columns that a decoder fills."""

    name: str
    features: tuple[Feature, ...]

    @property
    def names(self) -> list[str]:
        """The features' names, in column order."""
        return [feature.name for feature in self.features]

    @property
    def fields(self) -> list[str]:
        """The event fields, in column order."""
        return [feature.field for feature in self.features]

    def select(self, names: Collection[str]) -> "FeatureSet":
        """The features with these names, in the order of this set: what the decoder of a model fills."""
        return FeatureSet(self.name, tuple(feature for feature in self.features if feature.name in names))

    def column(self, name: str) -> int:
        """The column of a feature."""
        return self.names.index(name)
