"""HEIC files as a phone writes them, put together from their boxes: there is no free encoder among the project's packages."""

import base64
import re
import struct

WIDTH_PX, HEIGHT_PX = 64, 48
QUARTERS = ((220, 30, 30), (30, 200, 40), (40, 60, 210), (240, 240, 240))
"""Colours of the picture below: above left, above right, below left, below right."""
_HEVC = base64.b64decode(
    "AAAAAUABDAH//wQIAAADAJ+oAAADAAAeugJAAAAAAUIBAQQIAAADAJ+oAAADAAAeoCCDFlurkyubgQECggAAAwACAAADAAIQAAAA"
    "AUQBwXGBEgAAASgBrwR4PIYv8Gp//7TlYfSfLfxRYU1CzuyE02CYvKTYQQlNbjkbJfYCp1lblRmf9VlntN/yU0r+zU1/VG7/ztxo"
    "LYZvqiwmHcmwDs3fl8bG/rIbYn5sr8lkLuRt/dDhShsWDbK8xKtT1ezzF7XE2hDF3PWAD+zBQFTVvOrfkuZu3Ywsj/ORnNCcAAkB"
    "AcaI1tcnaoZqFjllWm3NBoA="
)
"""One key frame of those colours, by x265 with qp=12 and repeat-headers=1."""


def heic(exif: bytes = b"", quarter_turns: int = 0, said_size: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)) -> bytes:
    """A HEIC file.

    Args:
        exif: EXIF data from its TIFF head on.
        quarter_turns: How often a reader is to turn the picture to the left.
        said_size: Width and height that it claims to have, true or not.
    """
    units = [unit for unit in re.split(rb"\x00{2,3}\x01", _HEVC) if unit]
    parameters = [unit for unit in units if unit[0] >> 1 in (32, 33, 34)]
    picture = b"".join(struct.pack(">I", len(unit)) + unit for unit in units if unit[0] >> 1 < 32)
    content = [picture, struct.pack(">I", 0) + exif]
    head = _box("ftyp", b"heic\0\0\0\0mif1heic")
    length = len(_meta(parameters, quarter_turns, said_size, content, 0))
    meta = _meta(parameters, quarter_turns, said_size, content, len(head) + length + 8)
    return head + meta + _box("mdat", *content)


def _box(kind: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind.encode() + body


def _full(kind: str, version: int, *content: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24), *content)


def _meta(parameters: list[bytes], quarter_turns: int, said_size: tuple[int, int], content: list[bytes], start: int) -> bytes:
    items = [struct.pack(">HH", number, 0) + kind + b"\0" for number, kind in ((1, b"hvc1"), (2, b"Exif"))]
    places = b""
    for number, one in enumerate(content, start=1):
        places += struct.pack(">HHHII", number, 0, 1, start, len(one))
        start += len(one)
    properties = [_box("hvcC", _decoder(parameters)), _full("ispe", 0, struct.pack(">II", *said_size))]
    properties += [_box("irot", bytes([quarter_turns]))] if quarter_turns else []
    associated = bytes(number | 0x80 for number in range(1, len(properties) + 1))
    return _full(
        "meta",
        0,
        _full("hdlr", 0, bytes(4) + b"pict" + bytes(13)),
        _full("pitm", 0, struct.pack(">H", 1)),
        _full("iloc", 0, struct.pack(">HH", 0x4400, len(content)), places),
        _full("iinf", 0, struct.pack(">H", len(items)), *(_full("infe", 2, item) for item in items)),
        _full("iref", 0, _box("cdsc", struct.pack(">HHH", 2, 1, 1))),
        _box("iprp", _box("ipco", *properties), _full("ipma", 0, struct.pack(">IHB", 1, 1, len(properties)), associated)),
    )


def _decoder(parameters: list[bytes]) -> bytes:
    """The decoder's configuration (ISO/IEC 14496-15, 8.3.3): 8 bits, 4:2:0, main profile, and the parameter sets."""
    head = struct.pack(
        ">BBIHIBHBBBBHBB", 1, 1, 0x60000000, 0x9000, 0, 30, 0xF000, 0xFC, 0xFD, 0xF8, 0xF8, 0, 0x0F, len(parameters)
    )
    return head + b"".join(struct.pack(">BHH", 0x80 | unit[0] >> 1, 1, len(unit)) + unit for unit in parameters)
