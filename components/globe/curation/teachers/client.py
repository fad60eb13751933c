"""Asking one teacher over HTTP: bounded, repeated, and believing nothing that is not its own answer."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import stamina
from pydantic_core import from_json, to_json

from globe.console import tell
from globe.curation.recipe import Asking
from globe.curation.teachers.health import Tally, fallen_silent
from globe.curation.teachers.questions import Question
from globe.curation.teachers.replicas import Replica, Replicas, Silence
from globe.curation.teachers.replies import MalformedReply, NoReply, Record
from globe.curation.teachers.roster import Roster, models_listed
from globe.curation.teachers.teacher import Teacher
from globe.keys import TEACHER_KEY, THIS_MACHINE, key_for
from globe.printable import one_line
from globe.retry_after import retry_after_s

MAX_BODY_BYTES = 512 * 1024
MAX_ERROR_BYTES = 16 * 1024
MAX_DETAIL_CHARS = 200
BUSY_S = 1.0
"""How long a server is left alone that has too much to do and doesn't say how long."""
LIST_TIMEOUT_S = 10.0
"""For a server's list of models."""
MAX_LIST_BYTES = 8 * 1024 * 1024
"""For such a list: those of hosted services describe hundreds of models, and are longer than any reply."""
LIST_ATTEMPTS = 3
"""How often a server that answers is asked for its list while it says that it cannot send it now."""
_ABOUT_THE_QUESTION = (400, 413, 422, 501)
"""Statuses that find fault with what is asked; they say nothing about the server's health."""
IMPATIENT_S = 0.5
"""For the list of a server in `_IN_VAIN`."""
_IN_VAIN: set[str] = set()
"""Servers for whose lists it was waited in vain: each part of a source asks anew, and may not wait as long again."""
_NOT_NOW = (408, 425, 429, 500, 502, 503, 504)
_FORMAT = re.compile(r"response_format|json_schema|structured|guided|grammar", re.IGNORECASE)


class Refused(Exception):
    """The server answered with a status other than 200."""

    def __init__(self, status: int, told: str, wait_s: float | None) -> None:
        """Tell which.

        Args:
            status: The status.
            told: What the server says about it; may be empty.
            wait_s: How long it asks to be left alone.
        """
        super().__init__(f"HTTP status {status}{f': {told}' if told else ''}")
        self.status = status
        self.told = told
        self.wait_s = wait_s


@dataclass
class _Attempts:
    """How often a question was sent, and what came of it."""

    calls: int = 0
    malformed: int = 0
    timeouts: int = 0
    replica: Replica | None = None


