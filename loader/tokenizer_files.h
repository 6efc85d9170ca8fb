// What the files of a model directory say about CLIP's tokenizer: `tokenizer.json`, or `vocab.json`
// with `merges.txt`; special tokens from `tokenizer_config.json` or `special_tokens_map.json`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace yeoul::loader {

/// A token that is found in the text itself, whatever the merges say.
struct AddedToken {
    std::string content; // UTF-8, not empty
    int32_t id = 0;
    bool normalized = false; // it is looked for in the lower-cased text
};

struct TokenizerFiles {
    std::unordered_map<std::string, int32_t> vocabulary; // in the alphabet of GPT-2, `</w>` at ends
    std::vector<std::pair<std::string, std::string>> merges; // the earlier comes first
    std::vector<AddedToken> added;
    int32_t begin = 0, end = 0, padding = 0; // <|startoftext|>, <|endoftext|>, what fills up
    std::optional<int32_t> unknown;          // for a byte that the vocabulary lacks
    int32_t largest_id = 0;
};

/// The text of each file; one that is not there is empty.
struct TokenizerTexts {
    std::string tokenizer;      // tokenizer.json
    std::string vocabulary;     // vocab.json
    std::string merges;         // merges.txt
    std::string config;         // tokenizer_config.json
    std::string special_tokens; // special_tokens_map.json
};

/// Throws `Error`, code `model`: neither form is there, a file cannot be read.
TokenizerTexts read_tokenizer_texts(const std::filesystem::path& directory);

/// Follows CLIPTokenizer of transformers 5: it takes vocabulary and merges from the files and makes
/// the rest of the pipeline itself. A file that describes another pipeline is refused.
/// Throws `Error`, code `model`, one sentence that begins with `label`: broken JSON, another kind
/// of tokenizer, ids that are negative or given twice, merges of tokens that are not in the
/// vocabulary, a special token that is missing.
TokenizerFiles parse_tokenizer(const TokenizerTexts& texts, const std::string& label);

} // namespace yeoul::loader
