"""The two parts of a vision-language model, their sizes and how many parameters these make."""

from dataclasses import dataclass

QWEN, INTERNVL = "qwen2_5_vl", "internvl"
COLOURS = 3


@dataclass(frozen=True)
class TextShape:
    """The language model, a Qwen2."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    """Whether the output layer is the input embedding."""

    @property
    def head_width(self) -> int:
        """Width of an attention head."""
        return self.hidden // self.heads

    @property
    def kv_width(self) -> int:
        """Width of the keys, and of the values, of one token and layer."""
        return self.kv_heads * self.head_width

    @property
    def embedding(self) -> int:
        """Parameters of the embedding; the output layer has as many."""
        return self.vocabulary * self.hidden

    @property
    def layer(self) -> int:
        """Parameters of one layer."""
        attention = 2 * self.hidden * self.hidden + self.hidden + 2 * (self.hidden + 1) * self.kv_width
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def parameters(self) -> int:
        """All its parameters, the output layer included."""
        return self.embedding * (1 if self.tied else 2) + self.layers * self.layer + self.hidden

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA on all its linear layers but the output."""
        attention = 2 * (2 * self.hidden) + 2 * (self.hidden + self.kv_width)
        return rank * self.layers * (attention + 3 * (self.hidden + self.intermediate))


@dataclass(frozen=True)
class VisionShape:
    """The vision tower, and the layers that join it to the language model."""

    architecture: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    patch: int
    """Pixels along a patch's edge."""
    merge: int
    """Patches along the edge of what becomes one token."""
    frames: int
    """Pictures that a patch spans: Qwen's also takes videos, and sees a photo twice."""
    tile: int = 0
    """Pixels along the edge of a tile; 0 where pictures are not cut into tiles."""
    qkv_bias: bool = True

    @property
    def pixels_a_token(self) -> int:
        """Pixels that become one token."""
        return (self.patch * self.merge) ** 2

    @property
    def layer(self) -> int:
        """Parameters of one layer."""
        attention = 4 * self.hidden * self.hidden + (4 if self.qkv_bias else 1) * self.hidden
        if self.architecture == INTERNVL:  # two layer norms with biases, two layer scales, an MLP without gate
            return attention + 6 * self.hidden + 2 * self.hidden * self.intermediate + self.intermediate + self.hidden
        return attention + 2 * self.hidden + 3 * self.hidden * self.intermediate + 2 * self.intermediate + self.hidden

    @property
    def tower(self) -> int:
        """Parameters of the vision tower."""
        patch = COLOURS * self.frames * self.patch**2 * self.hidden
        if self.architecture == INTERNVL:  # a bias, the class token, and a position for each patch and for that token
            patch += self.hidden * (3 + (self.tile // self.patch) ** 2)
        return patch + self.layers * self.layer

    def adapters(self, rank: int, text: int) -> int:
        """Parameters of LoRA on all its linear layers and those that join it to a language model of a hidden size."""
        merged = self.hidden * self.merge**2
        if self.architecture == INTERNVL:
            layer, joining = 8 * self.hidden + 2 * (self.hidden + self.intermediate), merged + 3 * text
        else:
            layer, joining = 6 * self.hidden + 3 * (self.hidden + self.intermediate), 3 * merged + text
        return rank * (self.layers * layer + joining)

    def aligner(self, text: int) -> int:
        """Parameters of the layers that join it to a language model of a hidden size."""
        merged = self.hidden * self.merge**2
        if self.architecture == INTERNVL:
            return 2 * merged + (merged + 1) * text + (text + 1) * text
        return self.hidden + (merged + 1) * merged + (merged + 1) * text
