"""Math-Verify 0.9.0 against `sky-verify math`: agreement, false accepts and time per pair, in one run.

    cargo xtask bench math -- [--pairs FILE.jsonl] [--threads N] [--limit N] [--sky PROGRAM]

FILE has one JSON object a line: `id`, `gold`, `pred`, `expected`, perhaps `mode` and `opts` (how a peer's own test calls
its grader). Without --pairs it is `answer_pairs/pairs.jsonl` in the shared data folder (SKY_SHARED_DATA). One JSON line a
grader is printed, then a table. Both run on one thread here. Then the throughput of ours on one thread and on --threads,
over the same pairs many times over, so that starting the program counts for little.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def shared():
    return pathlib.Path(os.environ.get("SKY_SHARED_DATA", ROOT.parent / "shared" / "data"))


def summary(name, pairs, said, micros, seconds):
    """Agreement with `expected`, and the mean, median, 99th percentile and largest time in microseconds."""
    order = sorted(micros)
    at = lambda q: order[min(len(order) - 1, int(q * len(order)))]
    agree = sum(said[p["id"]] == p["expected"] for p in pairs)
    accepts = [p["id"] for p in pairs if said[p["id"]] and not p["expected"]]
    return {
        "grader": name,
        "pairs": len(pairs),
        "agree": agree,
        "agreement": round(agree / len(pairs), 5),
        "false_accepts": len(accepts),
        "mean_us": round(sum(micros) / len(micros), 2),
        "median_us": round(at(0.5), 2),
        "p99_us": round(at(0.99), 2),
        "max_us": round(order[-1], 2),
        "wall_s": round(seconds, 3),
    }


def math_verify(pairs):
    from math_verify import parse, verify
    from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig

    configs = {
        "latex": [LatexExtractionConfig()],
        "expr": [ExprExtractionConfig()],
        "string": [StringExtractionConfig()],
    }

    def grade(pair):
        mode = [configs[m][0] for m in (pair.get("mode") or "latex+expr").split("+") if m in configs]
        opts = pair.get("opts") or {}
        gold = parse(pair["gold"], mode)
        answer = parse(pair["pred"], mode)
        return verify(gold, answer, **opts)

    # The first calls build the grammars.
    for pair in pairs[:20]:
        try:
            grade(pair)
        except Exception:
            pass
    said, micros = {}, []
    begin = time.perf_counter()
    for pair in pairs:
        start = time.perf_counter()
        try:
            said[pair["id"]] = bool(grade(pair))
        except Exception:
            said[pair["id"]] = False
        micros.append((time.perf_counter() - start) * 1e6)
    return summary("Math-Verify 0.9.0", pairs, said, micros, time.perf_counter() - begin)


def sky(program, path, pairs, threads):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.jsonl"
        command = [*program, "math", "--pairs", str(path), "--out", str(out), "--threads", str(threads)]
        # The first run warms the page cache.
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        begin = time.perf_counter()
        subprocess.run([*command, "--force"], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    said = {row["id"]: row["verdict"] == "correct" for row in rows}
    micros = [row["micros"] for row in rows]
    return summary("sky-verify", pairs, said, micros, seconds)


def scaling(program, pairs, threads, times=100):
    """Pairs a second on one thread and on `threads`, in wall time, the program's start included."""
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        many, out = pathlib.Path(folder) / "many.jsonl", pathlib.Path(folder) / "out.jsonl"
        with many.open("w") as file:
            for _ in range(times):
                file.writelines(json.dumps(pair) + "\n" for pair in pairs)
        for n in sorted({1, 2, threads} & set(range(1, threads + 1))):
            command = [*program, "math", "--pairs", str(many), "--out", str(out), "--threads", str(n), "--force"]
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            rates[n] = times * len(pairs) / (time.perf_counter() - begin)
    return rates


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--pairs", type=pathlib.Path, default=shared() / "answer_pairs" / "pairs.jsonl")
    args.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args.add_argument("--limit", type=int, help="the first N pairs only")
    args.add_argument("--sky", help="the sky-verify program; built in release mode unless given")
    args = args.parse_args()
    if not args.pairs.is_file():
        sys.exit(f"{args.pairs}: no such file; --pairs names a file of labelled pairs")
    pairs = [json.loads(line) for line in args.pairs.read_text().splitlines() if line.strip()][: args.limit]
    if args.sky:
        program = [args.sky]
    else:
        build = ["cargo", "build", "--release", "--quiet", "-p", "sky-verify-cli", "--message-format=json-render-diagnostics"]
        built = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        program = [next(m["executable"] for m in map(json.loads, built.splitlines()) if m.get("executable"))]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for pair in pairs:
            file.write(json.dumps(pair) + "\n")
        file.flush()
        results = [sky(program, file.name, pairs, 1)]
        rates = scaling(program, pairs, args.threads)
    results.append(math_verify(pairs))
    for result in results:
        print(json.dumps(result))
    print(f"\n{'':24}{'agreement':>10}{'false accepts':>15}{'mean':>12}{'p99':>12}{'worst':>12}")
    for r in results:
        print(
            f"{r['grader']:24}{r['agreement']:>10.2%}{r['false_accepts']:>15}"
            f"{r['mean_us']:>9.1f} us{r['p99_us']:>9.1f} us{r['max_us']:>9.1f} us"
        )
    ours, theirs = results
    print("\ntimes as fast on one thread: " + ", ".join(
        f"{theirs[k] / ours[k]:.0f} on the {name}" for k, name in (("mean_us", "mean"), ("median_us", "median"), ("p99_us", "p99"))
    ))
    for threads, rate in rates.items():
        print(f"{threads} thread{'s' * (threads > 1)}: {rate:.0f} pairs a second, {rate / rates[1]:.2f} of one thread")


if __name__ == "__main__":
    main()
