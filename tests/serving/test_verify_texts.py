"""What is compared of an export that writes; that it is asked in a new process, tests/bin show."""

import pytest

from tatl_keras import serving
from tatl_keras.serving import verification

ROWS = {"text": [b"one", b""]}


@pytest.fixture(autouse=True)
def answer(monkeypatch):
    """Stands for the process that is asked; a list of what it was asked."""
    asked = []

    def ask(directory, inputs, outputs):
        asked.append((directory, inputs, outputs))
        return {"texts": [["eins"], [""]], "log_probs": [[-1.25], [0.0]]}

    monkeypatch.setattr(verification, "_ask_fresh_process", ask)
    return asked


def test_equal_texts(answer):
    found = serving.verify_texts("served/1", ROWS, [["eins"], [""]], [[-1.25005], [0.0]])
    assert found == pytest.approx(5e-5)
    assert answer == [("served/1", ROWS, ("texts", "log_probs"))]


def test_another_text():
    with pytest.raises(ValueError, match=r"\['eins'\] in example 0, expected \['einst'\]"):
        serving.verify_texts("served/1", ROWS, [["einst"], [""]], [[-1.25], [0.0]])


def test_another_log_probability():
    texts, log_probs = [["eins"], [""]], [[-1.26], [0.0]]
    with pytest.raises(ValueError, match=r"to 0\.0001\. Received: a difference of 0\.01"):
        serving.verify_texts("served/1", ROWS, texts, log_probs)
    assert serving.verify_texts("served/1", ROWS, texts, log_probs, 0.02) == pytest.approx(0.01)
