"""Whose fault a failure is: the user's, the machine's, or nobody foresaw it."""

import errno
import os
import subprocess
import sys

import pytest

from globe.errors import GlobeError, InputError, cannot_write, fault_of, first_error


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, GlobeError), (errno.EDQUOT, GlobeError), (errno.EROFS, InputError), (errno.EACCES, InputError)],
)
def test_running_out_of_room_is_no_bad_input(number, kind):
    told = cannot_write("/x", OSError(number, os.strerror(number)))
    assert type(told) is kind
    assert str(told).startswith("/x: ")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (InputError("row 3: no city"), "input"),
        (GlobeError("the server has ended"), "failure"),
        (OSError(errno.ENOSPC, "No space left on device"), "failure"),
        (MemoryError(), "bug"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "bug"),
        (KeyError("city"), "bug"),
    ],
)
def test_a_full_disk_is_no_bug_and_what_nobody_foresaw_is_one(error, fault):
    assert fault_of(error) == fault


def test_an_error_without_a_text_still_names_the_path_and_says_what_to_do():
    told = cannot_write("/x", OSError("odd"))
    assert str(told) == "/x: cannot be written (odd); give a folder of your own"


def test_the_first_error_of_a_group_is_found_however_deep_it_lies():
    first = GlobeError("the first")
    assert first_error(ExceptionGroup("", [ExceptionGroup("", [first, ValueError()]), KeyError()])) is first
    assert first_error(first) is first


def test_what_an_error_quotes_acts_nowhere_not_even_in_a_traceback():
    code = "from globe.errors import InputError; raise InputError('photo \\x1b]52;c;aGFja2Vk\\x07.png\\n\\u202e: not a picture')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env={"PYTHONPATH": ":".join(sys.path)}, timeout=60)
    last = done.stderr.decode().splitlines()[-1]
    assert last == "globe.errors.InputError: photo .png  : not a picture"
    assert str(InputError("größe 東京")) == "größe 東京"
