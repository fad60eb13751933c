"""HTTP to a KFP API server as a CI job needs it: with time limits, retries where they help, and no token in any message.

kfp's own client is not used for this. It sets no time limits, takes a login page for an empty run (so that waiting never
ends), asks Google for a new token on any 401, turns a bad certificate into an AttributeError and writes to ~/.config.
`tests/unit/pipelines/remote/test_submit_conformance.py` compares the requests of the two.
"""

import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from globe.console import one_line
from globe.errors import GlobeError, InputError
from globe.keys import may_carry_secrets
from globe.redactor import Redactor
from pipelines.remote import LONGEST_LINE
from pipelines.remote.access import TOKEN_VARIABLE, Token

TRIES_OF_NONSENSE = 3
"""How often to try if the answer is not JSON: a gateway's hiccup passes, a wrong address does not."""
LOOK_S = 1.0
"""Pause between two checks whether something was done."""
LEAST_ANSWER_S = 1.0
"""Time that the last attempt gets for an answer, however little patience is left."""


class Refused(InputError):
    """The server refused the request (credentials, address, or what was asked for), so trying again is pointless."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NoAnswer(GlobeError):
    """No usable answer in the time allowed. The request may have had its effect; commands end with exit code 3."""


class Answer(BaseModel):
    """An answer of the API, or part of one: only the fields that are used here, their types checked."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


AnswerT = TypeVar("AnswerT", bound=Answer)


class Nothing(Answer):
    """An answer that only says that it was done."""


