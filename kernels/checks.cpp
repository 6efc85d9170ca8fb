#include "kernels/checks.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>

namespace yeoul {

Batches::Batches(const char* op, std::vector<int> batches) : op_(op), sizes_(std::move(batches)) {
    YEOUL_REQUIRE(!sizes_.empty(), op << ": no batch sizes to plan for");
    std::sort(sizes_.begin(), sizes_.end());
    sizes_.erase(std::unique(sizes_.begin(), sizes_.end()), sizes_.end());
    require_positive(op, "a batch size", sizes_.front());
}

size_t Batches::index(int batch) const {
    const auto found = std::lower_bound(sizes_.begin(), sizes_.end(), batch);
    if (found != sizes_.end() && *found == batch)
        return static_cast<size_t>(found - sizes_.begin());
    std::string planned;
    for (int size : sizes_)
        planned += (planned.empty() ? "" : ", ") + std::to_string(size);
    YEOUL_REQUIRE(false, op_ << ": batch " << batch << " was not planned; planned are " << planned);
    return 0;
}

void require_activation(const char* op, const char* what, const View& view, DType dtype, int batch,
                        std::initializer_list<int> extents) {
    View wanted(view.data, dtype, {});
    wanted.shape[wanted.rank++] = batch;
    for (int extent : extents)
        wanted.shape[wanted.rank++] = extent;
    const bool same =
        view.dtype == dtype && view.rank == wanted.rank &&
        std::equal(view.shape.begin(), view.shape.begin() + view.rank, wanted.shape.begin());
    YEOUL_REQUIRE(same, op << ": " << what << " is " << view.to_string() << ", must be "
                           << wanted.to_string());
    YEOUL_REQUIRE(view.data != nullptr, op << ": " << what << " has no data");
}

void require_aligned(const char* op, const char* what, const View& view, size_t bytes) {
    YEOUL_REQUIRE(reinterpret_cast<uintptr_t>(view.data) % bytes == 0,
                  op << ": " << what << " is not " << bytes << "-byte aligned: it begins at "
                     << view.data);
}

void require_apart(const char* op, const char* a_name, const View& a, const char* b_name,
                   const View& b) {
    const auto a_start = reinterpret_cast<uintptr_t>(a.data);
    const auto b_start = reinterpret_cast<uintptr_t>(b.data);
    YEOUL_REQUIRE(a_start + a.bytes() <= b_start || b_start + b.bytes() <= a_start,
                  op << ": " << a_name << " overlaps " << b_name);
}

void require_weight(const char* op, const char* what, const View& view, size_t elements) {
    YEOUL_REQUIRE(view.data != nullptr, op << ": " << what << " has no data");
    YEOUL_REQUIRE(view.elements() == elements, op << ": " << what << " is " << view.to_string()
                                                  << ", must have " << elements << " elements");
    YEOUL_REQUIRE(view.dtype == DType::f32 || view.dtype == DType::f16 || view.dtype == DType::bf16,
                  op << ": " << what << " is " << view.to_string()
                     << ", must be fp32, fp16 or bf16");
}

int total_rows(const char* op, int batch, int rows) {
    const int64_t total = int64_t{batch} * rows;
    YEOUL_REQUIRE(total <= INT_MAX, op << ": " << batch << " x " << rows
                                       << " rows are too many; take a smaller batch");
    return static_cast<int>(total);
}

void require_positive(const char* op, const char* what, int value) {
    YEOUL_REQUIRE(value >= 1, op << ": " << what << " is " << value << ", must be at least 1");
}

void require_scratch(const char* op, Scratch scratch, size_t bytes) {
    YEOUL_REQUIRE(scratch.bytes >= bytes, op << ": scratch has " << scratch.bytes
                                             << " bytes, must have at least " << bytes);
    YEOUL_REQUIRE(bytes == 0 || scratch.data != nullptr, op << ": scratch has no data");
    YEOUL_REQUIRE(reinterpret_cast<uintptr_t>(scratch.data) % 64 == 0,
                  op << ": scratch is not 64-byte aligned");
}

void require_fp16(const char* op, const char* what, DType dtype) {
    if (dtype != DType::f16)
        throw Error(ErrorCode::device, std::string(op) + ": " + what + " is " +
                                           std::string(name(dtype)) +
                                           ", and the CUDA backend stores fp16");
}

void require_text_embedding(const TextEmbeddingDesc& desc, const TextEmbeddingWeights& weights) {
    require_positive("text_embedding", "vocabulary", desc.vocabulary);
    require_positive("text_embedding", "tokens", desc.tokens);
    require_positive("text_embedding", "dim", desc.dim);
    const size_t dim = desc.dim;
    require_weight("text_embedding", "token", weights.token, desc.vocabulary * dim);
    require_weight("text_embedding", "position", weights.position, desc.tokens * dim);
}

void require_text_embedding(const TextEmbeddingDesc& desc, int batch, const View& ids,
                            const View& y) {
    require_activation("text_embedding", "ids", ids, DType::i32, batch, {desc.tokens});
    require_activation("text_embedding", "y", y, desc.y, batch, {desc.tokens, desc.dim});
    require_apart("text_embedding", "ids", ids, "y", y);
}

void require_embedding_head(const EmbeddingHeadDesc& desc, int batch, const View& x,
                            const View& index, const View& y, const View& norm) {
    require_activation("embedding_head", "x", x, desc.x, batch, {desc.tokens, desc.dim});
    if (index)
        require_activation("embedding_head", "index", index, DType::i32, batch, {});
    require_activation("embedding_head", "y", y, DType::f32, batch, {desc.out});
    require_activation("embedding_head", "norm", norm, DType::f32, batch, {});
}

void require_similarity(const SimilarityDesc& desc) {
    require_positive("similarity", "labels", desc.labels);
    require_positive("similarity", "dim", desc.dim);
    YEOUL_REQUIRE(std::isfinite(desc.scale),
                  "similarity: scale is " << desc.scale << ", must be finite");
}

void require_similarity(const SimilarityDesc& desc, int batch, const View& x, const View& norm,
                        const View& w, const View& y) {
    const int labels = leading(w);
    YEOUL_REQUIRE(labels >= 1 && labels <= desc.labels,
                  "similarity: w has " << labels << " labels, must have 1 to " << desc.labels);
    require_activation("similarity", "x", x, DType::f32, batch, {desc.dim});
    require_activation("similarity", "norm", norm, DType::f32, batch, {});
    require_activation("similarity", "w", w, desc.w, labels, {desc.dim});
    require_activation("similarity", "y", y, DType::f32, batch, {labels});
    require_apart("similarity", "y", y, "x", x);
    require_apart("similarity", "y", y, "norm", norm);
    require_apart("similarity", "y", y, "w", w);
}

void require_top_k(const TopKDesc& desc) {
    YEOUL_REQUIRE(desc.k >= 1 && desc.k <= TopKDesc::kMaxK,
                  "top_k: k is " << desc.k << ", must be 1 to " << TopKDesc::kMaxK);
    YEOUL_REQUIRE(desc.classes >= desc.k && desc.classes <= TopKDesc::kMaxClasses,
                  "top_k: classes is " << desc.classes << ", must be " << desc.k << " to "
                                       << TopKDesc::kMaxClasses);
}

void require_top_k(const TopKDesc& desc, int batch, const View& x, const View& values,
                   const View& indices) {
    const int classes = x.last();
    YEOUL_REQUIRE(classes >= desc.k && classes <= desc.classes,
                  "top_k: x has " << classes << " classes, must have " << desc.k << " to "
                                  << desc.classes);
    require_activation("top_k", "x", x, DType::f32, batch, {classes});
    require_activation("top_k", "values", values, DType::f32, batch, {desc.k});
    require_activation("top_k", "indices", indices, DType::i32, batch, {desc.k});
    require_apart("top_k", "values", values, "x", x);
    require_apart("top_k", "indices", indices, "x", x);
    require_apart("top_k", "values", values, "indices", indices);
}

} // namespace yeoul
