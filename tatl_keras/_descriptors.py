"""Protocol buffers that are described at run time, where no other part of the process sees them."""

from google.protobuf import descriptor_pb2, descriptor_pool

_KINDS = {"double": 1, "float": 2, "int64": 3, "int32": 5, "string": 9, "uint32": 13}
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3  # as in descriptor.proto


def make_pool(name, package, messages, needed=()):
    """A descriptor pool of its own with some messages.

    Args:
        name: of the file that they stand in.
        package: of the messages.
        messages: dict from message to list of fields: number, name, type and, where there is one,
            oneof. A type is a scalar, a message here or, with dots, elsewhere; "*" repeats it,
            "map " maps strings to it. Enums are "int32": the bytes are the same.
        needed: modules `*_pb2` of messages that these are made of.

    Returns:
        A `DescriptorPool`.

    Example:

    >>> from google.protobuf import message_factory
    >>> pool = make_pool("pets.proto", "pets", {"Pet": [(1, "name", "string"), (2, "of", "*Pet")]})
    >>> pet = message_factory.GetMessageClass(pool.FindMessageTypeByName("pets.Pet"))
    >>> pet(name="a", of=[pet(name="b")]).SerializeToString()
    b'\\n\\x01a\\x12\\x03\\n\\x01b'
    """
    pool, known = descriptor_pool.DescriptorPool(), set()

    def add(file):
        if file.name not in known:
            known.add(file.name)
            for other in file.dependencies:
                add(other)
            pool.AddSerializedFile(file.serialized_pb)

    for module in needed:
        add(module.DESCRIPTOR)
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    file.dependency.extend(module.DESCRIPTOR.name for module in needed)
    for message, fields in messages.items():
        _describe(file.message_type.add(name=message), package, message, fields)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _describe(described, package, message, fields):
    oneofs = []
    for number, name, kind, *oneof in fields:
        field = described.field.add(name=name, number=number, label=_OPTIONAL)
        if kind.startswith("map "):
            entry = "".join(part.capitalize() for part in name.split("_")) + "Entry"
            nested = described.nested_type.add(name=entry)
            nested.options.map_entry = True
            parts = [(1, "key", "string"), (2, "value", kind.removeprefix("map "))]
            _describe(nested, package, f"{message}.{entry}", parts)
            field.type_name = f".{package}.{message}.{entry}"
            field.label, field.type = _REPEATED, _MESSAGE
            continue
        if kind.startswith("*"):
            field.label, kind = _REPEATED, kind[1:]
        field.type = _KINDS.get(kind, _MESSAGE)
        if kind not in _KINDS:
            field.type_name = f".{kind}" if "." in kind else f".{package}.{kind}"
        if oneof:
            if oneof[0] not in oneofs:
                oneofs.append(oneof[0])
                described.oneof_decl.add(name=oneof[0])
            field.oneof_index = oneofs.index(oneof[0])
