"""Joining hosts and saying what a run is on: one clear line for what cannot be."""

import os
import subprocess
import sys
import threading

import jax
import pytest
from processes import free_port

from wsgcn_jax import compiler, distributed, hosts
from wsgcn_jax.types import DataError

JOB = {
    "JAX_COORDINATOR_ADDRESS": "localhost:1234",
    "JAX_NUM_PROCESSES": "2",
    "JAX_PROCESS_ID": "0",
}
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}


@pytest.fixture
def variables(monkeypatch):
    """Sets and unsets variables; nobody is joined."""

    def change(changes):
        for name in (*JOB, *SLURM, hosts.WAIT):
            monkeypatch.delenv(name, raising=False)
        for name, value in changes.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    monkeypatch.setattr(jax.distributed, "initialize", pytest.fail)
    return change


@pytest.mark.fault("a variable that cannot be: {message}", "one line, before anyone waits")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"JAX_NUM_PROCESSES": "abc"}, "JAX_NUM_PROCESSES='abc' is no whole number"),
        ({"JAX_NUM_PROCESSES": ""}, "JAX_NUM_PROCESSES='' is no whole number"),
        ({"JAX_NUM_PROCESSES": "²"}, "JAX_NUM_PROCESSES='²' is no whole number"),
        ({"JAX_PROCESS_ID": None}, "JAX_PROCESS_ID='' is no whole number"),
        ({"JAX_PROCESS_ID": "2"}, "JAX_PROCESS_ID=2 must be at least 0 and below"),
        ({"JAX_COORDINATOR_ADDRESS": "localhost"}, "'localhost' is no host:port"),
        ({"JAX_COORDINATOR_ADDRESS": "localhost:99999"}, "'localhost:99999' is no host:port"),
        ({"JAX_COORDINATOR_ADDRESS": None}, "'' is no host:port"),
        ({hosts.WAIT: "soon"}, "JOIN_TIMEOUT='soon' is no whole number"),
    ],
)
def test_wrong_variables_are_named_before_anyone_waits(changes, message, variables):
    variables({**JOB, **changes})
    with pytest.raises(DataError, match=message):
        hosts.join_hosts()


@pytest.mark.fault("Slurm's `{name}=x`", "one line")
@pytest.mark.parametrize("name", ["SLURM_NTASKS", "SLURM_PROCID", "SLURM_JOB_ID"])
def test_wrong_variables_of_slurm_are_named(name, variables):
    variables({**SLURM, name: "x"})
    with pytest.raises(DataError, match=f"{name}='x' is no whole number"):
        hosts.join_hosts()


@pytest.mark.parametrize(
    "changes", [{**SLURM, "JAX_NUM_PROCESSES": "1"}, {**SLURM, "SLURM_NTASKS": "1"}]
)
def test_one_process_joins_nobody(changes, variables):
    variables(changes)
    hosts.join_hosts()


@pytest.mark.fault("a job of several hosts", "for whom a host waits, and how long, is said")
@pytest.mark.parametrize(
    ("job", "whom", "options"),
    [
        (
            JOB,
            "process 0 of 2, the first one at localhost:1234",
            {"num_processes": 2, "process_id": 0},
        ),
        (SLURM, "task 1 of 2 of Slurm job 7 on node[1-2]", {}),
    ],
)
def test_a_host_says_for_whom_it_waits_and_how_long(job, whom, options, variables, monkeypatch):
    variables({**job, hosts.WAIT: "7"})
    asked, said = {}, []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: asked.update(options))
    hosts.join_hosts(said.append)
    assert said == [f"{whom}: waiting for the others, 7 s at the most"]
    assert asked == {**options, "initialization_timeout": 67}


@pytest.mark.fault("a host that never comes", "one line after the time that was said")
def test_waiting_in_vain_ends_with_one_line(variables, monkeypatch, capfd):
    variables({**JOB, hosts.WAIT: "0"})
    left = threading.Event()
    status = []
    monkeypatch.setattr(hosts.os, "_exit", lambda code: (status.append(code), left.set()))
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: left.wait(5))
    hosts.join_hosts()
    assert status == [2]
    assert capfd.readouterr().err.startswith(
        "error: process 0 of 2, the first one at localhost:1234: waited 0 s for the others in vain"
    )


@pytest.mark.fault("a job that cannot be joined", "one line with the reason")
def test_a_failure_to_join_is_one_line(variables, monkeypatch):
    def fails(**options):
        raise RuntimeError("UNKNOWN: port in use\nmore")

    variables(JOB)
    monkeypatch.setattr(jax.distributed, "initialize", fails)
    with pytest.raises(DataError, match=r"cannot be joined \(UNKNOWN: port in use more\)"):
        hosts.join_hosts()


@pytest.mark.fault("a real job whose other host is absent", "one line, no dump")
@pytest.mark.slow
def test_an_absent_peer_is_one_line_in_a_real_job():
    script = "from wsgcn_jax.hosts import join_hosts; join_hosts(print)"
    for place in ("0", "1"):
        job = {**JOB, "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}"}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env={**os.environ, **job, "JAX_PROCESS_ID": place, hosts.WAIT: "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1 and "waited 3 s for the others in vain" in done.stderr


class Device:
    platform, device_kind = "tpu", "TPU v5e"


@pytest.mark.parametrize(
    ("devices", "hosts", "says", "machine"),
    [
        ([Device()] * 8, 2, "8 x TPU v5e, 2 hosts", "8 x TPU v5e, 2 hosts of 96 cores"),
        ([Device()], 1, "1 x TPU v5e", "1 x TPU v5e, 96 cores"),
    ],
)
def test_accelerators_are_named(devices, hosts, says, machine, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "process_count", lambda: hosts)
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    assert distributed.describe_devices() == says
    assert distributed.describe_machine() == machine


@pytest.mark.fault(
    "an accelerator that JAX cannot start",
    "one line; a run never falls back to the CPU in silence",
)
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of CPUs")
def test_a_cpu_is_no_silent_substitute_for_an_accelerator(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(distributed, "_DEVICE_FILES", (str(tmp_path / "nvidia0"),))
    assert distributed.describe_devices().endswith("CPU: no accelerator was found")
    (tmp_path / "nvidia0").touch()
    with pytest.raises(DataError, match="nvidia0 is an accelerator, but JAX could not start it"):
        distributed.describe_devices()
    assert "CPU, " in distributed.describe_machine()
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert "as JAX_PLATFORMS says" in distributed.describe_devices()


def test_compiled_programs_go_to_the_users_cache_unless_another_folder_is_set(
    tmp_path, monkeypatch
):
    before = {
        name: jax.config.values[name]
        for name in ("jax_compilation_cache_dir", "jax_compilation_cache_max_size")
    }
    try:
        compiler.keep_compiled_programs()
        assert jax.config.values["jax_compilation_cache_dir"] == before["jax_compilation_cache_dir"]
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv("WSGCN_JAX_CACHE", str(tmp_path))
        compiler.keep_compiled_programs()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "compiled")
        assert jax.config.values["jax_compilation_cache_max_size"] > 0
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
