"""What every contract has in common.

A contract is a lightweight KFP component: a signature and a body of a few lines that imports `globe` from the image. This is
the one style that runs as a local process, in a container and on a cluster from one source.
"""

from functools import partial

from kfp import dsl

from components.images import image


def contract(image_name: str):
    """Decorator of a stage's contract: the stage runs in the named image and installs nothing when it starts."""
    return partial(dsl.component, base_image=image(image_name), packages_to_install=[], install_kfp_package=False)
