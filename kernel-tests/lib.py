"""What kernel tests share: an own mount and process namespace, mounts through the system calls, a daemon, origins.

A test starts with
    import lib
    cases = lib.start(__file__)
and then runs each case as
    with cases.case("name"):
        ...
and ends with `cases.finish()`. An exception inside a case makes it `not ok`. `start` restarts the test as the first
process of its own process and mount namespace: whatever happens to it, its daemons and mounts go with it."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cachefiles  # noqa: E402
import kernel  # noqa: E402
from kernel import MNT_DETACH, libc, unmount  # noqa: E402
import tree  # noqa: E402

BIN = os.environ.get("BIN", os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build/release/bin"))
MKFS = os.path.join(BIN, "mkfs.nydus-erofs")
FSCACHED = os.path.join(BIN, "fscached")
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIXTURES = os.environ.get("FIXTURES", os.path.join(os.path.dirname(TOP), "shared", "fixtures"))
# Where the test runs and by which of the kernel's interfaces: a kernel booted for it (uml/boot) says so.
KERNEL, MECHANISM = os.environ.get("KERNEL", "host"), os.environ.get("MECHANISM", "fanotify")
COMMAND_TIMEOUT = 240
READY_TIMEOUT = 20

class Failure(Exception):
    """A case failed for a reason that needs no trace."""


class Absent(Exception):
    """What a case would show is not there on this host: said as `skip`, with the fact."""


class Cases:
    def __init__(self, name):
        self.name, self.failed = name, 0

    def ok(self, name):
        print(f"ok {name}", flush=True)

    def not_ok(self, name, why):
        self.failed += 1
        print(f"not ok {name}: {why}", flush=True)

    def skip(self, name, why):
        print(f"skip {name}: {why}", flush=True)

    @contextlib.contextmanager
    def case(self, name):
        try:
            yield
        except Absent as fact:
            self.skip(name, fact)
        except Failure as error:
            self.not_ok(name, error)
        except Exception as error:  # a broken test is a failed case, and the next one still runs
            traceback.print_exc(file=sys.stdout)
            self.not_ok(name, f"{type(error).__name__}: {error}")
        else:
            self.ok(name)

    def finish(self):
        sys.exit(1 if self.failed else 0)


def start(script):
    """Enters own namespaces and checks what the host offers; leaves with `skip` where it offers too little."""
    name = os.path.basename(script)
    cases = Cases(name)
    if os.geteuid() != 0:
        cases.skip(name, "not root")
        sys.exit(0)
    if os.environ.get("KERNEL_TEST_INSIDE") != name:
        os.environ["KERNEL_TEST_INSIDE"] = name
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
                              "--mount-proc", sys.executable, os.path.abspath(script), *sys.argv[1:]])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.chmod(work(), 0o755)  # the daemon's worker is not root
    missing = missing_for_mount(work())
    if missing and KERNEL != "host":  # that kernel was built to offer it
        raise Failure("; ".join(missing))
    if missing:
        cases.skip(name, "; ".join(missing))
        sys.exit(0)
    return cases


def scaled(on_host, in_guest):
    """A number of repetitions: a guest is slower, and its memory small."""
    return on_host if KERNEL == "host" else in_guest


def missing_for_mount(folder):
    """What keeps fscached from mounting here with its cache in `folder`, in words; empty when nothing does."""
    return kernel.missing_for_mount(MECHANISM, folder)


def work(*parts):
    """A path in the scratch folder."""
    return os.path.join(os.environ["WORK"], *parts)


def fresh_dir(*parts):
    path = work(*parts)
    if os.path.lexists(path):
        shutil.rmtree(path)
    os.makedirs(path, 0o755)
    return path


def run(command, ok=(0,), **options):
    """Runs a command; its output is part of the failure. Returns the completed process, output as bytes."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=COMMAND_TIMEOUT, check=False, **options)
    if done.returncode not in ok:
        text = (done.stderr + done.stdout).decode("utf-8", "backslashreplace").strip()
        words = " ".join(map(str, command))
        raise Failure(f"exit status {done.returncode} from `{words}`: {text[-1500:]}")
    return done


def mkfs(*arguments):
    return run([MKFS, *arguments])


def dump(bootstrap, path, *arguments):
    """Writes the listing of an image to a file."""
    with open(path, "wb") as out:
        out.write(run([MKFS, "dump", *arguments, bootstrap]).stdout)


