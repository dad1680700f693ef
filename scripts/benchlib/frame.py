"""Runs contenders in turn, round after round, and shows medians and ratios."""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("BIN", os.path.join(TOP, "build/release/bin"))
OURS = "ours"


def options(description, arguments):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs (3)")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    parser.add_argument("--scratch", default=os.environ.get("SCRATCH", "/var/tmp"), help="where inputs and outputs go (/var/tmp)")
    parser.add_argument("--inputs", metavar="DIR", help="keep and reuse the inputs in this folder")
    parser.add_argument("--only", action="append", metavar="PART", help="only the works whose name holds PART")
    return parser.parse_args(arguments)


def make_scratch(base):
    return tempfile.mkdtemp(prefix="nydus-erofs-bench.", dir=base)


@contextlib.contextmanager
def scratch_folder(base):
    folder = make_scratch(base)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(command, **popen):
    """Runs a command and its children to the end: wall seconds, processor seconds, peak resident MiB."""
    with tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, **popen)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            text = errors.read()[-500:].decode(errors="replace")
            raise RuntimeError(f"exit status {process.returncode} from {' '.join(command)}: {text}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss_mib": usage.ru_maxrss / 1024}


class Work:
    """One work and its contenders: name -> function that does it once and returns figures by name."""

    def __init__(self, name):
        self.name, self.contenders, self.results = name, {}, {}

    def add(self, name, function):
        self.contenders[name] = function
        self.results[name] = []

    def run(self, rounds):
        """Each round runs every contender once, so that a slow moment of the machine hits all alike."""
        for _ in range(rounds):
            for name, function in self.contenders.items():
                self.results[name].append(function())

    def medians(self, name):
        keys = self.results[name][0].keys()
        return {key: statistics.median(figures[key] for figures in self.results[name]) for key in keys}


def text_of(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def print_work(work):
    """A line per contender; below each peer the ratio ours / peer."""
    medians = {name: work.medians(name) for name in work.contenders}
    keys = list(medians[OURS])
    print(f"\n{work.name}")
    print(f"  {'':28}" + "".join(f"{key:>14}" for key in keys))
    for name, figures in medians.items():
        print(f"  {name:28}" + "".join(f"{text_of(figures.get(key)):>14}" for key in keys))
    for name, figures in medians.items():
        if name == OURS:
            continue
        ratios = [f"{medians[OURS][key] / figures[key]:.2f}" if figures.get(key) else "-" for key in keys]
        print(f"  {'ours / ' + name:28}" + "".join(f"{ratio:>14}" for ratio in ratios), flush=True)


def run_all(works, given):
    chosen = [work for work in works if not given.only or any(part in work.name for part in given.only)]
    for work in chosen:
        work.run(given.rounds)
        print_work(work)
    if given.json:
        with open(given.json, "w", encoding="utf-8") as out:
            json.dump({work.name: {name: {"rounds": work.results[name], "median": work.medians(name)}
                                   for name in work.contenders} for work in chosen}, out, indent=1)
    return 0 if chosen else 2
