"""Stages promote and reject: what follows the gate's verdict. And which model is promoted, for whoever compares with it."""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe import storage
from globe.asking.recipe import DECODING
from globe.errors import GlobeError, InputError
from globe.evaluation.radius_file import publish_radius
from globe.evaluation.titles import POLICY, PROMOTED
from globe.files import json_text
from globe.models.checkpoints import MANIFEST_FILE, RADIUS_FILE, Checkpoint, read_checkpoint
from globe.run.events import emit, fail
from globe.run.stage import StageResult, load_result
from globe.signing import KEY_VARIABLE, Unsigned, is_signing, require_signed, signed

PROMOTED_FILE = "promoted.json"
PLACE = "promoted"
"""What promoted.json is signed for."""
UNKNOWN = "unknown"
EVALUATIONS = ("evaluation", "baselines")
"""Stages whose results hold models' predictions and figures."""
ASKED = (*DECODING, "reasoning")
"""How a model is asked, apart from its prompt, which may be its own."""


@dataclass(frozen=True)
class Promoted:
    """The model that a store names as the promoted one."""

    digest: str
    """Its checkpoint's; "unknown" if an earlier version did not write it down."""
    uri: str
    manifest: str
    """Where its weights and its manifest are on this machine."""
    evaluation_folder: Path
    evaluation: StageResult | None
    """The evaluation that earned it; None if that is gone, or this run signs and did not sign it."""

    @property
    def short(self) -> str:
        """What a message calls it."""
        return f"sha256 {self.digest[:12]}"

    @property
    def address(self) -> str:
        """Where anybody finds it: its address on S3, if the store is there."""
        return storage.stored_at(self.uri)

    def unknown(self, test: str, n: int, settings: Mapping[str, Any]) -> str:
        """Why its evaluation does not say how good it is where a model is asked like this, in words; empty if it does.

        Args:
            test: Digest of the dataset; empty if unknown.
            n: How many of its pictures the model is asked about.
            settings: How.
        """
        theirs = self.evaluation.inputs.get("test", "") if self.evaluation else ""
        if self.evaluation is None or (theirs and test and theirs != test):
            return "has no evaluation on these pictures"
        count = self.evaluation.outcome.figures.get(POLICY, {}).get("n", n)
        otherwise = asked_otherwise(self.evaluation.settings, settings)
        return f"was asked about {count} of these pictures" if count != n else otherwise and f"was asked otherwise ({otherwise})"

    def checkpoint(self) -> Checkpoint:
        """The checkpoint with its weights, fetched if they are on S3.

        Raises:
            GlobeError: It is gone, or not the one that was promoted.
        """
        storage.fetch(self.manifest)
        found = self.require_manifest()
        _ = found.path
        return found

    def require_manifest(self) -> Checkpoint:
        """The checkpoint by its manifest alone, which is on this machine.

        Raises:
            GlobeError: It is gone, or not the one that was promoted.
        """
        found = read_checkpoint(Path(self.manifest))
        if found.digest != self.digest:
            raise GlobeError(f"{self.manifest}: not the model that was promoted ({self.short}) but sha256 {found.digest[:12]}")
        return found


def read_promoted(store: Path) -> Promoted | None:
    """The promoted model of a store; None if nothing has been promoted yet.

    Raises:
        InputError: promoted.json is damaged, is not signed where this run signs, or names another model than its evaluation does.
    """
    path = store / PROMOTED_FILE
    content = _read(path)
    if content is None:
        return None
    try:
        require_signed(content, PLACE, path)
    except Unsigned as error:
        sign = f"globe sign {storage.stored_at(store)}"
        raise InputError(f"{error}; if that model is the promoted one: {sign} (else remove {PROMOTED_FILE})") from None
    return _promoted(content, store)


def sign_promoted(store: Path) -> Promoted:
    """Sign promoted.json as it is, for whoever begins to sign, has a new key, or knows that what was changed there is right.

    With it the two results that it names, as far as they are there: the model's evaluation and the model itself. Else no run
    could ask the promoted model or compare with it, and the next one to make it anew would take its weights away.

    Raises:
        InputError: There is none, it is damaged, or this process has no key.
        GlobeError: What it names is not the model of this digest, or was changed.
    """
    content = _read(store / PROMOTED_FILE)
    if content is None:
        raise InputError(f"{storage.stored_at(store / PROMOTED_FILE)}: nothing has been promoted in this store")
    found, kept = _promoted(content, store), signed(content, PLACE)
    _require_key()
    manifest = Path(found.manifest)
    with suppress(FileNotFoundError):
        sign_result(found.evaluation_folder)
        found = _promoted(content, store)  # which checks whose evaluation it is
    if found.digest != UNKNOWN and manifest.is_relative_to(store) and storage.exists(manifest):
        storage.fetch(manifest, lambda names: [name for name in names if name.endswith(MANIFEST_FILE)])
        found.require_manifest()
        with suppress(FileNotFoundError):
            sign_result(store / Path(*manifest.relative_to(store).parts[:2]))
    storage.write_text(store / PROMOTED_FILE, json_text(kept))
    return found


