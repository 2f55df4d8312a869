"""Which GPUs CUDA shows to a process. Pure: the GPUs that are present are told to it, and it asks no driver.

The rules, and where they stand:

* Unset: every GPU. Empty: none. A list is comma-separated; the first entry that names no GPU ends it, and the entries
  before it count (CUDA Programming Guide, section 5.2.1 "Device Enumeration and Properties", ``CUDA_VISIBLE_DEVICES``).
* An entry is an index, or a UUID as ``nvidia-smi -L`` prints it, which may be cut short as long as it stays unique
  (same section), or a slice: ``MIG-<uuid>`` since driver 470, ``MIG-GPU-<uuid>/<gpu instance>/<compute instance>``
  before (MIG User Guide, "MIG Device Names", "CUDA Device Enumeration").
* An index is read as ``strtoul`` reads it (``1gpu`` is 1), the first entry settles whether the list holds indices, UUIDs
  or slices, an entry of another kind ends it, and a GPU named twice empties it. The guide is silent on these; they are
  what PyTorch found driver 525 to do (pytorch/pytorch#92315, ``_parse_visible_devices``). Blanks around an entry are
  passed over; before a UUID that is a guess, and a GPU too many is the smaller harm.
* ``CUDA_DEVICE_ORDER=PCI_BUS_ID`` counts indices in PCI order, which is NVML's. The default, ``FASTEST_FIRST``, sorts by a
  guess at speed that is not documented (same section): GPUs of one model keep their PCI order, others need not.

``NVIDIA_VISIBLE_DEVICES`` is no matter of CUDA's: the container runtime has acted on it before the process starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# At most nine digits: no machine has more GPUs, and longer numbers are no index.
_INDEX = r"\s*([+-]?)0*([0-9]{1,9})(?![0-9])"


class PresentGpu(NamedTuple):
    """A GPU of this machine. ``mig`` None: not known. ``slices`` are its MIG slices, named as the driver names them."""

    uuid: str
    name: str
    mig: bool | None = False
    slices: tuple[str, ...] = ()


class VisibleGpus(NamedTuple):
    """What CUDA shows: UUIDs of physical GPUs in CUDA's order, each once (a slice stands for the GPU it is cut from).

    ``highest_index``: where the list names GPUs by number,
    the highest. ``invalid_entry`` counts from 1 and is the one that ended the list (None: the list was read to its end, or ended
    on purpose by ``-1`` or nothing). ``repeated``: a GPU was named twice, so that CUDA shows none. ``order_uncertain``:
    indices were counted in PCI order, and CUDA may have meant other GPUs.
    """

    uuids: tuple[str, ...]
    invalid_entry: int | None = None
    repeated: bool = False
    order_uncertain: bool = False
    highest_index: int | None = None


def visible_gpus(environ: Mapping[str, str], present: Sequence[PresentGpu]) -> VisibleGpus:
    """The GPUs of ``present`` (in PCI order) that CUDA shows to a process with this environment."""
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return VisibleGpus(uuids=tuple(gpu.uuid for gpu in present))
    entries = [entry.strip() for entry in value.split(",")]
    kind = _kind(entries[0])
    named: list[str] = []  # what the entries stand for: UUIDs, or names of slices
    uuids: list[str] = []
    invalid_entry = None
    for number, entry in enumerate(entries, start=1):
        found = _find(entry, present) if _kind(entry) == kind else None
        if found is None:
            invalid_entry = None if entry in ("", "-1") else number
            break
        name, gpu = found
        if name in named:
            return VisibleGpus(uuids=(), repeated=True)
        named.append(name)
        # CUDA so far enumerates one slice only (MIG User Guide, "CUDA Device Enumeration"). All that are named are taken: the
        # guide says that this may change, and a GPU too many beside a slice does less harm than one too few.
        if gpu.uuid not in uuids:
            uuids.append(gpu.uuid)
    by_index = kind == "index" and environ.get("CUDA_DEVICE_ORDER", "").strip() != "PCI_BUS_ID"
    mixed = len({gpu.name for gpu in present}) > 1
    return VisibleGpus(
        uuids=tuple(uuids),
        invalid_entry=invalid_entry,
        # Where all of them are visible the order changes their numbers, not what is measured.
        order_uncertain=by_index and mixed and 0 < len(uuids) < len(present),
        highest_index=max(map(_number, entries[: len(named)]), default=None) if kind == "index" else None,
    )


def _kind(entry: str) -> str:
    for prefix in ("MIG-", "GPU-"):
        if entry.startswith(prefix):
            return prefix
    return "index"


def _find(entry: str, present: Sequence[PresentGpu]) -> tuple[str, PresentGpu] | None:
    """What the entry names, and the physical GPU that this is or belongs to."""
    if entry.startswith("MIG-"):
        slices = {name: gpu for gpu in present for name in gpu.slices}
        # The old names are still taken where the driver gives new ones. Whether that slice exists is not looked at:
        # its GPU is measured as a whole and the result is not rated either way.
        legacy, _, instances = entry.removeprefix("MIG-").partition("/")
        sliced = {gpu.uuid: gpu for gpu in present if gpu.mig}
        if name := _only(entry, slices):
            return name, slices[name]
        if instances and legacy.startswith("GPU-") and (uuid := _only(legacy, sliced)):
            return f"{uuid}/{instances}", sliced[uuid]
        return None
    if entry.startswith("GPU-"):
        by_uuid = {gpu.uuid: gpu for gpu in present}
        uuid = _only(entry, by_uuid)
        return (uuid, by_uuid[uuid]) if uuid else None
    if re.match(_INDEX, entry) is None:
        return None
    index = _number(entry)
    return (present[index].uuid, present[index]) if 0 <= index < len(present) else None


def _number(entry: str) -> int:
    """The index that an entry of that kind is."""
    found = re.match(_INDEX, entry)
    return int("".join(found.groups())) if found else -1


def _only(start: str, names: Mapping[str, PresentGpu]) -> str | None:
    """The one name that begins so, or is this; None where several do or none does."""
    if start in names:
        return start
    matches = [name for name in names if name.startswith(start)]
    return matches[0] if len(matches) == 1 else None
