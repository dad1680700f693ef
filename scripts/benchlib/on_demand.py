"""`scripts/bench on-demand`: the first read of 1 MiB chunks over loopback HTTP, through fanotify here and through cachefiles in
User Mode Linux. No kernel here offers both, and a guest pays far more for a page fault or a system call than a machine, so
each is compared with work in its own kernel: the same chunks fetched one after the other over one connection and written to a
file (plain), and `fscached fetch` of the same blob, which is all the daemon does but answer a reader. First read / fetch is
what the mechanism adds; the ratio of those ratios is the nearest to "cachefiles against fanotify" that can be measured here."""

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
GUEST = "INSIDE_GUEST"


def make_image():
    source = lib.fresh_dir("source")
    with open(os.path.join(source, "file"), "wb") as out:
        out.write(os.urandom(CHUNK * CHUNKS))
    return lib.Image("image", source, "--compressor", "none", "--chunk-size", "1M")


def plain(origin, blob):
    """Each chunk fetched and written: milliseconds of each."""
    connection, times = http.client.HTTPConnection("127.0.0.1", origin.port), []
    with open(lib.work("plain"), "wb", buffering=0) as out:
        for number in range(CHUNKS):
            started = time.perf_counter()
            connection.request("GET", f"/{blob}", headers={"Range": f"bytes={number * CHUNK}-{number * CHUNK + CHUNK - 1}"})
            out.write(connection.getresponse().read())
            times.append((time.perf_counter() - started) * 1000)
    connection.close()
    os.unlink(lib.work("plain"))
    return times


def first_reads(daemon, image, origin):
    """Each chunk read for the first time; the first one was read by the mount itself."""
    times = []
    with daemon.mounted(lib.work("mnt"), *image.mount_arguments(origin.url)) as folder:
        descriptor = os.open(os.path.join(folder, "file"), os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        for number in range(1, CHUNKS):
            started = time.perf_counter()
            os.pread(descriptor, CHUNK, number * CHUNK)
            times.append((time.perf_counter() - started) * 1000)
        os.close(descriptor)
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
        return [wall * 1000 / CHUNKS]


def measure(rounds):
    """Alternating, so that a slow moment hits both."""
    image, figures = make_image(), {"plain": [], "fetch": [], "first read": []}
    blob, = os.listdir(image.blobs)
    with lib.Nginx(image.blobs) as origin, lib.Daemon() as daemon:
        for _ in range(rounds):
            figures["plain"] += plain(origin, blob)
            daemon.call("prune")
            figures["fetch"] += fetch(daemon, image, origin)
            daemon.call("prune")
            figures["first read"] += first_reads(daemon, image, origin)
    return figures


def in_guest(version, rounds, scratch):
    """The same in a kernel of its own."""
    exchange = os.path.join(scratch, "exchange")
    os.makedirs(exchange, exist_ok=True)
    command = [os.path.join(frame.TOP, "kernel-tests/uml/boot"), "--exchange", exchange, "--timeout", "900", version, sys.executable,
               os.path.join(frame.TOP, "scripts/bench"), "on-demand", "--rounds", str(rounds)]
    out = os.path.join(exchange, f"{version}.json")
    environment = {**os.environ, GUEST: out, "SCRATCH": scratch}
    environment.pop("KERNEL_TEST_INSIDE", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{version}: {done.stdout[-500:]}{done.stderr[-500:]}")
        return None
    with open(out, encoding="utf-8") as figures:
        return json.load(figures)


def show(results):
    ratios = {}
    print(f"\nfirst read of {CHUNK >> 20} MiB chunks over loopback HTTP, median milliseconds a chunk")
    print(f"  {'':18}{'plain':>8}{'fetch':>8}{'first read':>12}{'/ plain':>9}{'/ fetch':>9}{'to fanotify':>13}")
    for name, figures in results.items():
        if figures is None:
            continue
        plain_ms, fetch_ms, read_ms = (statistics.median(figures[key]) for key in ("plain", "fetch", "first read"))
        ratios[name] = read_ms / fetch_ms
        print(f"  {name:18}{plain_ms:>8.2f}{fetch_ms:>8.2f}{read_ms:>12.2f}{read_ms / plain_ms:>9.2f}{ratios[name]:>9.2f}"
              f"{ratios[name] / ratios['fanotify host']:>13.2f}", flush=True)
    print("  (the aim is 1.30 or less in the last column)")


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
                json.dump(measure(given.rounds), out)
            return 0
        results = {"fanotify host": measure(given.rounds)}
        for version in ("6.1", "6.12"):
            results[f"cachefiles {version}"] = in_guest(version, given.rounds, os.environ["WORK"])
        show(results)
        if given.json:
            with open(given.json, "w", encoding="utf-8") as out:
                json.dump(results, out)
    return 0
