"""ms-swift plugin: a model's folder is data. No code that lies in one runs, even where `globe.models.safety` has missed it.

ms-swift trusts every folder: its loaders do by default (which is theirs to say), and in some places it says so itself. So the
one function of transformers that imports a model's own code is closed as well, and vLLM, which GRPO may start in processes of its
own, is told.
"""

from typing import Any, Never

from swift.model import ModelLoader
from swift.rlhf_trainers import GRPOTrainer
from transformers import dynamic_module_utils
from transformers.generation import utils as generation

from globe.errors import GlobeError

_prepare_vllm_engine = GRPOTrainer._prepare_vllm_engine


def _import_nothing(name: str, module: Any, *_: Any, **__: Any) -> Never:
    raise GlobeError(f"{module}: is code of a model's folder ({name}), and a model is loaded as data only")


def _without_trust(trainer: GRPOTrainer) -> Any:
    distrust_in_vllm()
    return _prepare_vllm_engine(trainer)


def distrust_in_vllm() -> None:
    """Have vLLM run no code of a model's folder."""
    from swift.infer_engine import VllmEngine  # late: it imports vLLM, which only some trainings use

    prepare = VllmEngine._prepare_engine_kwargs

    def prepare_without_trust(engine: Any, *args: Any, **options: Any) -> None:
        prepare(engine, *args, **options)
        engine.engine_args.trust_remote_code = False

    VllmEngine._prepare_engine_kwargs = prepare_without_trust


ModelLoader.default_trust_remote_code = False
dynamic_module_utils.get_class_in_module = _import_nothing
generation.get_class_in_module = _import_nothing
GRPOTrainer._prepare_vllm_engine = _without_trust
