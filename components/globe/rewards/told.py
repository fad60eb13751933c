"""How GRPO's stage tells the trainer's processes whom to ask for localizability: by variables of their environment."""

import os
from functools import cache

from globe.rewards.localizability import Judge
from globe.rewards.service import RewardService
from globe.run.events import emit

STAGE = "grpo"
_URL, _MODEL, _KEY, _DIGEST = "GLOBE_REWARD_URL", "GLOBE_REWARD_MODEL", "GLOBE_REWARD_KEY", "GLOBE_REWARD_DIGEST"
_TIMEOUT_S, _PATIENCE_S = "GLOBE_REWARD_TIMEOUT_S", "GLOBE_REWARD_PATIENCE_S"


def environment_for(judge: Judge, timeout_s: float, patience_s: float) -> dict[str, str]:
    """The variables.

    Args:
        judge: Whom to ask.
        timeout_s: Longest wait for one answer.
        patience_s: Longest wait for a service that has gone away.
    """
    told = {_URL: judge.url, _MODEL: judge.model, _KEY: judge.key, _DIGEST: judge.digest}
    return told | {_TIMEOUT_S: str(timeout_s), _PATIENCE_S: str(patience_s)}


@cache
def service_told() -> RewardService:
    """The one client of this process, for the service that its environment names."""
    judge = Judge(os.environ[_URL], os.environ[_MODEL], key=os.environ[_KEY], digest=os.environ[_DIGEST])
    return RewardService(
        judge,
        timeout_s=float(os.environ[_TIMEOUT_S]),
        patience_s=float(os.environ[_PATIENCE_S]),
        tell=lambda text: emit(STAGE, "note", figure=text),
    )


def require_usable(judge: Judge, timeout_s: float) -> None:
    """Ask a service one real question, before anything is spent on a training that needs it. One that still starts passes.

    Raises:
        InputError: It cannot give scores; names what is needed.
        GlobeError: Another model is served there.
    """
    service = RewardService(judge, timeout_s=timeout_s)
    try:
        answers = service.prove()
    finally:
        service.close()
    if not answers:
        emit(STAGE, "note", figure=f"{judge.where} does not answer yet; it is waited for before the first step")
