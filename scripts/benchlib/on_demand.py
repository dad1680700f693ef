"""`scripts/bench on-demand`: the first read of 1 MiB chunks over loopback HTTP, through fanotify here and through cachefiles in
User Mode Linux. No kernel here offers both, and a guest pays far more for a page fault or a system call than a machine, so
each is compared with work in its own kernel: the same chunk fetched over one connection and written to a file (plain), in turn
with the reads, and `fscached fetch` of the same blob, which is all the daemon does but answer a reader. Each pass visits every
kernel once. First read / plain and first read / fetch are what the mechanism costs in its own kernel; their ratio to fanotify's
of the same pass is the nearest to "cachefiles against fanotify" that can be measured here. Shown are the median of the passes
and the lowest and highest."""

import contextlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

from benchlib import frame

sys.path.insert(0, os.path.join(frame.TOP, "kernel-tests"))
import control  # noqa: E402
import lib  # noqa: E402

CHUNK = 1 << 20
CHUNKS = 48
REPEATS = 2  # within a pass
GUEST = "INSIDE_GUEST"
FANOTIFY = "fanotify host"


def make_image():
    source = lib.fresh_dir("source")
    with open(os.path.join(source, "file"), "wb") as out:
        out.write(os.urandom(CHUNK * CHUNKS))
    return lib.Image("image", source, "--compressor", "none", "--chunk-size", "1M")


class Plain:
    """Fetches a chunk and writes it, without the daemon."""

    def __init__(self, origin, blob):
        self.connection, self.path = http.client.HTTPConnection("127.0.0.1", origin.port), f"/{blob}"
        self.out = open(lib.work("plain"), "wb", buffering=0)  # pylint: disable=consider-using-with

    def __call__(self, number):
        self.connection.request("GET", self.path, headers={"Range": f"bytes={number * CHUNK}-{number * CHUNK + CHUNK - 1}"})
        self.out.write(self.connection.getresponse().read())

    def close(self):
        self.connection.close()
        self.out.close()
        os.unlink(lib.work("plain"))


def milliseconds(work, *arguments):
    started = time.perf_counter()
    work(*arguments)
    return (time.perf_counter() - started) * 1000


def reads_and_plain(daemon, image, origin, blob):
    """Each chunk plainly and then read for the first time; the first one was read by the mount itself."""
    plain, times = Plain(origin, blob), {"plain": [], "first read": []}
    with daemon.mounted(lib.work("mnt"), *image.mount_arguments(origin.url)) as folder:
        descriptor = os.open(os.path.join(folder, "file"), os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        for number in range(1, CHUNKS):
            times["plain"].append(milliseconds(plain, number))
            times["first read"].append(milliseconds(os.pread, descriptor, CHUNK, number * CHUNK))
        os.close(descriptor)
    plain.close()
    return times


def fetch(daemon, image, origin):
    """Everything through the daemon, and no reader: milliseconds a chunk."""
    with daemon.mounted(lib.work("mnt"), *image.mount_arguments(origin.url)) as folder:
        command = threading.Thread(target=control.ask, args=(daemon, "fetch", 60), kwargs={"image": folder})
        started = time.perf_counter()
        command.start()
        # It looks only now and then whether it is done.
        while not control.ask(daemon, "list", 60)["images"][0]["complete"]:
            time.sleep(0.002)
        wall = time.perf_counter() - started
        command.join()
        return wall * 1000 / CHUNKS


def measure():
    """The median milliseconds of a chunk, of each kind of work."""
    image = make_image()
    blob, = os.listdir(image.blobs)
    figures = {"plain": [], "fetch": [], "first read": []}
    with lib.Nginx(image.blobs) as origin, lib.Daemon() as daemon:
        for _ in range(REPEATS):
            figures["fetch"].append(fetch(daemon, image, origin))
            daemon.call("prune")
            for kind, times in reads_and_plain(daemon, image, origin, blob).items():
                figures[kind] += times
            daemon.call("prune")
    shutil.rmtree(image.folder)
    return {kind: statistics.median(times) for kind, times in figures.items()}


def in_guest(version, scratch):
    """The same in a kernel of its own."""
    exchange = os.path.join(scratch, "exchange")
    os.makedirs(exchange, exist_ok=True)
    command = [os.path.join(frame.TOP, "kernel-tests/uml/boot"), "--exchange", exchange, "--timeout", "900", version, sys.executable,
               os.path.join(frame.TOP, "scripts/bench"), "on-demand"]
    out = os.path.join(exchange, f"{version}.json")
    environment = {**os.environ, GUEST: out, "SCRATCH": scratch}
    environment.pop("KERNEL_TEST_INSIDE", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{version}: {done.stdout[-500:]}{done.stderr[-500:]}")
    with open(out, encoding="utf-8") as figures:
        return json.load(figures)


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def show(passes):
    print(f"\nfirst read of {CHUNK >> 20} MiB chunks over loopback HTTP, {len(passes)} passes; milliseconds a chunk, and ratios")
    heads = ("plain", "fetch", "first read", "/ plain", "/ fetch", "/ plain to fanotify", "/ fetch to fanotify")
    print(f"  {'':16}" + "".join(f"{head:>22}" for head in heads))
    for name in passes[0]:
        columns = [[one[name][kind] for one in passes] for kind in ("plain", "fetch", "first read")]
        for work in ("plain", "fetch"):
            columns.append([one[name]["first read"] / one[name][work] for one in passes])
        for work, own in (("plain", columns[3]), ("fetch", columns[4])):
            columns.append([ratio / (one[FANOTIFY]["first read"] / one[FANOTIFY][work]) for ratio, one in zip(own, passes)])
        print(f"  {name:16}" + "".join(f"{spread(column):>22}" for column in columns), flush=True)
    print("  (the aim is 1.30 or less in the last two columns)")


def one_pass():
    return {FANOTIFY: measure(), **{f"cachefiles {version}": in_guest(version, os.environ["WORK"]) for version in ("6.1", "6.12")}}


def main(arguments):
    given = frame.options(__doc__, arguments)
    with contextlib.ExitStack() as stack:
        if "KERNEL_TEST_INSIDE" not in os.environ and lib.KERNEL == "host":
            os.environ["WORK"] = frame.make_scratch(given.scratch)
        if lib.KERNEL == "host":
            stack.callback(shutil.rmtree, os.environ["WORK"], ignore_errors=True)
        lib.start(sys.argv[0])
        if GUEST in os.environ:
            with open(os.environ[GUEST], "w", encoding="utf-8") as out:
                json.dump(measure(), out)
            return 0
        results = [one_pass() for _ in range(given.rounds)]
        show(results)
        if given.json:
            with open(given.json, "w", encoding="utf-8") as out:
                json.dump(results, out)
    return 0
