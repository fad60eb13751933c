"""The photo in a request: the body itself, or the one file of a form. It stays in memory: nothing is written to a disk."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from globe.gateway.refused import Refused

FIELD = "image"
FORM = "multipart/form-data"
PICTURES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
"""Kinds of body that are taken for a photo; what it really is, its first bytes say."""
MAX_BOUNDARY_CHARS = 70
"""Of a form (RFC 2046, 5.1.1)."""


class _InMemory(MultiPartParser):
    spool_max_size = 2**40  # never a temporary file


async def uploaded(request: Request) -> bytes:
    """The photo that a client sends, in a body that `globe.gateway.bodies` has bounded.

    Raises:
        Refused: 400 (no photo, or a form without one), 403 (a page of another site sends it), 415 (another kind of body).
    """
    if request.headers.get("sec-fetch-site") == "cross-site":  # it could not read the answer, only let the model work
        raise Refused(403, "a page of another site may not ask here", "cross_site")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (FORM, *PICTURES):
        how = f"send the photo as the body, with Content-Type {', '.join(PICTURES)}, or as {FORM} with a file named {FIELD}"
        raise Refused(415, how, "wrong_content_type")
    photo = await _of_form(request) if kind == FORM else await request.body()
    if not photo:
        raise Refused(400, "the photo is empty", "no_photo", param=FIELD if kind == FORM else "")
    return photo


async def _of_form(request: Request) -> bytes:
    if len(request.headers["content-type"]) > len(FORM) + MAX_BOUNDARY_CHARS + 40:
        raise Refused(400, "this form's boundary is too long", "bad_form")
    try:
        form = await _InMemory(request.headers, request.stream(), max_files=1, max_fields=0).parse()
    except MultiPartException:
        why = f"a form has one file, named {FIELD}, and nothing else here; n and the like stand in the address, as in /locate?n=5"
        raise Refused(400, why, "bad_form", param=FIELD) from None
    photo = form.get(FIELD)
    if not isinstance(photo, UploadFile):
        raise Refused(400, f"the form has no file named {FIELD}", "no_photo", param=FIELD)
    return await photo.read()
