"""Finds one package file by its name with pip's own finder, and streams it to disk with pip's own session.

So the user's index, mirrors, proxy, certificates and passwords are used as configured, no archive is opened and no set-up
code runs. The argument is a JSON job {project, file, part}. Lines on standard output: `at BYTES`, `again REASON`, and at the
end `done` or `error KIND MESSAGE`; KIND is no-pip, moved (pip's inside has changed), not-found, network or disk.
"""
import json
import logging
import os
import re
import sys
import time

sys.path[:] = [folder for folder in sys.path if folder]
ATTEMPTS = 5
complaints = []


class Complaints(logging.Handler):
    """Keeps what pip says about an index that it could not read: it continues with an empty page instead of failing."""

    def emit(self, record):
        message = record.getMessage()
        if "Could not fetch URL" in message or "error" in message.lower():
            complaints.append(message)


class Failed(Exception):
    pass


def say(*words):
    print(*(str(word).replace("\n", " ") for word in words), flush=True)


def target(file):
    """The Python and platform that a wheel's name asks for, whatever runs this script."""
    from pip._internal.models.target_python import TargetPython

    if not file.endswith(".whl"):
        return TargetPython()
    python, _, platforms = file[: -len(".whl")].split("-")[-3:]
    version = re.fullmatch(r"cp(\d)(\d+)", python)
    version = (int(version[1]), int(version[2])) if version else (3, 11)
    return TargetPython(
        platforms=platforms.split("."),
        py_version_info=version,
        abis=["cp%d%d" % version],
        implementation="cp",
    )


def find(command, options, session, job):
    finder = command._build_package_finder(
        options, session, target_python=target(job["file"]), ignore_requires_python=True
    )
    candidates = finder.find_all_candidates(job["project"])
    for candidate in candidates:
        if candidate.link.filename == job["file"]:
            return candidate.link
    if candidates or not complaints:
        raise Failed("not-found", "the package index that pip is configured for has no " + job["file"])
    raise Failed("network", "pip cannot read its package index: " + reason(complaints[0]))


def reason(complaint):
    """The cause inside what requests and urllib3 wrap around it."""
    cause = re.search(r"\[Errno -?\d+\] [^'\")]+", complaint)
    return cause[0].replace(" - skipping", "") if cause else complaint


def copy(source, part, at):
    """Appends everything from `source`, telling how far it is about four times a second."""
    told = 0.0
    with open(part, "ab" if at else "wb", buffering=0) as sink:
        for chunk in source:
            try:
                left = memoryview(chunk)
                while left:
                    left = left[sink.write(left) :]
            except OSError as error:
                raise Failed("disk", error)
            at += len(chunk)
            if time.monotonic() - told > 0.25:
                told = time.monotonic()
                say("at", at)
    say("at", at)


def blocks(file):
    while block := file.read(1 << 20):
        yield block


def stream(session, link, part):
    at = os.path.getsize(part) if os.path.exists(part) else 0
    if link.is_file:
        with open(link.file_path, "rb") as source:
            source.seek(at)
            return copy(blocks(source), part, at)
    headers = {"Accept-Encoding": "identity"}
    if at:
        headers["Range"] = "bytes=%d-" % at
    with session.get(link.url_without_fragment, headers=headers, stream=True) as response:
        if response.status_code == 416:
            # Nothing is left to send: the file is whole, or was longer than it should be. Its hash will tell.
            return say("at", at)
        response.raise_for_status()
        goes_on = response.headers.get("Content-Range", "").startswith("bytes %d-" % at)
        copy(response.iter_content(1 << 18), part, at if response.status_code == 206 and goes_on else 0)
        expected = response.headers.get("Content-Length")
        if expected and os.path.getsize(part) < int(expected):
            raise OSError("the connection ended early")


def fetch(job):
    try:
        import pip
    except ModuleNotFoundError:
        raise Failed("no-pip", "this Python has no pip")
    try:
        from pip._internal.commands import create_command

        command = create_command("download")
        with command.main_context():
            options, _ = command.parse_args(["--no-cache-dir", "--only-binary", ":none:", "--no-binary", ":none:"])
            session = command._build_session(options)
            link = find(command, options, session, job)
    except (ImportError, AttributeError, TypeError) as error:
        raise Failed("moved", "%s: %s" % (type(error).__name__, error))
    for attempt in range(ATTEMPTS):
        try:
            return stream(session, link, job["part"])
        except Failed:
            raise
        except Exception as error:
            # Everything a connection can die of; urllib3 and requests have a dozen types for it.
            if attempt + 1 == ATTEMPTS:
                raise Failed("network", reason(str(error)))
            say("again", reason(str(error)))
            time.sleep(2**attempt)


def main():
    for name in ("pip._internal.index.collector", "pip._internal.index.sources"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(Complaints())
        logger.propagate = False
    logging.getLogger("pip._vendor").setLevel(logging.CRITICAL)
    try:
        fetch(json.loads(sys.argv[1]))
        say("done")
    except Failed as error:
        say("error", *error.args)
    except KeyboardInterrupt:
        say("error", "stopped", "stopped")
    except Exception as error:
        say("error", "network", "%s: %s" % (type(error).__name__, error))


main()
