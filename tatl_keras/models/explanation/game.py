"""The probabilities of one example with some of its regions and words left out."""

import numpy as np

from tatl_keras.models.explanation.answers import BATCH


class Game:
    """Encodes each coalition of regions and of words once, and answers any pairs of them.

    Args:
        answers: `Answers` of a model.
        picture: a `Picture`, without one where the model reads none.
        text: a `Text`, likewise.
    """

    def __init__(self, answers, picture, text):
        self.answers, self.picture, self.text = answers, picture, text
        self.counts = {"image": picture.count, "text": text.count}
        self.evaluations = 0
        self._rows = {modality: {} for modality in answers.model.encoders}
        self._features = {}

    def rows(self, modality, members):
        """Rows (K,) of the features of coalitions, bools (K, players); encoded where they are new.

        Of a modality that the model does not read there is one row.
        """
        if modality not in self._rows:
            return np.zeros(len(members), int)
        known, new = self._rows[modality], []
        for one in members:
            if one.tobytes() not in known:
                known[one.tobytes()] = len(known)
                new.append(one)
        if new:
            self._encode(modality, np.array(new).reshape(len(new), -1))
        return np.array([known[one.tobytes()] for one in members])

    def values(self, regions, words):
        """Probabilities (K, C) with the regions and words that bools (K, n) and (K, m) name."""
        return self.pairs(self.rows("image", regions), self.rows("text", words))

    def pairs(self, image_rows, text_rows):
        """Probabilities (P, C) of pairs of rows, as `rows` gave them."""
        self.evaluations += len(image_rows)
        rows = {"image": image_rows, "text": text_rows}
        return self.answers.probabilities(self._features, rows)

    def whole(self, modality):
        """Features of one row with all players of a modality."""
        row = self.rows(modality, self._all(modality))
        return {name: value[row] for name, value in self._features[modality].items()}

    def attention_scores(self, modality):
        """The encoder's attention with all players, see `Answers.attention_scores`."""
        inputs = self.inputs(modality, self._all(modality))
        return self.answers.attention_scores(modality, inputs)

    def spread(self):
        """Standard deviation (C,) of the probabilities over `Picture.variants`; `None` without."""
        if not self.counts["image"] or "image" not in self._rows:
            return None
        pictures = self.picture.variants()
        there = np.ones(len(pictures), bool)
        features = self._features | {"image": self.answers.encode("image", pictures, there)}
        last = self.rows("text", self._all("text"))
        rows = {"image": np.arange(len(pictures)), "text": np.repeat(last, len(pictures))}
        self.evaluations += len(pictures)
        return self.answers.probabilities(features, rows).std(axis=0, ddof=1)

    def inputs(self, modality, members):
        """What the encoder reads of coalitions (K, players)."""
        if modality == "text":
            return self.text.inputs(members)
        size = self.answers.model.preprocessor.image_converter.image_size
        return self.picture.inputs(members, (*size, 3))

    def _all(self, modality):
        return np.ones((1, self.counts[modality]), bool)

    def _encode(self, modality, members):
        """Adds features; texts are encoded by length, so at once, pictures as many as fit."""
        size = len(members) if modality == "text" else BATCH
        parts = [self._features[modality]] if modality in self._features else []
        for start in range(0, len(members), size):
            some = members[start : start + size]
            inputs = self.inputs(modality, some)
            parts.append(self.answers.encode(modality, inputs, some.any(axis=1)))
        self._features[modality] = {
            name: np.concatenate([part[name] for part in parts]) for name in parts[0]
        }
