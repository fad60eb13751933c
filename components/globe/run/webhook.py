"""Tell a webhook that a run has ended: Slack's, or one that takes plain JSON (`globe.run.notice` describes both).

GLOBE_WEBHOOK_URL is the address. It is a secret, since whoever has it may write there, so it is never printed. Without it nothing
is sent. GLOBE_WEBHOOK_FORMAT is slack or json; left out, Slack's own hosts get slack, and all others json. GLOBE_RUN_PAGE is the
address of the KFP UI, for a link to the run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import stamina

from globe.console import one_line
from globe.errors import InputError
from globe.redactor import Redactor
from globe.run.cluster import WEBHOOK_VARIABLES
from globe.run.notice import as_json, as_slack, bounded, page_of
from globe.run.summary import RunSummary, State
from globe.web import Answer, Unanswered, ask, is_web_address, within

URL_VARIABLE, FORMAT_VARIABLE, PAGE_VARIABLE = WEBHOOK_VARIABLES
FORMATS = {"slack": as_slack, "json": as_json}
SLACK_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
ATTEMPTS = 4
PATIENCE_S = 90.0
"""How long a run's last task may take over it, whatever the other side does."""
LONGEST_PAUSE_S = 30.0
FIRST_PAUSE_S = 1.0
TOLD = "the webhook has been told"
"""Begins what `notify` says when it has."""


@dataclass(frozen=True)
class Webhook:
    """Where notices go. The address is not shown when this is printed."""

    url: str = field(repr=False)
    format: str
    page: str = ""
    """Address of the KFP UI; empty for none."""


class _Again(Exception):
    """Worth another attempt; holds nothing secret, for stamina logs it."""

    def __init__(self, reason: str, pause_s: float | None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class NotSent(Exception):
    """The notice did not arrive; says why, without the address."""


def webhook_of(environment: Mapping[str, str]) -> Webhook | None:
    """The webhook that an environment names; None if it names none.

    Raises:
        InputError: A variable is wrong; says which, without its value.
    """
    url, wanted, page = (environment.get(name, "").strip() for name in WEBHOOK_VARIABLES)
    if not url:
        return None
    if not is_web_address(url):
        raise InputError(f"{URL_VARIABLE}: no address that starts with http:// or https://; give the webhook's whole URL")
    if wanted and wanted not in FORMATS:
        raise InputError(f"{FORMAT_VARIABLE}: neither of {', '.join(FORMATS)}; leave it out to go by the webhook's host")
    if page and not is_web_address(page):
        raise InputError(f"{PAGE_VARIABLE}: no address that starts with http:// or https://; give that of the KFP UI")
    return Webhook(url, wanted or ("slack" if httpx2.URL(url).host in SLACK_HOSTS else "json"), page)


def notify(summary: RunSummary, environment: Mapping[str, str]) -> str:
    """Tell the webhook how a run ended. Never raises: the run has ended as it has, whoever hears of it.

    Args:
        summary: How it ended.
        environment: Environment variables of the process.

    Returns:
        One line that says what became of it; empty without a webhook.
    """
    try:
        webhook = webhook_of(environment)
        if not webhook:
            return ""
        send(webhook, summary, environment)
        return f"{TOLD} ({webhook.format})"
    except (InputError, NotSent) as error:
        return f"the webhook has not been told: {error}"
    except Exception as error:  # a bug here must not fail a run, and its text may hold anything
        return f"the webhook has not been told: {type(error).__name__}"


def send(webhook: Webhook, summary: RunSummary, environment: Mapping[str, str]) -> None:
    """Send a notice.

    Args:
        webhook: Where to.
        summary: The run's summary.
        environment: Where secrets are that the notice must not hold.

    Raises:
        NotSent: It was not accepted; says why.
    """
    hide, payload = _redactor(webhook, environment), payload_of(webhook, summary, environment)
    try:
        answer = within(PATIENCE_S, lambda: _post(webhook.url, payload))
    except (Unanswered, _Again) as error:
        raise NotSent(hide.hide(one_line(str(error)))) from None
    if not 200 <= answer.status < 300:
        raise NotSent(hide.hide(_refusal(answer)))


def payload_of(webhook: Webhook, summary: RunSummary, environment: Mapping[str, str]) -> dict[str, Any]:
    """What `send` sends."""
    hide = Redactor(environment)
    hide.add(webhook.url, URL_VARIABLE)  # not its parts: in .../hooks/training one is a word of the summary
    told = bounded(summary, hide)
    return FORMATS[webhook.format](told, page_of(told.run, webhook.page))


def made_up(state: State) -> RunSummary:
    """The summary of a run that never was, to try a webhook with."""
    return RunSummary(
        run="00000000-0000-0000-0000-000000000000",
        pipeline="GLOBE, a test",
        title=f"A test of the webhook: no run has {state}",
        state=state,
        verdict="reject" if state == "rejected" else "",
        reasons=() if state == "succeeded" else ("this is only a test",),
    )


def _redactor(webhook: Webhook, environment: Mapping[str, str]) -> Redactor:
    hide = Redactor(environment)
    path = httpx2.URL(webhook.url).raw_path.decode("ascii")
    for part in (webhook.url, path, *re.split(r"[/?&=]", path)):  # a server may repeat any of it
        hide.add(part, URL_VARIABLE)
    return hide


def _post(url: str, payload: dict[str, Any]) -> Answer:
    retries = stamina.retry_context(
        on=_pause_after, attempts=ATTEMPTS, timeout=PATIENCE_S, wait_initial=FIRST_PAUSE_S, wait_max=LONGEST_PAUSE_S
    )
    for attempt in retries:
        with attempt:
            try:
                answer = ask("POST", url, payload)
            except Unanswered as error:
                raise _Again(str(error), None) from None
            if answer.passes:
                raise _Again(_refusal(answer), answer.retry_after_s)
    return answer


def _pause_after(error: Exception) -> bool | float:
    """Whether to try again: not at all, after stamina's own pause, or after as many seconds as the server wants."""
    if not isinstance(error, _Again):
        return False
    if error.pause_s is None:
        return True
    return error.pause_s if error.pause_s <= LONGEST_PAUSE_S else False


def _refusal(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"it answered {answer.status}, another address; give the final one"
    return f"it answered {answer.status}: {one_line(answer.text)[:200]}".removesuffix(": ")
