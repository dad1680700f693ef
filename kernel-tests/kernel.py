"""The kernel itself: what it offers to fscached, and mounts through the system calls."""

import ctypes
import errno
import os
import shutil
import struct
import subprocess

import cachefiles

libc = ctypes.CDLL(None, use_errno=True)

# System calls without a wrapper in Debian 12's C library; the numbers are the same on every architecture.
SYS_MOVE_MOUNT, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 429, 430, 431, 432
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY = 1
MNT_DETACH = 2
FAN_CLASS_PRE_CONTENT, FAN_CLOEXEC, FAN_UNLIMITED_QUEUE = 0x08, 0x01, 0x10
FAN_MARK_ADD, FAN_PRE_ACCESS, AT_FDCWD = 1, 0x00100000, -100


# --- what the host offers -------------------------------------------------------------------------------------------

def missing_for_mount(mechanism, folder):
    """What keeps fscached from mounting here with its cache in `folder`, in words; empty when nothing does."""
    if os.geteuid() != 0:
        return ["not root"]
    if mechanism == "cachefiles":
        return missing_cachefiles(folder)
    no_events = missing_pre_content(folder)
    # On a file system that cannot carry the cache the other probe would say something misleading.
    no_erofs = None if no_events and "file system" in no_events else missing_erofs(folder)
    return [why for why in (no_erofs, no_events) if why]


def missing_erofs(folder):
    with open("/proc/filesystems", encoding="ascii") as lines:
        if "erofs" not in lines.read().split():
            subprocess.run(["modprobe", "erofs"], capture_output=True, check=False)
    image = os.path.join(folder, ".probe.erofs")
    with open(image, "wb") as out:
        out.write(empty_erofs())
    try:
        descriptor = erofs_mount_object(image, [])
        os.close(descriptor)
    except PermissionError:
        return "no permission to mount (CAP_SYS_ADMIN)"
    except OSError as error:
        if error.errno == errno.ENODEV:
            return "the kernel has no EROFS (EROFS_FS; modprobe finds no module either)"
        return f"the kernel mounts no EROFS image from a file (EROFS_FS_BACKED_BY_FILE, Linux 6.12 or later: {error.strerror})"
    finally:
        os.unlink(image)
    return None


def empty_erofs():
    """The smallest image: a superblock and a root directory without names but its own two."""
    block = bytearray(8192)
    struct.pack_into("<IIIBBH", block, 1024, 0xE0F5E1E2, 0, 0, 12, 0, 36)
    struct.pack_into("<QQIII", block, 1024 + 16, 1, 0, 0, 2, 0)
    entries = struct.pack("<QHBB", 36, 24, 2, 0) + struct.pack("<QHBB", 36, 25, 2, 0) + b"..."
    inode = struct.pack("<HHHHIIIIHHI", 2 << 1, 0, 0o40755, 2, len(entries), 0, 0, 1, 0, 0, 0)
    block[36 * 32:36 * 32 + len(inode) + len(entries)] = inode + entries
    return bytes(block)


def missing_pre_content(folder):
    group = libc.fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_UNLIMITED_QUEUE, os.O_RDWR)
    if group < 0:
        reason = os.strerror(ctypes.get_errno())
        return f"no fanotify group for permission events (CAP_SYS_ADMIN, FANOTIFY_ACCESS_PERMISSIONS: {reason})"
    probe = os.path.join(folder, ".probe")
    with open(probe, "wb"):
        pass
    try:
        mark = libc.fanotify_mark(group, FAN_MARK_ADD, ctypes.c_uint64(FAN_PRE_ACCESS), AT_FDCWD, probe.encode())
        if mark == 0:
            return None
        reason = os.strerror(ctypes.get_errno())
        if ctypes.get_errno() == errno.EOPNOTSUPP:
            return f"the cache's file system allows no pre-content events (ext4, XFS and btrfs do): {folder}"
        return f"no fanotify pre-content events (Linux 6.14 or later: {reason})"
    finally:
        os.close(group)
        os.unlink(probe)


def missing_cachefiles(folder):
    cache = os.path.join(folder, ".probe")
    os.mkdir(cache)
    try:
        device = cachefiles.Device()
        try:
            device.bind(cache)
        finally:
            device.close()
    except OSError as error:
        return [f"no on-demand mode of {cachefiles.PATH} (CACHEFILES_ONDEMAND) with a cache in {folder}: {error.strerror}"]
    finally:
        shutil.rmtree(cache)
    return []


# --- mounts ---------------------------------------------------------------------------------------------------------

def check_call(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def erofs_mount_object(bootstrap, devices):
    context = check_call(libc.syscall(SYS_FSOPEN, b"erofs", 1), "fsopen")
    try:
        values = [(b"source", bootstrap)] + [(b"device", device) for device in devices]
        for key, value in values:
            check_call(libc.syscall(SYS_FSCONFIG, context, FSCONFIG_SET_STRING, key, os.fsencode(value), 0), f"{key} {value}")
        check_call(libc.syscall(SYS_FSCONFIG, context, FSCONFIG_SET_FLAG, b"ro", None, 0), "ro")
        check_call(libc.syscall(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0), f"create {bootstrap}")
        return check_call(libc.syscall(SYS_FSMOUNT, context, 1, MOUNT_ATTR_RDONLY), "fsmount")
    finally:
        os.close(context)


def move_mount(descriptor, mountpoint):
    flags = MOVE_MOUNT_F_EMPTY_PATH
    check_call(libc.syscall(SYS_MOVE_MOUNT, descriptor, b"", AT_FDCWD, os.fsencode(mountpoint), flags), "move_mount")


def unmount(mountpoint):
    if libc.umount2(os.fsencode(mountpoint), 0) != 0:
        libc.umount2(os.fsencode(mountpoint), MNT_DETACH)
