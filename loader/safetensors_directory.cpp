// Which files of a directory hold its tensors, and whether the index of a sharded set tells the
// truth.
#include <algorithm>
#include <map>
#include <set>
#include <system_error>

#include <yeoul/error.h>

#include "loader/json.h"
#include "loader/model_directory.h"
#include "loader/safetensors.h"

namespace yeoul::loader {
namespace {

namespace fs = std::filesystem;

// Run in the model directory; needs only torch and safetensors, keeps every name, and cuts shared
// storage apart, which safetensors refuses. weights_only: a pickle can run code.
constexpr const char* kConverter =
    "python3 -c \"import glob, torch; from safetensors.torch import save_file; "
    "save_file({k: v.clone().contiguous() for f in glob.glob('pytorch_model*.bin') "
    "for k, v in torch.load(f, map_location='cpu', weights_only=True).items()}, "
    "'model.safetensors')\"";

[[noreturn]] void refuse(const fs::path& where, const std::string& what) {
    throw Error(ErrorCode::model, where.string() + ": " + what);
}

bool is_there(const fs::path& path) {
    std::error_code error;
    return fs::exists(path, error);
}

struct Listing {
    std::vector<fs::path> safetensors; // sorted
    bool pickles = false;
};

Listing list(const fs::path& directory) {
    Listing listing;
    std::error_code error;
    fs::directory_iterator entries(directory, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
        const fs::path file = entries->path();
        const std::string name = file.filename().string();
        if (name.front() == '.')
            continue;
        if (file.extension() == ".safetensors")
            listing.safetensors.push_back(file);
        if (name.rfind("pytorch_model", 0) == 0 && file.extension() == ".bin")
            listing.pickles = true;
    }
    if (error)
        refuse(directory, "cannot be listed: " + error.message());
    std::sort(listing.safetensors.begin(), listing.safetensors.end());
    return listing;
}

// A shard is a file beside its index; anything else could read out of the directory.
bool is_plain_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." &&
           name.find_first_of(std::string("/\\\0", 3)) == name.npos;
}

using Shards = std::map<std::string, std::set<std::string, std::less<>>>; // file -> its tensors

Shards read_index(const fs::path& index) {
    const Json json = parse_json(read_text_file(index), index.string());
    const Json* weight_map = json.find("weight_map");
    if (weight_map == nullptr || weight_map->object() == nullptr)
        refuse(index, "has no object weight_map; fetch the index again");
    Shards shards;
    for (const auto& [tensor, shard] : *weight_map->object()) {
        if (shard.string() == nullptr || !is_plain_name(*shard.string()))
            refuse(index, "weight_map puts tensor " + in_quotes(tensor) + " into " +
                              shard.describe() + ", must be the name of a file beside the index");
        shards[*shard.string()].insert(tensor);
    }
    if (shards.empty())
        refuse(index, "weight_map is empty; fetch the index again");
    return shards;
}

fs::path only_safetensors_file(const fs::path& directory) {
    const Listing listing = list(directory);
    if (listing.safetensors.size() == 1)
        return listing.safetensors.front();
    if (listing.safetensors.empty() && listing.pickles)
        refuse(directory, "holds only PyTorch pickles, which can run code and are not read; "
                          "convert them once in that directory: " +
                              std::string(kConverter));
    if (listing.safetensors.empty())
        refuse(directory, "holds no *.safetensors file; fetch the weights");
    std::string names;
    for (const fs::path& file : listing.safetensors)
        names += (names.empty() ? "" : ", ") + file.filename().string();
    refuse(directory, "holds several safetensors files (" + names +
                          ") and no model.safetensors.index.json that says which tensor is "
                          "where; add the index or keep one file");
}

} // namespace

Safetensors Safetensors::open_directory(const fs::path& directory) {
    require_model_directory(directory);
    const fs::path single = directory / "model.safetensors";
    const fs::path index = directory / "model.safetensors.index.json";
    try {
        if (is_there(single))
            return open_file(single);
        if (is_there(index))
            return open_shards(index);
        return open_file(only_safetensors_file(directory));
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found)
            throw;
        throw Error(ErrorCode::model, error.what());
    }
}

Safetensors Safetensors::open_shards(const fs::path& index) {
    Safetensors all;
    for (const auto& [name, indexed] : read_index(index)) {
        const fs::path file = index.parent_path() / name;
        if (!is_there(file))
            refuse(index, "names " + in_quotes(name) + ", which is missing; fetch it");
        Safetensors shard = open_file(file);
        for (const std::string& tensor : indexed)
            if (shard.find(tensor) == nullptr)
                refuse(file, "does not hold tensor " + in_quotes(tensor) +
                                 ", which the index puts there; fetch index and shards again");
        for (const auto& [tensor, info] : shard.tensors_)
            if (!indexed.contains(tensor))
                refuse(file, "holds tensor " + in_quotes(tensor) +
                                 ", which the index does not put there; fetch index and shards "
                                 "again");
        // A name stands once in the index, so no two shards that agree with it share one.
        all.tensors_.merge(shard.tensors_);
        all.metadata_.merge(shard.metadata_);
        all.mappings_.push_back(std::move(shard.mappings_.front()));
        all.files_.push_back(file);
    }
    return all;
}

} // namespace yeoul::loader
