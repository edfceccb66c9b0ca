"""A server on this machine with a tiny model, so that a client's program can be tried."""

import os
import tempfile
from concurrent import futures

from tatl_keras.bin import predictors, trained

MODEL = "smoke"


def start(stack):
    """Exports a tiny model and answers `Predict` of gRPC about it until the stack ends.

    Args:
        stack: `contextlib.ExitStack`.

    Returns:
        `(address, model, asked)`, the last as `tatl-client` loads examples.
    """
    import grpc

    from tatl_keras import _predict_protos as protos
    from tatl_keras.serving.loaded import read_saved_model

    workdir = trained.smoke_workdir(stack, None)
    folder = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "1")
    trained.load_model(workdir).export(folder)
    signatures = read_saved_model(folder).signatures
    examples = predictors.without_labels(trained.load_split(trained.read_config(workdir)))

    def predict(request, context):
        inputs = {name: protos.to_array(tensor) for name, tensor in request.inputs.items()}
        response = protos.message("PredictResponse")()
        for name, values in signatures[request.model_spec.signature_name](**inputs).items():
            response.outputs[name].CopyFrom(protos.to_proto(values.numpy()))
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        predict,
        protos.message("PredictRequest").FromString,
        lambda message: message.SerializeToString(),
    )
    service = f"{protos.PACKAGE}.PredictionService"
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"Predict": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stack.callback(server.stop, 0)
    return f"127.0.0.1:{port}", MODEL, ([(name, None) for name in examples.ids], examples, None)
