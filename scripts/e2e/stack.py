"""The real containerd, nydus-snapshotter, runc and docker-registry, with our programs where nydusd and nydus-image would be.

What scripts/e2e/get brought is used from its folder (E2E, else build/e2e); everything these programs write lies in WORK."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "kernel-tests"))
import lib  # noqa: E402

COMPONENTS = os.environ.get("E2E", os.path.join(TOP, "build", "e2e"))
PATH = ":".join(os.path.join(COMPONENTS, "root", "usr", folder) for folder in ("bin", "sbin")) + ":" + os.environ["PATH"]
PROGRAMS = ("containerd", "containerd-shim-runc-v2", "runc", "ctr", "ctr-remote", "containerd-nydus-grpc", "docker-registry")


def bring(cases):
    """The components, or the end of the test with a `skip` that says what is missing."""
    got = subprocess.run([os.path.join(TOP, "scripts/e2e/get"), COMPONENTS], capture_output=True, text=True, check=False, timeout=600)
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if missing:
        cases.skip("components", f"missing {', '.join(missing)}: {got.stderr.strip()[-300:]}")
        sys.exit(0)
    lib.run(["mount", "-t", "tmpfs", "run", "/run"])  # runc and containerd keep things there: in this namespace alone
    with open(os.path.join(COMPONENTS, "done"), encoding="utf-8") as names:
        cases.ok("components: " + " ".join(names.read().split()))


def root_file_system(folder):
    """A small one: busybox with the libraries it needs, and a large file to read."""
    for path in ("bin", "etc", "proc", "sys", "dev", "tmp", "data"):
        os.makedirs(os.path.join(folder, path))
    busybox = shutil.which("busybox")
    libraries = re.findall(r"(/\S+) \(0x", lib.run(["ldd", busybox], ok=(0, 1)).stdout.decode())
    for path in libraries:
        os.makedirs(folder + os.path.dirname(path), exist_ok=True)
        shutil.copy(path, folder + path)
    shutil.copy(busybox, os.path.join(folder, "bin/busybox"))
    for name in ("sh", "cat", "sleep", "sha256sum", "echo", "ls", "touch", "true"):
        os.symlink("busybox", os.path.join(folder, "bin", name))


def make_image(layout, tag, folder):
    """An OCI layout with one layer of a folder."""
    return layout.add_image(tag, [lib.tar_of(folder, lib.work(f"{tag}.tar"))])


CONTAINERD = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{folder}/containerd.sock"
[proxy_plugins.nydus]
type = "snapshot"
address = "{folder}/nydus.sock"
"""

SNAPSHOTTER = """
version = 1
root = "{folder}/nydus"
address = "{folder}/nydus.sock"
daemon_mode = "{mode}"
[daemon]
nydusd_path = "{nydusd}"
nydusimage_path = "{nydus_image}"
nydusd_config = "{folder}/nydusd.json"
fs_driver = "fusedev"
recover_policy = "{recover}"
log_level = "info"
[system]
enable = true
address = "{folder}/system.sock"
[log]
log_to_stdout = true
level = "info"
[cache_manager]
gc_period = "24h"
[snapshot]
sync_remove = true
"""

# As the package ships it, but for the registry's scheme and no background traffic.
NYDUSD = {"device": {"backend": {"type": "registry", "config": {"scheme": "http", "timeout": 5, "connect_timeout": 5,
                                                               "retry_limit": 2}},
                     "cache": {"type": "blobcache"}},
          "mode": "direct", "digest_validate": False, "iostats_files": False, "enable_xattr": True, "amplify_io": 1048576,
          "fs_prefetch": {"enable": False, "threads_count": 8, "merging_size": 1048576, "prefetch_all": False}}


