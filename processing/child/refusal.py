"""The one way in which a decoder in the child says that the medium is at fault."""


class Refused(Exception):
    """The medium cannot be decoded; `code` is one of `processing.reasons.REASONS`."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