class TeacherClient:
    """Asks one teacher with bounded concurrency, a time limit for each call, and retries.

    Use as an async context manager.

    Args:
        teacher: Whom to ask.
        recipe: How.
        roster: Who else is asked.

    Attributes:
        teacher: Whom it asks.
        tally: How it went so far.
    """

    def __init__(self, teacher: Teacher, recipe: Asking, roster: Roster | None = None) -> None:
        self.teacher = teacher
        self.tally = Tally()
        self._recipe = recipe
        self._roster = roster or Roster([teacher])

    async def __aenter__(self) -> TeacherClient:
        replicas = [Replica(url, self._session(url)) for url in self.teacher.urls]
        self._replicas = Replicas(replicas, self._recipe.concurrency, self._recipe.patience_s)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for replica in self._replicas.all:
            await replica.session.close()

    def _session(self, url: str) -> aiohttp.ClientSession:
        # Plain HTTP instead of the OpenAI client: a reply's size must be limited while it is read, only `replies` may parse
        # it, and that client takes more time than the rest of curation put together.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._recipe.concurrency),
            timeout=aiohttp.ClientTimeout(total=None),  # each call is limited as a whole
            headers={"Authorization": f"Bearer {key_for(url, TEACHER_KEY) or 'none'}", "Accept-Encoding": "identity"},
            trust_env=urlsplit(url).hostname not in THIS_MACHINE,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def ask(self, question: Question, last: bool = True, again: bool = False) -> Record:
        """Ask a question; whatever the teacher does, it becomes a record.

        Args:
            question: What to ask.
            last: Whether a malformed reply counts as the teacher's answer; else it is a failure, which is asked again.
            again: Whether it was asked before, in vain.

        Returns:
            The outcome: a parsed reply, or why all attempts failed.

        Raises:
            InputError: The reply is not from a model of this teacher's own.
            GlobeError: The teacher has fallen silent.
        """
        made = _Attempts()
        self.tally.asked += 1
        try:
            fields = {"status": "ok", **await self._ask_until_answered(question, made)}
            self.tally.ok += 1
        except Silence:
            raise fallen_silent(self.teacher, self.tally, self._recipe) from None
        except Exception as error:
            status, detail = self._describe(error)
            fields = {"status": "failed" if status == "malformed" and not last else status, "detail": detail}
            self.tally.failures += 1
            self.tally.again += again
            self.tally.last_failure = detail
        self.tally.retries += made.calls - 1
        if fields["status"] == "ok" and made.replica is not None:
            fields["served"] = await self._check_served(made.replica, fields.get("served", ""))
        several = len(self.teacher.urls) > 1
        return Record(
            id=question.row_id,
            teacher=self.teacher.model,
            key=question.key,
            attempts=made.calls,
            malformed=made.malformed,
            timeouts=made.timeouts,
            replica=made.replica.url if several and made.replica else "",
            **fields,
        )

    async def meet(self) -> None:
        """Ask the teacher's servers what they serve. One that does not say so now is asked when it has answered a question.

        Raises:
            InputError: One does not serve the teacher, or another teacher's model under two names.
        """
        async with asyncio.TaskGroup() as group:
            for replica in self._replicas.all:
                group.create_task(self._meet(replica))

    async def _meet(self, replica: Replica, answers: bool = False) -> None:
        """Ask one server what it serves, unless that is known; one that `answers` and sends no list has none.

        What says so before is no proof: it may be the page of a proxy, while the server itself is yet to come.
        """
        async with replica.meeting:
            if replica.met:
                return
            listed, why = await self._list(replica, answers)
            models = models_listed(listed)
            if models or answers:
                self._roster.check_list(self.teacher, replica.url, models, why)
                replica.met = True

    async def _list(self, replica: Replica, answers: bool) -> tuple[bytes, str]:
        """A server's list of models as it sends it, or why it sends none; one that `answers` may send it a little later."""
        patient = replica.url not in _IN_VAIN
        limit_s, attempts = (LIST_TIMEOUT_S, LIST_ATTEMPTS if answers else 1) if patient else (IMPATIENT_S, 1)
        while True:
            attempts -= 1
            try:
                async with asyncio.timeout(limit_s):
                    return await self._send(replica, "/models", None, MAX_LIST_BYTES), ""
            except Refused as error:
                if not attempts or error.status not in _NOT_NOW:
                    _IN_VAIN.update([replica.url] if answers and error.status in _NOT_NOW else [])
                    return b"", str(error)
                wait_s = BUSY_S if error.wait_s is None else error.wait_s
            except TimeoutError:
                _IN_VAIN.add(replica.url)
                return b"", f"no answer within {limit_s:g} s"
            except (NoReply, aiohttp.ClientError, OSError) as error:
                return b"", one_line(str(error), MAX_DETAIL_CHARS) or type(error).__name__
            await asyncio.sleep(min(wait_s, LIST_TIMEOUT_S))

    async def _check_served(self, replica: Replica, told: str) -> str:
        """Check who has replied, before the reply is kept: the model's name if it is another than the teacher's, else ""."""
        served = "" if told == self.teacher.model else told
        self._roster.check_reply(self.teacher, replica.url, served)
        if not replica.met:
            await self._meet(replica, answers=True)
        return served

    async def _ask_until_answered(self, question: Question, made: _Attempts) -> dict[str, Any]:
        try:
            return await self._attempt(question, made)
        except Exception as error:
            failure = error
        # Only now, as preparing to ask again costs a good part of a call's processor time. Its first attempt is the one above.
        async for attempt in stamina.retry_context(
            on=self._may_do_better,
            attempts=self._recipe.retries + 1,
            timeout=None,
            wait_initial=0.1,
            wait_jitter=0.1,
            wait_max=10.0,
        ):
            with attempt:
                if attempt.num == 1:
                    raise failure
                return await self._attempt(question, made)
        raise AssertionError("unreachable: the last attempt raises")

    async def _attempt(self, question: Question, made: _Attempts) -> dict[str, Any]:
        """Send a question to one server; to another, or later, where one asks to be left alone."""
        while True:
            replica = await self._replicas.take()
            made.calls += 1
            outcome: Any = "neither"
            try:
                async with asyncio.timeout(self._recipe.timeout_s):
                    fields = await self._call(replica, question, made)
                outcome = "answered"
                made.replica = replica
                return fields
            except Refused as error:
                self.tally.last_failure = self._describe(error)[1]
                wait_s = BUSY_S if error.status == 429 and error.wait_s is None else error.wait_s
                if error.status in (429, 503) and wait_s is not None:
                    self._replicas.leave_alone(replica, wait_s)
                    continue  # this is no failed attempt: how long it goes on is limited by the patience
                outcome = "neither" if error.status in _ABOUT_THE_QUESTION else "failed"
                raise
            except MalformedReply:
                outcome = "answered"
                made.replica = replica
                made.malformed += 1
                raise
            except Exception as error:
                outcome = "failed"
                made.timeouts += isinstance(error, TimeoutError)
                self.tally.last_failure = self._describe(error)[1]
                raise
            finally:
                self._replicas.give_back(replica, outcome)

    async def _call(self, replica: Replica, question: Question, made: _Attempts) -> dict[str, Any]:
        """Ask with the optional part of a question; without it where a server refuses that, and then from then on."""
        if question.optional and replica.takes_optional is not False:
            try:
                fields = question.read(await self._send(replica, question.path, {**(question.body or {}), **question.optional}))
                replica.takes_optional = True
                return fields
            except Refused as error:
                unproven = replica.takes_optional is None
                if error.status not in _ABOUT_THE_QUESTION or not (unproven or _FORMAT.search(error.told)):
                    raise
                made.calls += 1
            body = await self._send(replica, question.path, question.body)
            if replica.takes_optional is not False:
                replica.takes_optional = False
                tell(f"{replica.url} takes no {', '.join(question.optional)}: it is asked without, and its replies are parsed")
            return question.read(body)
        return question.read(await self._send(replica, question.path, question.body))

    async def _send(self, replica: Replica, path: str, body: Any, most_bytes: int = MAX_BODY_BYTES) -> bytes:
        """Return the response's body, at most so many bytes; a compressed one is refused, as it could unpack to any size."""
        method, data = ("GET", None) if body is None else ("POST", to_json(body))
        headers = {"Content-Type": "application/json"}
        # A redirect would send pictures to a host that the user did not name.
        async with replica.session.request(
            method, replica.url + path, data=data, headers=headers, allow_redirects=False
        ) as response:
            if response.status != 200:
                told = _told(await _read(response, MAX_ERROR_BYTES), key_for(replica.url, TEACHER_KEY))
                raise Refused(response.status, told, retry_after_s(response.headers.get("Retry-After", "")))
            packing = response.headers.get("Content-Encoding", "identity")
            if packing.lower() != "identity":
                raise NoReply(f"a response compressed with {packing[:20]!r}, which was not asked for")
            if response.content_type == "text/html":
                raise NoReply("an HTML page, as a proxy or a login sends it")
            content = await _read(response, most_bytes + 1)
            if len(content) > most_bytes:
                raise NoReply(f"a response of over {most_bytes} bytes")
            return content

    def _may_do_better(self, error: Exception) -> bool:
        """Tell whether asking again may help."""
        if isinstance(error, Refused):
            elsewhere = len(self.teacher.urls) > 1 and error.status not in _ABOUT_THE_QUESTION
            return (error.status >= 500 and error.status != 501) or error.status in (408, 409, 425) or elsewhere
        return isinstance(error, MalformedReply | NoReply | aiohttp.ClientError | OSError)  # a TimeoutError is an OSError

    def _describe(self, error: Exception) -> tuple[str, str]:
        """Status and one line about a failure."""
        if isinstance(error, MalformedReply):
            return "malformed", str(error)[:MAX_DETAIL_CHARS]
        if isinstance(error, TimeoutError):
            return "timeout", f"no reply within the recipe's timeout_s={self._recipe.timeout_s:g}"
        return "failed", (one_line(str(error)) or type(error).__name__)[:MAX_DETAIL_CHARS]


async def _read(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The beginning of a response's body."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) >= most_bytes:
            break
    return bytes(content[:most_bytes])


def _told(body: bytes, key: str) -> str:
    """What an OpenAI-compatible server says about an error; nothing of pages that others send, and no key."""
    try:
        told = from_json(body)
        error = told.get("error", told)
        message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        return ""
    return one_line(message.replace(key or "\0", "***"), MAX_DETAIL_CHARS) if isinstance(message, str) else ""
