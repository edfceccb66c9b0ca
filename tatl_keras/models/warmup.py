"""A learning rate for trainings whose length is not known beforehand."""

import keras
from keras import ops

from tatl_keras.layers.checks import check_count


@keras.saving.register_keras_serializable(package="tatl_keras")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Grows for some steps, then falls with the square root of the step.

        rate(s) = learning_rate · min((s + 1) / w, sqrt(w / (s + 1)))

    Args:
        learning_rate: float > 0, the largest rate, at the end of the warm-up.
        warmup_steps: w, int of at least 1.

    Raises:
        ValueError: an argument is out of its bounds.

    Example:

    >>> from tatl_keras import models
    >>> rate = models.InverseSquareRoot(0.001, warmup_steps=4)
    >>> [round(float(rate(step)), 6) for step in (0, 3, 15)]
    [0.00025, 0.001, 0.0005]

    Reference: Vaswani et al. 2017, section 5.3, https://arxiv.org/abs/1706.03762.
    """

    def __init__(self, learning_rate, warmup_steps):
        super().__init__()
        if not isinstance(learning_rate, (int, float)) or not learning_rate > 0:
            raise ValueError(
                "`learning_rate` must be a number above 0. "
                f"Received: learning_rate={learning_rate!r}. It is the largest of all steps."
            )
        self.learning_rate = float(learning_rate)
        self.warmup_steps = check_count("warmup_steps", warmup_steps)

    def __call__(self, step):
        place = (ops.cast(step, "float32") + 1) / self.warmup_steps
        return self.learning_rate * ops.minimum(place, ops.rsqrt(place))

    def get_config(self):
        return {"learning_rate": self.learning_rate, "warmup_steps": self.warmup_steps}
