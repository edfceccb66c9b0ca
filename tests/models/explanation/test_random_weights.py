"""Models with random weights, beside which maps are graded."""

import numpy as np

from tatl_keras import zoo


def test_grades_are_those_of_the_weights_as_they_are():
    """What was explained before the head changed leaves nothing behind."""
    model = zoo.build("test_bert_text_only", 3, seed=0, sequence_length=24)
    x = [{"text": "a large red circle"}, {"text": "a blue square"}, {"text": "a dot"}]
    model.fit(x, [0, 1, 2], epochs=1, verbose=0)
    options = {"samples": 40, "class_name": 1, "verbose": 0}
    grades = []
    for seed in range(2):
        kernel = np.random.default_rng(seed).normal(0, 0.1, model.head.kernel.shape)
        model.head.kernel.assign(kernel)
        grades.append(model.explain(x[:1], **options)[0].grades)
    model._keep(_explaining=None)  # as if nothing had been explained
    assert grades[1] == model.explain(x[:1], **options)[0].grades
    assert grades[1] != grades[0]
