"""What of this process's environment a benchmarked model gets to see: what it needs to run, and nothing that opens a door.

A model is a stranger's: its server parses files that anybody may have made. A list of what is let through is kept, not one of what is
held back: of the names that carry secrets, somebody invents a new one every week. What is not let through is missed at once
(a library that is not found), what was forgotten to be held back is not. The user's own command, measured or given as
a workload, gets the environment as it is: it is the user's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMES = frozenset(
    (
        *("PATH", "HOME", "TMPDIR", "LANG", "LANGUAGE", "TZ", "SHELL", "TERM", "LOGNAME", "USER"),
        *(
            "LD_LIBRARY_PATH",
            "LD_PRELOAD",
            "DYLD_LIBRARY_PATH",
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "XDG_CACHE_HOME",
        ),
        *("PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE", "HF_HOME"),
    )
)

# Of the drivers and of the libraries that compute: https://docs.nvidia.com/cuda/cuda-programming-guide/ (CUDA_),
# https://rocm.docs.amd.com (HIP_, ROCR_, HSA_), ggml (GGML_), OpenMP and the BLAS libraries.
PREFIXES = (
    *(
        "LC_",
        "CUDA_",
        "NVIDIA_",
        "NCCL_",
        "NVML_",
        "HIP_",
        "ROCR_",
        "ROCM_",
        "HSA_",
        "GPU_",
        "ZE_",
        "ONEAPI_",
        "SYCL_",
    ),
    *(
        "GGML_",
        "LLAMA_",
        "OMP_",
        "KMP_",
        "GOMP_",
        "MKL_",
        "OPENBLAS_",
        "BLIS_",
        "VK_",
        "MESA_",
        "VLLM_",
        "TORCH_",
        "PYTORCH_",
    ),
    *("SLURM_LOCALID", "LOCAL_RANK"),
)

# None of the above is to carry a secret; this is for the name that does all the same (NVIDIA_API_KEY).
SECRET = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE|SESSION|LICENSE|PROXY|URL|WEBHOOK", re.IGNORECASE
)

# What was loaded is on the disk: nothing is to be asked of a hub while it is measured.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


def environment_of_a_model(environ: Mapping[str, str], **more: str) -> dict[str, str]:
    """The environment for a process in which a stranger's model runs: what is let through of ``environ``, and ``more``."""
    let_through = {
        name: value
        for name, value in environ.items()
        if (name in NAMES or name.startswith(PREFIXES)) and not SECRET.search(name)
    }
    return {**let_through, **OFFLINE, **more}
