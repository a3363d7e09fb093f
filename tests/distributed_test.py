"""Joining hosts and saying what a run is on: one clear line for what cannot be."""

import jax
import pytest

from wsgcn_jax import compiler, distributed
from wsgcn_jax.types import DataError

JOB = {
    "JAX_COORDINATOR_ADDRESS": "localhost:1234",
    "JAX_NUM_PROCESSES": "2",
    "JAX_PROCESS_ID": "0",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"JAX_NUM_PROCESSES": "abc"}, "JAX_NUM_PROCESSES='abc' is no whole number"),
        ({"JAX_NUM_PROCESSES": ""}, "JAX_NUM_PROCESSES='' is no whole number"),
        ({"JAX_PROCESS_ID": None}, "JAX_PROCESS_ID='' is no whole number"),
        ({"JAX_PROCESS_ID": "2"}, "JAX_PROCESS_ID=2 must be at least 0 and below"),
        ({"JAX_COORDINATOR_ADDRESS": "localhost"}, "'localhost' is no host:port"),
        ({"JAX_COORDINATOR_ADDRESS": None}, "'' is no host:port"),
    ],
)
def test_wrong_variables_are_named_before_anyone_waits(changes, message, monkeypatch):
    for name, value in {**JOB, **changes}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(jax.distributed, "initialize", pytest.fail)
    with pytest.raises(DataError, match=message):
        distributed.join_hosts()


def test_a_host_says_for_whom_it_waits_and_how_long(monkeypatch):
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    asked, said = {}, []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: asked.update(options))
    distributed.join_hosts(said.append)
    assert said == ["process 0 of 2: waiting for localhost:1234, 300 s at the most"]
    assert asked == {"num_processes": 2, "process_id": 0, "initialization_timeout": 300}


class Device:
    platform, device_kind = "tpu", "TPU v5e"


@pytest.mark.parametrize(
    ("devices", "hosts", "says"),
    [([Device()] * 8, 2, "8 x TPU v5e, 2 hosts"), ([Device()], 1, "1 x TPU v5e")],
)
def test_accelerators_are_named(devices, hosts, says, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "process_count", lambda: hosts)
    assert distributed.describe_devices() == says


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of CPUs")
def test_a_cpu_is_no_silent_substitute_for_an_accelerator(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(distributed, "_DEVICE_FILES", (str(tmp_path / "nvidia0"),))
    assert distributed.describe_devices().endswith("CPU: no accelerator was found")
    (tmp_path / "nvidia0").touch()
    with pytest.raises(DataError, match="nvidia0 is an accelerator, but JAX could not start it"):
        distributed.describe_devices()
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
