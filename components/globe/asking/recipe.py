"""How a model is asked: prompt, decoding, and how hard to try."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from globe.answer.prompt import DIRECT_PROMPT, PROMPT, usable_prompt
from globe.recipes.base import Recipe, Seed

DECODING = ("temperature", "frequency_penalty", "presence_penalty", "max_tokens", "samples")
"""Fields that decide answers beside model, prompt and picture, apart from the seed."""


SAMPLING_TEMPERATURE = 0.7
"""Of several answers, where a recipe has 0: they would all be the same."""


class AskingRecipe(Recipe):
    """Prompt, decoding and requests."""

    prompt: Annotated[str, AfterValidator(usable_prompt)] = ""
    """The text sent after the picture; empty for the one in the model's manifest, or else that of `globe.answer.prompt`."""
    reasoning: bool = True
    """Whether to ask for reasons before the answer; if not, a direct prompt takes the place of the default one."""
    samples: PositiveInt = 1
    """Answers to ask for each picture; with several, the one that most others agree with counts."""
    temperature: float = Field(default=0.0, ge=0)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    max_tokens: PositiveInt = 1024
    """As many as in training, or long reasoning is cut off before the answer."""
    concurrency: PositiveInt = 32
    """The most requests in flight; fewer while the server is not faster with more."""
    stream: bool = True
    """Whether answers are streamed, which shows when the first token came."""
    timeout_s: PositiveFloat = 120.0
    """Until a request's last token; then it is tried again."""
    attempts: PositiveInt = 4
    seed: Seed = 0

    @property
    def question(self) -> str:
        """The text that is sent after the picture."""
        return self.prompt or (PROMPT if self.reasoning else DIRECT_PROMPT)

    def drawn(self, samples: int) -> Self:
        """The same question for so many answers; several get a temperature if there is none."""
        temperature = self.temperature or (SAMPLING_TEMPERATURE if samples > 1 else 0.0)
        return self.model_copy(update={"samples": samples, "temperature": temperature})

    @model_validator(mode="after")
    def _samples_differ(self) -> "AskingRecipe":
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples: several answers would all be the same at temperature 0; set a temperature, such as 0.7")
        return self
