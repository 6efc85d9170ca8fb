// Which matrix product serves which shape: a readable table of what was measured on a device, and
// the rules for shapes that it lacks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/gemm.h"

namespace yeoul::cuda {

class GemmLibrary;

/// The library's product, or the own one as `own` says.
struct GemmChoice {
    bool library = false;
    OwnGemm own;
    friend bool operator==(const GemmChoice&, const GemmChoice&) = default;
};
/// "library", "128x96x32", "64x96x32/4" (split over 4 blocks): one word of the table.
std::string to_word(const GemmChoice& choice);

/// What a choice depends on besides the shape.
struct GemmMachine {
    int sm = 75;
    int sm_count = 40;
    const GemmLibrary* library = nullptr; // null: none
    std::string library_name() const;     // "none"
};

/// Microseconds of the own product by the wave model; good for ranking tiles, not as a promise.
double predicted_us(const GemmMachine& machine, const GemmShape& shape, OwnGemm how);
/// The split that the model prefers for a tile.
OwnGemm best_split(const GemmMachine& machine, const GemmShape& shape, int tile);
/// The own product that the model prefers.
OwnGemm best_own(const GemmMachine& machine, const GemmShape& shape);
/// The rules, in order, are in the body.
GemmChoice predict(const GemmMachine& machine, const GemmShape& shape);

class GemmTable {
public:
    struct Candidate {
        GemmChoice choice;
        double us = 0; // median, 0.01 resolution in the text
        friend bool operator==(const Candidate&, const Candidate&) = default;
    };
    struct Row {
        int sm = 75;
        std::string library = "none"; // its name and version, one word
        GemmShape shape;
        GemmChoice choice;
        std::vector<Candidate> measured; // none: predicted
        friend bool operator==(const Row&, const Row&) = default;
    };

    GemmTable() = default;
    explicit GemmTable(std::vector<Row> rows) : rows_(std::move(rows)) {}
    /// Throws `invalid_argument` naming line and cause.
    static GemmTable parse(std::string_view text);
    /// Aligned columns under a heading; `parse` reads it back, and gives the same text again.
    std::string text() const;

    const std::vector<Row>& rows() const { return rows_; }
    /// These rows and `rows`, which replace those of the same device, library and shape.
    GemmTable with(const std::vector<Row>& rows) const;
    /// The row that was written for this device, library and shape, or null.
    const Row* find(const GemmMachine& machine, const GemmShape& shape) const;

private:
    std::vector<Row> rows_;
};

/// Of the table, else predicted.
struct GemmDecision {
    GemmChoice choice;
    bool measured = false;
};
GemmDecision decide(const GemmTable* table, const GemmMachine& machine, const GemmShape& shape);

} // namespace yeoul::cuda
