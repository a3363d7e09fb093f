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
# # Your own photos
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/wsgcn-jax/wsgcn-jax/blob/main/notebooks/your_own_photos.ipynb)
#
# A folder of photos and the words for what they show; masks and a trained network come back. Put your photos
# into sub-folders named after what they show, or add a `labels.csv` with a line `file,word word ...` for each.

# %%
try:
    import wsgcn_jax as ws
except ImportError:
    # %pip install -q "wsgcn-jax[weights,notebooks] @ git+https://github.com/wsgcn-jax/wsgcn-jax"
    import wsgcn_jax as ws

import shutil
import tempfile
from pathlib import Path

import skimage
from PIL import Image

# %% [markdown]
# ## Where they are
#
# In Colab, either upload an archive (`photos.zip`) or use a folder of your Drive:
#
# ```python
# from google.colab import drive, files
#
# drive.mount("/content/drive")
# PHOTOS = Path("/content/drive/MyDrive/pets")
#
# # or
# shutil.unpack_archive(next(iter(files.upload())), "/content/photos")
# PHOTOS = Path("/content/photos")
# ```
#
# As long as `PHOTOS` is None, this notebook makes a small folder of scikit-image's photos to show how it goes.

# %%
PHOTOS = None
WORKDIR = Path(tempfile.mkdtemp()) / "run"
SETTINGS = {}

if PHOTOS is None:
    PHOTOS = Path(tempfile.mkdtemp()) / "photos"
    samples = {"cat": skimage.data.chelsea(), "cup": skimage.data.coffee()}
    for word, photo in samples.items():
        (PHOTOS / word).mkdir(parents=True)
        parts = {"whole": photo, "left": photo[:, :320], "right": photo[:, -320:]}
        for name, part in parts.items():
            Image.fromarray(part).save(PHOTOS / word / f"{name}.png")
    # Six views of two photos need no long training.
    SETTINGS = {"boundary.min_steps": 30, "segmenter.min_steps": 20}

# %% [markdown]
# ## Look before you train
#
# The words come from `labels.csv`, or from the names of the sub-folders.

# %%
from wsgcn_jax import data

source = data.FolderSource(PHOTOS, labels=None)
names = source.listing()["train"]
print(len(names), "photos; classes:", ", ".join(source.classes()[1:]))
photos = {  # results are named after the files, `cat/whole.png` is `cat__whole`
    path.relative_to(PHOTOS).with_suffix("").as_posix().replace("/", "__"): path
    for path in PHOTOS.rglob("*")
    if path.suffix.lower() in (".png", ".jpg", ".jpeg")
}
shown = [name for name in names if name in photos][:6]
ws.plot.row([photos[name] for name in shown], titles=shown, height=120)

# %% [markdown]
# ## Train
#
# The number of photos decides how long it takes, which is said at the start: on two CPU cores about ten minutes
# for twenty-four photos and half an hour for three hundred. A stopped run goes on where it was when this cell is
# run once more.

# %%
run = ws.train(PHOTOS, workdir=WORKDIR, settings=SETTINGS)

# %% [markdown]
# ## Look at the masks
#
# Where masks are too large or empty, *Troubleshooting* in the documentation says what to change.

# %%
pictures = [
    ws.plot.overlay(photos[name], run.pseudo_labels[run.names.index(name)], run.classes)
    for name in shown
    if name in run.names  # the others could not be used; `run.skipped` says why
]
ws.plot.row(pictures, height=160)

# %% [markdown]
# ## Take them with you
#
# The masks are palette PNGs named after the photos, with the class names beside them in `classes.json`. The
# whole work folder is what `ws.load` opens.

# %%
archive = shutil.make_archive(str(WORKDIR.parent / "masks"), "zip", WORKDIR / "pseudo_labels")
print(archive)
# In Colab: files.download(archive)
