"""Draws samples from generator.jaxgan, with jax, numpy and flatbuffers:

pip install jax numpy flatbuffers
python sample.py --n 16 --seed 0 --out samples.png
"""

import argparse
import struct
import zlib
from pathlib import Path

import numpy as np
import portable

HERE = Path(__file__).parent


def png(picture: np.ndarray) -> bytes:
    """Returns uint8 [H, W], [H, W, 3] or [H, W, 4] as the bytes of a PNG file."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = picture.shape[:2]
    colour = 0 if picture.ndim == 2 else {3: 2, 4: 6}[picture.shape[-1]]
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(picture))
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sheet(images: np.ndarray) -> np.ndarray:
    """Returns images [N, H, W, C] as one, in rows of about the square root of N."""
    columns = int(np.ceil(np.sqrt(len(images))))
    blank = np.zeros((-len(images) % columns, *images.shape[1:]), images.dtype)
    height, width, channels = images.shape[1:]
    tiles = np.concatenate([images, blank]).reshape(-1, columns, height, width, channels)
    whole: np.ndarray = tiles.transpose(0, 2, 1, 3, 4).reshape(-1, columns * width, channels)
    return whole[..., 0] if channels == 1 else whole


def main() -> None:
    """Reads the command line, draws and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=None, help="number of samples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", default=None, help="class by number or name, or several with commas")
    parser.add_argument("--out", default="samples.png", help=".png for a sheet of pictures, .npy for the array")
    told = parser.parse_args()
    try:
        samples = portable.load(HERE / "generator.jaxgan")(n=told.n, seed=told.seed, labels=told.labels)
    except ValueError as error:
        parser.error(str(error))
    is_picture = samples.dtype == np.uint8 and len(samples.shape) == 4 and samples.shape[-1] in (1, 3, 4)
    if told.out.endswith(".png") and is_picture:
        Path(told.out).write_bytes(png(sheet(samples.images)))
    elif told.out.endswith(".npy"):
        np.save(told.out, samples.images)
    else:
        parser.error(f"--out: {told.out}, but it must end in {'.png or ' if is_picture else ''}.npy")
    print(told.out)


if __name__ == "__main__":
    main()
