"""Writes small JPEGs of three samplings of colour, and beside each what Pillow reads of it:

    python images/dataset/testdata/jpeg.py

in the root of the repository. Needs Pillow. The sides are odd: a colour's last sample is half used.
"""

import pathlib

from PIL import Image

HERE = pathlib.Path(__file__).parent


def main() -> None:
    im = Image.new("RGB", (21, 19))
    for y in range(19):
        for x in range(21):
            im.putpixel(
                (x, y),
                ((x * 12) % 256, (y * 13) % 256, 255 if (x // 5 + y // 4) % 2 else 40),
            )
    for name in ("4:2:0", "4:2:2", "4:4:4"):
        path = HERE / f"jpeg-{name.replace(':', '')}.jpg"
        im.save(path, quality=95, subsampling=name)
        Image.open(path).convert("RGB").save(path.with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    main()
