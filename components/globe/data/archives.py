"""Zips and tars, listed as a stream and read file by file: of neither is a whole list ever in memory.

Both kinds are untrusted. What is damaged, encrypted or lies about its size raises one of `DAMAGED`, and no more than `MAX_BYTES`
of a file are unpacked.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from globe.data.images import MAX_BYTES
from globe.data.index import File

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError)
"""Everything that zipfile and tarfile raise on damaged, encrypted or unknown content. NotImplementedError is a RuntimeError."""
DAMAGED += (OverflowError, IndexError, KeyError, MemoryError)  # type: ignore[assignment]

_BLOCK_BYTES = 256 * 1024
_MOST_PACKED = MAX_BYTES + MAX_BYTES // 100
"""Deflate makes what it can't shrink larger by less than this."""
_LONGEST_HEADER = 1024 * 1024
"""Of a tar's own headers; a name has at most a few thousand bytes."""
# APPNOTE.TXT, 4.3: of the directory's entries only the lengths of name, extra field and comment are read here.
_ENTRY, _ENTRY_MARK = struct.Struct("<4s24x3H12x"), b"PK\1\2"
_LOCAL = struct.Struct("<26x2H")
_END, _END_MARK = struct.Struct("<4s8x2LH"), b"PK\5\6"
_END64, _END64_MARK = struct.Struct("<4s36x2Q"), b"PK\6\6"
_LOCATOR, _LOCATOR_MARK = struct.Struct("<4sLQL"), b"PK\6\7"
_LONGEST_COMMENT = 2**16
_USUAL_EXTRA_BYTES = 256
"""Between a file's name and its bytes in a zip; more is read by one more request."""


class Readable(Protocol):
    """What is read of a zip in which a file's place is known."""

    def seek(self, offset: int, /) -> object:
        """Begin the next read elsewhere."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, as far as there are any."""


def zip_files(file: BinaryIO) -> Iterator[File]:
    """List the files of a zip.

    `zipfile` would keep its whole directory in memory. So the directory is cut here into pieces of whole entries, and each piece
    is read by `zipfile`, as the directory of a small zip of its own.

    Raises:
        zipfile.BadZipFile: Or another of `DAMAGED`: it is none, or damaged.
    """
    start, left, shift = _directory(file)
    file.seek(start)
    kept = b""
    while left or kept:
        block = file.read(min(left, _BLOCK_BYTES))
        left -= len(block)
        kept += block
        whole, count = _whole_entries(kept)
        if not whole:
            raise zipfile.BadZipFile("Truncated central directory")  # no entry is as long as a block
        with zipfile.ZipFile(_as_zip(kept[:whole], count)) as piece:
            for one in piece.infolist():
                if not one.is_dir():
                    at = one.header_offset + shift
                    yield File(one.filename, at, one.file_size, one.compress_size, one.CRC, one.compress_type, one.flag_bits)
        kept = kept[whole:]


def span_of(found: File) -> tuple[int, int]:
    """Where in a zip the bytes lie that `read_zipped` will ask for, and how many, as far as the zip's directory tells."""
    name = found.name.encode("utf-8", "surrogatepass")
    return max(0, found.at), _LOCAL.size + len(name) + _USUAL_EXTRA_BYTES + min(found.packed, _MOST_PACKED)


def read_zipped(file: Readable, found: File) -> bytes:
    """Unpack one file of a zip, cut just above `MAX_BYTES`.

    Raises:
        zipfile.BadZipFile: Or another of `DAMAGED`: it is damaged, encrypted, or packed in an unusual way.
    """
    if found.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Of bzip2 and LZMA, zipfile unpacks whole blocks, however little is asked for: a kilobyte becomes a gigabyte.
        raise zipfile.BadZipFile("neither stored nor deflated")
    file.seek(found.at)
    header = file.read(_LOCAL.size)
    before = sum(_LOCAL.unpack(header))
    region = header + file.read(before + min(found.packed, _MOST_PACKED))
    info = zipfile.ZipInfo(found.name)
    info.file_size, info.compress_size, info.CRC = found.size, found.packed, found.crc
    info.compress_type, info.flag_bits, info.header_offset = found.method, found.flags, 0
    # The zeros are where zipfile looks for another end of the directory, which a picture's last bytes must not be taken for.
    with zipfile.ZipFile(_as_zip(b"", 0, region + bytes(_LOCATOR.size))) as alone, alone.open(info) as content:
        return content.read(MAX_BYTES + 1)


