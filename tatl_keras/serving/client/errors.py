"""What goes wrong between a client and a server."""

_HINTS = {
    "DEADLINE_EXCEEDED": "Raise `timeout`, or lower `max_rows`.",
    "FAILED_PRECONDITION": "`metadata()` shows the signatures.",
    "INVALID_ARGUMENT": "`metadata()` shows what each signature takes.",
    "NOT_FOUND": "The server's log says which models, versions and labels it serves.",
    "PERMISSION_DENIED": "Pass `headers`, or a client's certificate.",
    "RESOURCE_EXHAUSTED": "Lower `max_rows` or `max_message_bytes`, or ask less often.",
    "UNAUTHENTICATED": "Pass `headers`, or a client's certificate.",
    "UNAVAILABLE": "Is it running there? gRPC is on port 8500 by default, REST on 8501.",
    "UNIMPLEMENTED": "Is it a TensorFlow Serving, and `protocol` that of the port?",
}


class ServerError(RuntimeError):
    """A server did not answer, or answered with an error.

    Args:
        code: str, gRPC's name of the error, such as "NOT_FOUND"; REST's statuses are translated.
        details: str, the server's own message.
        address: str, where the server is.
        attempts: int, how often it was asked.

    Attributes: `code`, `details`, `address`, `attempts`.

    Example:

    >>> raise ServerError("NOT_FOUND", "Servable not found for request: Latest(cats)", "host:8500")
    Traceback (most recent call last):
    tatl_keras.serving.client.errors.ServerError: host:8500 answered NOT_FOUND: Servable not ...
    """

    def __init__(self, code, details, address, attempts=1):
        self.code, self.details, self.address, self.attempts = code, details, address, attempts
        tried = f" {attempts} times" if attempts > 1 else ""
        hint = _HINTS.get(code, "")
        super().__init__(f"{address} answered {code}{tried}: {details}. {hint}".strip())