# --- images ---------------------------------------------------------------------------------------------------------

class Image:
    """An image of ours: bootstrap and blob folder."""

    def __init__(self, name, source, *options):
        self.folder = fresh_dir(name)
        self.bootstrap, self.blobs = os.path.join(self.folder, "image.boot"), os.path.join(self.folder, "blobs")
        os.mkdir(self.blobs)
        self.from_directory = os.path.isdir(source)
        mkfs(*options, "--blob-dir", self.blobs, self.bootstrap, source)

    def mount_arguments(self, where=None):
        return ["--bootstrap", self.bootstrap, "--blobs", where or self.blobs]

    def dump(self):
        path = os.path.join(self.folder, "dump.jsonl")
        dump(self.bootstrap, path, "--blob-dir", self.blobs)
        return path

    def remove(self):
        shutil.rmtree(self.folder)


def tar_of(folder, path, *options):
    """A tar that keeps everything but sockets, as GNU tar writes it."""
    run(["tar", "--create", "--file", path, "--format=pax", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner",
         "--sort=name", *options, "--directory", folder, "."])
    return path


def expect_same(what, left, right, ignore=()):
    """Two descriptions or listings (tree.py) must agree; the first differences are the reason."""
    found = tree.differences(left, right, ignore)
    if found:
        raise Failure(f"{what}: {len(found)} differences: " + "; ".join(found[:6]))


def without_sockets(described):
    return {path: record for path, record in described.items() if record["type"] != "sock"}


def contents(folder):
    """The bytes of every file of a flat folder, read past the page cache of the folder's own file system."""
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            found[name] = file.read()
    return found


