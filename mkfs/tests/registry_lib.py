"""What the tests of converting into registries share: an image taken apart, and what the server's log says was asked."""

import hashlib
import json
import os
import re
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TOP, "kernel-tests"))
import lib  # noqa: E402

AGENT = "mkfs.nydus-erofs"
spool = lib.fresh_dir("spool")


def expect(condition, why):
    if not condition:
        raise lib.Failure(why)


class Image:
    """An image of a layout, each blob compared with its digest."""

    def __init__(self, folder, tag):
        self.folder = folder
        with open(os.path.join(folder, "index.json"), encoding="utf-8") as text:
            entries = json.load(text)["manifests"]
        self.digest = next(entry["digest"] for entry in entries if entry["annotations"]["org.opencontainers.image.ref.name"] == tag)
        self.manifest = json.loads(self.blob(self.digest))
        self.blobs = [self.manifest["config"]["digest"]] + [one["digest"] for one in self.manifest["layers"]]
        for digest in self.blobs:
            self.blob(digest)

    def path(self, digest):
        return os.path.join(self.folder, "blobs", *digest.split(":"))

    def blob(self, digest):
        with open(self.path(digest), "rb") as source:
            data = source.read()
        expect("sha256:" + hashlib.sha256(data).hexdigest() == digest, f"{digest}: other bytes")
        return data


def convert(source, target, *options, status=0):
    return lib.run([lib.MKFS, "convert", "--work-dir", spool, *options, source, target], ok=(status,)).stderr.decode()


def ours(registry, after=0):
    return [request for request in registry.requests()[after:] if request[4] == AGENT]


def blob_of(path):
    found = re.search(r"/blobs/(sha256:[0-9a-f]{64})$", path)
    return found and found.group(1)


def pulled(requests):
    """Bytes that were read of each blob."""
    sums = {}
    for method, path, _, size, _ in requests:
        if method == "GET" and blob_of(path):
            sums[blob_of(path)] = sums.get(blob_of(path), 0) + size
    return sums


def stored(requests):
    """Digests of the blobs that were sent and taken."""
    found = (re.search(r"digest=(sha256)%3a([0-9a-f]{64})", one[1], re.I) for one in requests if one[0] == "PUT" and one[2] == 201)
    return {":".join(one.groups()) for one in found if one}
