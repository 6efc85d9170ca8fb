"""The CLIP image towers, op by op, as t4_geometry writes them where it is not built.

Only the launches differ: one for each op, with the tile that a tuned library would take.
"""

import json
import subprocess

import ptxas

MODELS = {  # name: image, patch, dim, heads, hidden_dim, layers, out
    "clip-vit-base-patch32": (224, 32, 768, 12, 3072, 12, 512),
    "clip-vit-base-patch16": (224, 16, 768, 12, 3072, 12, 512),
    "clip-vit-large-patch14": (224, 14, 1024, 16, 4096, 24, 768),
}
BATCHES = (1, 2, 4, 8, 12, 16, 25, 32, 48, 50, 51, 64, 96, 112, 128)


def assumed_ops(name):
    image, patch, dim, heads, hidden_dim, layers, out = MODELS[name]
    patches = (image // patch) ** 2
    tokens = patches + 1

    def linear(rows, columns_in, columns_out, accumulate=False, count=layers):
        return {"op": "linear", "rows": rows, "in": columns_in, "out": columns_out, "accumulate": accumulate, "count": count}

    return [
        {"op": "patches", "height": image, "width": image, "patch": patch, "count": 1},
        linear(patches, 3 * patch * patch, dim, count=1),
        {"op": "token_embedding", "patches": patches, "dim": dim, "count": 1},
        {"op": "layer_norm", "rows": tokens, "dim": dim, "count": 2 * layers},
        linear(tokens, dim, 3 * dim),
        {"op": "attention", "tokens": tokens, "heads": heads, "head_dim": dim // heads, "count": layers},
        linear(tokens, dim, dim, accumulate=True),
        linear(tokens, dim, hidden_dim),
        linear(tokens, hidden_dim, dim, accumulate=True),
        {"op": "embedding_head", "dim": dim, "out": out, "count": 1},
    ]


def recorded_ops(program, name, batches):
    """{batch: ops}, or None with the reason where the launchers refuse."""
    done = subprocess.run([program, name, ",".join(map(str, batches))], capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip()
    found = {}
    for line in done.stdout.splitlines():
        op = json.loads(line)
        for launch in op["launches"]:
            launch["kernel"] = ptxas.plain_name(launch["kernel"])
        found.setdefault(op["batch"], []).append(op)
    return found, ""


def describe(op):
    """Name and shape of an op for a table."""
    kind = op["op"]
    if kind == "linear":
        return f"linear ({op['rows']}, {op['in']}) -> {op['out']}{', added' if op['accumulate'] else ''}"
    if kind == "attention":
        return f"attention {op['heads']} x ({op['tokens']}, {op['head_dim']})"
    if kind == "layer_norm":
        return f"layer_norm ({op['rows']}, {op['dim']})"
    if kind == "token_embedding":
        return f"token_embedding ({op['patches'] + 1}, {op['dim']})"
    if kind == "patches":
        return f"patches of {op['patch']} from {op['height']}x{op['width']}"
    return f"{kind} {op['dim']} -> {op['out']}"
