"""The trainer beside transformers: gradients, losses, tokens a second and peak memory, in one run on one machine.

    cargo xtask bench train -- [--only reference,losses,exports,...] [--steps N] [--rounds N] [--threads N] [--examples FOLDER] [--json FILE]

reference logits and every gradient of SmolLM2-135M and of a small random Qwen2 (biases, grouped heads, its own head), rows packed
losses    20 steps in f32 from the same weights on the same batches: the largest difference
exports   what is written after 7 steps, the model loaded by transformers, adapters by PEFT and merged by transformers, beside our
          own eighth step on the same batch
optimizer AdamW's step alone over as many parameters, with clipping; in bf16 with gradients in and weights out: parameters a
          second, and bytes moved beside those of a copy
ranks     losses of one process and of ranks over gloo, stages 0 to 3, offload; bytes that ranks keep, gathers and scatters of 64
          layers on 8 ranks beside the plan's: the tests of `crates/sky-train/tests/zero.rs`, which fail where they are not as said
plan      planned and measured peak memory in nine settings, one with a row of 16,000 tokens, two of two ranks: the tests of
          `bins/sky-train/tests/memory.rs`, which fail beyond 7 %
speed     4 rows of 512 tokens a step, f32 and bf16: tokens a second, medians over --rounds rounds in which both sides take turns
rows      real rows of many lengths (GSM8K, and with a long one among them): tokens of rows a second, padding not counted; the
          peer's best of padding and packing. Needs the shared data (SKY_SHARED_DATA)
memory    the most memory of a process at 4 x 512, blocks recomputed in the backward pass
SmolLM2-135M. Each figure is the median over the steps after the first. Run it on a quiet machine.
"""
import argparse, json, os, pathlib, random, signal, statistics, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
HOME = pathlib.Path(os.environ.get("SKY_HOME", ROOT / ".sky"))
SHARED = pathlib.Path(os.environ.get("SKY_SHARED_DATA", ROOT.parent / "shared" / "data"))
COMMON = {"learning_rate": 1e-4, "weight_decay": 0.01, "max_grad_norm": 1.0}


def steps(command):
    """The lines of steps that a program prints; its errors go to the terminal."""
    quiet = os.environ | {"PYTHONWARNINGS": "ignore::FutureWarning"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=quiet)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder, self.missed = args, folder, []
        self.model = folder / "model"
        self.measure = args.examples / "measure"
        subprocess.run([self.measure, HOME / "models/smollm2-135m-instruct/model.gguf", "--save", self.model], check=True)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def hold(self, what, found, most):
        """What is not a matter of the machine's speed must be so, or the bench fails at its end."""
        if not found <= most:
            self.missed.append(f"{what} is {found:.1e}, at most {most:.1e} is wanted")

    def rows(self, rows):
        return self.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def ours(self, rows, precision, checkpointing, count, exports=(), **more):
        config = {**COMMON, "epochs": count, "global_batch": len(rows), "schedule": "constant", "warmup_ratio": 0.0,
                  "cutoff": 16384, "micro_batch_tokens": 2048, "precision": precision, "threads": self.args.threads,
                  "activation_checkpointing": "full" if checkpointing else "none", **more}
        return steps([self.measure, self.model, self.rows(rows), self.write("train.json", json.dumps(config)), *exports])

    def peer(self, rows, precision, checkpointing, count, layout="pad", model=None, **more):
        settings = {**COMMON, "precision": precision, "checkpointing": checkpointing, "layout": layout, "steps": count,
                    "threads": self.args.threads, **more}
        return steps([sys.executable, HERE / "peer.py", model or self.model, self.rows(rows), self.write("settings.json", json.dumps(settings))])


def rate(lines):
    """Tokens a second: the median step's, the first left out."""
    return lines[0]["tokens"] / statistics.median(line["seconds"] for line in lines[1:])


def random_rows(count, length):
    chance = random.Random(1)
    return [{"ids": [chance.randrange(1000, 40000) for _ in range(length)], "target": [True] * length} for _ in range(count)]


