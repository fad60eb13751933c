"""A pipeline like the project's own, small: what the tests of `submit` hand in."""

from kfp import dsl, kubernetes


def contract(function):
    """A component as the project's are: no installing, an image by name."""
    return dsl.component(function, base_image="registry.example/evaluate:1", packages_to_install=[], install_kfp_package=False)


@contract
def source(model: str) -> str:
    return model


@contract
def evaluation(data: str) -> str:
    return data


@contract
def gate(answers: str) -> str:
    return answers


@contract
def promote(verdict: str):
    pass


@contract
def reject(verdict: str):
    raise SystemExit(verdict)


@contract
def teardown():
    pass


@dsl.pipeline(name="globe-evaluation")
def small_pipeline(
    model: str,
    result: str = "",
    gpus: int = 1,
    share: float = 0.5,
    baselines: bool = True,
    tags: list = [],  # noqa: B006 (KFP's way to give a default)
    overrides: dict = {},  # noqa: B006
):
    with dsl.ExitHandler(teardown()):
        data = source(model=model)
        answers = evaluation(data=data.output).set_display_name("Evaluation of pictures")
        kubernetes.use_secret_as_env(answers, "globe-s3", {"AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY"})
        verdict = gate(answers=answers.output)
        with dsl.If(verdict.output == "promote", name="promoted"):
            promote(verdict=verdict.output)
        with dsl.Else(name="rejected"):
            reject(verdict=verdict.output)
