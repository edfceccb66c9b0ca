"""Solves the head of a model on frozen features, instead of training it."""

from tatl_keras.features import FeatureCache
from tatl_keras.fusion import NoHarmHead
from tatl_keras.models.class_texts import labelled_texts, start_if_new
from tatl_keras.models.few_shot_head import CLASS_TEXT_HEADS
from tatl_keras.training.class_text_solver import solve_class_text_head
from tatl_keras.training.few_shot_model import solve_few_shot_model
from tatl_keras.training.head_arguments import (
    check_arguments,
    check_model,
    class_weights,
)
from tatl_keras.training.head_rows import check_all_kept, feature_batches, gather_rows
from tatl_keras.training.head_search import STANDARD_ERRORS, Search
from tatl_keras.training.head_solution import HeadSolution
from tatl_keras.training.no_harm_experts import load_experts
from tatl_keras.training.text_supervision import teach, text_rows


def solve_head(
    model,
    x,
    y=None,
    *,
    solver="auto",
    fusion="auto",
    class_texts=None,
    class_weight=None,
    sample_weight=None,
    batch_size=None,
    feature_cache="memory",
    verbose="auto",
):
    """Finds the best linear head on frozen features, with no epochs and no validation split.

        logits = fused @ W + b
        exact     minimal: sum_i w_i |onehot_i - x_i W - b|² + penalty |W|²
        logistic  minimal: sum_i w_i cross-entropy(x_i W + b, label_i) + penalty / 2 |W|²

    x is the fused vector with the image's part scaled by √(2 (1 - text_share)) and the text's by
    √(2 text_share). "exact" has a closed form: one factorisation gives 41 penalties and, for each,
    exactly what a fit without each example predicts for it. By the log-loss of these predictions
    the penalty, the share of text, the weight of class texts, one modality alone and late fusion
    (the sum of a head on pictures and one on text) are chosen, and a temperature that calibrates
    the probabilities; all of it is folded into W and b. "logistic" chooses its penalty by
    cross-validation. "auto" does both, compares them on the same held-out examples, and takes
    "logistic" unless "exact" is better by two standard errors.

    Of a "no_harm" model the joint expert is this head, and the experts on image and on text are
    heads on these alone, found the same way: where text is missing the model answers as one solved
    on pictures alone.

    A head of class texts is solved likewise: by ridge regression into the space of the texts, with
    exact leave-one-out, around the nearest class text (`training.class_text_solver`). Leaving out
    whole classes tells how much less the logits of a class without example are
    (`model.head.new_class_bias`). Where pictures and texts are in one space already (CLIP, SigLIP),
    so that the head has no projection, `training.solve_few_shot` finds what class texts, a cache of
    the examples and a line say together, and the head becomes a `models.FewShotHead`.

    Of a model that reads text in training alone (`text_at_inference=False`) the head on pictures
    is found as for a model without text. A ridge regression from pictures to the logits of a head
    on their texts and on `class_texts` gets a share of 0.3 beside it, unless by the held-out
    log-loss it hurts; the report says how much it helped.

    Otherwise the head is an ordinary `Dense`, or three: the model can be evaluated, saved,
    exported, or trained on from there with `fit`. Computed in float64, loaded as float32.

    Args:
        model: a `TextAssistedClassifier` with frozen encoders whose fusion is linear: "concat"
            without `hidden_dim`, also inside "no_harm", or image or text alone.
        x, y, sample_weight, batch_size: as `model.fit` takes them. Labels are ints, or names.
        solver: "auto", "exact" or "logistic".
        fusion: "auto", or the only one to look at: "concat", "late", "image_only", "text_only".
        class_texts: what the classes are called or look like, as further rows without a picture:
            "names" for the model's class names; a dict from class name or label to a text or a
            list of texts; `None` for those the model was built with. Helps most with few examples
            a class.
        class_weight: dict from label to a factor of its examples' weights, as in `fit`. As many
            repetitions of its examples do, but for what is left out: one example with its weight.
        feature_cache: as in `fit`: "memory", a folder or a `FeatureCache`.
        verbose: as in `fit`, while features are computed.

    Returns:
        A `HeadSolution`; its `report()` says what was chosen and why. Its `solver` is "exact",
        "logistic", or a method of `solve_few_shot`.

    Raises:
        ValueError: the fusion is not linear, or an encoder is not frozen; a label, weight, class
            text or argument is not one of the above; a class has neither example nor text;
            "logistic" is asked for more than 16,384 examples.

    Example:

    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_bert_concat", num_classes=2, seed=0)
    >>> examples = data.synthetic.examples(2, 20, seed=0)
    >>> solution = training.solve_head(model, examples, class_texts="names", verbose=0)
    >>> solution.num_examples
    20
    >>> model.predict(examples, verbose=0).shape
    (20, 2)
    """
    check_model(model)
    check_arguments(model, solver, fusion, class_texts)
    if isinstance(model.head, CLASS_TEXT_HEADS) and class_texts is not None:
        model.class_texts = class_texts
    cache = FeatureCache.get(feature_cache)
    if cache is None:
        raise ValueError(
            '`feature_cache` must be "memory", a folder or a `FeatureCache`: a head is solved from '
            "features that are kept. Received: feature_cache=None"
        )
    batches = feature_batches(model, x, y, sample_weight, batch_size, cache, verbose)
    if isinstance(model.head, CLASS_TEXT_HEADS):
        start_if_new(model)
    texts = labelled_texts(model, model.class_texts if class_texts is None else class_texts)
    weights, taught = class_weights(model, class_weight), model.text_in_training
    rows = gather_rows(model, batches, weights, [] if taught else texts, cache)
    if isinstance(model.head, CLASS_TEXT_HEADS):
        return _solve_class_texts(model, rows)
    if rows.moments is not None and solver == "logistic":
        raise ValueError(
            f'`solver` must be "exact" or "auto" for more than {len(rows.x)} examples, of which '
            f"only sums are kept. Received: solver={solver!r} and {rows.total} examples. "
            "Train the head with `fit` instead."
        )
    search = Search(rows)
    choice, reason = _choose(search, solver, fusion)
    share_taught = None
    if taught:
        found = teach(search, choice, text_rows(model, batches, texts, weights, cache))
        choice, share_taught, reason = found.choice, found.share, reason + found.why
        if found.teacher is not None:  # `fit` can go on from there
            model.text_head.set_weights(found.teacher)
    reason += _load(model.head, search, choice, solver)
    model.prior.set_weights([rows.counts])
    return _solution(search, choice, reason, share_taught)