def _as_zip(directory: bytes, count: int, before: bytes = b"") -> io.BytesIO:
    end = struct.pack("<4s4H2LH", _END_MARK, 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), len(before), 0)
    return io.BytesIO(before + directory + end)


def _directory(file: BinaryIO) -> tuple[int, int, int]:
    """Where a zip's directory begins, its length in bytes, and by how much places are shifted by what stands before the zip."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _LONGEST_COMMENT - _END.size - _LOCATOR.size - _END64.size))
    tail = file.read()
    at, is_end = _end_mark(tail)
    _, length, start, _ = _END.unpack_from(tail, at)
    end = size - len(tail) + at
    locator = at - _LOCATOR.size
    if locator >= 0 and tail.startswith(_LOCATOR_MARK, locator):
        _, disk, _, disks = _LOCATOR.unpack_from(tail, locator)
        if disk or disks > 1:
            raise zipfile.BadZipFile("zipfiles that span multiple disks are not supported")
        if locator >= _END64.size and tail.startswith(_END64_MARK, locator - _END64.size):
            _, length, start = _END64.unpack_from(tail, locator - _END64.size)
            end -= _LOCATOR.size + _END64.size
    if end - length < 0:
        raise zipfile.BadZipFile("Bad offset for central directory")
    shift = end - length - start
    if shift and not is_end:  # a zip that is cut short, whose last end mark is that of a zip that is stored in it
        raise zipfile.BadZipFile("it is cut short, or something stands before and after it")
    return end - length, length, shift


def _end_mark(tail: bytes) -> tuple[int, bool]:
    """Where in a zip's last bytes its end mark is, and whether with its comment it is their end."""
    at, last = len(tail), -1
    while (at := tail.rfind(_END_MARK, 0, at)) >= 0:
        if at + _END.size <= len(tail):
            if at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail):
                return at, True
            last = max(last, at)
    if last < 0:
        raise zipfile.BadZipFile("File is not a zip file")
    return last, False


def _whole_entries(directory: bytes) -> tuple[int, int]:
    """Bytes and number of the entries that are whole, at the beginning of a directory's piece."""
    at = count = 0
    while at + _ENTRY.size <= len(directory):
        mark, *lengths = _ENTRY.unpack_from(directory, at)
        if mark != _ENTRY_MARK:
            raise zipfile.BadZipFile("Bad magic number for central directory")
        after = at + _ENTRY.size + sum(lengths)
        if after > len(directory):
            break
        at, count = after, count + 1
    return at, count


class _Headers:
    """A tar as `tarfile` reads it, which takes a header's word for its length: no more is read than a header may have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def tar_files(file: BinaryIO) -> Iterator[File]:
    """List the files of a tar. Links are left out: they could name anything.

    Raises:
        tarfile.ReadError: Or another of `DAMAGED`: it is none, or damaged.
    """
    before = -1
    with tarfile.open(fileobj=_Headers(file), mode="r:") as tar:  # type: ignore[call-overload]
        while (one := tar.next()) is not None:
            tar.members.clear()  # which it would keep
            if one.offset_data <= before or one.size < 0:
                raise tarfile.ReadError("a header that leads back")  # and again to itself
            before = one.offset_data
            if one.isreg() and not one.issparse():
                yield File(one.name, one.offset_data, one.size)
        file.seek(tar.offset)
    block = file.read(tarfile.BLOCKSIZE)
    if not block or any(block):  # tarfile passes over this: what comes after it would be gone
        raise tarfile.ReadError("cut short, or damaged in the middle")


def read_from_tar(file: Readable, found: File) -> bytes:
    """Read one file of a tar, cut just above `MAX_BYTES`.

    Raises:
        EOFError: The tar ends before it does.
    """
    file.seek(found.at)
    size = min(found.size, MAX_BYTES + 1)
    data = file.read(size)
    if len(data) < size:
        raise EOFError(found.name)
    return data