def sign_result(folder: Path) -> None:
    """Sign a finished stage's result as it is.

    Raises:
        FileNotFoundError: There is none.
        InputError: This process has no key.
        GlobeError: It is damaged, or was changed.
    """
    _require_key()
    storage.sign(folder, [path.relative_to(folder).as_posix() for path in folder.rglob(RADIUS_FILE)])


def _require_key() -> None:
    if not is_signing():
        raise InputError(f"{KEY_VARIABLE} is not set: give the key that the store's runs sign with")


def _read(path: Path) -> dict[str, Any] | None:
    if not storage.exists(path):
        return None
    try:
        return dict(json.loads(storage.read_text(path)))
    except (ValueError, TypeError, RecursionError):
        raise _damaged(path) from None


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: damaged, it does not name a promoted model; remove it, and promote the model again")


def _promoted(content: Mapping[str, Any], store: Path) -> Promoted:
    path = store / PROMOTED_FILE
    try:
        recorded = Path(content["evaluation"])
        uri = str(content.get("uri", ""))
        manifest = str(content.get("manifest", uri))
        digest = str(content.get("digest") or UNKNOWN)
    except (KeyError, TypeError):
        raise _damaged(path) from None
    # Earlier versions wrote an absolute path; but the evaluation of a promoted model is always in the same store.
    folder = store / Path(*recorded.parts[-2:])
    evaluation = None
    with suppress(FileNotFoundError, Unsigned):
        evaluation = load_result(folder)
    if evaluation and digest != UNKNOWN:
        _require_of(evaluation, digest, path)
    uri, manifest = (str(storage.located(place, store)) if place else "" for place in (uri, manifest))
    return Promoted(digest, uri, manifest, folder, evaluation)


def promote(
    *,
    policy: Checkpoint,
    evaluation: StageResult,
    store: Path,
    instead_of: str | None = None,
    serve: Callable[..., str] | None = None,
) -> Path:
    """Name a checkpoint as the promoted one, and have it served if that is wanted.

    Args:
        policy: The checkpoint.
        evaluation: The evaluation that earned it.
        store: Where stages keep their results.
        instead_of: Digest of the model that the gate compared it with, empty if none was promoted. If another one was promoted
            meanwhile, that stays; None replaces whichever there is.
        serve: Moves a served model's name to the checkpoint once it is the promoted one, and says what is served then. It is
            given `still`, which raises once another model has been promoted, whose run then moves the name. The same stage again
            tries again.

    Returns:
        The file that names it; written atomically, so a reader sees the old name or the new one. Its paths are relative to
        the store.

    Raises:
        GlobeError: Another model has been promoted since the gate's verdict, the checkpoint is not whole, the evaluation is
            another model's, or the checkpoint is promoted but not served.
    """
    path = store / PROMOTED_FILE
    try:
        _require_of(evaluation, policy.digest, path)
        storage.agree(Path(policy.uri), policy.files)
    except GlobeError as reason:
        fail("promote", reason)
        raise
    uri = storage.portable(policy.uri, store)
    promoted = {"uri": uri, "manifest": storage.portable(policy.manifest, store), "digest": policy.digest, "step": policy.step}
    promoted["evaluation"] = storage.portable(evaluation.folder, store)
    # For readers without this machine's mirror, such as another server.
    promoted["stored_at"] = storage.stored_at(policy.uri) if storage.is_mirrored(Path(policy.uri)) else uri
    with _alone(store):
        now = read_promoted(store)
        # A task that is repeated after it has promoted the policy finds it there.
        if instead_of is not None and (now.digest if now else "") not in (instead_of, policy.digest):
            there = f"{now.short} is promoted now" if now else "none is promoted now"
            with_what = f"sha256 {instead_of[:12]}" if instead_of else "none, since none was promoted"
            error = GlobeError(f"{path}: {there}, but the gate compared with {with_what}; run again, to compare with that")
            fail("promote", error)
            raise error
        storage.write_text(path, json_text(signed(promoted, PLACE)))
    emit("promote", "note", figure=publish_radius(policy, evaluation.folder / POLICY, store))
    served = _served(policy, serve, store) if serve else ""
    figure = "; ".join(filter(None, ("promoted", served)))
    emit("promote", "done", figure=figure, seconds=0.0, output=storage.stored_at(path))
    return path


class Superseded(GlobeError):
    """Another model has been promoted since."""


