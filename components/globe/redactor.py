"""Take the values of secrets out of text that others will read."""

import re
from collections.abc import Mapping

HIDDEN = "***"
SHORTEST_SECRET = 8
"""Shorter values ("true", "demo") occur by chance; hiding them would only garble what is shown."""

_SECRET_NAME = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|COOKIE|KEY)(?:_|$)", re.IGNORECASE)
_OF_SERVICES = re.compile(r"AWS_|GLOBE_(WEBHOOK_|SIGNED$)")
"""Variables that go with keys, or hold secrets under other names, such as a webhook's address."""
_PLACE_NAME = re.compile(r"_(?:PATH|FILE|DIR|URL|URI|NAME)$", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a variable's or setting's name says that its value is a secret: KFP_TOKEN, AWS_SECRET_ACCESS_KEY, hub_token."""
    return bool(_SECRET_NAME.search(name)) and not _PLACE_NAME.search(name)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that reads what others made and needs no key: a trainer, a model server."""
    return {name: value for name, value in environment.items() if not (is_secret_name(name) or _OF_SERVICES.match(name))}


class Redactor:
    """Knows the values of secrets and takes them out of text.

    Args:
        environment: Environment variables; those named like a secret (KFP_TOKEN, AWS_SECRET_ACCESS_KEY) hold one.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._names: dict[str, str] = {}
        for name, value in environment.items():
            if is_secret_name(name):
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
