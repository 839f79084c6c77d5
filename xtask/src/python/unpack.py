"""Unpacks chosen parts of a wheel or a source archive, whose hash has been checked, into a folder.

The argument is a JSON job {archive, into, keep: [{from, to, without}]}. A rule's `from` is a file, or a folder when it ends
with a slash; paths that have a component listed in `without` stay out. Fails when a rule matches nothing.
"""
import json
import os
import shutil
import sys
import tarfile
import time
import zipfile


def place(name, rules):
    """Where a member goes, relative to the folder, or None."""
    for rule in rules:
        if name == rule["from"]:
            rest = ""
        elif rule["from"].endswith("/") and name.startswith(rule["from"]):
            rest = name[len(rule["from"]) :]
        else:
            continue
        if any(part in rule["without"] for part in rest.split("/")):
            return None
        rule["used"] = True
        return rule["to"] + rest
    return None


def members(archive):
    """Each regular file's name, mode, time and a function that opens it."""
    if archive.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            for member in wheel.infolist():
                if not member.is_dir():
                    time_of = time.mktime(member.date_time + (0, 0, -1))
                    yield member.filename, member.external_attr >> 16, time_of, lambda: wheel.open(member)
    else:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile():
                    yield member.name, member.mode, member.mtime, lambda: tar.extractfile(member)


def main(job):
    into = os.path.realpath(job["into"])
    for name, mode, written, source in members(job["archive"]):
        target = place(name, job["keep"])
        if target is None:
            continue
        path = os.path.realpath(os.path.join(into, target))
        if os.path.commonpath([into, path]) != into:
            sys.exit("%s would be unpacked outside of the folder" % name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with source() as reader, open(path, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        os.chmod(path, 0o755 if mode & 0o100 else 0o644)
        # The archive's own time: what is built from these files need not be built again when they are unpacked again.
        os.utime(path, (written, written))
    for rule in job["keep"]:
        if "used" not in rule:
            sys.exit("the archive has no %s" % rule["from"])


try:
    main(json.loads(sys.argv[1]))
except KeyboardInterrupt:
    sys.exit("stopped")
except OSError as error:
    sys.exit(str(error))
