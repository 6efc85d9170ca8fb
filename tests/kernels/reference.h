// The ops of kernels/ops.h in double precision, written from their formulas.
#pragma once

#include <vector>

#include "kernels/ops.h"

namespace yeoul::test {

double activate(Activation activation, double x);

/// act(x w^T + bias); x (rows, in), w (out, in), bias (out) or empty.
std::vector<double> linear(const std::vector<float>& x, const std::vector<float>& w,
                           const std::vector<float>& bias, int in, int out, Activation activation);

/// Layer norm of each row of `weight.size()` values.
std::vector<double> layer_norm(const std::vector<double>& x, const std::vector<float>& weight,
                               const std::vector<float>& bias, double eps);

/// What rounding can do to attention; w are the weights of a row. Of each element of y:
struct AttentionBounds {
    std::vector<double> spread;    // sum of w_j |v_j - y|: relative errors of weights that sum to 1
    std::vector<double> magnitude; // sum of w_j |v_j|: relative errors of terms
    double largest_logit = 0;      // of all rows, |scale <q, k>|
};
/// How far `layer_norm` of rows that are exact in fp32 may be off when it is computed in fp32 and
/// rounded once to `y`. With sums in lanes, a chain of additions is about 8 + log2(dim) long, so a
/// mean is off by that many roundings of the mean magnitude, and a deviation relatively by as many.
std::vector<double> layer_norm_tolerance(const std::vector<double>& x,
                                         const std::vector<float>& weight,
                                         const std::vector<float>& bias, double eps, DType y);

/// qkv (batch, tokens, 3 * heads * head_dim); gives (batch, tokens, heads * head_dim).
std::vector<double> attention(const std::vector<float>& qkv, int tokens, int heads, int head_dim,
                              double scale, bool causal, AttentionBounds* bounds = nullptr);

/// scale <x, w[l]> / norm of each row of x (batch, dim), w (labels, dim), norms (batch).
std::vector<double> similarity(const std::vector<float>& x, const std::vector<float>& norms,
                               const std::vector<float>& w, int dim, double scale);

struct TopClasses {
    std::vector<double> values; // (batch, k) probabilities
    std::vector<int> indices;   // (batch, k)
};
/// The k likeliest of `classes` by softmax, for each row of x (batch, classes), all finite.
TopClasses top_k(const std::vector<float>& x, int classes, int k);

/// How far one rounding to `dtype` may move `value`.
double rounding(DType dtype, double value);

inline std::vector<double> widened(const std::vector<float>& values) {
    return {values.begin(), values.end()};
}

} // namespace yeoul::test
