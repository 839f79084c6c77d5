"""Sampling and training beside busy neighbours: our limit on spinning, libgomp's default, and both on an idle machine.

    cargo xtask bench neighbour -- [--rounds N] [--bin FOLDER] [--json FILE]

libtorch's threads wait for each other by spinning. Beside a process that takes their cores, the one that lost its core is waited for at
full load. Each round runs `sky-eval run` and `sky-train train` of recipes/smoke.toml four times in turn: idle and beside a busy loop a
core, as the programs are and with the spins that libgomp takes by default (GOMP_SPINCOUNT=300000). Wall seconds, medians of the rounds.
"""
import argparse, json, os, pathlib, shutil, signal, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECIPE = ROOT / "recipes/smoke.toml"
CORES = os.cpu_count() or 1
# libgomp's for threads that are no more than the cores, without OMP_WAIT_POLICY.
DEFAULT_SPINS = "300000"


def run(command, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    started = time.perf_counter()
    done = subprocess.run(list(map(str, command)), env=environment | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr}")
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bin", type=pathlib.Path, help="folder of the programs; built unless given")
    parser.add_argument("--json", type=pathlib.Path, help="write everything measured to this file")
    args = parser.parse_args()
    # The loops end with this program, however it ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not args.bin:
        subprocess.run(["cargo", "build", "--workspace", "--bins"], cwd=ROOT, check=True)
        args.bin = ROOT / "target/debug"
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder, "made")
        # What the two stages need, once.
        stages = [("sky-data", "problems"), ("sky-sample", "sample"), ("sky-sample", "rewrite"), ("sky-verify", "verify"), ("sky-data", "select")]
        for program, stage in stages:
            run([args.bin / program, stage, "--recipe", RECIPE, "--run", made])
        work = {"sampling": ["sky-eval", "run", "--which", "before"], "training": ["sky-train", "train"]}
        found = {}
        for _ in range(args.rounds):
            for beside in ("idle", "busy"):
                loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES if beside == "busy" else 0)]
                try:
                    for name, (program, *arguments) in work.items():
                        for spins, variables in (("ours", {}), ("libgomp's", {"GOMP_SPINCOUNT": DEFAULT_SPINS})):
                            shutil.copytree(made, pathlib.Path(folder, "run"))
                            command = [args.bin / program, *arguments, "--recipe", RECIPE, "--run", pathlib.Path(folder, "run")]
                            found.setdefault(f"{name}, {beside}, {spins}", []).append(run(command, **variables))
                            shutil.rmtree(pathlib.Path(folder, "run"))
                finally:
                    for loop in loops:
                        loop.kill()
                        loop.wait()
    medians = {what: statistics.median(seconds) for what, seconds in found.items()}
    print(f"load average {os.getloadavg()[0]:.2f} on {CORES} cores; medians of {args.rounds} rounds")
    for name in work:
        for spins in ("ours", "libgomp's"):
            idle, busy = (medians[f"{name}, {beside}, {spins}"] for beside in ("idle", "busy"))
            print(f"{name:9} {spins:10} idle {idle:6.2f} s, beside {CORES} busy loops {busy:6.2f} s: {busy / idle:.2f} times as long")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