def _served(policy: Checkpoint, serve: Callable[..., str], store: Path) -> str:
    place, ours = storage.stored_at(store / PROMOTED_FILE), f"sha256 {policy.digest[:12]}"

    def still() -> None:
        now = read_promoted(store)
        if not now or now.digest != policy.digest:
            there = f"{now.short} has been promoted since, and is to be served" if now else "none is promoted any more"
            raise Superseded(f"{place}: {ours} was promoted, but {there}; nothing was moved to {ours}")

    try:
        return serve(policy, still=still)
    except Superseded as reason:
        fail("promote", reason)
        raise
    except GlobeError as reason:
        error = GlobeError(
            f"{place} names {ours} as the promoted model, but it is not what is served: "
            f"{reason}; mend that and run again, which does only this, or use `globe deploy`"
        )
        fail("promote", error)
        raise error from reason


def _require_of(evaluation: StageResult, digest: str, path: Path) -> None:
    """Refuse another model's evaluation; one of an earlier version does not say whose it is.

    Raises:
        InputError: It is another's.
    """
    theirs = evaluation.inputs.get(POLICY, "none that is known")
    if evaluation.name not in EVALUATIONS or (evaluation.inputs and theirs != digest):
        raise InputError(
            f"{path}: names model sha256 {digest[:12]} with {evaluation.folder}, which is no evaluation of it (but of "
            f"{theirs[:12]}): something was changed; promote that model again, or remove {PROMOTED_FILE}"
        )


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """One promotion at a time on a file system. Between two machines with a store on S3 it is a matter of milliseconds."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / f".{PROMOTED_FILE}.lock").open("a") as lock:  # nothing is lost where it is a link
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_baseline(name: str, store: Path) -> StageResult | None:
    """The earlier evaluation that a new model is compared with, in a run that evaluates no baselines itself.

    Args:
        name: Folder of a finished evaluation stage, or its address in a store on S3; "promoted" for that of the promoted model;
            empty for none.
        store: Where stages keep their results.

    Returns:
        The evaluation; None if there is nothing to compare with, or nothing has been promoted yet.

    Raises:
        InputError: There is no finished evaluation at the given folder.
    """
    if name == PROMOTED:
        promoted = read_promoted(store)
        if not promoted or promoted.evaluation:
            return promoted.evaluation if promoted else None
        name = str(promoted.evaluation_folder)
    if not name:
        return None
    try:
        found = load_result(stage_folder(name))
    except FileNotFoundError:
        raise InputError(f"baseline: {name}: no finished evaluation there (it has a result.json)") from None
    if found.name not in EVALUATIONS:
        raise InputError(f"baseline: {name}: a result of stage {found.name}, which evaluates nothing; give STORE/evaluation/KEY")
    return found


def stage_folder(name: str) -> Path:
    """A stage's folder on this machine, by its path or its address in a store."""
    if storage.address_of(name) is None:
        return Path(name)
    store, stage, key = name.rstrip("/").rsplit("/", 2)
    return storage.open_store(store) / stage / key


def asked_otherwise(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """What differs in how two models were asked, in words; empty if nothing is known to.

    Args:
        theirs: Settings of one model's evaluation.
        ours: Settings of the other's.
    """
    known = [name for name in ASKED if name in theirs and name in ours]
    return ", ".join(f"{name} {theirs[name]} against {ours[name]}" for name in known if theirs[name] != ours[name])


def require_fit(baseline: StageResult | None, digest: str, rows: int) -> None:
    """Refuse a dataset that is not the baseline's, before anything is spent on asking about it.

    Args:
        baseline: From `find_baseline`.
        digest: The dataset's.
        rows: How many pictures it has.

    Raises:
        InputError: The baseline is known to be of another dataset.
    """
    theirs = baseline.inputs.get("test", "") if baseline else ""
    if baseline and theirs and theirs != digest:
        counts = {figures["n"] for figures in baseline.outcome.figures.values() if isinstance(figures, dict) and "n" in figures}
        n = ", ".join(f"n {count}" for count in sorted(counts))
        raise InputError(
            f"dataset: its {rows} pictures (digest {digest[:12]}) are not those of the baseline {baseline.folder} ({n}, digest "
            f"{theirs[:12]}); evaluate the baseline's model on them and give that folder as baseline, or baseline= for none"
        )


def accept(*, reasons: str, verdict: str) -> None:
    """Say that the policy passed the gate, in a run that promotes nothing."""
    emit("gate", "note", figure=f"accepted ({verdict}), nothing is promoted: {reasons}")


def reject(reasons: str, verdict: str = "reject") -> None:
    """Fail with the gate's reasons.

    Raises:
        GlobeError: Always.
    """
    said = "the gate rejected the policy" if verdict == "reject" else "the gate could not decide, so the policy does not pass"
    rejection = GlobeError(f"{said}: {reasons}")
    fail("gate", rejection, verdict=verdict)  # reported as the gate's, whose verdict it is
    raise rejection
