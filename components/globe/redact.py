"""Take secrets out of text that people will see."""

import re
from collections.abc import Mapping

HIDDEN = "***"
SHORTEST_SECRET = 8
"""Shorter values ("true", "demo") occur by chance; hiding them would only garble what is shown."""
_SECRET_NAME = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|COOKIE|KEY)(?:_|$)", re.IGNORECASE)
_PLACE_NAME = re.compile(r"_(?:PATH|FILE|DIR|URL|URI|NAME)$", re.IGNORECASE)


class Redactor:
    """Knows the values of secrets and takes them out of text.

    Args:
        environment: Environment variables; those named like a secret (KFP_TOKEN, AWS_SECRET_ACCESS_KEY) hold one.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._names: dict[str, str] = {}
        for name, value in environment.items():
            if _SECRET_NAME.search(name) and not _PLACE_NAME.search(name):
                self.add(value, name)

    def add(self, value: str, name: str) -> None:
        """Remember a secret.

        Args:
            value: The secret, which must not be shown.
            name: Its name, for messages.
        """
        if len(value.strip()) >= SHORTEST_SECRET:
            self._names.setdefault(value.strip(), name)

    def name_in(self, text: str) -> str | None:
        """The name of a secret whose value occurs in a text, or None."""
        return next((name for value, name in self._names.items() if value in text), None)

    def hide(self, text: str) -> str:
        """The text with every secret replaced."""
        for value in sorted(self._names, key=len, reverse=True):  # longest first, since one may be part of another
            text = text.replace(value, HIDDEN)
        return text