def gsm8k(model, count, long):
    """Rows of questions and solutions; where `long`, the last one is many of them, as a long trace is."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    with open(SHARED / "gsm8k/train.jsonl") as file:
        texts = [json.loads(line) for _, line in zip(range(64), file)]
    rows = []
    for text in texts:
        question, answer = (tokenizer.encode(text[key]).ids for key in ("question", "answer"))
        rows.append({"ids": question + answer, "target": [False] * len(question) + [True] * len(answer)})
    chosen = rows[:count]
    if long:
        chosen[-1] = {"ids": [i for row in rows[count:count + 10] for i in row["ids"]], "target": [t for row in rows[count:count + 10] for t in row["target"]]}
    return chosen


def random_qwen2(folder):
    """A small one with every weight at random, biases and norms too."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=2000, hidden_size=128, intermediate_size=352, num_hidden_layers=4, num_attention_heads=8,
                                         num_key_value_heads=2, rope_theta=1e6, tie_word_embeddings=False))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.randn_like(weight) * (0.1 if weight.dim() == 1 else 0.5 / weight.shape[1] ** 0.5) + float("norm" in name))
    model.save_pretrained(folder)
    return folder


TEXTS = (
    "A train leaves at 7:45 and arrives at 12:10. How long does the journey take? From 7:45 to 11:45 are four hours, and from there to 12:10 "
    "another 25 minutes, so the journey takes 4 hours and 25 minutes.",
    "The sum of the first n odd numbers is n squared: 1 + 3 + 5 + 7 = 16.",
    "def mean(values):\n    if not values:\n        raise ValueError('no values')\n    return sum(values) / len(values)\n",
)


def reference(bench):
    from tokenizers import Tokenizer

    out = {}
    tokenizer, chance = Tokenizer.from_file(str(bench.model / "tokenizer.json")), random.Random(1)
    text = [tokenizer.encode(text).ids for text in TEXTS]
    noise = [[chance.randrange(2000) for _ in range(length)] for length in (96, 33, 127)]
    for name, model, ids in (("SmolLM2-135M", bench.model, text), ("random Qwen2", random_qwen2(bench.folder / "qwen2"), noise)):
        rows = bench.write("reference.json", json.dumps(ids))
        ours = [bench.folder / f"{precision}.safetensors" for precision in ("f32", "bf16")]
        for precision, file in zip(("f32", "bf16"), ours):
            subprocess.run([bench.args.examples / "gradients", model, rows, precision, file], check=True)
        found = steps([sys.executable, HERE / "reference.py", model, rows, str(bench.args.threads), *ours])[0]
        told = lambda d: f"logits {d['logits']:.1e}, gradients {d['gradients']:.1e} (worst parameter {d['worst']:.1e})"
        print(f"reference {name}, f32, ours from transformers': {told(found['apart'])}")
        bench.hold(f"reference {name}: logits", found["apart"]["logits"], 1e-4)
        bench.hold(f"reference {name}: gradients", found["apart"]["gradients"], 1e-5)
        for key in ("logits", "gradients"):
            # Both round to bf16, in other places.
            bench.hold(f"reference {name}: {key} in bf16 beside transformers'", found["ours"]["bf16"][key] / found["theirs"]["bf16"][key], 1.25)
        for precision in ("f32", "bf16"):
            print(f"reference {name}, {precision} from f64: ours {told(found['ours'][precision])}; transformers' {told(found['theirs'][precision])}")
        out[name] = found
    return out


def losses(bench):
    rows, out = random_rows(2, 128), {}
    # Sky-T1's learning rate, and one at which the rows are learned by heart.
    for lr in (1e-5, 1e-4):
        ours, peer = bench.ours(rows, "f32", False, 20, learning_rate=lr), bench.peer(rows, "f32", False, 20, learning_rate=lr)
        worst = max(abs(a["loss"] - b["loss"]) for a, b in zip(ours, peer))
        bench.hold(f"losses lr {lr:.0e}: the largest difference", worst, 1e-4)
        norms = max(abs(a["grad_norm"] / b["grad_norm"] - 1) for a, b in zip(ours, peer))
        print(f"losses   20 steps in f32, lr {lr:.0e}, {ours[0]['loss']:.4f} to {ours[-1]['loss']:.4f}: at most {worst:.1e} from transformers', gradient norms {norms:.1e}")
        out[str(lr)] = {"largest_difference": worst, "largest_norm_difference": norms}
    return out


