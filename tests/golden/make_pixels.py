# SPDX-License-Identifier: Apache-2.0
# Makes tests/golden/pixels: small pictures of every kind, processor configurations, and what Pillow 13.0.0
# and transformers 5.23.0's PIL processors make of them: python3 make_pixels.py (torch, transformers, Pillow,
# safetensors). Of a processor's float pixels each is one of 256 values a channel: what is kept is which one,
# as bytes, and the table of the values, checked here to give the floats exactly.
import io
import json
import os
import struct
import zlib

import numpy as np
import transformers.models as models
from PIL import Image, ImageOps
from safetensors.numpy import save_file

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pixels")
answers = {}


def picture(h, w, channels=3, top=255):
    """Smooth waves, a sharp disc and some noise: all that a filter may blur."""
    y, x = np.mgrid[0:h, 0:w].astype(float)
    noise = np.random.default_rng(h * 1000 + w).uniform(-0.12, 0.12, (h, w, channels))
    waves = [np.sin(x * (0.13 + 0.11 * c) + c) * np.cos(y * (0.23 - 0.05 * c)) for c in range(channels)]
    disc = (((x - w / 3) ** 2 + (y - h / 2) ** 2) < (min(h, w) / 3) ** 2)[..., None] * 0.6
    v = np.stack(waves, -1) * 0.35 + disc + noise
    return (np.clip(v * 0.5 + 0.4, 0, 1) * top).round().astype(np.uint16 if top > 255 else np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(row, depth):
    """Samples of 1, 2, 4, 8 or 16 bits as bytes."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - depth :]
    return np.packbits(bits.reshape(-1)).tobytes()


def png(a, depth, kind, interlace=False, extra=b"", end=b""):
    """Kinds of PNG that Pillow does not write: few and many bits, interlaced."""
    passes = [(0, 0, 1, 1)]
    if interlace:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)]
        passes += [(0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b""
    for y, x, dy, dx in passes:
        part = a[y::dy, x::dx]
        if part.shape[0] and part.shape[1]:
            raw += b"".join(b"\0" + packed(row.reshape(-1), depth) for row in part)
    head = struct.pack(">IIBBBBB", a.shape[1], a.shape[0], depth, kind, 0, 0, int(interlace))
    body = extra + chunk(b"IDAT", zlib.compress(raw, 9)) + end
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def key(*values):
    return chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


def exif(turn, order="<"):
    """A directory of three entries with the orientation among them."""
    d = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 3)
    for tag, value in ((0x100, 7), (0x112, turn), (0x128, 2)):
        d += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
    return b"Exif\0\0" + d + struct.pack(order + "I", 0)


def xmp(turn):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{turn}"/></x:xmpmeta>'.encode()


def pil(a, how, mode=None, **options):
    out = io.BytesIO()
    (Image.fromarray(a) if mode is None else Image.frombytes(mode, a.shape[1::-1], a.tobytes())).save(
        out, how, **options
    )
    return out.getvalue()


def pictures():
    p = {}
    colors = picture(1, 11)[0].reshape(-1).tobytes()
    p["rgb.png"] = pil(picture(29, 41), "PNG", optimize=True)
    p["grey.png"] = png(picture(23, 37, 1), 8, 0)
    p["grey1.png"] = png(picture(19, 27, 1, 1), 1, 0)
    p["grey2.png"] = png(picture(17, 21, 1, 3), 2, 0)
    p["grey4_interlaced.png"] = png(picture(21, 18, 1, 15), 4, 0, True)
    p["grey16.png"] = png((picture(20, 31, 1, 65535) // 150).astype(np.uint16), 16, 0)
    p["grey_alpha.png"] = png(picture(24, 15, 2), 8, 4)
    p["rgb16_interlaced.png"] = png(picture(15, 22, 3, 65535), 16, 2, True)
    p["rgb_alpha.png"] = png(picture(26, 33, 4), 8, 6)
    p["rgb_alpha16.png"] = png(picture(9, 14, 4, 65535), 16, 6)
    clear = chunk(b"PLTE", colors) + chunk(b"tRNS", b"\0\x80\xff")
    p["palette.png"] = png(picture(25, 30, 1, 12), 8, 3, extra=clear)
    p["palette4.png"] = png(picture(16, 35, 1, 10), 4, 3, extra=chunk(b"PLTE", colors))
    p["turned8_late.png"] = png(picture(18, 28), 8, 2, end=chunk(b"eXIf", exif(8)[6:]))
    p["turned4_xmp.png"] = png(
        picture(17, 24), 8, 2, extra=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(4))
    )
    p["column.png"] = png(picture(61, 1), 8, 2)
    p["row.png"] = png(picture(1, 47), 8, 2)
    p["one.png"] = png(picture(1, 1), 8, 2)
    p["half_colours.jpg"] = pil(picture(33, 45), "JPEG", quality=85)
    p["progressive.jpg"] = pil(picture(40, 27), "JPEG", quality=90, subsampling=0, progressive=True)
    p["grey.jpg"] = pil(picture(31, 26, 1)[..., 0], "JPEG", quality=88)
    p["rgb.jpg"] = pil(picture(22, 29), "JPEG", quality=90, keep_rgb=True)
    p["cmyk.jpg"] = pil(picture(28, 36, 4), "JPEG", "CMYK", quality=90)
    p["ycck.jpg"] = p["cmyk.jpg"].replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2")
    assert p["ycck.jpg"] != p["cmyk.jpg"]
    p["turned3_xmp.jpg"] = pil(picture(27, 20), "JPEG", quality=85, xmp=xmp(3))
    for turn in (2, 3, 5, 6, 7):
        options = dict(exif=exif(turn, "<>"[turn % 2]), quality=80)
        p[f"turned{turn}.jpg"] = pil(picture(19 + turn, 32), "JPEG", **options)
    p["lossy.webp"] = pil(picture(35, 43), "WEBP", quality=80)
    p["lossless_alpha.webp"] = pil(picture(22, 34, 4), "WEBP", lossless=True, exact=True)
    p["turned6.webp"] = pil(picture(30, 21), "WEBP", quality=75, exif=exif(6))
    # one colour is transparent, by each kind's own rule
    dark = (picture(9, 13, 1, 4).astype(int) * 60).astype(np.uint8)
    p["key_black1.png"] = png(picture(10, 12, 1, 1), 1, 0, extra=key(0))
    p["key_white1.png"] = png(picture(10, 13, 1, 1), 1, 0, extra=key(1))
    p["key_grey2.png"] = png(picture(12, 11, 1, 3), 2, 0, extra=key(85))
    p["key_grey.png"] = png(dark, 8, 0, extra=key(60))
    p["key_grey_most.png"] = png(np.maximum(dark, 254 + dark // 120), 8, 0, extra=key(0x1FF))
    p["key_grey16.png"] = png(dark.astype(np.uint16) * 2, 16, 0, extra=key(0x300))
    p["key_grey16_none.png"] = png(dark.astype(np.uint16) * 2, 16, 0, extra=key(120))
    flat = np.concatenate([dark, dark[::-1], dark[:, ::-1]], -1)
    p["key_rgb.png"] = png(flat, 8, 2, extra=key(60, 0x13C, 60) + chunk(b"eXIf", exif(6)[6:]))
    p["key_rgb16.png"] = png(flat.astype(np.uint16) * 256 + 60, 16, 2, extra=key(120, 0x2378, 120))
    first = chunk(b"PLTE", colors) + chunk(b"tRNS", b"\xff\0\xff")
    p["key_palette.png"] = png(picture(11, 14, 1, 5), 8, 3, extra=first)
    two = chunk(b"PLTE", colors) + chunk(b"tRNS", b"\0\xff\0")
    p["key_palette_two.png"] = png(picture(11, 15, 1, 5), 8, 3, extra=two)
    return p


SIDE = {"height": 10, "width": 10}
ODD = {"height": 8, "width": 11}
PROCESSORS = {
    "vit": ("ViT", dict(size=SIDE)),
    "clip": ("CLIP", dict(size={"shortest_edge": 9}, crop_size=SIDE)),
    "siglip": ("Siglip", dict(size=ODD)),
    "dinov2": (
        "Bit",
        dict(
            size={"shortest_edge": 16},
            crop_size={"height": 9, "width": 10},
            image_mean=[0.485, 0.456, 0.406],
            image_std=[0.229, 0.224, 0.225],
        ),
    ),
    "llava": ("Llava", dict(size={"shortest_edge": 10}, crop_size=SIDE, do_pad=True)),
    "idefics3": ("Idefics3", dict(size={"longest_edge": 15}, max_image_size={"longest_edge": 8})),
    "smolvlm": (
        "SmolVLM",
        dict(size={"longest_edge": 18}, max_image_size={"longest_edge": 11}, do_image_splitting=False),
    ),
    # the switches' other sides, on fewer pictures
    "plain": (
        "ViT",
        dict(
            size=[9, 12], resample=4, do_convert_rgb=True, do_rescale=False, do_normalize=False,
                do_center_crop=True, crop_size=11
        ),
    ),
    "bounded": (
        "CLIP",
        dict(
            size={"shortest_edge": 12, "longest_edge": 17},
            do_center_crop=False,
            resample=5,
            do_normalize=False,
        ),
    ),
    "padded": (
        "Siglip",
        dict(
            size=12,
            default_to_square=True,
            do_convert_rgb=False,
            do_pad=True,
            pad_size={"height": 14, "width": 13},
            resample=0,
        ),
    ),
}
CLASSES = {
    "ViT": models.vit.ViTImageProcessorPil,
    "CLIP": models.clip.CLIPImageProcessorPil,
    "Siglip": models.siglip.SiglipImageProcessorPil,
    "Bit": models.bit.BitImageProcessorPil,
    "Llava": models.llava.LlavaImageProcessorPil,
    "Idefics3": models.idefics3.Idefics3ImageProcessorPil,
    "SmolVLM": models.smolvlm.SmolVLMImageProcessorPil,
}


def as_bytes(pixels, table):
    """pixels [tiles, 3, H, W] as indices into table [3, 256]."""
    out = np.zeros(pixels.shape, np.uint8)
    for c in range(3):
        order = np.argsort(table[c], kind="stable")
        at = order[np.searchsorted(table[c][order], pixels[:, c]).clip(0, 255)]
        assert (table[c][at] == pixels[:, c]).all()
        out[:, c] = at
    return out


def run(name, kind, options, paths):
    p = CLASSES[kind](**options)
    config = json.loads(p.to_json_string())
    as_given = ("size", "crop_size", "default_to_square")
    config.update({k: v for k, v in options.items() if k in as_given})
    with open(os.path.join(HERE, f"{name}.json"), "w") as f:
        json.dump(config, f, indent=1, sort_keys=True)
        f.write("\n")
    p = CLASSES[kind].from_dict(config)
    bytes_ = np.repeat(np.arange(256, dtype=np.uint8)[None, None], 3, 0)  # [3, 1, 256]
    table = bytes_.astype(np.float32)
    if p.do_rescale:
        table = p.rescale(bytes_, p.rescale_factor)
    if p.do_normalize:
        table = p.normalize(table, p.image_mean, p.image_std)
    table = np.ascontiguousarray(table[:, 0].astype(np.float32))
    answers[f"table/{name}"] = table
    few = name in ("plain", "bounded", "padded")
    for i, (image, path) in enumerate(paths.items()):
        if few and i % 5 > 0 and not image.startswith("key"):
            continue
        more = {"return_row_col_info": True} if "max_image_size" in options else {}
        try:
            got = p(path, return_tensors="np", **more)
        except ValueError as e:
            assert "must be > 0" in str(e), e  # a picture without pixels
            continue
        pixels = np.asarray(got["pixel_values"], np.float32)
        pixels = pixels.reshape((-1,) + pixels.shape[-3:])
        if name == "padded":
            assert (pixels[:, :, 12:] == 0).all() and (pixels[:, :, :, 12:] == 0).all()
            pixels = pixels[:, :, :12, :12]
        answers[f"{name}/{image}"] = as_bytes(pixels, table)
        if more:
            answers[f"grid/{name}/{image}"] = np.array([got["rows"][0][0], got["cols"][0][0]], np.int64)


def main():
    os.makedirs(HERE, exist_ok=True)
    paths = {}
    for name, data in pictures().items():
        paths[name] = os.path.join(HERE, name)
        with open(paths[name], "wb") as f:
            f.write(data)
        rgb = ImageOps.exif_transpose(Image.open(paths[name])).convert("RGB")
        answers[f"rgb/{name}"] = np.array(rgb)
    rgb = Image.open(paths["rgb.png"])
    for filter_ in range(6):
        for w, h in ((7, 5), (44, 16), (30, 9), (41, 7), (12, 29), (3, 64)):
            answers[f"resize/{filter_}/{w}x{h}"] = np.array(rgb.resize((w, h), filter_))
    for name, (kind, options) in PROCESSORS.items():
        run(name, kind, options, paths)
    save_file(answers, os.path.join(HERE, "answers.safetensors"))
    size = sum(os.path.getsize(os.path.join(HERE, f)) for f in os.listdir(HERE))
    print(size, "bytes", len(paths), "pictures")


main()
