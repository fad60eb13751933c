"""The part of a profile about containers on this machine: which images to use, and how much each stage may use."""

from pydantic import BaseModel, ConfigDict

from components.images import image


class Limit(BaseModel):
    """What one container may use."""

    model_config = ConfigDict(extra="forbid")

    memory: str = "2g"
    cpus: float = 2.0
    shm: str = "256m"


class Containers(BaseModel):
    """The part of a profile about containers on this machine."""

    model_config = ConfigDict(extra="forbid")

    images: str = ""
    """Images to run instead of the pinned ones, such as localhost/globe-{name}:cpu; empty for the pinned ones."""
    limits: dict[str, Limit] = {}
    """Limits by stage; `server` is for vLLM, `default` for the rest."""

    def image(self, name: str) -> str:
        """The reference of an image by name."""
        return self.images.format(name=name) if self.images else image(name)

    def limit(self, stage: str) -> Limit:
        """The limits of a stage."""
        return self.limits.get(stage) or self.limits.get("default") or Limit()