def wait_until(what, happened, patience=60):
    deadline = time.monotonic() + patience
    while not happened():
        if time.monotonic() > deadline:
            raise Failure(f"still not after {patience} s: {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def disk(where, size):
    """A small ext4 of its own at `where`, in the file `where`.ext4 behind a loop device."""
    with open(f"{where}.ext4", "wb") as out:
        out.truncate(size)
    run(["mkfs.ext4", "-q", "-m", "0", f"{where}.ext4"])
    os.makedirs(where)
    run(["mount", "-o", "loop", f"{where}.ext4", where])
    try:
        yield where
    finally:
        run(["umount", where])


# --- mounts ---------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def kernel_mount(bootstrap, devices, mountpoint):
    """A mount by the kernel alone, without the daemon."""
    mount = mount_from_files if MECHANISM == "fanotify" else mount_from_cookies
    with mount(bootstrap, devices, mountpoint):
        try:
            yield mountpoint
        finally:
            unmount(mountpoint)


@contextlib.contextmanager
def mount_from_files(bootstrap, devices, mountpoint):
    os.makedirs(mountpoint, exist_ok=True)
    descriptor = kernel.erofs_mount_object(bootstrap, devices)
    try:
        kernel.move_mount(descriptor, mountpoint)
    finally:
        os.close(descriptor)
    yield


@contextlib.contextmanager
def mount_from_cookies(bootstrap, devices, mountpoint):
    """The kernel asks for everything, and gets it from the files."""
    blobs = {}
    for cookie, path in ("bootstrap", bootstrap), *((os.path.basename(path), path) for path in devices):
        with open(path, "rb") as file:
            blobs[cookie] = file.read()
    device = cachefiles.Device().bind(fresh_dir("kernel-cache"))
    try:
        with cachefiles.served_apart(device, blobs):
            done = cachefiles.mount(mountpoint, *blobs)
            if done.returncode:
                raise Failure(f"mount: {done.stderr.strip()}")
            yield
    finally:
        device.close()


# --- the daemon -----------------------------------------------------------------------------------------------------

def status_of(process):
    """The lines of /proc/PID/status, by their names."""
    with open(f"/proc/{process}/status", encoding="ascii") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def status_bytes(process, name):
    return int(status_of(process)[name].split()[0]) << 10


class Daemon:
    """`fscached serve` with a root and a socket of its own. Use as a context manager."""

    def __init__(self, name="daemon", *arguments, config=None):
        self.root = fresh_dir(name)
        self.socket = os.path.join(self.root, "fscached.sock")
        self.log_path = work(f"{name.replace(os.sep, '-')}.log")  # never on a disk under test
        self.arguments = list(arguments)
        if config is not None:
            path = work(f"{name}.toml")
            with open(path, "w", encoding="utf-8") as out:
                out.write(config)
            self.arguments += ["--config", path]
        self.process = None
        self.mounts = []

    def launch(self, log):
        return subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def command(self):
        return [FSCACHED, "serve", "--backend", MECHANISM, "--root", self.root, "--socket", self.socket, *self.arguments]

    def __enter__(self):
        with open(self.log_path, "ab") as log:
            self.process = self.launch(log)
        deadline = time.monotonic() + READY_TIMEOUT
        while not self.answers():
            if self.process.poll() is not None:
                raise Failure(f"fscached ended with status {self.process.returncode}: {self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise Failure(f"fscached did not become ready in {READY_TIMEOUT} s: {self.log_tail()}")
            time.sleep(0.02)
        return self

    def __exit__(self, kind, *_):
        for mountpoint in list(self.mounts):
            with contextlib.suppress(Failure, subprocess.TimeoutExpired):
                self.umount(mountpoint)
            if os.path.ismount(mountpoint):
                libc.umount2(os.fsencode(mountpoint), MNT_DETACH)
        self.stop()
        if kind is not None:
            print(f"# log of fscached: {self.log_tail()}", flush=True)

    def answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.socket)
                return True
            except OSError:
                return False

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def worker(self):
        """The process number of the worker; None between two of them."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as children:
            for child in children.read().split():
                with contextlib.suppress(OSError), open(f"/proc/{child}/comm", encoding="ascii") as name:
                    if name.read().startswith("fscached"):
                        return int(child)
        return None

    def kill_worker(self):
        """Whether there was one: not between two, nor when an earlier kill is just being noticed."""
        worker = self.worker()
        if worker is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                return True
        return False

    def kill(self):
        """Ends keeper and worker at once, as a crash of the machine's memory would: what is mounted stays mounted."""
        worker = self.worker()
        os.kill(self.process.pid, signal.SIGKILL)  # first: it would start another worker
        os.kill(worker, signal.SIGKILL)
        self.process.wait()
        os.waitpid(worker, 0)  # the test is the first process of its namespace: orphans are its children
        self.mounts = []

    def marks(self):
        """How many cache files the kernel asks us about, as the kernel itself says."""
        count = 0
        for number in os.listdir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(OSError), open(f"/proc/{self.process.pid}/fdinfo/{number}", encoding="ascii") as info:
                count += sum(line.startswith("fanotify ino:") for line in info)
        return count

    def needs_no_answers(self):
        """Whether the kernel reads what is there by itself: cachefiles always, fanotify once a complete file has no mark."""
        return MECHANISM == "cachefiles" or self.marks() == 0

    def asks_for_the_rest(self):
        """Whether the kernel asks for what is not there: cachefiles always, fanotify while a file has its mark."""
        return MECHANISM == "cachefiles" or self.marks() > 0

    def cache_file(self):
        """The file that holds the data of the only blob: our own, or the kernel's."""
        if MECHANISM == "fanotify":
            folder = os.path.join(self.root, "blobs")
            name, = (name for name in os.listdir(folder) if name.endswith(".data"))
            return os.path.join(folder, name)
        files = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(self.root, "cachefiles")) for name in names]
        return max(files, key=os.path.getsize)  # the other one is the bootstrap

    def stats(self):
        return json.loads(self.call("stats", "--json").stdout)

    def listed(self):
        return json.loads(self.call("list", "--json").stdout)

    def log_size(self):
        return os.path.getsize(self.log_path)

    def log(self, since=0):
        """What it said behind the first `since` bytes."""
        with open(self.log_path, encoding="utf-8", errors="backslashreplace") as log:
            log.seek(since)
            return log.read()

    def log_tail(self):
        return self.log()[-3000:].strip()

    def call(self, command, *arguments, ok=(0,)):
        return run([FSCACHED, command, "--socket", self.socket, *arguments], ok=ok)

    def mount(self, mountpoint, *image):
        """image: IMAGE, or `--bootstrap FILE --blobs WHERE`."""
        os.makedirs(mountpoint, exist_ok=True)
        self.call("mount", *image, mountpoint)
        self.mounts.append(mountpoint)
        return mountpoint

    def umount(self, mountpoint):
        self.call("umount", mountpoint)
        self.mounts.remove(mountpoint)

    @contextlib.contextmanager
    def mounted(self, mountpoint, *image):
        self.mount(mountpoint, *image)
        try:
            yield mountpoint
        finally:
            self.umount(mountpoint)


