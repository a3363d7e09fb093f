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
# # Quickstart
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/wsgcn-jax/wsgcn-jax/blob/main/notebooks/quickstart.ipynb)
#
# From photos and the words for what they show to a mask for every pixel. First two real photos, whose words
# ImageNet knows, so that no classifier has to be trained; then the whole pipeline, trained from nothing on
# small drawn pictures. About five minutes on two cores.

# %%
try:
    import wsgcn_jax as ws
except ImportError:
    # %pip install -q "wsgcn-jax[weights,notebooks] @ git+https://github.com/wsgcn-jax/wsgcn-jax"
    import wsgcn_jax as ws

import tempfile
from pathlib import Path

import numpy as np
import skimage

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Two photos and two words
#
# scikit-image ships a photo of a cat and one of a cup.

# %%
photos = [skimage.data.chelsea(), skimage.data.coffee()]
labels = [{"cat"}, {"cup"}]
ws.plot.row(photos, titles=["cat", "cup"])

# %% [markdown]
# `pseudo_label` takes them as they are. A classifier that was trained on ImageNet says roughly where the cat and
# the cup are, a boundary network learns from that where things end, and a graph convolutional network, fitted
# to each photo, labels every pixel.

# %%
masks = ws.pseudo_label(photos, labels, settings={"boundary.min_steps": 40})
names = ("background", "cat", "cup")
ws.plot.row(
    [ws.plot.overlay(photo, mask, names) for photo, mask in zip(photos, masks)],
    titles=["cat", "cup"],
)

# %% [markdown]
# A mask is an array of class ids, as large as its photo.

# %%
for mask in masks:
    shares = {names[k]: f"{np.mean(mask == k):.0%}" for k in np.unique(mask)}
    print(mask.shape, mask.dtype, shares)

# %% [markdown]
# ## Training everything
#
# Where ImageNet does not know the words, a classifier is trained on the photos themselves. The embedded data
# set draws creatures on wild backgrounds; their kinds differ only by a small mark, so that a class activation
# map finds the mark, and the rest of the body has to be found by the graph.

# %%
from wsgcn_jax import data

data.prepare(data.ShapesSource(num_train=72, num_val=12), folder / "drawn")
drawn = data.load(folder / "drawn", "train")
images = [example.image for example in drawn]
words = [{drawn.classes[k + 1] for k in np.flatnonzero(example.labels)} for example in drawn]
ws.plot.row(images[:5], titles=[", ".join(w) for w in words[:5]], height=140)

# %% [markdown]
# `train` runs every stage in a work folder: classifier, class activation maps, boundary network, pseudo labels,
# segmenter. When it was stopped, the same call goes on where it was. A network needs a number of steps however
# few pictures there are (`min_steps`). With 72 pictures the result is rough; `make demo` takes 240.

# %%
truth = [example.mask for example in drawn]
run = ws.train(
    images,
    words,
    classes=drawn.classes[1:],
    masks=truth,
    workdir=folder / "run",
    config="shapes",
    settings={
        "classifier.min_steps": 60,
        "boundary.min_steps": 45,
        "segmenter.min_steps": 40,
        "segmenter.max_steps": 40,
    },
)

# %% [markdown]
# True masks are used for scores only, never for training.

# %%
for name, entry in run.scores["train"].items():
    if "miou" in entry:
        print(f"{name:<12} mIoU {entry['miou']:5.1f}")

# %%
rows = [ws.plot.overlay(images[k], run.pseudo_labels[k], run.classes) for k in range(5)]
ws.plot.row(rows, titles=[", ".join(w) for w in words[:5]], height=160)

# %% [markdown]
# ## Other pictures
#
# The segmenter of a run labels pictures that it has never seen, without their words.

# %%
others = data.load(folder / "drawn", "val")
model = ws.load(folder / "run")
unseen = [example.image for example in others]
found = model.predict(unseen, crf=True)
scores = ws.evaluate(found, [example.mask for example in others], classes=model.classes)
print(f"mIoU of 12 other pictures: {100 * scores.miou:.1f}")
ws.plot.row([ws.plot.overlay(i, m, model.classes) for i, m in zip(unseen[:5], found)], height=160)

# %% [markdown]
# `run.report` is a page with every photo and layer, loss curves and scores; open it in a browser.

# %%
print(run.report)
