"""Every error that Lictor raises on purpose. The docstring is the default message; `where` says where it happened."""


class LictorError(Exception):
    """Something went wrong inside Lictor."""

    exit_code = 1

    def __init__(self, message: str = "", *, where: str = "") -> None:
        text = message or (type(self).__doc__ or "").strip()
        self.where = where
        super().__init__(f"{text} ({where})" if where else text)


class BadRecord(LictorError):
    """A record cannot be read as the message its topic carries; it goes to dead letters.

    `kind` is a short stable word (`not_json`, `too_large`, …) that dead letters are counted by.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class BadSeal(LictorError):
    """A signature or mark is missing, wrong, or made by a key that may not make it."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class BadPolicy(LictorError):
    """A policy file cannot be loaded."""

    exit_code = 2


class BadRule(LictorError):
    """Rules cannot be loaded."""

    exit_code = 2


class BadInput(LictorError):
    """A file or an argument given by a person cannot be used."""

    exit_code = 2


class BadSettings(LictorError):
    """A setting is unknown or has no usable value."""

    exit_code = 2


class KeysMissing(LictorError):
    """Keys are missing or unreadable; `lictor keys init` makes them."""

    exit_code = 2


class KafkaUnavailable(LictorError):
    """Kafka cannot be reached or started."""

    exit_code = 3


class StoreUnavailable(LictorError):
    """The history (ClickHouse) cannot be reached or opened."""

    exit_code = 3


class StoreRefused(LictorError):
    """The history is there but does not take these rows."""


class QueryRefused(LictorError):
    """The guarded SQL endpoint answers single SELECTs over listed tables and functions only."""


class InUse(LictorError):
    """The data folder is in use by another Lictor."""

    exit_code = 3


class Fenced(LictorError):
    """This worker was frozen for longer than its lease; it must restart from what the topics hold."""
