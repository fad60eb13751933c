"""What witnesses are asked, in the body of a request: read, limited and checked."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError

from globe.data.images import check_pixels, load_image
from globe.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BODY_BYTES = 16 * 2**20
"""Of one question. Curation's own pictures have a side of 4096 pixels at most, and mostly 1 MB."""
MAX_PICTURE_PIXELS = 4096 * 4096
MIN_SIDE_PX = 8
"""Image processors take a picture that is 1 or 3 pixels high for one with its colours first."""
MAX_TEXT_CHARS = 16_000
"""Of one text; curation keeps reasonings of 4,000 at most."""


class PictureQuestion(BaseModel):
    """A question about one picture.

    Attributes:
        model: Name of the witness.
        image: A base64 data URL of a JPEG, PNG or WEBP file.
    """

    model: str
    image: str

    def subject(self) -> Image:
        """The picture, upright and RGB.

        Raises:
            InputError: It is no such URL, or no picture that can be decoded within the limits.
        """
        head, comma, content = self.image.partition(",")
        if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
            raise InputError("image: must be a base64 data URL (data:image/jpeg;base64,...)")
        try:
            data = base64.b64decode(content, validate=True)
        except binascii.Error:
            raise InputError("image: its base64 cannot be decoded") from None
        width, height = check_pixels("image", data)
        if width * height > MAX_PICTURE_PIXELS:
            raise InputError(f"image: {width} x {height} pixels are more than {MAX_PICTURE_PIXELS}; send it smaller")
        if min(width, height) < MIN_SIDE_PX:
            raise InputError(f"image: {width} x {height} pixels show nothing; both sides must have {MIN_SIDE_PX} or more")
        return load_image(data)


class TextsQuestion(BaseModel):
    """A question about two texts.

    Attributes:
        model: Name of the witness.
        texts: The two.
    """

    model: str
    texts: tuple[
        Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)],
        Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)],
    ]

    def subject(self) -> tuple[str, str]:
        """The two texts."""
        return self.texts


QUESTIONS: dict[str, type[PictureQuestion] | type[TextsQuestion]] = {
    "coordinates": PictureQuestion,
    "segmentation": PictureQuestion,
    "alignment": TextsQuestion,
}
"""By the kind of witness."""


def read_question(kind: str, body: bytes) -> PictureQuestion | TextsQuestion:
    """Read the body of a request.

    Raises:
        InputError: It is no JSON object of this kind; names the field.
    """
    try:
        return QUESTIONS[kind].model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise InputError(f"{where}: {first['msg'][:200]}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"body: no JSON ({type(error).__name__})") from None
