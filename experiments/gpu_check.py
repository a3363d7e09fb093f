"""Compiles the programs of configs/voc12.py:gpu for an NVIDIA H100 on a machine without a GPU.

    python -m experiments.gpu_check [--only NAME ...] [--json=FILE]

Needs the compiler for GPUs of `jax[cuda13]`, which needs neither GPU nor driver (`make gpu-check`
installs it). Prints for each program how long the compiler takes, what the GPU's memory holds, how
many kernels are launched, and what a photo costs: traffic to that memory, and the time below which
the GPU cannot be, at its peak of 3,350 GB/s. Loops count as often as they run (`hlo_cost`).
Without a GPU the compiler cannot try variants and measure them: on one it takes longer, and chooses
better. Nothing is run, and no weights are needed.

Exit status: 0 all compile and fit in 80 GB, 1 one does not, 2 there is no compiler.
"""

import os
import sys
from collections.abc import Sequence

import jax

from . import compile_check

# What CUDA says of the GPU, for XLA: NVIDIA H100 SXM5, compute capability 9.0.
H100_DESCRIPTION = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  l2_cache_size: 52428800
  memory_bandwidth: 3350000000000
  device_memory_size: 80000000000
}
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 12 }
runtime_version { major: 13 }
"""


def main(argv: Sequence[str]) -> int:
    """Compiles; returns the exit status."""
    return compile_check.main(H100, __doc__, argv)


def _devices(count: int) -> list[jax.Device]:
    """GPUs of one machine, described, not there."""
    from jax.experimental import topologies

    # Else JAX gives its CUDA up where there is no driver.
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    found = topologies.get_topology_desc(
        platform="cuda",
        topology_name="described",
        target_config=H100_DESCRIPTION,
        topology=f"1x1x{count}",
    )
    return list(found.devices)


H100 = compile_check.Chip(
    machine="gpu",
    extra="gpu-check",
    devices=_devices,
    memory=80e9,
    flops=None,
    bandwidth=3350e9,
    clock=None,
    options={"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False},
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
