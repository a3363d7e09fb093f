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
# # Inside the GCN
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/wsgcn-jax/wsgcn-jax/blob/main/notebooks/inside_the_gcn.ipynb)
#
# One photo on its way from a class activation map to a mask: boundary map, affinities, random walk, seeds,
# the fit of a graph convolutional network, and what each term of its loss does. Every step is a pure function
# of arrays.

# %%
try:
    import wsgcn_jax as ws
except ImportError:
    # %pip install -q "wsgcn-jax[weights,notebooks] @ git+https://github.com/wsgcn-jax/wsgcn-jax"
    import wsgcn_jax as ws

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import skimage

# %% [markdown]
# ## The photo and its grid
#
# The graph has a node for every fourth pixel in each direction. scikit-image ships a photo of a cat; here it
# has 60 rows and 90 columns of nodes.

# %%
photo = skimage.util.img_as_ubyte(skimage.transform.resize(skimage.data.chelsea(), (240, 360)))
height, width = 60, 90
rgb = jnp.asarray(skimage.transform.resize(photo, (height, width), anti_aliasing=True), jnp.float32)
ws.plot.row([photo])

# %% [markdown]
# ## What the networks say
#
# A classifier's class activation map is high on what gave the class away, the face, and blurred. A boundary
# network says where one thing ends. Both take minutes to train, so this notebook draws the first by hand and
# takes the second from the gradient of the colours. In a run they are networks; the boundary map is where most
# of the quality comes from.

# %%
y, x = np.mgrid[:height, :width]


def bump(row, column, size):
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * size**2))


cams = jnp.asarray(bump(30, 36, 18)[None], jnp.float32)
smooth = skimage.filters.gaussian(np.asarray(rgb), 2.5, channel_axis=-1)
edges = np.max([skimage.filters.scharr(smooth[..., k]) for k in range(3)], axis=0)
boundary = jnp.asarray(np.clip(edges / np.quantile(edges, 0.98), 0, 1) ** 1.5, jnp.float32)
ws.plot.row(
    [photo, ws.plot.heat(photo, cams[0]), ws.plot.heat(photo, boundary)],
    titles=["photo", "class activation map", "boundary map"],
)

# %% [markdown]
# ## Affinities
#
# Two nodes are alike when no boundary lies on the line between them:
# $S_{ij} = (1 - \max_{k \in \text{line}} b_k)^\beta$. They are stored by offset: entry `[k, y, x]` belongs to
# node `(y, x)` and the node `offset[k]` away.

