"""`scripts/bench build`: images out of the sources of Linux 6.1, as directory, as tar and as gzipped tar."""

import os
import shutil
import subprocess

from benchlib import frame

ARCHIVE = "/usr/src/linux-source-6.1.tar.xz"
# How nydusify and nydus-snapshotter call the builder for a layer.
CONVERTER = ["create", "--log-level", "warn", "--whiteout-spec", "none", "--fs-version", "6", "--blob-inline-meta", "--features", "blob-toc"]


def prepare(folder):
    """The three inputs; made where they are missing."""
    tree, tar, gzipped = (os.path.join(folder, name) for name in ("linux-source-6.1", "linux.tar", "linux.tar.gz"))
    os.makedirs(folder, exist_ok=True)
    if not os.path.isdir(tree):
        if not os.path.exists(ARCHIVE):
            raise SystemExit("bench: no linux-source-6.1 here: scripts/install-deps bench")
        subprocess.run(["tar", "-xJf", ARCHIVE, "-C", folder], check=True)
    if not os.path.exists(tar):
        subprocess.run(["tar", "-C", tree, "--sort=name", "--format=pax", "-cf", tar, "."], check=True)
    if not os.path.exists(gzipped):
        with open(gzipped, "wb") as out:
            subprocess.run(["gzip", "-6", "-n", "-c", tar], stdout=out, check=True)
    return tree, tar, gzipped


class Build:
    """Contenders' runs, each into an empty folder."""

    def __init__(self, scratch):
        self.out = os.path.join(scratch, "out")
        self.ours = os.path.join(frame.BIN, "mkfs.nydus-erofs")
        self.peer = os.environ.get("NYDUS_IMAGE")

    def fresh(self):
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(os.path.join(self.out, "blobs"))
        return os.path.join(self.out, "image.boot"), os.path.join(self.out, "blobs")

    def sizes(self, figures, bootstrap, blobs):
        figures["blob_mib"] = sum(os.path.getsize(os.path.join(blobs, name)) for name in os.listdir(blobs)) / 2**20
        figures["boot_mib"] = os.path.getsize(bootstrap) / 2**20 if os.path.exists(bootstrap) else None
        return {key: value for key, value in figures.items() if value is not None}

    def native(self, source, compressor):
        bootstrap, blobs = self.fresh()
        return self.sizes(frame.measure([self.ours, "--compressor", compressor, "--blob-dir", blobs, bootstrap, source]), bootstrap, blobs)

    def nydus_image(self, source, compressor):
        bootstrap, blobs = self.fresh()
        command = [self.peer, "create", "--log-level", "warn", "-t", "dir-rafs", "--compressor", compressor, "-D", blobs, "-B", bootstrap, source]
        return self.sizes(frame.measure(command), bootstrap, blobs)

    def converter(self, program, source, kind):
        """As converters call a builder: layer in and blob out through FIFOs."""
        _, blobs = self.fresh()
        tar_fifo, blob_fifo = os.path.join(self.out, "tar.fifo"), os.path.join(self.out, "blob.fifo")
        os.mkfifo(tar_fifo)
        os.mkfifo(blob_fifo)
        with open(os.path.join(blobs, "blob"), "wb") as sink:
            feeders = [subprocess.Popen(["sh", "-c", 'exec cat "$0" > "$1"', source, tar_fifo]),
                       subprocess.Popen(["cat", blob_fifo], stdout=sink)]
            try:
                figures = frame.measure([program, *CONVERTER, "--type", kind, "--blob", blob_fifo, tar_fifo], cwd=self.out)
            except RuntimeError:
                for feeder in feeders:
                    feeder.kill()
                raise
            finally:
                for feeder in feeders:
                    feeder.wait()
        return self.sizes(figures, "/nonexistent", blobs)

    def mkfs_erofs(self, source, *extra):
        _, blobs = self.fresh()
        return self.sizes(frame.measure(["mkfs.erofs", "--quiet", *extra, os.path.join(blobs, "image"), source]), "/nonexistent", blobs)

    def tar_zstd(self, source, level):
        _, blobs = self.fresh()
        target = os.path.join(blobs, "archive")
        pack = f"| zstd -q -{level} -T2 -o {target}" if level else f"> {target}"
        if os.path.isdir(source):
            command = f"tar -C {source} --sort=name -cf - . {pack}"
        else:
            command = f"cat {source} {pack}"
        return self.sizes(frame.measure(["sh", "-c", command]), "/nonexistent", blobs)


def works(build, tree, tar, gzipped):
    directory = frame.Work("directory, zstd")
    directory.add(frame.OURS, lambda: build.native(tree, "zstd"))
    plain = frame.Work("directory, uncompressed")
    plain.add(frame.OURS, lambda: build.native(tree, "none"))
    layer = frame.Work("tar layer, as converters call it")
    layer.add(frame.OURS, lambda: build.converter(build.ours, tar, "tar-rafs"))
    gzip_layer = frame.Work("gzipped tar layer, as converters call it")
    gzip_layer.add(frame.OURS, lambda: build.converter(build.ours, gzipped, "targz-rafs"))
    if build.peer:
        directory.add("nydus-image", lambda: build.nydus_image(tree, "zstd"))
        plain.add("nydus-image", lambda: build.nydus_image(tree, "none"))
        layer.add("nydus-image", lambda: build.converter(build.peer, tar, "tar-rafs"))
        gzip_layer.add("nydus-image", lambda: build.converter(build.peer, gzipped, "targz-rafs"))
    directory.add("mkfs.erofs -zlz4hc", lambda: build.mkfs_erofs(tree, "-zlz4hc"))
    directory.add("tar | zstd -3 -T2", lambda: build.tar_zstd(tree, 3))
    plain.add("mkfs.erofs", lambda: build.mkfs_erofs(tree))
    plain.add("tar", lambda: build.tar_zstd(tree, 0))
    layer.add("zstd -3 -T2", lambda: build.tar_zstd(tar, 3))
    return [directory, plain, layer, gzip_layer]


def main(arguments):
    given = frame.options(__doc__, arguments)
    with frame.scratch_folder(given.scratch) as scratch:
        inputs = prepare(given.inputs or os.path.join(scratch, "inputs"))
        return frame.run_all(works(Build(scratch), *inputs), given)
