"""The wheel against the Rust program: time of the same checks, import, threads with hostile replies.

    cargo xtask wheel && cargo xtask bench python [-- --checks N] [--pairs FILE.jsonl] [--sky PROGRAM]

The checks are the labelled pairs (as for `bench math`), over and over until there are N, by default
100,000. Rust's time is the sum over `sky-verify math`, release profile, one thread; Python's is one
call a check, and one `check_many` on one thread. Both run in turn, three times; the least counts.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def shared():
    return pathlib.Path(os.environ.get("SKY_SHARED_DATA", ROOT.parent / "shared" / "data"))


def inside(pairs_file, checks):
    """What runs in the venv: one JSON line with the seconds of each way."""
    from sky_verify import MathChecker

    with open(pairs_file, encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file]
    golds = [pair["gold"] for pair in pairs]
    replies = [pair["pred"] for pair in pairs]
    assert len(golds) == checks
    checker = MathChecker()
    check = checker.check
    start = time.perf_counter()
    for gold, reply in zip(golds, replies):
        check(gold, reply)
    single = time.perf_counter() - start
    found = {"single": single}
    for threads in (1, 2):
        start = time.perf_counter()
        checker.check_many(golds, replies, threads=threads)
        found[f"many_{threads}"] = time.perf_counter() - start
    print(json.dumps(found))


def rust(sky, pairs_file, folder):
    out = folder / "out.jsonl"
    subprocess.run(
        [sky, "math", "--pairs", pairs_file, "--out", out, "--threads", "1", "--force"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with open(out, encoding="utf-8") as file:
        return sum(json.loads(line)["micros"] for line in file) / 1e6


def venv(folder):
    wheels = sorted((ROOT / "target" / "wheels").glob("sky_verify-*.whl"))
    if not wheels:
        sys.exit("no wheel in target/wheels: run `cargo xtask wheel`")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, wheels[0]], check=True)
    return python


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checks", type=int, default=100_000)
    parser.add_argument("--pairs", type=pathlib.Path)
    parser.add_argument("--sky", type=pathlib.Path)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options.inside, options.checks)
    sky = options.sky
    if sky is None:
        build = ["cargo", "build", "--quiet", "--release", "-p", "sky-verify-cli"]
        subprocess.run(build, check=True, cwd=ROOT)
        sky = ROOT / "target" / "release" / "sky-verify"
    with open(options.pairs or shared() / "answer_pairs" / "pairs.jsonl", encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        python = venv(folder)
        many = folder / "pairs.jsonl"
        with open(many, "w", encoding="utf-8") as file:
            for index in range(options.checks):
                pair = pairs[index % len(pairs)]
                row = {"id": str(index), "gold": pair["gold"], "pred": pair["pred"]}
                file.write(json.dumps(row) + "\n")
        native, ours = [], []
        for _ in range(3):
            native.append(rust(sky, many, folder))
            run = [python, "-I", __file__, "--inside", many, "--checks", str(options.checks)]
            ours.append(json.loads(subprocess.check_output(run)))
        imports = []
        program = (
            "import time; s = time.perf_counter(); import sky_verify; print(time.perf_counter() - s)"
        )
        for _ in range(15):
            imports.append(float(subprocess.check_output([python, "-I", "-c", program])))
    least = min(native)
    print(f"{options.checks} checks, Rust: {least:.3f} s")
    for way in ("single", "many_1", "many_2"):
        took = min(run[way] for run in ours)
        print(f"Python, {way}: {took:.3f} s, {took / least:.2f} times Rust's")
    print(f"import: {statistics.median(imports) * 1000:.1f} ms")


if __name__ == "__main__":
    main()