def _solve_class_texts(model, rows):
    """The `HeadSolution` of a head of class texts, in a space made here or one that is shared."""
    check_all_kept(rows)
    projects = getattr(model.head, "projection_dim", None) is not None
    return (solve_class_text_head if projects else solve_few_shot_model)(model, rows)


def _solution(search, choice, reason, share_taught):
    late = len(choice.parts) > 1
    share, weight, penalty = choice.parts[-1]
    return HeadSolution(
        solver=choice.solver,
        fusion=choice.fusion,
        text_share=None if late else share,
        class_text_weight=weight,
        regularization=None if late else penalty,
        scales=tuple(choice.held.scales.tolist()),
        log_loss=choice.held.log_loss,
        accuracy=choice.held.accuracy,
        num_examples=search.rows.total,
        choices=search.seen,
        reason=reason,
        text_supervision=share_taught,
    )


def _choose(search, solver, fusion):
    """The `Choice` of a solver, and the reason for it."""
    exact = search.exact(fusion)
    if not search.scored.any():
        exact_only = solver == "exact" or fusion == "late" or search.rows.moments is not None
        found = exact if exact_only else search.logistic(exact)
        why = "no class has a second example, so that none can be left out"
        return found, f"{found.solver}, {found.fusion}, with default settings: {why}."
    if solver == "exact":
        return exact, f"exact, {_outcome(exact.held)}, {_share(search)} left out one by one."
    if fusion == "late":
        return exact, f"exact, the only solver of late fusion, {_outcome(exact.held)}."
    if search.rows.moments is not None:
        why = f"logistic regression is not tried on {search.rows.total} examples"
        return exact, f"exact, {_outcome(exact.held)}, {_share(search)} left out one by one; {why}."
    logistic = search.logistic(exact)
    if solver == "logistic":
        return logistic, f"logistic, {_outcome(logistic.held)}, cross-validated."
    like = search.on_folds(exact)
    wins = like.gain(logistic.held, search.weights) > STANDARD_ERRORS
    least = like.log_loss < logistic.held.log_loss
    why = "by more" if wins else "but by less" if least else "not less"
    verdict = "less" if least else "more"
    reason = (
        f"{'exact' if wins else 'logistic'}: on the same held-out examples exact has {verdict} "
        f"log-loss ({_outcome(like)}) than logistic ({_outcome(logistic.held)})"
    )
    if least:
        reason += f", {why} than {STANDARD_ERRORS:g} standard errors of the difference"
    return (exact if wins else logistic), reason + "."


def _load(head, search, choice, solver):
    """Writes a `Choice` into a head, and into a `NoHarmHead` one for each modality alone too.

    Returns what the reason for the choice lacks: how well the latter do.
    """
    if not isinstance(head, NoHarmHead):
        head.set_weights(choice.head())
        return ""
    # Where a class has texts but no picture, logistic regression would rule it out by the picture.
    image_solver = "exact" if search.rows.needs_class_texts else solver
    image, _ = _choose(search, image_solver, "image_only")
    text, _ = _choose(search, solver, "text_only")
    load_experts(head, search.rows, *(found.head() for found in (choice, image, text)))
    return f" {_alone(image)} {_alone(text)}"


def _alone(choice):
    modality = choice.fusion.removesuffix("_only")
    outcome = f", {_outcome(choice.held)}" if choice.scores is not None else ""
    return f"On the {modality} alone {choice.solver}{outcome}."


def _outcome(held):
    return f"held-out log-loss {held.log_loss:.4f}, accuracy {held.accuracy:.4f}"


def _share(search):
    scored, total = int(search.scored.sum()), search.rows.total
    return f"{scored} of {total} examples" if scored < total else f"{total} examples"
