"""What machine and software a run was on: versions, and a mark that tells machines apart without naming them.

Nothing is imported to be asked, nothing is run, and no name, user, path, token or command line is looked at.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from energy_rating.measuring.digests import hmac_sha256
from energy_rating.nouns.entries import Device, Environment
from energy_rating.nouns.interruptions import is_interruption
from energy_rating.version import __version__

# machine-id(5): the id itself "should not be exposed in untrusted environments"; what is published is to be keyed with a
# constant of the application, as sd_id128_get_machine_app_specific(3) does. It is 128 random bits, so nobody can try them
# all, as one could the few thousand host names of a cluster.
MACHINE_ID = Path("/etc/machine-id")
MACHINE_ID_OLDER = Path("/var/lib/dbus/machine-id")
APPLICATION = b"energy-rating/environment/host/1"
HOST_DIGITS = 12

# What decides how fast and how thirsty a model runs: module, and the distribution that it comes from.
LIBRARIES = {
    "accelerate": "accelerate",
    "codecarbon": "codecarbon",
    "deepspeed": "deepspeed",
    "diffusers": "diffusers",
    "jax": "jax",
    "keras": "keras",
    "lightning": "lightning",
    "numpy": "numpy",
    "peft": "peft",
    "pynvml": "nvidia-ml-py",
    "sentence_transformers": "sentence-transformers",
    "torch": "torch",
    "transformers": "transformers",
    "trl": "trl",
    "vllm": "vllm",
    "xllamacpp": "xllamacpp",
}


def describe(
    devices: Sequence[Device] = (),
    *,
    show_host: bool = False,
    machine_ids: Sequence[Path] = (MACHINE_ID, MACHINE_ID_OLDER),
) -> Environment:
    """This machine, as it is now. ``show_host`` gives its name instead of a mark; libraries count once they are loaded."""
    return Environment(
        devices=tuple(devices),
        software=dict(sorted({**_system(), **_libraries()}.items())),
        host=_name() if show_host else _mark(machine_ids),
    )


def _system() -> dict[str, str]:
    system = {"python": sys.version.split()[0], "energy-rating": __version__}
    if hasattr(os, "uname"):
        uname = os.uname()
        # Version and no more: the rest of a release names the cloud, the distribution, or whoever built the kernel.
        system[uname.sysname.lower()] = ".".join(uname.release.split("-")[0].split(".")[:2])
    else:
        system[sys.platform] = "unknown"
    return system


def _libraries() -> dict[str, str]:
    return {
        name: _version(module, distribution)
        for name, distribution in LIBRARIES.items()
        if (module := sys.modules.get(name)) is not None
    }


def _version(module: ModuleType, distribution: str) -> str:
    """What the module says of itself, else the folder that its installer left beside it; ``unknown`` if neither does.

    ``importlib.metadata`` would tell the same, but takes 50 ms to load and a millisecond a library.
    """
    # Looked up, not asked for: asking a lazy module may import half of it.
    said = vars(module).get("__version__")
    if isinstance(said, str):
        return str(said)
    file = vars(module).get("__file__")
    if not isinstance(file, str):
        return "unknown"
    beside = Path(file).parent.parent if "__path__" in vars(module) else Path(file).parent
    # The binary distribution format writes NAME-VERSION.dist-info, with runs of "-_." in the name as one "_".
    name = re.sub(r"[-_.]+", "_", distribution)
    folder = next(iter(sorted(beside.glob(f"{name}-*.dist-info"))), None)
    return folder.name.removeprefix(f"{name}-").removesuffix(".dist-info") if folder else "unknown"


def _name() -> str:
    import socket

    return socket.gethostname()


def _mark(machine_ids: Sequence[Path]) -> str | None:
    """The same for the same machine, and no way back; None where the machine has no id (a host name alone could be guessed)."""
    for path in machine_ids:
        try:
            machine_id = path.read_text(encoding="utf-8").strip()  # ASCII's codec is not loaded, and would be
        except (OSError, ValueError) as error:
            if is_interruption(error):
                raise
            continue
        # During a first boot it may be empty or say "uninitialized".
        if re.fullmatch("[0-9a-f]{32}", machine_id) and machine_id.strip("0"):
            return hmac_sha256(bytes.fromhex(machine_id), APPLICATION)[:HOST_DIGITS]
    return None
