// --output: vectors in a file, by its extension.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <yeoul/engine.h>

#include "apps/run/inputs.h"

namespace yeoul::run {

/// Rows come in input order; a failed photo is a row of NaN, or its error in .jsonl.
class VectorsFile {
public:
    virtual ~VectorsFile() = default;
    /// Once, before the first row.
    virtual void begin(int dim) = 0;
    virtual void add(const std::string& path, const Result& result) = 0;
    /// Until then the file is not there, or is what it was.
    virtual void finish() = 0;
};

/// .npy, .safetensors or .jsonl. Throws `Error`: `invalid_argument` for another extension and for
/// more paths than the header of a .safetensors takes, `io` with the reason when nothing can be
/// written there. All of it is so known before any photo is read.
std::unique_ptr<VectorsFile> open_vectors_file(const std::filesystem::path& file,
                                               const std::vector<Input>& inputs);

} // namespace yeoul::run
