"""How bad an alert is, from its score."""

SEVERITIES = ("low", "medium", "high", "critical")


def severity(score: float, threshold: float) -> str:
    """The quarter, between the threshold and 1, that the score is in.

    Args:
        score: in [threshold, 1].
        threshold: in [0, 1]; at 1 every alert is critical.
    """
    room = 1.0 - threshold
    quarter = int(4 * (score - threshold) / room) if room > 0 else 3
    return SEVERITIES[min(quarter, 3)]
