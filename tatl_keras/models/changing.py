"""Changes of a model that is built already."""


def replace_head(model, head):
    """Gives a model another head, built, and compiles it again with its settings.

    Args:
        model: a `TextAssistedClassifier`.
        head: a layer from the fused vector (B, D) to logits (B, num_classes).
    """
    old = model.head
    model._tracker.unlock()  # Keras locks what layers a model consists of once it is built
    model.head = head
    model._layers.remove(old)
    model._tracker.lock()
    compile_again(model)


def compile_again(model):
    """Compiles a model whose weights have changed in number or shape; traces are forgotten."""
    if model.compiled:
        model.compile_from_config(model.get_compile_config())
    model.train_function = model.test_function = model.predict_function = None
