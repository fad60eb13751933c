"""Which model a server of ours serves, as it says with every answer, and whether that is the one that was meant."""

from globe.errors import GlobeError

MODEL_HEADER = "x-globe-model"
"""Header of every answer of a server of ours (`globe.serving.guard`): the digest of the checkpoint that it was started with."""
SHOWN = 12
"""Characters of a digest that people read."""


def says(digest: str) -> dict[str, str]:
    """Headers of an answer by which a server says which model gave it; none where it does not know."""
    return {MODEL_HEADER: digest} if digest else {}


def require_model(told: str | None, expected: str, where: str) -> None:
    """Check that an answer comes from the model that was meant to give it.

    A port, a name in DNS or a service may lead to another server than a moment ago, and one model's answer looks like another's.

    Args:
        told: What the answer's header says; None if it has none.
        expected: Digest of the checkpoint that is meant; empty if nobody knows it, and then nothing is checked.
        where: The server's URL, for the error.

    Raises:
        GlobeError: Another model has answered, or a server that does not say which.
    """
    if not expected or told == expected:
        return
    answers = f"model {told[:SHOWN]}" if told else "a server that does not say which model it serves"
    raise GlobeError(f"{where}: {answers} answers there, and model {expected[:SHOWN]} was meant; nothing of it is used")
