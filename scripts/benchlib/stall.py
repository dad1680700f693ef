"""`scripts/bench stall`: what readers notice of an origin that is not theirs and stalls. 64 readers of another origin, each reading
what was never read before, and 64 readers of data in the cache (not in the page cache): the time of each read, alone and
while 64 readers wait for the stalled one, in turn. fanotify's answers wake every waiter of the group, so that whoever still needs
answers notices those who wait; a complete blob's readers need none. Shown are the medians over the rounds of the 50th and 99th percentile."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import statistics
import sys
import time

from benchlib import frame

sys.path.insert(0, os.path.join(frame.TOP, "kernel-tests"))
import lib  # noqa: E402
import readers  # noqa: E402

READERS, FILES, PIECE, PIECES = 64, 65, 128 << 10, 8  # the first file proves the mount
CONFIG = "[fetch]\nstall_timeout_s = 600\nread_timeout_ms = 600000\nrequest_timeout = '600s'\n"
KINDS, STATES = ("another origin", "cached"), ("alone", "stalled")


def make_image(name):
    source = lib.fresh_dir(f"source-{name}")
    for number in range(FILES):
        with open(os.path.join(source, f"f{number:02}"), "wb") as out:
            out.write(os.urandom(PIECE * PIECES))
    return lib.Image(name, source, "--compressor", "none", "--chunk-size", f"{PIECE:#x}")


def read_file(path):
    """Milliseconds of each piece."""
    times = []
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for piece in range(PIECES):
            started = time.perf_counter()
            os.pread(file.fileno(), PIECE, piece * PIECE)
            times.append((time.perf_counter() - started) * 1000)
    return times


def files_of(folder):
    return [os.path.join(folder, f"f{number:02}") for number in range(1, FILES)]


def read_at_once(folder):
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        return [one for times in pool.map(read_file, files_of(folder)) for one in times]


@contextlib.contextmanager
def stalled(daemon, origin, image):
    """64 readers wait for their origin."""
    with daemon.mounted(lib.work("at-slow"), *image.mount_arguments(origin.url)) as folder:
        origin.lie("stall")
        children = [readers.start(read_file, path) for path in files_of(folder)]
        lib.wait_until("they wait", lambda: daemon.stats()["kernel"]["pending"] >= READERS)
        try:
            yield
        finally:
            origin.lie("none")
            origin.hang_up()
            readers.finish(children, 60)
    daemon.call("prune")


def one_round(daemon, origins, images):
    """The times of each state and kind."""
    def both():
        with daemon.mounted(lib.work("at-other"), *images["other"].mount_arguments(origins["other"].url)) as folder:
            return {KINDS[0]: read_at_once(folder), KINDS[1]: read_at_once(folder)}
    times = {}
    for state in STATES:
        with stalled(daemon, origins["slow"], images["slow"]) if state == "stalled" else contextlib.nullcontext():
            times[state] = both()
        daemon.call("prune")
    return times


def percentiles(times):
    return {"p50": statistics.median(times), "p99": statistics.quantiles(times, n=100)[98]}


def show(rounds):
    print(f"\n{READERS} readers of {PIECE >> 10} KiB pieces, {len(rounds)} rounds; milliseconds, and ratios to alone")
    print(f"  {'':16}" + "".join(f"{state + ' ' + name:>14}" for name in ("p50", "p99") for state in (*STATES, "ratio")))
    for kind in KINDS:
        row = []
        for name in ("p50", "p99"):
            medians = [statistics.median(one[state][kind][name] for one in rounds) for state in STATES]
            row += [f"{medians[0]:.2f}", f"{medians[1]:.2f}", f"{medians[1] / medians[0]:.2f}"]
        print(f"  {kind:16}" + "".join(f"{cell:>14}" for cell in row), flush=True)
    print("  (the aim for p99: 3 or less for another origin, no change for what is cached)")


def main(arguments):
    given = frame.options(__doc__, arguments)
    with contextlib.ExitStack() as stack:
        if "KERNEL_TEST_INSIDE" not in os.environ:
            os.environ["WORK"] = frame.make_scratch(given.scratch)
        lib.start(sys.argv[0])
        stack.callback(shutil.rmtree, os.environ["WORK"], ignore_errors=True)
        images = {name: make_image(name) for name in ("slow", "other")}
        origins = {"slow": stack.enter_context(lib.Liar(images["slow"].blobs)), "other": stack.enter_context(lib.Nginx(images["other"].blobs))}
        daemon = stack.enter_context(lib.Daemon(config=CONFIG))
        results = []
        for _ in range(given.rounds):
            times = one_round(daemon, origins, images)
            results.append({state: {kind: percentiles(times[state][kind]) for kind in KINDS} for state in STATES})
        show(results)
        if given.json:
            with open(given.json, "w", encoding="utf-8") as out:
                json.dump(results, out)
    return 0
