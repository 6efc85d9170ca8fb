#include "tests/kernels/reference.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace yeoul::test {

double activate(Activation activation, double x) {
    switch (activation) {
    case Activation::none:
        break;
    case Activation::quick_gelu:
        return x / (1 + std::exp(-1.702 * x));
    case Activation::gelu:
        return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
        return 0.5 * x *
               (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::relu:
        return std::max(x, 0.0);
    }
    return x;
}

std::vector<double> linear(const std::vector<float>& x, const std::vector<float>& w,
                           const std::vector<float>& bias, int in, int out, Activation activation) {
    const size_t rows = x.size() / in;
    std::vector<double> y(rows * out);
    for (size_t row = 0; row < rows; ++row)
        for (int o = 0; o < out; ++o) {
            const float* a = x.data() + row * in;
            const float* b = w.data() + static_cast<size_t>(o) * in;
            double sum = bias.empty() ? 0 : bias[o];
            for (int i = 0; i < in; ++i)
                sum += static_cast<double>(a[i]) * b[i];
            y[row * out + o] = activate(activation, sum);
        }
    return y;
}

std::vector<double> layer_norm(const std::vector<double>& x, const std::vector<float>& weight,
                               const std::vector<float>& bias, double eps) {
    const size_t dim = weight.size();
    std::vector<double> y(x.size());
    for (size_t row = 0; row < x.size(); row += dim) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < dim; ++i)
            mean += x[row + i] / static_cast<double>(dim);
        for (size_t i = 0; i < dim; ++i)
            variance += (x[row + i] - mean) * (x[row + i] - mean) / static_cast<double>(dim);
        for (size_t i = 0; i < dim; ++i)
            y[row + i] = (x[row + i] - mean) / std::sqrt(variance + eps) * weight[i] + bias[i];
    }
    return y;
}

std::vector<double> layer_norm_tolerance(const std::vector<double>& x,
                                         const std::vector<float>& weight,
                                         const std::vector<float>& bias, double eps, DType y) {
    const auto reference = layer_norm(x, weight, bias, eps);
    const size_t dim = weight.size();
    const double unit = 0x1p-24 * (8 + std::log2(dim));
    std::vector<double> tolerance(x.size());
    for (size_t row = 0; row < x.size(); row += dim) {
        double mean = 0, magnitude = 0, variance = 0;
        for (size_t i = 0; i < dim; ++i) {
            mean += x[row + i] / static_cast<double>(dim);
            magnitude += std::abs(x[row + i]) / static_cast<double>(dim);
        }
        for (size_t i = 0; i < dim; ++i)
            variance += (x[row + i] - mean) * (x[row + i] - mean) / static_cast<double>(dim);
        const double deviation = std::sqrt(variance + eps);
        for (size_t i = 0; i < dim; ++i) {
            const double gain = std::abs(weight[i]), distance = std::abs(x[row + i] - mean);
            tolerance[row + i] = gain * unit * (magnitude + distance) / deviation +
                                 0x1p-24 * (std::abs(reference[row + i]) + std::abs(bias[i])) +
                                 (y == DType::f32 ? 0 : rounding(y, reference[row + i]));
        }
    }
    return tolerance;
}

std::vector<double> attention(const std::vector<float>& qkv, int tokens, int heads, int head_dim,
                              double scale, bool causal, AttentionBounds* bounds) {
    const size_t dim = static_cast<size_t>(heads) * head_dim;
    const size_t photos = qkv.size() / (3 * dim * tokens);
    std::vector<double> y(photos * tokens * dim);
    std::vector<double> p(tokens);
    if (bounds != nullptr) {
        bounds->spread.assign(y.size(), 0);
        bounds->magnitude.assign(y.size(), 0);
    }
    for (size_t photo = 0; photo < photos; ++photo)
        for (int head = 0; head < heads; ++head)
            for (int i = 0; i < tokens; ++i) {
                // part: 0 is q, 1 is k, 2 is v
                const auto at = [&](size_t part, int token) {
                    return qkv.data() + (photo * tokens + token) * 3 * dim + part * dim +
                           static_cast<size_t>(head) * head_dim;
                };
                const int seen = causal ? i + 1 : tokens;
                double largest = -INFINITY, total = 0;
                for (int j = 0; j < seen; ++j) {
                    p[j] = 0;
                    for (int d = 0; d < head_dim; ++d)
                        p[j] += scale * at(0, i)[d] * at(1, j)[d];
                    largest = std::max(largest, p[j]);
                    if (bounds != nullptr)
                        bounds->largest_logit = std::max(bounds->largest_logit, std::abs(p[j]));
                }
                for (int j = 0; j < seen; ++j)
                    total += p[j] = std::exp(p[j] - largest);
                double* out =
                    y.data() + (photo * tokens + i) * dim + static_cast<size_t>(head) * head_dim;
                for (int j = 0; j < seen; ++j)
                    for (int d = 0; d < head_dim; ++d)
                        out[d] += p[j] / total * at(2, j)[d];
                const size_t row = out - y.data();
                for (int j = 0; bounds != nullptr && j < seen; ++j)
                    for (int d = 0; d < head_dim; ++d) {
                        const double value = at(2, j)[d], weight = p[j] / total;
                        bounds->spread[row + d] += weight * std::abs(value - out[d]);
                        bounds->magnitude[row + d] += weight * std::abs(value);
                    }
            }
    return y;
}

std::vector<double> similarity(const std::vector<float>& x, const std::vector<float>& norms,
                               const std::vector<float>& w, int dim, double scale) {
    std::vector<double> y;
    for (size_t b = 0; b < norms.size(); ++b)
        for (size_t l = 0; l < w.size() / dim; ++l) {
            double sum = 0;
            for (int i = 0; i < dim; ++i)
                sum += double{x[b * dim + i]} * w[l * dim + i];
            y.push_back(scale * sum / norms[b]);
        }
    return y;
}

TopClasses top_k(const std::vector<float>& x, int classes, int k) {
    TopClasses top;
    for (size_t row = 0; row < x.size(); row += classes) {
        const float* logits = x.data() + row;
        std::vector<int> order(classes);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](int a, int b) { return logits[a] > logits[b]; });
        double total = 0;
        for (int i = 0; i < classes; ++i)
            total += std::exp(double{logits[i]} - logits[order[0]]);
        for (int i = 0; i < k; ++i) {
            top.indices.push_back(order[i]);
            top.values.push_back(std::exp(double{logits[order[i]]} - logits[order[0]]) / total);
        }
    }
    return top;
}

double rounding(DType dtype, double value) {
    const double magnitude = std::abs(value);
    switch (dtype) {
    case DType::f32:
        return magnitude * 0x1p-24;
    case DType::f16:
        return std::max(magnitude * 0x1p-11, 0x1p-25);
    case DType::bf16:
        return magnitude * 0x1p-8;
    case DType::i32:
    case DType::u8:
        break;
    }
    return 0;
}

} // namespace yeoul::test