# %%
stencil = ws.graph.affinity_stencil(boundary, radius=5, beta=10.0)
print("offsets, rows, columns:", stencil.shape)
ws.plot.row(
    [ws.plot.heat(photo, stencil[k]) for k in (0, len(stencil) // 2, len(stencil) - 1)],
    titles=["to the first offset", "to one in between", "to the last"],
)

# %% [markdown]
# ## The random walk
#
# Divided by their sums the affinities are a random walk $T$. After 256 steps, what started in one node has
# spread over its region and stopped at the boundaries. `fast_walk` never forms the matrix of
# 5,400 x 5,400 numbers.

# %%
walk = ws.graph.fast_walk(stencil, radius=5, steps=256)
starts = [(12, 40), (45, 20), (50, 75)]
one_hot = jnp.stack([jnp.zeros((height, width)).at[start].set(1.0).reshape(-1) for start in starts])
spread = ws.graph.random_walk(walk, one_hot).reshape(len(starts), height, width)
ws.plot.row(
    [ws.plot.heat(photo, np.clip(s / s.max(), 0, 1) ** 0.5) for s in spread],
    titles=["from the forehead", "from the cheek", "from the bottom right"],
)

# %% [markdown]
# Spreading the class activation map instead gives every node a score, and the surest of them become **seeds**:
# partial labels that supervise the network. The threshold between object and background is found in the photo
# itself; nodes near it stay unlabelled.

# %%
walked = ws.graph.random_walk(walk, (cams * (1 - boundary)).reshape(1, -1)).reshape(cams.shape)
present = jnp.ones(1, bool)
seeds = ws.seeds.walk_seeds(walked, present, margin=0.2)


def enlarge(labels):
    return np.asarray(labels).repeat(4, axis=0).repeat(4, axis=1)


ws.plot.row(
    [ws.plot.heat(photo, walked[0] / walked.max()), ws.plot.overlay(photo, enlarge(seeds))],
    titles=["scores after the walk", "seeds (white: not known yet)"],
)

# %% [markdown]
# ## The graph convolutional network
#
# $Z = \log\operatorname{softmax}\big(A\,\mathrm{relu}(A F W_1 + b_1)\, W_2 + b_2\big)$, two layers, fitted to this
# photo alone. $A$ is the walk made symmetric, $F$ are features of the nodes (in a run: the boundary network's
# 160 activations; here colours, positions and waves of both). The loss has four terms: cross entropy of
# object and of background seeds, the entropy of unlabelled nodes, and the Laplacian
# $\operatorname{trace}(Z^\top L Z)$, which wants nodes of like colour to have like labels.

# %%
adjacency = ws.graph.gcn_adjacency(walk)
laplacian = ws.graph.laplacian_stencil(rgb)
place = jnp.stack([jnp.asarray(y / height), jnp.asarray(x / width)], axis=-1).astype(jnp.float32)
plain = jnp.concatenate([rgb, place], axis=-1).reshape(-1, 5)
frequencies = 4 * jax.random.normal(jax.random.key(1), (5, 32))
features = jnp.concatenate(
    [plain, jnp.cos(plain @ frequencies), jnp.sin(plain @ frequencies)], axis=1
)


def fit(seeds, epochs=100, **options):
    return ws.gcn.fit_gcn(
        jax.random.key(0),
        lambda h: ws.graph.aggregate(adjacency, h),
        features.T,
        seeds.reshape(-1).astype(jnp.int32),
        jnp.ones(height * width, bool),
        ws.gcn.node_positions(height, width),
        lambda z: ws.graph.laplacian_energy(laplacian, z.reshape(-1, height, width)),
        classes=2,
        epochs=epochs,
        **options,
    )


def labels_of(result):
    return np.asarray(result.log_probs.argmax(axis=0).reshape(height, width), np.uint8)


result = fit(seeds)
figure, axes = plt.subplots(1, 4, figsize=(12, 2.4))
for axis, (name, values) in zip(axes, result.losses._asdict().items()):
    axis.plot(values)
    axis.set_title(name)
    axis.set_xlabel("epoch")
figure.tight_layout()

# %% [markdown]
# What each term changes:

# %%
variants = {
    "all terms": fit(seeds),
    "no entropy": fit(seeds, entropy_weight=0.0),
    "no Laplacian": fit(seeds, laplacian_weight=0.0),
    "no dropout": fit(seeds, dropout=0.0),
}
ws.plot.row(
    [ws.plot.overlay(photo, enlarge(labels_of(r))) for r in variants.values()],
    titles=list(variants),
    height=160,
)

# %% [markdown]
# ## The CRF
#
# At last a dense conditional random field (CRF) draws the labels to the edges of the photo, at its own size.

# %%
probabilities = jnp.exp(result.log_probs).reshape(2, height, width)
full = jax.image.resize(probabilities, (2, *photo.shape[:2]), "bilinear").clip(0, 1)
refined = ws.crf.refine(photo, np.asarray(full), bucket=128)
ws.plot.row(
    [
        ws.plot.overlay(photo, enlarge(labels_of(result))),
        ws.plot.overlay(photo, np.asarray(refined).argmax(axis=0).astype(np.uint8)),
    ],
    titles=["GCN", "GCN and CRF"],
)

# %% [markdown]
# ## Many photos at once
#
# Everything above works on one photo and can be mapped over a batch; a thousand photos are a thousand little
# networks, fitted side by side. Here the batch is the photo and its mirror image.


# %%
@jax.jit
@jax.vmap
def scores_of(boundary, cams):
    walk = ws.graph.fast_walk(ws.graph.affinity_stencil(boundary), basis=32)
    start = (cams * (1 - boundary)).reshape(1, -1)
    return ws.graph.random_walk(walk, start).reshape(cams.shape)


pair = jnp.stack([boundary, boundary[:, ::-1]])
both = scores_of(pair, jnp.stack([cams, cams[:, :, ::-1]]))
print("scores:", both.shape)
mirrored = np.ascontiguousarray(photo[:, ::-1])
ws.plot.row([ws.plot.heat(p, s[0] / s.max()) for p, s in zip((photo, mirrored), both)])
