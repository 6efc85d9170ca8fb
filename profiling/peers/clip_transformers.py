"""Times CLIP's image tower in transformers (PyTorch) on the CPU and prints JSON. See protocol.py.

clip_transformers.py --model DIR [--dtype fp32|bf16] [--attention sdpa|eager] [--serve]
"""

import time

import protocol


def open_model(directory, dtype, attention):
    import json

    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    family = json.loads((directory / "config.json").read_text())["model_type"]
    kind = (
        transformers.CLIPModel if family == "clip" else transformers.CLIPVisionModelWithProjection
    )
    return kind.from_pretrained(directory, dtype=dtype, attn_implementation=attention).eval()


def tower_of(model):
    """A module pixel_values -> image_embeds, and the edge of its photos."""
    import torch

    class Tower(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vision_model, self.visual_projection = model.vision_model, model.visual_projection

        def forward(self, pixel_values):
            return self.visual_projection(self.vision_model(pixel_values).pooler_output)

    return Tower().eval(), model.vision_model.config.image_size


def main():
    flags = protocol.parser("Times CLIP's image tower in transformers on the CPU.")
    flags.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    flags.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    options = flags.parse_args()

    import torch
    import transformers

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    dtype = torch.float32 if options.dtype == "fp32" else torch.bfloat16
    start = time.perf_counter()
    tower, size = tower_of(open_model(options.model, dtype, options.attention))
    description = {
        "peer": "transformers",
        "dtype": options.dtype,
        "attention": options.attention,
        "load_s": round(time.perf_counter() - start, 3),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }

    def prepare(batch):
        values = torch.from_numpy(protocol.pixel_values(batch, size)).to(dtype)
        return lambda: tower(values)

    with torch.inference_mode():
        protocol.run(options, description, prepare)


if __name__ == "__main__":
    main()
