"""What in a kernel's log is a failure of the test that ran meanwhile: of the host's for run-tests, of a guest's for boot."""

import re

ALARM = re.compile(r"BUG:|WARNING:|Oops|[Kk]ernel panic|general protection|hung task|blocked for more than|KASAN|UBSAN|INFO: rcu|"
                   r"EXT4-fs error|Kernel mode (?:fault|signal)")
# Debugging builds of ext4 complain once about any EROFS mounted from a file of theirs, when its metadata was dropped
# from memory; it is between those two.
KNOWN = re.compile(r"ext4_check_map_extents_env")
EROFS_LINE = re.compile(r"\berofs(?: \(device|:)", re.I)
# The last one says that a read was answered with EIO, which the reader sees too.
EROFS_PLAIN = re.compile(r"mounted with root inode|EXPERIMENTAL|deprecated|failed to fscache prepare_read|prepare_ondemand_read failed", re.I)


def complaints(lines, erofs_expected=False):
    """The lines that must not be there. erofs_expected: the test shows the kernel damaged images or failing reads."""
    return [line for line in lines if is_complaint(line, erofs_expected)]


def is_complaint(line, erofs_expected):
    if ALARM.search(line):
        return not KNOWN.search(line)
    return bool(EROFS_LINE.search(line)) and not erofs_expected and not EROFS_PLAIN.search(line)