@dataclass(frozen=True)
class Limits:
    """How long to wait for what, in seconds."""

    connect_s: float = 10.0
    answer_s: float = 30.0
    """One answer, to its last byte."""
    settle_s: float = 15.0
    """How long the effect of an unanswered request may take to show: gateways give up before servers do."""
    patience_s: float = 300.0
    """How long a server may be silent before it counts as gone."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 15.0
    answer_bytes: int = 64 << 20


class _Trouble(Exception):
    """An attempt that may succeed when it is made again."""

    def __init__(self, reason: str, *, tries: int | None = None, pause_s: float = 0.0, done: bool = False) -> None:
        super().__init__(reason)
        self.tries = tries
        self.pause_s = pause_s
        self.done = done
        """The request may have had its effect, or may still have it."""


class Connection:
    """A KFP API server.

    Args:
        host: Its address, as `endpoint` returns it.
        token: The token to send.
        limits: How long to wait.
        redactor: Told of every token that is read.
        say: Called with a message when the server falls silent, and when it answers again.
        ca_file: Certificates to trust instead of the usual ones.

    Raises:
        InputError: `ca_file` holds no certificates, or the token would be sent in the clear.
    """

    def __init__(
        self,
        host: str,
        token: Token,
        *,
        limits: Limits,
        redactor: Redactor,
        say: Callable[[str], None],
        ca_file: Path | None = None,
    ) -> None:
        if token.given and not may_carry_secrets(host):
            raise InputError(
                f"--host {host}: the token from {token.origin} would go over plain http, and anybody on the way could read it; "
                "write https://..., or the address of a port-forward or of the Service in the cluster"
            )
        self.host = host
        self.limits = limits
        self._token = token
        self._redactor = redactor
        self._say = say
        self._answered = False
        self._silent = False
        try:
            trusted: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
        except OSError as error:  # ssl.SSLError is one
            raise InputError(f"--ca-file {ca_file}: {error.strerror or 'no certificates in it'}; give a PEM file") from None
        self._http = httpx.Client(base_url=host, verify=trusted, headers={"Accept": "application/json"}, follow_redirects=False)

    def get(self, path: str, answer: type[AnswerT], query: Mapping[str, str] | None = None, **how: Any) -> AnswerT:
        """Ask for something; see `call`."""
        return self.call("GET", path, answer, query=query, **how)

    def post(self, path: str, answer: type[AnswerT], body: Any = None, **how: Any) -> AnswerT:
        """Have something done; see `call`."""
        return self.call("POST", path, answer, body=body, **how)

    def call(
        self,
        method: str,
        path: str,
        answer: type[AnswerT],
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        file: Path | None = None,
        patience_s: float | None = None,
        already: Callable[[], AnswerT | None] | None = None,
    ) -> AnswerT:
        """Repeat a request until it is answered or refused, or until the patience is over.

        Args:
            method: HTTP method.
            path: Below the server's address.
            answer: Type of the answer.
            query: Query parameters.
            body: Sent as JSON.
            file: Sent as the form field `uploadfile`.
            patience_s: Seconds until a silent server counts as gone [from the limits].
            already: Called before a request is repeated, to check whether it had its effect and only the answer got lost.

        Returns:
            The answer.

        Raises:
            Refused: The server said no.
            NoAnswer: It sent no answer, or no usable one, for too long.
        """
        patience_s = self.limits.patience_s if patience_s is None else patience_s
        content = json.dumps(body, allow_nan=False).encode() if body is not None else None
        give_up, pause_s, tries = time.monotonic() + patience_s, self.limits.first_pause_s, 0
        # Not with stamina: what happens between attempts, and how many there are, depends on what went wrong.
        while True:
            answer_s = min(self.limits.answer_s, max(give_up - time.monotonic(), LEAST_ANSWER_S))
            try:
                made = self._attempt(method, path, answer, answer_s, query=query, content=content, file=file)
                self._report_answer()
                return made
            except _Trouble as trouble:
                tries += 1
                left_s = give_up - time.monotonic()
                reason = self._redactor.hide(one_line(str(trouble), LONGEST_LINE))
                if left_s <= 0 or tries == trouble.tries:
                    raise NoAnswer(f"no usable answer from {self.host}: {reason}") from None
                self._report_silence(reason, patience_s)
                time.sleep(min(max(pause_s, trouble.pause_s), left_s))
                pause_s = min(2 * pause_s, self.limits.longest_pause_s)
                settle_s = self.limits.settle_s if trouble.done else 0.0
            found = self._look(already, settle_s) if already else None
            if found is not None:
                return found

    @staticmethod
    def _look(already: Callable[[], AnswerT | None], settle_s: float) -> AnswerT | None:
        """The effect of a request that was not answered, if it had one nevertheless."""
        give_up = time.monotonic() + settle_s
        while (found := already()) is None and time.monotonic() < give_up:
            time.sleep(LOOK_S)
        return found

    def _report_silence(self, reason: str, patience_s: float) -> None:
        if not self._silent:
            self._say(f"{self.host}: {reason}; asking again for up to {patience_s:.0f} s")
        self._silent = True

    def _report_answer(self) -> None:
        if self._silent:
            self._say(f"{self.host} answers again")
        self._silent, self._answered = False, True

    def _attempt(self, method: str, path: str, answer: type[AnswerT], answer_s: float, **content: Any) -> AnswerT:
        reply = self._send(method, path, answer_s, **content)
        if reply.status_code == 401 and self._token.renewable:  # the token file may just have been renewed
            reply = self._send(method, path, answer_s, **content)
        self._check_status(reply)
        try:
            return answer.model_validate_json(reply.content)
        except ValidationError as error:
            raise self._nonsense(reply, error) from None

    def _send(
        self, method: str, path: str, answer_s: float, *, query: Any, content: bytes | None, file: Path | None
    ) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        token = self._token.read()
        if token:
            self._redactor.add(token, self._token.origin)
            headers["Authorization"] = f"Bearer {token}"
        files = {"uploadfile": (file.name, file.read_bytes(), "application/octet-stream")} if file else None
        timeout = httpx.Timeout(answer_s, connect=min(answer_s, self.limits.connect_s))
        deadline = time.monotonic() + answer_s
        received = bytearray()
        try:
            with self._http.stream(
                method, path, params=query, content=content, files=files, headers=headers, timeout=timeout
            ) as reply:
                for piece in reply.iter_bytes():
                    received += piece
                    if time.monotonic() > deadline:  # httpx's own limit restarts with each byte
                        raise _Trouble("its answer does not end", done=True)
                    if len(received) > self.limits.answer_bytes:
                        raise NoAnswer(f"no usable answer from {self.host}: more than {self.limits.answer_bytes} bytes of it")
                return httpx.Response(reply.status_code, headers=_kept(reply.headers), content=bytes(received))
        except httpx.RequestError as error:
            raise self._trouble(error) from None

    def _trouble(self, error: httpx.RequestError) -> Exception:
        """Decide what a request without an answer means: try again, or give up at once."""
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return Refused(
                    f"{self.host}: its certificate is not trusted ({cause.verify_message}); "
                    "name the authority's certificate with --ca-file"
                )
            if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
                return Refused(f"{self.host}: no TLS there; write --host as http://...")
            if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME and not self._answered:
                return Refused(f"{self.host}: no host of that name; check --host")
        if isinstance(error, httpx.UnsupportedProtocol | httpx.TooManyRedirects):
            return Refused(f"{self.host}: {error}")
        sent = not isinstance(error, httpx.ConnectTimeout | httpx.ConnectError)
        if isinstance(error, httpx.TimeoutException):
            return _Trouble("no connection" if isinstance(error, httpx.ConnectTimeout) else "no answer", done=sent)
        return _Trouble(str(error) or type(error).__name__, done=sent)

    def _check_status(self, reply: httpx.Response) -> None:
        """Accept a success; anything else is a passing problem or a refusal."""
        status = reply.status_code
        if 200 <= status < 300:
            return
        said = self._redactor.hide(one_line(_message(reply), LONGEST_LINE))
        if status in (408, 425, 429) or status >= 500:
            raise _Trouble(f"{status} {said}", pause_s=_retry_after_s(reply), done=status in (502, 504))
        if status == 401:
            how = f"the token from {self._token.origin} is refused" if self._token.read() else "it asks for a token"
            raise Refused(f"{self.host}: {how} (401 {said}); give one in {TOKEN_VARIABLE} or with --token-file", status)
        if status == 403:
            raise Refused(f"{self.host}: not allowed (403 {said}); check the token's rights and --namespace", status)
        if 300 <= status < 400:
            target = one_line(reply.headers.get("location", ""), 200).partition("?")[0]  # a query may hold a state or a code
            raise Refused(
                f"{self.host}: it redirects ({status} to {target}), probably to a login page; "
                f"check --host, and give a token in {TOKEN_VARIABLE} or with --token-file",
                status,
            )
        raise Refused(f"{self.host}: {status} {said}", status)

    def _nonsense(self, reply: httpx.Response, error: ValidationError) -> Exception:
        """Decide what a success with unexpected content means."""
        if _is_page(reply):
            return Refused(
                f"{self.host}: a web page instead of the API's answer, probably a login page; "
                f"check --host, and give a token in {TOKEN_VARIABLE} or with --token-file",
                reply.status_code,
            )
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        return _Trouble(
            f"not an answer of the KFP API: {field + ': ' if field else ''}{first['msg']}", tries=TRIES_OF_NONSENSE, done=True
        )


def _kept(headers: httpx.Headers) -> dict[str, str]:
    """The headers that we use; those that describe the transfer no longer apply."""
    return {name: headers[name] for name in ("content-type", "location", "retry-after") if name in headers}


def _causes(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _is_page(reply: httpx.Response) -> bool:
    kind = reply.headers.get("content-type", "")
    return "html" in kind or reply.content.lstrip()[:1] == b"<"


def _message(reply: httpx.Response) -> str:
    """What the server says went wrong."""
    try:
        content = json.loads(reply.content)
    except ValueError:
        return "(a web page)" if _is_page(reply) else reply.content[:2000].decode("utf-8", errors="replace")
    if isinstance(content, dict):
        for key in ("message", "error", "error_message"):
            if isinstance(content.get(key), str):
                return str(content[key])
    return ""


def _retry_after_s(reply: httpx.Response) -> float:
    """How long the server asks us to wait; a date is ignored."""
    try:
        return max(0.0, float(reply.headers.get("retry-after", 0)))
    except ValueError:
        return 0.0
