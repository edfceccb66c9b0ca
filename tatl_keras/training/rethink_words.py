"""What a comparison of random and pretrained weights found, in words that follow the numbers."""

from tatl_keras.training.rethink_figure import TITLES


def sentences(size, batch_size, found, final):
    """A sentence for each pretrained arm.

    Args:
        size: int, training examples.
        batch_size: int.
        found: dict from arm to `CatchUp`.
        final: dict from arm to its mean accuracy at the last step.

    Returns:
        List of str.
    """
    at_end = ", ".join(f"{TITLES[arm]} {accuracy:.1%}" for arm, accuracy in final.items())
    lines = []
    for arm, catch in found.items():
        against = f"{size:,} training pictures: random initialisation"
        points = f"{100 * catch.margin:g} point" + ("s" if catch.margin != 0.01 else "")
        within = f"within {points} of '{TITLES[arm]}'"
        if catch.step is None:
            behind = f"{100 * catch.gap:.1f} points behind{_of_gap(catch)}"
            verdict = f"does not come {within} in {catch.last_step:,} steps; it ends {behind}"
            verdict += _perhaps(catch)
        else:
            passes = catch.step * batch_size / size
            verdict = f"stays {within} from step {catch.step:,.0f} on "
            verdict += f"({passes:.1f} epochs; {_of_step(catch)})"
        lines.append(f"{against} {verdict}.")
    last = next(iter(found.values()), None)
    after = f" after {last.last_step:,} steps" if last else ""
    return [*lines, f"{size:,} training pictures{after}: {at_end}."]


def _of_gap(catch):
    if catch.gap_low is None:
        return " (one seed: no interval)"
    ends = f"{100 * catch.gap_low:.1f} to {100 * catch.gap_high:.1f}"
    return f" ({100 * catch.confidence:g} % interval {ends}; {catch.num_seeds} seeds)"


def _of_step(catch):
    if catch.num_seeds == 1:
        return "one seed: no interval"
    name = f"{100 * catch.confidence:g} % interval"
    if catch.low is None:
        return f"{name} beyond {catch.last_step:,} steps; {catch.num_seeds} seeds"
    high = f"beyond {catch.last_step:,}" if catch.high is None else f"{catch.high:,.0f}"
    return f"{name} {catch.low:,.0f} to {high}; {catch.num_seeds} seeds"


def _perhaps(catch):
    """Where the interval holds steps, "does not" is not sure."""
    if catch.low is None:
        return ""
    return f"; the interval of the step begins at {catch.low:,.0f}, so more seeds may say otherwise"
