"""What the checks measured on a GPU, and transformers at the same work, in one table.

    figures.py FIGURES.jsonl PEER.py SHAPES [DEVICE]

FIGURES has a line for each setting that `crates/sky-train/tests/gpu.rs` measured; SHAPES is the folder of its models'
configurations. The peer, `benches/train/peer.py` in a process of its own, has random weights too, AdamW's fused kernel, SDPA and
one row a step. It computes blocks again where ours did in one of the settings; its weights and moments are f32 and what it
computes bf16, or all of it is bf16: whatever is fastest counts. Models over 2 billion parameters are all bf16.
"""
import importlib.util, json, os, pathlib, random, statistics, subprocess, sys, tempfile

STEPS = 4


def peer(program, shape, device, tokens, precision, checkpointing):
    """Tokens a second and the most memory; nothing when it failed, most often for want of memory."""
    chance = random.Random(tokens)
    row = {"ids": [chance.randrange(shape["vocab_size"]) for _ in range(tokens)], "target": [True] * tokens}
    settings = {"precision": precision, "checkpointing": checkpointing, "layout": "pad", "steps": STEPS, "threads": os.cpu_count(),
                "learning_rate": 1e-5, "weight_decay": 0.0, "max_grad_norm": 1.0, "device": device}
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / name for name in ("shape.json", "rows.jsonl", "settings.json")]
        for file, content in zip(files, (shape, row, settings)):
            file.write_text(json.dumps(content) + "\n")
        done = subprocess.run([sys.executable, program, *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"transformers, {tokens} tokens, {precision}{', recomputed' if checkpointing else ''}: {reason[:200]}")
        return None
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return tokens / statistics.median(line["seconds"] for line in lines[1:]), max(line["peak_bytes"] for line in lines)


def main():
    figures, program, shapes, *device = sys.argv[1:]
    with open(figures) as file:
        figures = [json.loads(line) for line in file]
    compared = importlib.util.find_spec("transformers") is not None
    rows = []
    for model, tokens in dict.fromkeys((f["model"], f["tokens"]) for f in figures):
        ours = [f for f in figures if (f["model"], f["tokens"]) == (model, tokens)]
        found = []
        if compared:
            shape = json.loads((pathlib.Path(shapes) / f"{model}.json").read_text())
            for precision in ("bf16",) if ours[0]["params"] > 2e9 else ("autocast", "bf16"):
                for again in sorted({f["again"] for f in ours}):
                    one = peer(program, shape, *(device or ["cuda"]), tokens, precision, again)
                    found += [(*one, f"transformers, {precision}{', blocks again' if again else ''}")] if one else []
        best = max(found) if found else None
        for f in ours:
            mfu = f"{100 * f['mfu']:.0f} %" if f["mfu"] is not None else "-"
            ratio = f"{f['tokens_per_second'] / best[0]:.2f}" if best else "-"
            rows.append((model, str(tokens), f["setting"], f"{f['tokens_per_second']:.0f}", mfu, f"{100 * f['optimizer']:.1f} %", f"{f['peak_bytes'] / 1e9:.1f}", ratio))
        if best:
            rows.append((model, str(tokens), best[2], f"{best[0]:.0f}", "", "", f"{best[1] / 1e9:.1f}", "1"))
    head = ("model", "tokens", "setting", "tokens/s", "MFU", "optimizer", "peak GB", "times transformers")
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    if not compared:
        print(f"{sys.executable} has no transformers: nothing was compared")


main()
