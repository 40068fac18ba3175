"""What a client is told when a request cannot be done; nothing was applied."""


class Refusal(Exception):
    """An answer other than 200: an HTTP status and a sentence in the user's words."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail
