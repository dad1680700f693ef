"""`scripts/bench read`: files through fscached's mounts, the same files on the disk, and through nydusd."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time

from benchlib import frame

sys.path.insert(0, os.path.join(frame.TOP, "kernel-tests"))
import lib  # noqa: E402

BIG_SIZE = 512 << 20
PIECE = 1 << 20
PAGE = 4096
MISSES = 16384
DROP_CACHES = "/proc/sys/vm/drop_caches"


def make_source(folder):
    """One big file of real content, and a small one that nobody reads, so that the blob stays incomplete."""
    os.makedirs(folder)
    with open(os.path.join(folder, "big"), "wb") as big:
        for parent, _, names in os.walk("/usr"):
            for name in names:
                path = os.path.join(parent, name)
                if big.tell() < BIG_SIZE and os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as part:
                        shutil.copyfileobj(part, big, PIECE)
        big.truncate(min(big.tell(), BIG_SIZE))
    with open(os.path.join(folder, "never-read"), "wb") as other:
        other.write(os.urandom(PIECE))


def drop_caches():
    os.sync()
    with open(DROP_CACHES, "w", encoding="ascii") as control:
        control.write("3")


def read_all(path):
    buffer = memoryview(bytearray(PIECE))
    started = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    wall = time.monotonic() - started
    return {"wall": wall, "mib_per_s": os.path.getsize(path) / 2**20 / wall}


def read_pages(path):
    """Pages in random order, each once: what one miss costs."""
    pages = os.path.getsize(path) // PAGE
    order = random.Random(1).sample(range(pages), min(MISSES, pages))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        started = time.monotonic()
        for page in order:
            os.pread(descriptor, PAGE, page * PAGE)
        wall = time.monotonic() - started
    finally:
        os.close(descriptor)
    return {"wall": wall, "us_per_read": wall / len(order) * 1e6}


class Read:
    def __init__(self, scratch):
        self.source = os.path.join(scratch, "source")
        make_source(self.source)
        self.on_disk = os.path.join(self.source, "big")
        self.image = lib.Image("image", self.source)
        self.nydusd_binary = os.environ.get("NYDUSD")
        self.nydusd_cache = lib.fresh_dir("nydusd-cache")

    @contextlib.contextmanager
    def ours(self, daemon):
        with daemon.mounted(lib.work("mnt"), *self.image.mount_arguments()) as mountpoint:
            yield os.path.join(mountpoint, "big")

    @contextlib.contextmanager
    def nydusd(self):
        config = {"device": {"backend": {"type": "localfs", "config": {"dir": self.image.blobs}},
                             "cache": {"type": "blobcache", "config": {"work_dir": self.nydusd_cache}}},
                  "mode": "direct", "digest_validate": False, "iostats_files": False}
        with open(lib.work("nydusd.json"), "w", encoding="ascii") as out:
            json.dump(config, out)
        mountpoint = lib.fresh_dir("nydusd-mnt")
        command = [self.nydusd_binary, "fuse", "--config", lib.work("nydusd.json"), "--bootstrap", self.image.bootstrap,
                   "--mountpoint", mountpoint, "--log-level", "error", "--rlimit-nofile", "0"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not os.path.exists(os.path.join(mountpoint, "big")):
                if process.poll() is not None:
                    raise RuntimeError(f"nydusd ended with status {process.returncode}")
                time.sleep(0.02)
            yield os.path.join(mountpoint, "big")
        finally:
            process.terminate()
            process.wait()
            lib.unmount(mountpoint)

    def with_mount(self, mount, action, caches="kept"):
        with mount as path:
            if caches == "dropped":
                drop_caches()
            return action(path)

    def cold(self):
        with lib.Daemon("cold") as daemon:
            return self.with_mount(self.ours(daemon), read_all)

    def nydusd_cold(self):
        shutil.rmtree(self.nydusd_cache)
        os.makedirs(self.nydusd_cache)
        return self.with_mount(self.nydusd(), read_all)

    def disk(self, action, caches):
        if caches == "dropped":
            drop_caches()
        return action(self.on_disk)


def warm_nydusd(read):
    """Everything into nydusd's cache, so that its later runs read local data."""
    with read.nydusd() as path:
        read_all(path)


def works(read, complete, incomplete):
    sequential = frame.Work("512 MiB read in order, blob complete, caches dropped (ratio of mib_per_s: 0.95 or more is the aim)")
    sequential.add(frame.OURS, lambda: read.with_mount(read.ours(complete), read_all, "dropped"))
    sequential.add("the same file on the disk", lambda: read.disk(read_all, "dropped"))

    marked = frame.Work("4 KiB misses, data local, blob incomplete: every miss asks the daemon")
    marked.add(frame.OURS, lambda: read.with_mount(read.ours(incomplete), read_pages))
    marked.add("ours, blob complete: no daemon", lambda: read.with_mount(read.ours(complete), read_pages))

    cold = frame.Work("512 MiB read in order, nothing local, blobs in a folder")
    cold.add(frame.OURS, read.cold)
    if read.nydusd_binary:
        sequential.add("nydusd", lambda: read.with_mount(read.nydusd(), read_all, "dropped"))
        marked.add("nydusd", lambda: read.with_mount(read.nydusd(), read_pages))
        cold.add("nydusd", read.nydusd_cold)
    return [sequential, marked, cold]


def measure_all(scratch, given):
    read = Read(scratch)
    with lib.Daemon("complete") as complete, lib.Daemon("incomplete") as incomplete:
        with read.ours(complete) as path:
            read_all(path)
            read_all(os.path.join(os.path.dirname(path), "never-read"))
        with read.ours(incomplete) as path:
            read_all(path)
        if read.nydusd_binary:
            warm_nydusd(read)
        return frame.run_all(works(read, complete, incomplete), given)


def main(arguments):
    given = frame.options(__doc__, arguments)
    with contextlib.ExitStack() as stack:
        # lib.start begins anew in own namespaces, with the scratch folder in the environment.
        if "KERNEL_TEST_INSIDE" not in os.environ:
            os.environ["WORK"] = frame.make_scratch(given.scratch)
        stack.callback(shutil.rmtree, os.environ["WORK"], ignore_errors=True)
        lib.start(sys.argv[0])
        return measure_all(os.environ["WORK"], given)
