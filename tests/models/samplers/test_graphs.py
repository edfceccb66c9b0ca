"""Samplers in a `tf.function`, in a SavedModel that a session runs, and what their loop holds."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.models import samplers
from tatl_keras.models.lint import graph_rules, saved_model
from tests.models.samplers.markov import END, PAD, START, Markov

VOCABULARY, LENGTH, ATTENDED = 13, 11, 7
SAMPLERS = {
    "greedy": samplers.GreedySampler(),
    "beam": samplers.BeamSampler(3, num_return=2),
    "random": samplers.RandomSampler(top_p=0.9, num_return=2, seed=1),
}


@pytest.fixture(scope="module")
def model():
    return Markov(VOCABULARY, LENGTH, 5)


@pytest.fixture(scope="module", params=SAMPLERS)
def sampler(request):
    return SAMPLERS[request.param]


@pytest.fixture(scope="module")
def generate(model, sampler):
    """Of any number of rows, with attention."""
    return function(model, sampler)


@pytest.fixture(scope="module")
def of_five(model, sampler):
    """Of five rows, without attention and with it."""
    return {
        attended: function(model, sampler, rows=5, attended=attended).get_concrete_function()
        for attended in (None, ATTENDED)
    }


def function(model, sampler, rows=None, attended=ATTENDED):
    """From the contexts of rows to all that is made, by name."""

    @tf.function(input_signature=[tf.TensorSpec([rows, VOCABULARY], name="context")])
    def generate(context):
        context = tf.repeat(context, sampler.beams, axis=0)
        moving = {"memory": tf.zeros_like(context), "of_rows": [context]}
        made = sampler(
            model.step, moving, tf.shape(context)[0] // sampler.beams if rows is None else rows,
            start_id=START, end_id=END, pad_id=PAD, length=LENGTH, attended=attended,
        )  # fmt: skip
        return {name: x for name, x in made._asdict().items() if x is not None}

    return generate


def equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, x in found.items():
        np.testing.assert_allclose(x, wanted[name], rtol=1e-5, atol=1e-6)


def test_any_number_of_rows_in_one_trace(model, sampler, generate):
    for rows in (5, 1):
        eager = model.run(sampler, slice(rows), attended=ATTENDED)
        equal(generate(model.context[:rows]), eager._asdict())
    none = generate(model.context[:0])
    assert none["token_ids"].shape == (0, sampler.num_return, LENGTH)
    assert generate.experimental_get_tracing_count() == 1


def test_all_shapes_but_the_batch_are_known(generate, of_five):
    outputs = generate.get_concrete_function().structured_outputs
    assert all(x.shape[0] is None and None not in x.shape[1:] for x in outputs.values())
    outputs = of_five[ATTENDED].structured_outputs
    assert all(x.shape.is_fully_defined() for x in outputs.values())


def test_a_session_generates_alike(model, generate, tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=generate)
    assert not list(graph_rules.unknown_ops(saved_model.read(tmp_path)))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path)).signature_def
        signature = loaded["serving_default"]
        names = {key: value.name for key, value in signature.outputs.items()}
        given = signature.inputs["context"].name
        found = {rows: session.run(names, {given: model.context[:rows]}) for rows in (5, 2)}
    for rows, made in found.items():
        equal(made, generate(model.context[:rows]))


def shapes_in_loop(concrete):
    """The shapes of all tensors of the body of the one loop."""
    graph = concrete.graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    loops = [node for node in nodes if node.op in ("While", "StatelessWhile")]
    assert len(loops) == 1
    (body,) = (
        f for f in graph.library.function if f.signature.name == loops[0].attr["body"].func.name
    )
    shapes = [
        tuple(dim.size for dim in shape.dim)
        for node in body.node_def
        for shape in node.attr["_output_shapes"].list.shape
    ]
    carried = [tuple(dim.size for dim in s.dim) for s in loops[0].attr["output_shapes"].list.shape]
    return shapes, carried


def test_the_loop_holds_no_distribution_but_that_of_the_step(sampler, of_five):
    shapes, carried = shapes_in_loop(of_five[None])
    count = 5 * sampler.beams
    assert (count, LENGTH) in shapes and (count, VOCABULARY) in shapes
    both = [shape for shape in shapes if {LENGTH, VOCABULARY} <= set(shape)]
    assert set(both) <= {(LENGTH, VOCABULARY, VOCABULARY)}  # the made-up model's own table
    # Carried on: what the step hands on, the tokens, and numbers of each sequence.
    found = sorted(shape for shape in carried if len(shape) > 1 and shape not in both)
    assert found == [(count, LENGTH), (count, VOCABULARY), (count, VOCABULARY)]


def test_attention_is_carried_only_where_it_is_asked_for(sampler, of_five):
    recorded = (5 * sampler.beams, LENGTH, ATTENDED)
    for attended, concrete in of_five.items():
        shapes, carried = shapes_in_loop(concrete)
        assert (recorded in carried) == (recorded in shapes) == (attended is not None)


def test_the_loop_ends_with_the_last_row(sampler):
    """All rows end after two tokens."""
    steps = []

    def step(token_ids, index, moving):
        steps.append(int(index))
        log_probs = tf.math.log(tf.one_hot(tf.fill(token_ids.shape, 3 if index == 0 else END), 5))
        return log_probs, None, moving

    made = sampler(step, (), 2, start_id=START, end_id=END, pad_id=PAD, length=LENGTH)
    assert steps == [0, 1]
    assert made.token_ids.numpy()[:, 0, :3].tolist() == [[3, END, PAD]] * 2
