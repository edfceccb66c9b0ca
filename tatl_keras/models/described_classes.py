"""What a model knows of its classes beside their number: names and texts."""

from tatl_keras.models.changing import compile_again
from tatl_keras.models.class_text_head import ClassTextHead, grow
from tatl_keras.models.class_texts import (
    WORDS,
    check_reads_texts,
    checked_texts,
    embeddings_of,
    labelled_texts,
    start_from_texts,
)


class DescribedClasses:
    """Part of `TextAssistedClassifier`: `class_names`, `class_texts`, `add_classes`.

    The model has `num_classes`, `head`, `prior`, `text_encoder` and `preprocessor`.
    """

    # Past Keras's tracking, which would wrap lists and dicts.
    def _keep(self, **attributes):
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    @property
    def class_names(self):
        """List of str in the order of the logits, or `None` while unknown."""
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        names = [str(name) for name in names]
        if len(names) != self.num_classes or len(set(names)) != len(names):
            raise ValueError(
                f"`class_names` must be {self.num_classes} different names (num_classes). "
                f"Received: class_names={names[:20]} ({len(names)} names)"
            )
        self._keep(_class_names=names)
        if self._waiting_texts is not None:
            self._describe(self._waiting_texts)

    @property
    def class_texts(self):
        """Dict from label to list of texts, or `None`; as given while the names are unknown."""
        if self._waiting_texts is not None:
            return self._waiting_texts
        found = {}
        for label, text in self.labelled_texts:
            found.setdefault(label, []).append(text)
        return found or None

    @class_texts.setter
    def class_texts(self, class_texts):
        self._describe(class_texts)

    def _describe(self, class_texts):
        by_name = isinstance(class_texts, str) and class_texts in WORDS
        if isinstance(class_texts, dict):
            by_name = any(isinstance(key, str) for key in class_texts)
        if by_name and self.class_names is None:
            check_reads_texts(self, class_texts)
            self._keep(_waiting_texts=class_texts)
            return
        labelled = labelled_texts(self, class_texts)
        start_from_texts(self, labelled)
        self._keep(_labelled_texts=labelled, _waiting_texts=None)

    @property
    def labelled_texts(self):
        """List of (label, text), the class texts as far as they are known."""
        return self._labelled_texts

    def add_classes(self, class_texts, bias=None):
        """Adds classes by their texts alone, behind the others; nothing is trained again.

        Needs a head of class texts (`zoo.build(…, head="class_texts")`). The logits of the other
        classes keep every bit. The model is compiled again, with its settings.

        Args:
            class_texts: dict from the name of a new class to a text or a list of texts.
            bias: float, added to the logits of the new classes: a head that was trained to tell
                the classes it knows answers with these too often. `None` for what
                `training.solve_head` found by leaving out whole classes, and 0 after `fit`.

        Raises:
            ValueError: the head is linear, the model has no class names, a name is taken, or a
                text is blank.

        Example:

        >>> from tatl_keras import zoo
        >>> names = ["circle", "square"]
        >>> model = zoo.build("test_bert_text_only", 2, head="class_texts", class_names=names)
        >>> history = model.fit({"text": ["round", "corners"]}, names, verbose=0)
        >>> model.add_classes({"star": ["a star", "five points"]})
        >>> model.class_names, model.predict({"text": ["a star"]}, verbose=0).shape
        (['circle', 'square', 'star'], (1, 3))
        """
        if not isinstance(self.head, ClassTextHead):
            raise ValueError(
                "`head` must be a head of class texts for classes to be added. Received: "
                f'head={type(self.head).__name__}. Build with head="class_texts"; or build with '
                "all classes and call training.solve_head, where a class may have only texts."
            )
        if self.class_names is None or not self.head.has_embeddings:
            raise ValueError(
                "`class_names` and `class_texts` must be known before classes are added. "
                f"Received: class_names={self.class_names}, class_texts={self.class_texts}"
            )
        taken = sorted(set(class_texts) & set(self.class_names))
        if taken or not class_texts or not all(isinstance(name, str) for name in class_texts):
            raise ValueError(
                "`class_texts` must have new names as keys, unlike "
                f"{self.class_names[:20]}. Received: {taken or list(class_texts)}"
            )
        texts = [checked_texts(name, class_texts[name]) for name in class_texts]
        pairs = [(label, text) for label, some in enumerate(texts) for text in some]
        self.head.add(embeddings_of(self, pairs, len(texts)), bias)
        grow(self.prior, "counts", [0.0] * len(texts))
        first = self.num_classes
        self.num_classes = self.prior.num_classes = self.head.num_classes
        self._keep(
            _class_names=[*self.class_names, *class_texts],
            _labelled_texts=self.labelled_texts + [(first + n, text) for n, text in pairs],
        )
        compile_again(self)
