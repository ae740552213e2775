"""Where networks run: on a GPU where there is one, and never on a CPU in place of a GPU that was asked for or granted."""

import os

import torch

from dis2.errors import UserError

CHOICE = "DIS2_GPU"
"""1: on a GPU; 0: on CPUs even where there is a GPU; unset: on a GPU where there is one."""
GRANTS = ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
"""What a scheduler sets for a job that it grants a GPU."""
NONE = ("", "-1", "NoDevFiles")
"""How these say that there is none."""


def has_bf16(where: torch.device) -> bool:
    """Does it compute in bfloat16 itself? Older GPUs only imitate it, slowly."""
    return where.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def lacks_memory(error: RuntimeError) -> bool:
    """Did PyTorch ask for more memory than there is? CPUs say so by a plain error."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def device() -> torch.device:
    """The device of this process; the workflow's rules ask for GPUs by the same choice."""
    choice = os.environ.get(CHOICE, "")
    if choice == "0":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    asked = [f"{CHOICE}=1"] if choice else []
    granted = [f"{name}={value}" for name in GRANTS if (value := os.environ.get(name, "")) not in NONE]
    if wanted := [*asked, *granted]:
        raise UserError(
            f"{wanted[0]}: a GPU is there for this job, but PyTorch {torch.__version__} sees no CUDA;"
            f" install a CUDA build ({CHOICE}=1 with --use-conda), or set {CHOICE}=0 to compute on CPUs"
        )
    return torch.device("cpu")
