"""The renderer: reasoning and place as the text that a model is taught to write."""

from globe.answer.grammar import KEY, TAG, clean, unmarked


def render(reasoning: str, country: str, city: str) -> str:
    """The canonical text of an answer; the parser reads the same reasoning, country and city from it.

    Values are put on one line and lose what would be read as grammar (tags, a key such as ``city:`` inside a name).

    Args:
        reasoning: Why; tags in it are dropped.
        country: Name of the country.
        city: Name of the city; empty when it is not known.

    Raises:
        ValueError: country or reasoning is empty.
    """
    thought = TAG.sub("", reasoning).strip()
    place = [_renderable(value) for value in (country, city)]
    if not thought or not place[0]:
        raise ValueError("an answer needs a reasoning and a country")
    return f"<think>{thought}</think><answer>country: {place[0]}\ncity: {place[1]}</answer>"


def _renderable(value: str) -> str:
    """A value without what would be read as grammar. Repeated, because what is left may join up to a tag or key again."""
    while True:
        before = value
        value = clean(KEY.sub(" ", clean(unmarked(TAG.sub("", value)))))
        if value == before:
            return value
