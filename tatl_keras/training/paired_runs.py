"""The same examples learned from with and without text, picture, and the names of the classes."""

import numpy as np

from tatl_keras._probabilities import log_softmax
from tatl_keras.training.head_rows import HeadRows
from tatl_keras.training.head_search import Search

# What is learned from and asked with. "both" and those behind it ask the same head on both.
CONDITIONS = (
    *("prior", "image", "text", "text_masked", "both_masked", "both_shuffled"),
    *("both", "text_missing", "text_swapped", "image_missing"),
)


class PairedRuns:
    """Closed-form heads on the parts of fused features, learned and asked on the same rows.

        prior          the most frequent class of the training examples
        image, text    one modality alone
        text_masked    text without the words of class names
        both           both, side by side
        both_masked    both, text without the words of class names
        both_shuffled  both, but learned from and asked with texts of other rows
        text_missing   the head of `both`, asked without text
        text_swapped   the head of `both`, asked with other rows' texts
        image_missing  the head of `both`, asked without picture

    A head is ridge regression on one-hot labels; penalty and temperature are those of the least
    exact leave-one-out log-loss.

    Args:
        image, text, masked: floats (N, Di), (N, Dt), (N, Dt), rows of fused features.
        labels: ints (N,).
        num_classes: int.
    """

    def __init__(self, image, text, masked, labels, num_classes):
        self.image, self.text, self.masked = image, text, masked
        self.labels, self.num_classes = labels, num_classes
        self.has_masked = not np.array_equal(text, masked)

    def run(self, train, test, seed):
        """Log-probabilities of the classes for the rows of a test set.

        Args:
            train, test: int arrays of rows.
            seed: int, of the shuffled texts.

        Returns:
            A dict from each of `CONDITIONS` to floats (len(test), num_classes).
        """
        rng = np.random.default_rng(seed)
        given = {"image": self.image, "text": self.text, "text_masked": self.masked}
        found = {"prior": self._prior(train, len(test), rng)}
        for name, x in given.items():
            if name == "text_masked" and not self.has_masked:
                found[name] = found["text"]
            else:
                found[name] = _ask(self._head(x[train], train), x[test])
        both = [
            np.concatenate([self.image[rows], self.text[rows]], axis=1) for rows in (train, test)
        ]
        head = self._head(both[0], train)
        found["both"] = _ask(head, both[1])
        found["both_masked"] = self._both_masked(train, test, found)
        shuffled = [self._shuffled(rows, rng) for rows in (train, test)]
        found["both_shuffled"] = _ask(self._head(shuffled[0], train), shuffled[1])
        found["text_swapped"] = _ask(head, shuffled[1])
        dim, missing = self.image.shape[1], [both[1].copy() for _ in range(2)]
        missing[0][:, dim:] = 0
        missing[1][:, :dim] = 0
        found["text_missing"], found["image_missing"] = (_ask(head, x) for x in missing)
        return found

    def _both_masked(self, train, test, found):
        if not self.has_masked:
            return found["both"]
        x = [
            np.concatenate([self.image[rows], self.masked[rows]], axis=1) for rows in (train, test)
        ]
        return _ask(self._head(x[0], train), x[1])

    def _shuffled(self, rows, rng):
        """Pictures of some rows beside the texts of others of them."""
        return np.concatenate([self.image[rows], self.text[rng.permutation(rows)]], axis=1)

    def _prior(self, train, count, rng):
        """All of the probability for the most frequent class, drawn row by row among equals."""
        counts = np.bincount(self.labels[train], minlength=self.num_classes)
        guesses = rng.choice(np.flatnonzero(counts == counts.max()), count)
        with np.errstate(divide="ignore"):
            return np.log(np.eye(self.num_classes)[guesses])

    def _head(self, x, train):
        """Kernel and bias of the best head on one block of columns."""
        labels = self.labels[train]
        rows = HeadRows(
            x=x, labels=labels, weights=np.ones(len(x)),
            class_x=np.zeros((0, x.shape[1])), class_labels=np.zeros(0, int),
            class_weights=np.zeros(0), image_dim=x.shape[1], num_classes=self.num_classes,
            moments=None, total=len(x), counts=np.bincount(labels, minlength=self.num_classes),
        )  # fmt: skip
        return Search(rows).exact("image_only").head()


def _ask(head, x):
    kernel, bias = head
    return log_softmax(x @ kernel + bias)
