// What a call is refused for, in one sentence each, before anything is enqueued.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace yeoul {

/// The batch sizes an op is planned for, in ascending order.
class Batches {
public:
    /// Throws `invalid_argument` unless there is one and all are at least 1.
    Batches(const char* op, std::vector<int> batches);
    const std::vector<int>& sizes() const { return sizes_; }
    int largest() const { return sizes_.back(); }
    /// Throws `invalid_argument` naming the batch and the planned ones.
    size_t index(int batch) const;

private:
    const char* op_;
    std::vector<int> sizes_;
};

/// Non-null, of that dtype, and (batch, extents...).
void require_activation(const char* op, const char* what, const View& view, DType dtype, int batch,
                        std::initializer_list<int> extents);

/// Throws `invalid_argument` unless the data starts at a multiple of `bytes`.
void require_aligned(const char* op, const char* what, const View& view, size_t bytes);

/// Throws `invalid_argument` where the two share a byte.
void require_apart(const char* op, const char* a_name, const View& a, const char* b_name,
                   const View& b);

/// Non-null and `elements` values of fp32, fp16 or bf16.
void require_weight(const char* op, const char* what, const View& view, size_t elements);

/// batch * rows. Throws `invalid_argument` where that does not fit an int.
int total_rows(const char* op, int batch, int rows);
void require_positive(const char* op, const char* what, int value);

void require_scratch(const char* op, Scratch scratch, size_t bytes);

/// Throws `Error` with code `device` for what the CUDA backend does not store.
void require_fp16(const char* op, const char* what, DType dtype);

/// What every backend refuses of these, at planning and at a call.
void require_text_embedding(const TextEmbeddingDesc& desc, const TextEmbeddingWeights& weights);
void require_text_embedding(const TextEmbeddingDesc& desc, int batch, const View& ids,
                            const View& y);
void require_embedding_head(const EmbeddingHeadDesc& desc, int batch, const View& x,
                            const View& index, const View& y, const View& norm);
void require_similarity(const SimilarityDesc& desc);
void require_similarity(const SimilarityDesc& desc, int batch, const View& x, const View& norm,
                        const View& w, const View& y);
void require_top_k(const TopKDesc& desc);
void require_top_k(const TopKDesc& desc, int batch, const View& x, const View& values,
                   const View& indices);

/// The leading extent of a view of any rank; 0 for rank 0.
inline int leading(const View& view) {
    return view.rank == 0 ? 0 : view.shape[0];
}

} // namespace yeoul
