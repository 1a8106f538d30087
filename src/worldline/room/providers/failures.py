"""The ways in which a reply from elsewhere does not come, each a type of its own."""

from __future__ import annotations

from worldline.room.providers.chat_model import ReplyError, Usage


class UnreachableError(ReplyError):
    """No connection, or it broke before anything came."""


class RejectedError(ReplyError):
    """The endpoint said no: `status` is HTTP's.

    `fields` are those of the request that it named, `roles` whether it spoke of who says what.
    """

    def __init__(
        self, message: str, status: int, fields: tuple[str, ...] = (), roles: bool = False
    ):
        super().__init__(message)
        self.status, self.fields, self.roles = status, fields, roles


class StoppedError(ReplyError):
    """Whoever waited for it does not want it any more."""


class TooLateError(ReplyError):
    """Nothing came in time."""


class GarbledError(ReplyError):
    """What came is not what such an endpoint sends."""


class EmptyError(ReplyError):
    """The model was asked, and said nothing."""


class RefusedReplyError(ReplyError):
    """The model, or its host, declined to answer, and no word came."""


class CutOffError(ReplyError):
    """The reply broke off after some of it was shown: `text` is what had come.

    It is not asked for again by itself: what was shown would be contradicted.
    """

    def __init__(self, message: str, text: str, usage: Usage | None = None):
        super().__init__(message)
        self.text, self.usage = text, usage


class AgainError(Exception):
    """A failure after which asking again may help; `wait` is what the server asked for."""

    def __init__(self, failure: ReplyError, wait: float | None = None):
        super().__init__(str(failure))
        self.failure, self.wait = failure, wait
