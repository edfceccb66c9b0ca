"""How many texts do not belong to their pictures, in numbers and in words."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class CorruptionEstimate:
    """What `estimate_corruption` found.

    Args:
        corruption: the share of texts that do not belong to their pictures.
        low, high: the ends of its 95 % interval.
        num_examples: int, examples with picture and text.

    Example:

    >>> print(CorruptionEstimate(0.032, 0.011, 0.064, 500).report())
    3.2 % of 500 texts do not seem to belong to their pictures (95 %: 1.1 to 6.4 %).
    """

    corruption: float
    low: float
    high: float
    num_examples: int

    def report(self):
        """One sentence."""
        share, low, high = (f"{100 * part:.1f}" for part in (self.corruption, self.low, self.high))
        return (
            f"{share} % of {self.num_examples} texts do not seem to belong to their pictures "
            f"(95 %: {low} to {high} %)."
        )
