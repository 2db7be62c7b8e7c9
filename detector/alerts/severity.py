"""An alert's severity, from its score."""

SEVERITIES = ("low", "medium", "high", "critical")


def severity(score: float, threshold: float) -> str:
    """The severity of a score: one for each quarter between the threshold and 1.

    Args:
        score: in [threshold, 1].
        threshold: in [0, 1]; at 1 every alert is critical.
    """
    span = 1.0 - threshold
    quarter = int(4 * (score - threshold) / span) if span > 0 else 3
    return SEVERITIES[min(quarter, 3)]
