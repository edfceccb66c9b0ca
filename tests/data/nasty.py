"""Pictures and texts that programs trip over, and files that are none."""

import io

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
TEXTS = (
    b"", b" \t\n", b"a red cat", "Ünïcode naïve café".encode(), "e\u0301te\u0301".encode(),
    "赤い猫が寝ている".encode(), "🐈‍⬛ on a 🛏️".encode(), "قطة".encode(), b"a\0red\0cat", b"\0",
    b"\xff\xfe cat \xc3", b"cat " * 25_000, b"c" * 100_000, "猫".encode() * 33_000,
)  # fmt: skip


def encode(image, kind, **options):
    """The bytes of a picture of Pillow's."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(mode="RGB", size=(23, 17), seed=0):
    """A picture that does not compress, so that every cut takes something away."""
    numbers = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), np.uint8)
    image = Image.fromarray(numbers)
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def pictures():
    """Dict from a name to the bytes of a picture that can be read."""
    sixteen = np.random.default_rng(1).integers(0, 65536, (9, 11), np.uint16)
    frames = [noise(seed=seed) for seed in (2, 3)]
    return {kind: encode(noise(), kind) for kind in FORMATS} | {
        "grey jpeg": encode(noise("L"), "JPEG"),
        "cmyk jpeg": encode(noise("CMYK"), "JPEG"),
        "progressive jpeg": encode(noise(), "JPEG", progressive=True),
        "grey png": encode(noise("L"), "PNG"),
        "one bit png": encode(noise("1"), "PNG"),
        "rgba png": encode(noise("RGBA"), "PNG"),
        "16 bit png": encode(Image.fromarray(sixteen), "PNG"),
        "palette png": encode(noise("P"), "PNG", transparency=3),
        "1 × 1": encode(noise(size=(1, 1)), "PNG"),
        "1 × 900": encode(noise(size=(1, 900)), "PNG"),
        "animated gif": encode(noise(), "GIF", save_all=True, append_images=frames),
        "lossless webp": encode(noise("RGBA"), "WEBP", lossless=True),
    }


def bomb(side=12_000):
    """A small file whose picture takes `side` squared bytes, or more."""
    return encode(Image.new("L", (side, side)), "PNG")


def cuts(count=10):
    """Each format, cut at `count` lengths from nothing to all but a byte."""
    whole = [encode(noise(), kind) for kind in FORMATS]
    return [
        contents[:length]
        for contents in whole
        for length in np.linspace(0, len(contents) - 1, count).astype(int)
    ]


def mutated(count, seed=0):
    """Files with bytes overwritten, cut out, doubled or appended, mostly near their beginning."""
    rng = np.random.default_rng(seed)
    whole = list(pictures().values())
    return [mutate(whole[place % len(whole)], rng) for place in range(count)]


def mutated_texts(count, seed=0):
    """Texts cut and put together anew, anywhere in a character too, and then changed."""
    rng = np.random.default_rng(seed)

    def piece():
        text = TEXTS[rng.integers(len(TEXTS))] + bytes(rng.integers(0, 256, 3, np.uint8))
        start = int(rng.integers(0, min(len(text), 99)))
        return text[start : start + int(rng.integers(1, 60))]

    return [mutate(b" ".join(piece() for _ in range(3)), rng) for _ in range(count)]


def mutate(contents, rng):
    """Bytes of a file with up to five changes."""
    contents = bytearray(contents)
    for _ in range(rng.integers(1, 6)):
        reach = rng.choice([32, 128, max(1, len(contents))])
        at, length = int(rng.integers(0, reach)), int(rng.integers(1, 9))
        kind = rng.integers(0, 5)
        if kind == 0:
            del contents[at : at + length]
        elif kind == 1:
            contents[at:at] = contents[at : at + length]
        elif kind == 2:
            contents[at : at + length] = (
                rng.choice([0, 255, 127], length).astype(np.uint8).tobytes()
            )
        elif kind == 3:
            contents[at : at + length] = rng.integers(0, 256, length, np.uint8).tobytes()
        else:
            contents += rng.integers(0, 256, length, np.uint8).tobytes()
    return bytes(contents)
