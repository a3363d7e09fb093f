"""Scripts as processes of their own: some devices each, alone or as the hosts of one job."""

import os
import socket
import subprocess
import sys


def start(script, *arguments, devices=1, **variables):
    """Starts a script with so many devices; `variables` go to its environment."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", script, *map(str, arguments)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port():
    """Returns a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def start_hosts(script, *arguments, devices=1):
    """Starts a script on two hosts of one job, with so many devices each."""
    job = {"JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    return [
        start(script, *arguments, devices=devices, JAX_PROCESS_ID=str(host), **job)
        for host in range(2)
    ]


def finish(process, says):
    """Waits for a script that must succeed and say something."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-2000:]
    assert says in out
