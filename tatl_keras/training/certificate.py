"""The result of `certify`: numbers, words, a page."""

import dataclasses
import os

from tatl_keras._files import write_whole
from tatl_keras.training.certificate_figure import draw_certificate
from tatl_keras.training.certificate_page import certificate_page
from tatl_keras.training.certificate_words import headline, plain_words
from tatl_keras.training.workdir import CERTIFICATE, write_json


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What text is worth on a data set, and whether it gives the label away.

    Args:
        results: dict that `json` can write. `sets` has, for each training set, mean accuracies
            (`accuracy`), paired differences (`differences`) and Shapley values (`shapley`), each
            with `mean`, `low`, `high`, `half_width`, `p_value` and the `values` of the seeds, from
            0 to 1; `main` names the largest set. `leaks` is what `find_leaks` found, `curves` the
            accuracy as rows lose text or picture, `calibration` the reliability of its
            probabilities.

    Example:

    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_bert_concat", num_classes=2, seed=0)
    >>> examples = data.synthetic.examples(2, 40, seed=0)
    >>> certificate = training.certify(model, examples, shots=(), seeds=2, verbose=0)
    >>> certificate.results["main"], len(certificate.words) > 5
    ('80/20', True)
    """

    results: dict

    @property
    def headline(self):
        """Str: whether text helps, and whether a leak was found."""
        return headline(self.results)

    @property
    def words(self):
        """List of str, plain sentences that follow from the numbers."""
        return plain_words(self.results)

    def __str__(self):
        return "\n".join([self.headline, "", *self.words])

    def save(self, folder):
        """Writes certificate.html (one page that needs no other file), .png and .json.

        Args:
            folder: made where it is not there; files of these names are replaced.

        Returns:
            List of the three paths.
        """
        os.makedirs(folder, exist_ok=True)
        page, picture, numbers = (os.path.join(folder, name) for name in CERTIFICATE)
        draw_certificate(self.results, picture)
        with open(picture, "rb") as file:
            write_whole(page, certificate_page(self.results, file.read()).encode())
        said = {"headline": self.headline, "words": self.words}
        write_json(numbers, {**said, **self.results})
        return [page, picture, numbers]
