"""world.json: what is known of a toy world, for the simulated teachers and for measuring curation."""

import hashlib
from pathlib import Path
from typing import Annotated

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from globe.errors import InputError

WORLD_NAME = "world.json"
Rate = Annotated[float, Field(ge=0, le=1)]


class ErrorRates(BaseModel):
    """How often a simulated teacher errs.

    Errors are independent of each other, but for the blind spot, which the VLMs share; timeouts are drawn for each attempt.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    famous_city: tuple[Rate, Rate, Rate] = (0.0, 0.35, 0.75)
    """Names the country's best known city instead, by the fame rank of the true one."""
    blind_spot: Rate = 0.9
    """Of scenes at dusk: both VLMs name the country's best known city, on the same pictures, so neither contradicts the other."""
    wrong_country: Rate = 0.05
    invented_cue: Rate = 0.08
    """Names a cue in its reasoning that the picture doesn't show."""
    wrong_localizability: Rate = 0.04
    malformed: Rate = 0.03
    timeout: Rate = 0.005
    timeout_s: float = Field(default=10.0, gt=0)
    """How long an attempt that times out is left without an answer."""
    coordinate_sigma_km: float = Field(default=15.0, ge=0)
    wrong_coordinates: Rate = 0.05


class Truth(BaseModel):
    """What is known about one picture.

    Attributes:
        localizable: whether the picture shows cues; without any, only its recorded position tells the place.
        country: GeoNames' name.
        city: GeoNames' name.
        lat_deg: of the city, degrees.
        lon_deg: of the city, degrees.
        fame_rank: of the city within its country, 0 for the best known.
        cues: the named cues it shows, in the order of `places.CUE_KINDS`; only the haze when it isn't localizable.
        pixels: `pixel_hash` of the picture, by which a simulated teacher recognizes it.
        dusk: whether the scene is drawn at dusk, where the VLM teachers have their blind spot.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    localizable: bool
    country: str
    city: str
    lat_deg: float
    lon_deg: float
    fame_rank: int
    cues: list[str]
    pixels: str
    dusk: bool = False


class WorldFile(BaseModel):
    """world.json: the parameters of a written world and the truth of each picture by id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    seed: int
    pictures: int
    test_share: float
    unlocatable_share: float
    dusk_share: float
    noise: float
    size_px: int
    rates: ErrorRates
    truth: dict[str, Truth]


def is_world(folder: Path) -> bool:
    """Whether a source folder is a toy world, whose truth is known."""
    return (folder / WORLD_NAME).is_file()


def load_world(folder: Path) -> WorldFile:
    """Read a world's world.json.

    Raises:
        InputError: It is missing or damaged.
    """
    path = folder / WORLD_NAME
    try:
        return WorldFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a folder written by the toy world") from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise InputError(f"{path}: {where or 'no JSON'}: {error.errors()[0]['msg']}; write the world again") from error


def load_truth(folder: Path) -> dict[str, Truth]:
    """The truth of each picture of a toy world, by id. Raises InputError as `load_world` does."""
    return load_world(folder).truth


def pixel_hash(picture: Image.Image) -> str:
    """sha256 of an RGB picture's size and pixels: the same for all its lossless encodings."""
    return hashlib.sha256(f"{picture.width}x{picture.height} ".encode() + picture.tobytes()).hexdigest()
