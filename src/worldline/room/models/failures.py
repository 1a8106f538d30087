"""The ways in which a reply from elsewhere does not come, each a type of its own."""

from __future__ import annotations

from worldline.room.models.model import ReplyError


class UnreachableError(ReplyError):
    """No connection, or it broke before anything came."""


class RejectedError(ReplyError):
    """The endpoint said no: `status` is HTTP's."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


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

    def __init__(self, message: str, text: str):
        super().__init__(message)
        self.text = text
