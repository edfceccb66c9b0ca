"""The file of batching, read as the server reads it: text of a protocol buffer."""

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from tatl_keras.models.artifact import batching

# tensorflow_serving/servables/tensorflow/session_bundle_config.proto
FIELDS = {
    "max_batch_size": (1, "Int64Value"),
    "batch_timeout_micros": (2, "Int64Value"),
    "max_enqueued_batches": (3, "Int64Value"),
    "num_batch_threads": (4, "Int64Value"),
    "thread_pool_name": (5, "StringValue"),
    "enable_large_batch_splitting": (8, "BoolValue"),
    "max_execution_batch_size": (9, "Int64Value"),
}


@pytest.fixture(scope="module")
def parse():
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name="BatchingParameters")
    for name, (number, kind) in FIELDS.items():
        message.field.add(
            name=name, number=number, label=1, type=11
        ).type_name = f".google.protobuf.{kind}"
    message.field.add(name="allowed_batch_sizes", number=6, label=3, type=3)
    message.field.add(name="pad_variable_length_inputs", number=7, label=1, type=8)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))
    return lambda path: text_format.Parse(path.read_text(encoding="utf-8"), kind())


def test_the_server_can_read_it(parse, tmp_path):
    batching.write_batching(tmp_path, batch_timeout_micros=0, num_batch_threads=3)
    found = parse(tmp_path / "batching_params.pbtxt")
    assert found.max_batch_size.value == 256 and found.max_execution_batch_size.value == 32
    assert found.batch_timeout_micros.value == 0 and found.HasField("batch_timeout_micros")
    assert found.num_batch_threads.value == 3 and found.enable_large_batch_splitting.value
    assert not found.allowed_batch_sizes and not found.pad_variable_length_inputs


def test_the_largest_request_fits_into_an_empty_queue(parse, tmp_path):
    """As `SchedulingCapacityInternal` of shared_batch_scheduler.h counts."""
    batching.write_batching(tmp_path, max_enqueued_batches=8)
    found = parse(tmp_path / "batching_params.pbtxt")
    capacity = found.max_enqueued_batches.value * found.max_execution_batch_size.value
    assert found.max_batch_size.value <= capacity


@pytest.mark.parametrize(
    "given",
    [
        {"batch_timeout_micros": -1},
        {"max_enqueued_batches": 7},
        {"num_batch_threads": 0},
        {"num_batch_threads": 1.5},
    ],
    ids=str,
)
def test_numbers_out_of_bounds(given, tmp_path):
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match=f"`{name}` must be an int of .* Received: {name}={value}"):
        batching.write_batching(tmp_path, **given)
    assert list(tmp_path.iterdir()) == []
