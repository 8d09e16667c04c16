"""Writes vectors/nix: narinfos and NAR files that are good, and some that somebody tampered with.

Run as ``python -m flywheel_assets_tests.adapters.nix.make_vectors``. Compressed bytes may differ between
versions of the libraries; narinfos never do, and a test compares them.
"""

import bz2
import lzma
from pathlib import Path

from backports import zstd

from flywheel_assets_tests.adapters.nix.making import nar

FOLDER = Path(__file__).parents[2] / "vectors" / "nix"
NAR = nar(b"the contents of one file\n" * 400)
NIX32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
HASH = "0c3pkyz0zssz3zj4kqc8yqsixzaxzqpj"
GOOD = f"""StorePath: /nix/store/{HASH}-hello-2.12
URL: nar/{NIX32}.nar.zst
Compression: zstd
FileHash: sha256:{NIX32}
FileSize: 1234
NarHash: sha256:{NIX32}
NarSize: 5678
References: {HASH}-hello-2.12 1c3pkyz0zssz3zj4kqc8yqsixzaxzqpj-glibc-2.39
Deriver: 2c3pkyz0zssz3zj4kqc8yqsixzaxzqpj-hello-2.12.drv
Sig: cache.example-1:{"A" * 86}==
"""
URL = f"URL: nar/{NIX32}.nar.zst\n"


def narinfos() -> dict[str, bytes]:
    """Every narinfo vector by file name."""
    changed = {
        "url-absolute": GOOD.replace(URL, "URL: https://elsewhere.example/x.nar.zst\n"),
        "url-rooted": GOOD.replace(URL, "URL: /etc/passwd\n"),
        "url-traversal": GOOD.replace(URL, "URL: nar/../../secret\n"),
        "url-backslash": GOOD.replace(URL, "URL: nar\\..\\secret\n"),
        "url-escaped": GOOD.replace(URL, "URL: nar/%2e%2e/secret\n"),
        "url-query": GOOD.replace(URL, "URL: nar/x.nar?token=1\n"),
        "url-dot": GOOD.replace(URL, "URL: ./nar/x.nar\n"),
        "duplicate-key": GOOD + "NarSize: 1\n",
        "size-negative": GOOD.replace("NarSize: 5678", "NarSize: -5678"),
        "size-zero": GOOD.replace("NarSize: 5678", "NarSize: 0"),
        "size-huge": GOOD.replace("NarSize: 5678", "NarSize: " + "9" * 40),
        "size-arabic": GOOD.replace("NarSize: 5678", "NarSize: \u0665"),
        "hash-letter-e": GOOD.replace(f"NarHash: sha256:{NIX32}", f"NarHash: sha256:{'e' * 52}"),
        "hash-too-long": GOOD.replace(f"NarHash: sha256:{NIX32}", f"NarHash: sha256:{'z' * 52}"),
        "hash-of-md5": GOOD.replace(f"NarHash: sha256:{NIX32}", "NarHash: md5:" + "0" * 32),
        "file-hash-bad": GOOD.replace(f"FileHash: sha256:{NIX32}", "FileHash: sha256:x"),
        "no-url": GOOD.replace(URL, ""),
        "no-store-path": GOOD.partition("\n")[2],
        "store-path-elsewhere": GOOD.replace("StorePath: /nix/store/", "StorePath: /gnu/store/"),
        "reference-traversal": GOOD.replace("References: ", "References: ../../etc/passwd "),
        "deriver-bad": GOOD.replace("Deriver: ", "Deriver: /"),
        "no-colon": GOOD + "nonsense\n",
        "cut-off": GOOD[:-20],
        "empty": "",
        "carriage-returns": GOOD.replace("\n", "\r\n"),
    }
    found = {f"{name}.narinfo": text.encode() for name, text in changed.items()}
    found["good.narinfo"] = GOOD.encode()
    found["not-utf-8.narinfo"] = GOOD.encode().replace(b"hello", b"hell\xff", 1)
    return found


def bodies() -> dict[str, bytes]:
    """Every NAR file vector by file name."""
    packed = zstd.compress(NAR)
    # A frame of unknown size, whose window descriptor (RFC 8878, 3.1.1.1.2) then asks for 2^30 bytes.
    compressor = zstd.ZstdCompressor()
    window = bytearray(compressor.compress(NAR) + compressor.flush())
    window[5] = (30 - 10) << 3
    return {
        "good.nar.zst": packed,
        "good.nar.xz": lzma.compress(NAR),
        "good.nar.bz2": bz2.compress(NAR),
        "good.nar": NAR,
        "two-frames.nar.zst": zstd.compress(NAR[:500]) + zstd.compress(NAR[500:]),
        "empty.nar.zst": b"",
        "truncated.nar.zst": packed[:-10],
        "truncated.nar.xz": lzma.compress(NAR)[:-30],
        "short.nar.zst": zstd.compress(NAR[:-8]),
        "garbage-after.nar.zst": packed + b"#!/bin/sh\n",
        "garbage-after.nar.xz": lzma.compress(NAR) + b"#!/bin/sh\n",
        "two-bytes-after.nar.zst": packed + packed[:2],
        "no-zstd.nar.zst": b"this is no zstd frame at all",
        "huge-window.nar.zst": bytes(window),
        "bomb.nar.zst": zstd.compress(bytes(16 * 2**20)),
        "bomb.nar.xz": lzma.compress(bytes(16 * 2**20)),
        "bomb.nar.bz2": bz2.compress(bytes(16 * 2**20)),
    }


def main() -> None:
    """Write them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in {**narinfos(), **bodies()}.items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
