#include "apps/run/vectors_file.h"

#include <limits>
#include <vector>

#include "apps/run/row_spool.h"
#include "apps/run/rows.h"
#include "loader/json.h"
#include "loader/npy.h"
#include "loader/output_file.h"
#include "loader/safetensors.h"
#include "loader/safetensors_header.h"

namespace yeoul::run {
namespace {

namespace fs = std::filesystem;

class MatrixFile : public VectorsFile {
public:
    explicit MatrixFile(const fs::path& file) : file_(file), spool_(file.parent_path()) {
        // A reader of a pipe would take the probe's end for the end of the data.
        std::error_code error;
        if (!fs::is_other(file, error))
            loader::OutputFile probe(file); // refuses a folder, a read-only target
    }
    void begin(int dim) override {
        dim_ = dim;
        missing_.assign(static_cast<size_t>(dim), std::numeric_limits<float>::quiet_NaN());
    }
    void add(const std::string& path, const Result& result) override {
        spool_.add(result.error ? missing_ : result.embedding);
        ++rows_;
        remember(path);
    }
    void finish() override { write(file_, spool_.all(), rows_, dim_); }

protected:
    virtual void remember(const std::string& path) = 0;
    virtual void write(const fs::path& file, std::span<const float> values, int rows, int dim) = 0;

private:
    fs::path file_;
    RowSpool spool_;
    int dim_ = 0, rows_ = 0;
    std::vector<float> missing_;
};

class NpyFile : public MatrixFile {
public:
    using MatrixFile::MatrixFile;

private:
    void remember(const std::string&) override {}
    void write(const fs::path& file, std::span<const float> values, int rows, int dim) override {
        loader::write_npy(file, values, rows, dim);
    }
};

class SafetensorsFile : public MatrixFile {
public:
    using MatrixFile::MatrixFile;

private:
    void remember(const std::string& path) override {
        paths_ += (paths_.empty() ? "[" : ", ") + loader::json_quote(path);
    }
    void write(const fs::path& file, std::span<const float> values, int rows, int dim) override {
        loader::write_safetensors(file,
                                  {{.name = "image_embeds",
                                    .dtype = "F32",
                                    .shape = {rows, dim},
                                    .data = std::as_bytes(values)}},
                                  {{"paths", paths_.empty() ? "[]" : paths_ + "]"}});
    }
    std::string paths_;
};

class JsonLinesFile : public VectorsFile {
public:
    explicit JsonLinesFile(const fs::path& file) : file_(file) {}
    void begin(int) override {}
    void add(const std::string& path, const Result& result) override {
        pending_ += json_row(path, result) + '\n';
        if (pending_.size() >= kPendingBytes)
            flush();
    }
    void finish() override {
        flush();
        file_.commit();
    }

private:
    static constexpr size_t kPendingBytes = 1 << 18;
    void flush() {
        file_.write(pending_);
        pending_.clear();
    }
    loader::OutputFile file_;
    std::string pending_;
};

/// The paths are a JSON list in a JSON string of the header, which readers limit.
void require_header_space(const fs::path& file, const std::vector<Input>& inputs) {
    constexpr uint64_t kRest = 1024; // of the header: the tensor's entry, the braces
    uint64_t bytes = kRest;
    for (const Input& input : inputs)
        bytes += loader::json_quote(loader::json_quote(input.path)).size(); // two quotes are ", "
    YEOUL_REQUIRE(bytes <= loader::kMaxHeaderBytes,
                  "--output is '" << file.string() << "', whose header would hold " << bytes
                                  << " bytes of paths, above the format's limit of "
                                  << loader::kMaxHeaderBytes
                                  << "; name a .npy or .jsonl, or split the work with --shard");
}

} // namespace

std::unique_ptr<VectorsFile> open_vectors_file(const fs::path& file,
                                               const std::vector<Input>& inputs) {
    const std::string extension = file.extension().string();
    if (extension == ".npy")
        return std::make_unique<NpyFile>(file);
    if (extension == ".safetensors") {
        require_header_space(file, inputs);
        return std::make_unique<SafetensorsFile>(file);
    }
    if (extension == ".jsonl")
        return std::make_unique<JsonLinesFile>(file);
    throw Error(ErrorCode::invalid_argument,
                "--output is '" + file.string() +
                    "', whose extension must be .npy, .safetensors or .jsonl");
}

} // namespace yeoul::run