def exports(bench):
    rows, out = random_rows(2, 128), {}
    for what, settings, loaded in (
        ("the model", {}, {"transformers": {"model": "model"}}),
        ("adapters", {"lora": {"rank": 8, "alpha": 16.0}, "learning_rate": 1e-3}, {"PEFT": {"adapter": "adapter"}, "transformers, merged": {"model": "merged"}}),
    ):
        folder = bench.folder / what.split()[-1]
        *_, last = bench.ours(rows, "f32", False, 8, exports=[folder], **settings)
        for peer, which in loaded.items():
            found = bench.peer(rows, "f32", False, 1, **{key: str(folder / name) for key, name in which.items()})[0]
            out[f"{what}, {peer}"] = abs(found["loss"] - last["loss"])
            bench.hold(f"exports {what}, {peer}: the loss", out[f"{what}, {peer}"], 1e-5)
            # The gradient of a merged model is that of all its weights, not of the adapters.
            norm = "" if "merged" in peer else f", its gradient's norm {abs(found['grad_norm'] / last['grad_norm'] - 1):.1e}"
            print(f"exports  {what} after 7 steps, loaded by {peer}: the loss is {out[f'{what}, {peer}']:.1e} from our next step's {last['loss']:.4f}{norm}")
    return out


def optimizer(bench):
    params, count, out = 32 << 22, str(4 * bench.args.steps), {}
    args = (str(params), str(bench.args.threads), count)

    def medians(command):
        seconds = {}
        for line in steps([*command, *args]):
            for name, value in line.items():
                seconds.setdefault(name, []).append(value)
        return {name: statistics.median(values[1:]) for name, values in seconds.items()}

    ours, peer = medians([bench.measure, "--optimizer"]), medians([sys.executable, HERE / "optimizer.py"])
    # What is streamed in place; a copy first reads what it overwrites.
    stream = 8 * params / min(ours["copy"], ours["in_place"])
    for precision in ("f32", "bf16"):
        share = 28 * params / ours[precision] / stream
        out[precision] = {"ours": params / ours[precision], "peer": params / peer[precision], "ratio": peer[precision] / ours[precision], "of_stream": share}
        print(f"optimizer {precision:<4} {params / ours[precision] / 1e6:6.0f} million parameters/s, torch's fused AdamW {params / peer[precision] / 1e6:6.0f}: "
              f"{out[precision]['ratio']:.2f} times; 28 bytes each, {share:.2f} of the {stream / 1e9:.1f} GB/s of a vector multiplied in place")
    return out


def speed(bench):
    rows, count, out = random_rows(4, 512), bench.args.steps, {}
    for precision in ("f32", "bf16"):
        ours, peers = {}, {}
        for _ in range(bench.args.rounds):
            for c in (False, True):
                ours.setdefault(c, []).append(rate(bench.ours(rows, precision, c, count)))
            for p in ("bf16", "autocast") if precision == "bf16" else ("f32",):
                for c in (False, True):
                    peers.setdefault((p, c), []).append(rate(bench.peer(rows, p, c, count)))
        # Of each side the setting that is fastest, by the median over the rounds.
        a, b = (max(found.values(), key=statistics.median) for found in (ours, peers))
        p, c = next(setting for setting, rates in peers.items() if rates is b)
        spread = lambda rates: f" ({min(rates):.0f} to {max(rates):.0f})" if len(rates) > 1 else ""
        ratio = statistics.median(a) / statistics.median(b)
        print(f"speed    {precision:<5} {statistics.median(a):6.0f} tokens/s{spread(a)}, transformers {statistics.median(b):6.0f}{spread(b)} ({p}{', checkpointed' if c else ''}): {ratio:.2f} times")
        out[precision] = {"ours": a, "peer": b, "ratio": ratio}
    return out


