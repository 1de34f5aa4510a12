"""Makes digits.tar.xz: scikit-learn's handwritten digits, 8x8 grey, as an ImageFolder of PNGs.

    pip install scikit-learn==1.9.1 pillow==13.0.0 && python digits.py digits.tar.xz
"""
import io
import sys
import tarfile

from PIL import Image
from sklearn.datasets import load_digits

TRAIN = 1437  # the rest, written by other people, is the test split

digits = load_digits()
with tarfile.open(sys.argv[1], "w:xz", format=tarfile.USTAR_FORMAT, preset=9) as archive:
    for index, (pixels, label) in enumerate(zip(digits.images, digits.target)):
        grey = (pixels * 255 / 16 + 0.5).astype("uint8")  # 0..16 as 0..255
        png = io.BytesIO()
        Image.fromarray(grey).save(png, "PNG", optimize=True)
        split = "train" if index < TRAIN else "test"
        member = tarfile.TarInfo(f"digits/{split}/{label}/{index:04d}.png")
        member.size = len(png.getvalue())
        png.seek(0)
        archive.addfile(member, png)
