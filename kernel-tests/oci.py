"""Writes OCI image layouts, for tests: layers from tars, gzipped, with manifest, configuration and index."""

import gzip
import hashlib
import json
import os
import tarfile


class Layout:
    def __init__(self, folder):
        self.folder = folder
        self.manifests = []
        os.makedirs(os.path.join(folder, "blobs", "sha256"), exist_ok=True)
        self.write("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())

    def write(self, name, data):
        with open(os.path.join(self.folder, name), "wb") as out:
            out.write(data)

    def add_blob(self, media_type, data):
        digest = hashlib.sha256(data).hexdigest()
        self.write(f"blobs/sha256/{digest}", data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_json(self, media_type, document):
        return self.add_blob(media_type, json.dumps(document).encode())

    def add_gzipped_layer(self, path):
        with open(path, "rb") as source:
            plain = source.read()
        layer = self.add_blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(plain, 1, mtime=0))
        return layer, "sha256:" + hashlib.sha256(plain).hexdigest()

    def add_plain_layer(self, path):
        """Of any size: the file itself becomes the blob."""
        with open(path, "rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = os.path.getsize(path)
        os.rename(path, os.path.join(self.folder, "blobs", "sha256", digest))
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{digest}", "size": size}, f"sha256:{digest}"

    def add_image(self, tag, tars, add_layer=add_gzipped_layer):
        """tars: paths of layers, the lowest first."""
        added = [add_layer(self, path) for path in tars]
        layers, diff_ids = [layer for layer, _ in added], [diff_id for _, diff_id in added]
        config = self.add_json("application/vnd.oci.image.config.v1+json", {
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"], "Env": ["A=b"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": [{"created_by": f"layer {n}"} for n in range(len(tars))]})
        manifest = self.add_json("application/vnd.oci.image.manifest.v1+json", {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers})
        manifest["annotations"] = {"org.opencontainers.image.ref.name": tag}
        self.manifests.append(manifest)
        self.write("index.json", json.dumps({"schemaVersion": 2, "manifests": self.manifests}).encode())
        return f"oci:{self.folder}:{tag}"


def extract_bootstrap(folder, tag, target):
    """The bootstrap of a Nydus image in a layout: the layer marked as such is a tar that holds image/image.boot."""
    def blob(descriptor):
        return os.path.join(folder, "blobs", *descriptor["digest"].split(":"))

    def document(path):
        with open(path, "rb") as source:
            return json.load(source)

    index = document(os.path.join(folder, "index.json"))
    chosen = [entry for entry in index["manifests"] if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag]
    layers = document(blob(chosen[0]))["layers"]
    marked = [layer for layer in layers if layer.get("annotations", {}).get("containerd.io/snapshot/nydus-bootstrap") == "true"]
    with tarfile.open(blob(marked[0]), "r:*") as layer, open(target, "wb") as out:
        out.write(layer.extractfile("image/image.boot").read())
    return target
