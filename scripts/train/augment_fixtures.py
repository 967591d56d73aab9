"""Writes what PyTorch, Pillow and NumPy compute, for the tests of images and their augmentation.

    python scripts/train/augment_fixtures.py     (needs torch, numpy and pillow)

Affine motions by `affine_grid` and `grid_sample` in double precision; brightness and contrast by the
formulae of torchvision's `adjust_brightness` and `adjust_contrast`; resizing by Pillow; arrays as NumPy
saves them. Written with torch 2.15.0, numpy 2.4.6 and pillow 13.0.
"""

import io
import json
import math
import pathlib

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

FIXTURES = pathlib.Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures"
rng = np.random.default_rng(0)


def short(values, digits=8):
    return [float(f"{x:.{digits}g}") for x in np.asarray(values, dtype=np.float64).ravel()]


def moved(image, flip, degrees, zoom, right, down):
    """`image` [channels, height, width]: mirrored, zoomed and turned about its centre, then shifted."""
    _, height, width = image.shape
    angle = math.radians(degrees)
    mirror = -1.0 if flip else 1.0
    xx, xy = mirror * math.cos(angle) / zoom, mirror * math.sin(angle) / zoom
    yx, yy = -math.sin(angle) / zoom, math.cos(angle) / zoom
    # From pixels about the centre to PyTorch's coordinates, in which the image spans -1 to 1.
    theta = torch.tensor([
        [xx, xy * height / width, -(xx * right + xy * down) * 2 / width],
        [yx * width / height, yy, -(yx * right + yy * down) * 2 / height],
    ], dtype=torch.float64)
    grid = F.affine_grid(theta[None], [1, *image.shape], align_corners=False)
    return F.grid_sample(image[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def affine():
    cases = []
    for shape, motion in [
        ((1, 7, 7), dict(flip=False, degrees=17.0, zoom=1.0, right=0.0, down=0.0)),
        ((1, 6, 9), dict(flip=False, degrees=-30.0, zoom=1.2, right=1.3, down=-0.7)),
        ((3, 8, 5), dict(flip=True, degrees=10.0, zoom=0.8, right=-1.0, down=2.0)),
        ((1, 5, 8), dict(flip=True, degrees=0.0, zoom=1.0, right=2.0, down=-1.0)),
        ((1, 4, 6), dict(flip=False, degrees=0.0, zoom=1.0, right=0.25, down=0.0)),
        ((1, 5, 5), dict(flip=False, degrees=180.0, zoom=1.0, right=0.0, down=0.0)),
        ((1, 5, 5), dict(flip=False, degrees=45.0, zoom=0.5, right=3.0, down=0.0)),
    ]:
        image = torch.from_numpy(rng.integers(0, 256, shape) / 255.0)
        cases.append(dict(shape=shape, **motion, pixels=short(image), expected=short(moved(image, **motion))))
    return cases


def colour():
    cases = []
    for channels, kind, factor in [
        (1, "brightness", 1.4), (1, "brightness", 0.7), (3, "brightness", 1.3),
        (1, "contrast", 1.5), (1, "contrast", 0.4), (3, "contrast", 1.4), (3, "contrast", 0.6),
    ]:
        image = torch.from_numpy(rng.integers(0, 256, (channels, 4, 5)) / 255.0)
        if kind == "brightness":
            changed = factor * image
        else:
            weights = torch.tensor([0.2989, 0.587, 0.114] if channels == 3 else [1.0], dtype=torch.float64)
            mean = (image * weights[:, None, None]).sum(0).mean()
            changed = mean + factor * (image - mean)
        cases.append(dict(shape=[channels, 4, 5], kind=kind, factor=factor, pixels=short(image),
                          expected=short(changed.clamp(0, 1))))
    return cases


def resized():
    cases = []
    for (height, width), (new_height, new_width), channels in [((6, 9), (4, 5), 1), ((5, 4), (8, 10), 1), ((12, 8), (3, 3), 3)]:
        pixels = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)
        picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
        # A PNG is read back bit for bit by any decoder.
        small = np.asarray(picture.resize((new_width, new_height), Image.Resampling.BILINEAR))
        planes = small[None] if channels == 1 else small.transpose(2, 0, 1)
        cases.append(dict(size=[height, width, channels], pixels=pixels.ravel().tolist(),
                          to=[new_height, new_width], expected=planes.ravel().tolist()))
    return cases


def arrays():
    """Small files in each form that NumPy writes; `arrays.json` says what is in them."""
    folder = FIXTURES / "arrays"
    folder.mkdir(exist_ok=True)
    images = rng.integers(0, 256, (5, 3, 2, 3)).astype(np.uint8)  # n, h, w, c
    labels = np.array([0, 1, 2, 1, 0])
    table = rng.normal(size=(5, 3)).round(3)
    np.save(folder / "last.npy", images)
    np.save(folder / "first.npy", np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    np.save(folder / "labels.npy", labels)
    np.save(folder / "table_f32.npy", table.astype(np.float32))
    np.save(folder / "table_fortran.npy", np.asfortranarray(table))
    np.save(folder / "table_big_endian.npy", table.astype(">f8"))
    np.save(folder / "numbers.npy", table[:, 0])
    np.savez(folder / "stored.npz", x_train=images[:4], y_train=labels[:4], x_test=images[4:], y_test=labels[4:])
    np.savez_compressed(folder / "packed.npz", x=images, y=labels)
    return dict(images=images.transpose(0, 3, 1, 2).ravel().tolist(), labels=labels.tolist(), table=short(table))


(FIXTURES / "augment.json").write_text(json.dumps(dict(affine=affine(), colour=colour(), resized=resized(), arrays=arrays())) + "\n")