# --- origins --------------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, name):
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failure(f"{name} does not answer on port {port}")
        time.sleep(0.02)


@contextlib.contextmanager
def server(command, port, name):
    with open(work(f"{name}.log"), "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for_port(port, process, name)
        yield
    finally:
        process.terminate()
        process.wait()


NGINX_CONFIG = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
  log_format requests '$status $body_bytes_sent $request_method $uri $http_range';
  access_log {folder}/access.log requests;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; limit_rate {rate}; }}
}}
"""


class Nginx:
    """A real nginx over a folder; `requests()` gives (status, bytes, method, path, range) for each request so far."""

    def __init__(self, root, name="nginx", limit_rate="0"):
        """limit_rate: bytes a second for each answer, in nginx's words (8m); 0 = as fast as it can."""
        self.folder, self.root, self.port, self.rate = fresh_dir(name), root, free_port(), limit_rate
        self.url = f"http://127.0.0.1:{self.port}/"
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        config = os.path.join(self.folder, "nginx.conf")
        user = "user root root;" if os.geteuid() == 0 else ""
        with open(config, "w", encoding="ascii") as out:
            out.write(NGINX_CONFIG.format(folder=self.folder, port=self.port, root=self.root, rate=self.rate, user=user))
        command = ["nginx", "-e", os.path.join(self.folder, "error.log"), "-c", config]
        self.stack.enter_context(server(command, self.port, "nginx"))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def requests(self):
        time.sleep(0.05)  # the log line follows the answer
        with open(os.path.join(self.folder, "access.log"), encoding="ascii", errors="replace") as lines:
            fields = [line.split(" ", 4) for line in lines]
        return [(int(f[0]), int(f[1]), f[2], f[3], f[4].strip()) for f in fields]


class Liar:
    """kernel-tests/origin over a folder."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.command = [os.path.join(TOP, "kernel-tests", "origin"), folder, "--port", str(self.port)]
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.stack.enter_context(server(self.command, self.port, "origin"))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def put(self, path, body=""):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("PUT", path, body)
        if connection.getresponse().status >= 300:
            raise Failure(f"the origin does not take {path} {body}")
        connection.close()

    def lie(self, mode, **how):
        self.put("/.fault", json.dumps({"mode": mode, **how}))

    def stats(self):
        with urllib.request.urlopen(f"{self.url}.stats", timeout=20) as answer:
            return json.load(answer)

    def hang_up(self):
        """Ends the answers that stall."""
        self.put("/.hang-up")


REGISTRY_CONFIG = """
version: 0.1
log: {{accesslog: {{disabled: false}}, level: warn}}
storage: {{filesystem: {{rootdirectory: "{folder}/data"}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class Registry:
    """A real docker-registry; `requests()` gives (method, path, status, bytes, user agent) for each request so far."""

    def __init__(self, name="registry", config=REGISTRY_CONFIG, **values):
        """config: its configuration file, with {folder}, {port} and the names of `values`."""
        self.name, self.folder, self.port = name, fresh_dir(name), free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.config = config.format(folder=self.folder, port=self.port, **values)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        config = os.path.join(self.folder, "config.yml")
        with open(config, "w", encoding="ascii") as out:
            out.write(self.config)
        self.stack.enter_context(server(["docker-registry", "serve", config], self.port, self.name))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def push(self, layout, tag, name):
        """Copies an image from an OCI layout with skopeo."""
        skopeo(f"oci:{layout}:{tag}", f"docker://{self.host}/{name}")

    def requests(self):
        time.sleep(0.05)  # the log line follows the answer
        with open(work(f"{self.name}.log"), encoding="ascii", errors="replace") as log:
            found = re.findall(r'"([A-Z]+) (\S+) HTTP/1\.1" (\d+) (\d+) "[^"]*" "([^"]*)"', log.read())
        return [(method, path, int(status), int(size), agent) for method, path, status, size, agent in found]


def skopeo(source, target, *options):
    """Copies an image as it is."""
    run(["skopeo", "--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false",
         *options, source, target])