class Stack:
    def __init__(self, name="stack", mode="shared", recover="none"):
        self.folder = lib.fresh_dir(name)
        links = lib.fresh_dir(f"{name}-bin")
        names = {"nydusd": lib.FSCACHED, "nydus-image": lib.MKFS}
        for link, program in names.items():
            os.symlink(program, os.path.join(links, link))
        values = {"folder": self.folder, "mode": mode, "recover": recover, "nydusd": os.path.join(links, "nydusd"),
                  "nydus_image": os.path.join(links, "nydus-image")}
        for path, text in (("containerd.toml", CONTAINERD), ("nydus.toml", SNAPSHOTTER)):
            with open(os.path.join(self.folder, path), "w", encoding="utf-8") as out:
                out.write(text.format(**values))
        with open(os.path.join(self.folder, "nydusd.json"), "w", encoding="utf-8") as out:
            json.dump(NYDUSD, out)
        self.environment = dict(os.environ, PATH=PATH)
        self.processes = {}

    def log(self, name):
        return os.path.join(self.folder, f"{name}.log")

    def start(self, name, words, socket):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket)
        with open(self.log(name), "ab") as log:
            self.processes[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)
        lib.wait_until(f"{name} listens", lambda: os.path.exists(socket) or self.processes[name].poll() is not None, 30)
        if self.processes[name].poll() is not None:
            raise lib.Failure(f"{name} ended: {self.tail(name)}")

    def start_snapshotter(self):
        self.start("snapshotter", ["containerd-nydus-grpc", "--config", f"{self.folder}/nydus.toml"], f"{self.folder}/nydus.sock")

    def end(self, name, number=signal.SIGTERM):
        self.processes[name].send_signal(number)
        self.processes.pop(name).wait(60)

    def __enter__(self):
        self.start_snapshotter()
        self.start("containerd", ["containerd", "--config", f"{self.folder}/containerd.toml"], f"{self.folder}/containerd.sock")
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.tell()
        for name in list(self.processes):
            self.end(name)

    def tell(self):
        """The ends of all logs."""
        for name in ("containerd", "snapshotter"):
            print(f"# log of {name}: {self.tail(name)}", flush=True)
        for path, _, files in os.walk(f"{self.folder}/nydus/logs"):
            for file in files:
                with open(os.path.join(path, file), encoding="utf-8", errors="replace") as text:
                    print(f"# {file}: " + text.read()[-2000:].replace("\n", "\n#   "), flush=True)

    def tail(self, name):
        with open(self.log(name), encoding="utf-8", errors="replace") as text:
            return text.read()[-2500:].replace("\n", "\n#   ")

    def run(self, *words, ok=(0,)):
        return lib.run(words, ok=ok, env=self.environment).stdout.decode("utf-8", "replace")

    def ctr(self, *words, ok=(0,), program="ctr"):
        return self.run(program, "--address", f"{self.folder}/containerd.sock", *words, ok=ok)

    def pull(self, image):
        return self.ctr("images", "rpull", "--plain-http", "--snapshotter", "nydus", "--use-containerd-labels", image,
                        program="ctr-remote")

    def container(self, image, name, *words):
        return self.ctr("run", "--rm", "--net-host", "--snapshotter", "nydus", image, name, *words)

    def start_container(self, image, name, *words):
        return self.ctr("run", "--detach", "--net-host", "--snapshotter", "nydus", image, name, *words)

    def exec(self, name, *words):
        return self.ctr("tasks", "exec", "--exec-id", f"x{os.urandom(4).hex()}", name, *words)

    def stop_container(self, name):
        self.ctr("tasks", "kill", "--signal", "SIGKILL", name, ok=(0, 1))
        lib.wait_until(f"{name} ended", lambda: not re.search(rf"^{name} .*RUNNING", self.ctr("tasks", "ls"), re.M), 30)
        self.ctr("tasks", "rm", name, ok=(0, 1))
        self.ctr("containers", "rm", name)

    def cached_bytes(self):
        """Of the disk, below the snapshotter's cache folder."""
        return sum(os.lstat(os.path.join(path, file)).st_blocks * 512
                   for path, _, files in os.walk(f"{self.folder}/nydus/cache") for file in files)

    def mounts(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as lines:
            fields = [line.split() for line in lines]
        return {field[4]: field[field.index("-") + 1] for field in fields if field[4].startswith(self.folder)}

    def nydusd(self):
        """Process numbers of what the snapshotter started as nydusd."""
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{int(entry)}/cmdline", "rb") as words:
                parts = words.read().split(b"\0")
                if os.path.basename(parts[0]) == b"nydusd" and os.fsencode(self.folder) in b" ".join(parts):
                    found.append(int(entry))
        return sorted(found)