def rows(bench):
    out = {}
    if not (SHARED / "gsm8k/train.jsonl").exists():
        print(f"rows     SKIPPED: {SHARED} has no gsm8k/train.jsonl (SKY_SHARED_DATA)")
        return out
    for name, long in (("gsm8k", False), ("gsm8k and a long one", True)):
        data, count = gsm8k(bench.model, 16, long), bench.args.steps
        ours = rate(bench.ours(data, "bf16", False, count))
        found = []
        # All rows at once, or in micro-batches of rows of like length, as large as ours.
        for layout, tokens in (("pad", 2048), ("pack", 2048), ("pad", 0), ("pack", 0)):
            for checkpointing in (False, True) if tokens else (False,):
                told = f"{layout}{', micro-batches' if tokens else ''}{', checkpointed' if checkpointing else ''}"
                try:
                    found.append((rate(bench.peer(data, "bf16", checkpointing, count, layout, micro_batch_tokens=tokens)), told))
                except subprocess.CalledProcessError as error:
                    # The kernel ends what takes all memory.
                    if error.returncode != -signal.SIGKILL:
                        raise
                    print(f"rows     {name}: transformers ({told}) was killed for want of memory")
        if not found:
            print(f"rows     {name}: {ours:6.0f} tokens/s, transformers has no way that fits here")
            continue
        peers = max(found)
        tokens = sum(len(row["ids"]) for row in data)
        print(f"rows     {name}: {len(data)} rows, {tokens} tokens: {ours:6.0f} tokens/s, transformers {peers[0]:6.0f} ({peers[1]}): {ours / peers[0]:.2f} times")
        out[name] = {"ours": ours, "peer": peers[0], "layout": peers[1], "ratio": ours / peers[0]}
    return out


def memory(bench):
    data, out = random_rows(4, 512), {}
    # The last two keep all weights and moments in bf16.
    for ours, kept, peer in (("f32", "f32", "f32"), ("bf16", "f32", "autocast"), ("bf16", "bf16", "bf16")):
        state = {"optimizer_dtype": kept} | ({"master_dtype": kept} if ours == "bf16" else {})
        a = max(line["peak_bytes"] for line in bench.ours(data, ours, True, 3, **state))
        b = max(line["peak_bytes"] for line in bench.peer(data, peer, True, 3))
        print(f"memory   {ours:<5} state {kept:<5} {a / 1e9:5.2f} GB, transformers {b / 1e9:5.2f} GB ({peer}): {a / b:.2f} of it")
        out[f"{ours}, state {kept}"] = {"ours": a, "peer": b, "ratio": a / b}
    return out


def tests(name, *more):
    """Tests that are figures: what they print with `planned` in it, and their result."""
    command = ["cargo", "test", "--workspace", "--test", name, "--", *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    lines = [line for line in done.stdout.splitlines() if " planned " in line or line.startswith("test result:")]
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(command)} failed")
    return lines


def ranks(bench):
    out = tests("zero")
    print(*(f"ranks    {line}" for line in out), sep="\n")
    return out


def plan(bench):
    out = tests("memory", "--ignored", "--nocapture", "--test-threads", "1")
    print(*(f"plan     {line.split('  CpuBytes')[0]}" for line in out), sep="\n")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"reference": reference, "losses": losses, "exports": exports, "optimizer": optimizer, "ranks": ranks,
             "plan": plan, "speed": speed, "rows": rows, "memory": memory}
    parser.add_argument("--only", default=",".join(parts))
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--examples", type=pathlib.Path, help="where `measure` and `gradients` are, instead of building them")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    only = args.only.split(",")
    if unknown := set(only) - set(parts):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if args.steps < 2:
        parser.error("--steps has to be at least 2: the first is left out")
    if args.examples is None:
        subprocess.run(["cargo", "build", "--quiet", "--workspace", "--example", "measure", "--example", "gradients"], check=True, cwd=ROOT)
        args.examples = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/examples"
    sys.stdout.reconfigure(line_buffering=True)
    print(f"load before: {os.getloadavg()[0]:.2f}; {args.threads} threads; median of {args.steps - 1} steps")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, pathlib.Path(folder))
        found = {}
        for name in only:
            found[name] = parts[name](bench)
            # What is done is not lost with what follows.
            if args.json:
                args.json.write_text(json.dumps(found, indent=1))
        if bench.missed:
            sys.exit("\n".join(f"MISSED: {line}" for line in bench.missed))


main()
