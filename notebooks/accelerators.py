# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # TPUs and GPUs
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/wsgcn-jax/wsgcn-jax/blob/main/notebooks/accelerators.ipynb)
#
# What to switch on, and how to see that it works. In Colab: *Runtime*, *Change runtime type*, choose a GPU or a
# TPU. This notebook also runs on a CPU, at small sizes.

# %%
try:
    import wsgcn_jax as ws
except ImportError:
    # %pip install -q "wsgcn-jax[weights,notebooks] @ git+https://github.com/wsgcn-jax/wsgcn-jax"
    import wsgcn_jax as ws

import time

import jax
import jax.numpy as jnp
import numpy as np

print(jax.__version__, jax.default_backend(), jax.devices())

# %% [markdown]
# ## Presets
#
# `:gpu` and `:tpu` behind a configuration's name set batch sizes and let the networks compute in bfloat16:
# `wsgcn train --config=voc12:tpu`. What they change:

# %%
from wsgcn_jax import settings

plain, preset = (settings.load_config(name) for name in ("voc12", "voc12:tpu"))
for section in ("cams", "graph", "segmenter"):
    for key, value in preset[section].items():
        if value != plain[section][key]:
            print(f"{section}.{key}: {plain[section][key]} -> {value}")

# %% [markdown]
# ## Rounding
#
# A GPU rounds the operands of matrix products to 10 bits, a TPU to 7, unless a product asks for more. Products
# of the graph and of the CRF ask for full float32, whatever the default; the networks take the default.

# %%
x = jax.random.uniform(jax.random.key(0), (256, 256))
exact = np.asarray(x, np.float64) @ np.asarray(x, np.float64)
for name in ("default", "highest"):
    product = jnp.matmul(x, x, precision=name)
    print(f"{name:<8} largest relative error {np.abs(product / exact - 1).max():.1e}")

# %% [markdown]
# ## Photos side by side
#
# The graph part of one photo is a pure function, so a batch is `jax.vmap` of it. On an accelerator time a photo
# falls with the batch until the device is busy; on a CPU it stays about the same.


# %%
@jax.jit
@jax.vmap
def label(boundary, cams, rgb):
    height, width = boundary.shape
    walk = ws.graph.fast_walk(ws.graph.affinity_stencil(boundary), basis=16)
    start = (cams * (1 - boundary)).reshape(1, -1)
    walked = ws.graph.random_walk(walk, start).reshape(cams.shape)
    seeds = ws.seeds.walk_seeds(walked, jnp.ones(1, bool))
    adjacency = ws.graph.gcn_adjacency(walk)
    laplacian = ws.graph.laplacian_stencil(rgb)
    fit = ws.gcn.fit_gcn(
        jax.random.key(0),
        lambda h: ws.graph.aggregate(adjacency, h),
        rgb.reshape(-1, 3).T,
        seeds.reshape(-1).astype(jnp.int32),
        jnp.ones(height * width, bool),
        ws.gcn.node_positions(height, width),
        lambda z: ws.graph.laplacian_energy(laplacian, z.reshape(-1, height, width)),
        classes=2,
        epochs=50,
    )
    return fit.log_probs.argmax(axis=0).reshape(height, width)


def drawn(count, height=48, width=64):
    y, x = np.mgrid[:height, :width]
    maps = []
    for index in range(count):
        rng = np.random.default_rng(index)
        away = np.hypot(y - rng.integers(15, 33), x - rng.integers(20, 44))
        noise = 0.03 * rng.random((height, width))
        inside = (away < 12).astype(np.float32)
        rgb = np.clip(0.3 + 0.4 * inside + noise, 0, 1)
        maps.append((np.where(abs(away - 12) < 1, 0.9, noise), np.exp(-away / 8)[None], rgb))
    edges, cams, greys = (np.stack(part).astype(np.float32) for part in zip(*maps))
    return jnp.asarray(edges), jnp.asarray(cams), jnp.repeat(jnp.asarray(greys)[..., None], 3, -1)


sizes = (1, 4) if jax.default_backend() == "cpu" else (1, 16, 64)
for size in sizes:
    inputs = drawn(size)
    started = time.perf_counter()
    jax.block_until_ready(label(*inputs))
    first = time.perf_counter() - started
    started = time.perf_counter()
    masks = jax.block_until_ready(label(*inputs))
    took = time.perf_counter() - started
    print(f"batch {size:3}: {1000 * took / size:7.1f} ms a photo ({first:.0f} s with compilation)")

# %%
edges, cams, rgb = drawn(2)
pictures = [np.asarray(255 * image).astype(np.uint8) for image in rgb]
ws.plot.row([ws.plot.overlay(p, np.asarray(m, np.uint8)) for p, m in zip(pictures, masks)])

# %% [markdown]
# ## Several devices and hosts
#
# Batches are spread over all devices of a host and photos over hosts; nothing has to be switched on. On a TPU
# pod run the same command on every host. Elsewhere say who belongs together:
#
# ```sh
# JAX_COORDINATOR_ADDRESS=10.0.0.1:1234 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 wsgcn train ...
# ```
#
# Measured figures are on the documentation's page on accelerators.
