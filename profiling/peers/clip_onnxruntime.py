"""Times CLIP's image tower in ONNX Runtime on the CPU and prints JSON. See protocol.py.

The tower of a Hugging Face directory is exported with torch.onnx and compared with transformers
before it is timed.

    clip_onnxruntime.py --model DIR [--fusion session|transformers] [--onnx FILE] [--serve]
"""

import contextlib
import pathlib
import tempfile
import time
import warnings

import clip_transformers
import protocol


def export(tower, size, file):
    """Any batch size, opset 17: LayerNormalization is one node from there on."""
    import torch

    with warnings.catch_warnings():
        # The exporter without torch.export needs no further package; both give the same products.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower,
            (torch.zeros(2, 3, size, size),),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["pixel_values"],
            output_names=["image_embeds"],
            dynamic_axes={"pixel_values": {0: "batch"}, "image_embeds": {0: "batch"}},
        )


def fuse(file, config):
    """ONNX Runtime's own tool: attention becomes one node, which the session alone does not find."""
    from onnxruntime.transformers import optimizer

    fused = optimizer.optimize_model(
        str(file),
        model_type="clip",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
        use_gpu=False,
    )
    fused.save_model_to_file(str(file))
    return {name: count for name, count in fused.get_fused_operator_statistics().items() if count}


def compare(session, tower, size):
    """The worst photo's cosine and max|difference|/rms against transformers."""
    import numpy as np
    import torch

    values = protocol.pixel_values(3, size)
    y = session.run(None, {"pixel_values": values})[0].astype(np.float64)
    expected = tower(torch.from_numpy(values)).numpy().astype(np.float64)
    cosine = (y * expected).sum(1) / np.linalg.norm(y, axis=1) / np.linalg.norm(expected, axis=1)
    gap = np.abs(y - expected).max(1) / np.sqrt((expected**2).mean(1))
    return {"cosine_min": float(cosine.min()), "max_over_rms": float(gap.max())}


def main():
    flags = protocol.parser("Times CLIP's image tower in ONNX Runtime on the CPU.")
    flags.add_argument(
        "--fusion",
        choices=["session", "transformers"],
        default="session",
        help="what the session fuses by itself, or onnxruntime.transformers.optimizer before it",
    )
    flags.add_argument("--onnx", type=pathlib.Path, help="keep the exported model here")
    options = flags.parse_args()

    import onnxruntime
    import torch

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    with contextlib.ExitStack() as stack:
        file = (
            options.onnx
            or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "tower.onnx"
        )
        model = clip_transformers.open_model(options.model, torch.float32, "eager")
        tower, size = clip_transformers.tower_of(model)
        export(tower, size, file)
        fused = fuse(file, model.vision_model.config) if options.fusion == "transformers" else {}
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        start = time.perf_counter()
        session = onnxruntime.InferenceSession(
            str(file), settings, providers=["CPUExecutionProvider"]
        )
        load_s = round(time.perf_counter() - start, 3)
    against = compare(session, tower, size)
    if not against["cosine_min"] >= 0.99999:
        raise SystemExit(
            f"The exported model differs from transformers: {against}; its times would mean nothing."
        )
    del model, tower
    description = {
        "peer": "onnxruntime",
        "dtype": "fp32",
        "fusion": options.fusion,
        "fused": fused,
        "load_s": load_s,
        "against_transformers": against,
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
        "providers": session.get_providers(),
    }

    def prepare(batch):
        values = protocol.pixel_values(batch, size)
        return lambda: session.run(None, {"pixel_values": values})

    protocol.run(options, description, prepare)


if __name__ == "__main__":
    main()
