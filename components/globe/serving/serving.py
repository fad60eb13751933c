"""Stage serving: the trained policy behind HTTP until the run ends."""

from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Place
from globe.serving.recipe import ServingRecipe
from globe.serving.servers import serve


def serving(*, policy: Checkpoint, name: str, recipe: ServingRecipe, place: Place, needed: bool) -> str:
    """Serve the policy.

    Args:
        policy: The checkpoint.
        name: Model name that it is served under.
        recipe: How it is served.
        place: Where.
        needed: False when exactly this evaluation of it is finished already.

    Returns:
        Base URL of the server, empty when nobody will ask.
    """
    urls = serve("serving", {name: policy}, recipe, place, needed=needed, reason="the evaluation is finished, nobody will ask")
    return urls.get(name, "")
