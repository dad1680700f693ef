#!/usr/bin/env python3
"""Runs a program as a unit file confines it, where systemd itself cannot run: unit.py UNIT PROGRAM [WORD...]
Capabilities, no_new_privs, descriptors and the list of system calls, whose groups systemd-analyze tells."""

import configparser
import contextlib
import ctypes
import os
import resource
import subprocess
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
ALLOW, REFUSE = 0x7fff0000, 0x00050000 | 1  # EPERM
CAPABILITIES = ("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST "
                "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
                "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM "
                "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE").split()


class Repeated(dict):
    """A key that stands again adds to what it has."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and key in self:
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def settings(path):
    parser = configparser.RawConfigParser(dict_type=Repeated, strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(path)
    return {key: value.split("\n") for key, value in parser["Service"].items()}


def groups():
    """{@name: its members}, as this systemd has them."""
    listing = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True, check=True).stdout
    found, current = {}, None
    for line in listing.splitlines():
        if line.startswith("@"):
            current = found.setdefault(line.strip(), [])
        elif current is not None and line.strip() and not line.strip().startswith("#"):
            current.append(line.strip())
    return found


def members(known, name):
    if not name.startswith("@"):
        return {name}
    return set().union(*(members(known, member) for member in known[name]))


def allowed_calls(lines):
    known, allowed = groups(), members(groups(), "@default")
    for line in lines:
        change = allowed.difference_update if line.startswith("~") else allowed.update
        for word in line.removeprefix("~").split():
            change(members(known, word))
    return allowed


def filter_calls(names):
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(REFUSE)))
    for name in names:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others are another machine's
            seccomp.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), number, 0)
    if seccomp.seccomp_load(context) != 0:
        sys.exit("unit.py: seccomp_load")


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    unit = settings(sys.argv[1])
    kept = set(" ".join(unit["CapabilityBoundingSet"]).replace("CAP_", "").split())
    calls = allowed_calls(unit["SystemCallFilter"])
    descriptors = int(unit["LimitNOFILE"][0])
    with contextlib.suppress(ValueError):  # in a container that allows no more than it has
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    for number, name in enumerate(CAPABILITIES):
        if name not in kept:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    if unit["NoNewPrivileges"] != ["yes"] or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("unit.py: no_new_privs")
    filter_calls(calls)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
