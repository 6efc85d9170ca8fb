"""Published times on a T4, and the launches that they were taken with.

FasterTransformer: docs/vit_guide.md, fp16, CUDA 11.4, application clock 1,590 MHz. Its kernels are
not ours; what follows them is src/fastertransformer/models/vit/ViT.cc: per layer a layer norm,
one product for q, k, v, a transposition with bias, attention (fused up to 384 tokens), the output
product, bias + residual + layer norm, the first product, bias + GELU, the second product and
bias + residual. Where attention is not fused, tokens are padded to a multiple of 8 and the scores
go to memory.
ResNet-50: DeepLearningExamples, Triton with ONNX Runtime and TensorRT fp16, as its client sees it.
"""

import dataclasses

import timing


@dataclasses.dataclass(frozen=True)
class Anchor:
    name: str
    batch: int
    ms: float
    use: str  # "fit", or "held out"
    workload: tuple
    note: str = ""


B16 = ("vit", 224, 16, 768, 12, 12)
L16 = ("vit", 224, 16, 1024, 24, 16)
B16_384 = ("vit", 384, 16, 768, 12, 12)
RESNET50 = ("resnet50",)

ANCHORS = [
    Anchor("FasterTransformer ViT-B/16, 224", 1, 3.43, "fit", B16),
    Anchor("FasterTransformer ViT-B/16, 224", 8, 14.46, "fit", B16),
    Anchor("FasterTransformer ViT-B/16, 224", 16, 28.77, "fit", B16),
    Anchor("FasterTransformer ViT-B/16, 224", 32, 57.22, "fit", B16),
    Anchor("FasterTransformer ViT-L/16, 224", 1, 9.69, "held out", L16),
    Anchor("FasterTransformer ViT-L/16, 224", 8, 47.55, "held out", L16),
    Anchor("FasterTransformer ViT-L/16, 224", 32, 171.89, "held out", L16),
    Anchor("FasterTransformer ViT-B/16, 384", 32, 258.0, "held out", B16_384, "published as 253 to 263 ms"),
    Anchor("ONNX Runtime + TensorRT ResNet-50", 1, 3.0, "held out", RESNET50, "includes the client's way through Triton"),
    Anchor("ONNX Runtime + TensorRT ResNet-50", 8, 9.0, "held out", RESNET50, "the same"),
    Anchor("ONNX Runtime + TensorRT ResNet-50", 32, 28.35, "held out", RESNET50, "the same"),
    Anchor("ONNX Runtime + TensorRT ResNet-50", 128, 100.2, "held out", RESNET50, "the same"),
    Anchor("ONNX Runtime + TensorRT ResNet-50", 48, 22.4, "held out", RESNET50,
           "2,145 photos/s of two instances at concurrency 96, as the time of 48: transfers overlap"),
]


def faster_transformer(constants, batch, image, patch, dim, layers, heads):
    patches = (image // patch) ** 2
    tokens = patches + 1
    fused = tokens <= 384
    seen = tokens if fused else -(-tokens // 8) * 8
    m, row = batch * seen, 2.0 * batch * seen * dim  # row: bytes of one pass over (tokens, dim)
    layer = [
        timing.moving(constants, 2 * row),  # layer norm
        timing.linear(constants, m, 3 * dim, dim),
        timing.moving(constants, 6 * row),  # bias and transposition of q, k, v
        timing.linear(constants, m, dim, dim),
        timing.moving(constants, 4 * row),  # bias, residual, layer norm
        timing.linear(constants, m, 4 * dim, dim),
        timing.moving(constants, 8 * row),  # bias, GELU
        timing.linear(constants, m, dim, 4 * dim),
        timing.moving(constants, 3 * row),  # bias, residual
    ]
    if fused:
        layer.append(timing.attention(constants, batch, tokens, heads, dim // heads, blocks=batch * heads))
    else:
        scores = 2.0 * batch * heads * seen * seen
        layer += [timing.attention(constants, batch, seen, heads, dim // heads),
                  timing.moving(constants, 4 * scores, launches=2),  # written, softmax in and out, read
                  timing.moving(constants, 2 * row)]  # transposition back
    ends = [timing.linear(constants, batch * patches, dim, 3 * patch * patch),
            timing.moving(constants, 2 * row), timing.moving(constants, 2 * row)]
    return timing.total([(layers, cost) for cost in layer] + [(1, cost) for cost in ends])


def resnet50(constants, batch):
    costs = []

    def convolution(edge, channels_in, channels_out, kernel, stride, residual=False):
        out = edge // stride
        m, k = batch * out * out, channels_in * kernel * kernel
        cost = timing.linear(constants, m, channels_out, k)
        # An implicit product reads its input once, not once for each tap.
        moved = 2.0 * batch * (edge * edge * channels_in + out * out * channels_out * (2 if residual else 1))
        seconds = timing.memory_s(constants, moved, 2.0 * k * channels_out) + constants.gap_us * 1e-6
        tile, split = timing.best_plan(constants, m, channels_out, k)
        cost.cold_s = max(seconds, timing.product_s(constants, m, channels_out, k, tile, split)[0] + constants.gap_us * 1e-6)
        cost.energy_s = max(seconds, cost.energy_s)
        costs.append(cost)
        return out

    edge = convolution(224, 3, 64, 7, 2)
    costs.append(timing.moving(constants, 2.0 * batch * 64 * (112 * 112 + 56 * 56)))
    edge, channels = 56, 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            convolution(edge, channels, width, 1, 1)
            out = convolution(edge, width, width, 3, stride)
            if block == 0:
                convolution(edge, channels, 4 * width, 1, stride)
            convolution(out, width, 4 * width, 1, 1, residual=True)
            edge, channels = out, 4 * width
    costs.append(timing.moving(constants, 2.0 * batch * 2048 * 49))
    costs.append(timing.linear(constants, batch, 1000, 2048))
    return timing.total([(1, cost) for cost in costs])


def predicted_ms(constants, anchor):
    kind, *shape = anchor.workload
    cost = resnet50(constants, anchor.batch) if kind == "resnet50" else faster_transformer(constants, anchor.batch, *shape)
    return cost.capped_s * 1e3
