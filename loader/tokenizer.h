// CLIP's tokenizer: text to ids, equal to CLIPTokenizer of transformers 5.
//
// Text is brought to Normalization Form C and lower case, cut into words (runs of letters, single
// digits, runs of other signs, English contractions), and each word's UTF-8 bytes are merged by
// byte-pair encoding, the last of them marked as the end of a word.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loader/byte_pairs.h"
#include "loader/tokenizer_files.h"

namespace yeoul::loader {

class Tokenizer {
public:
    /// Throws `Error`, code `model`: what `read_tokenizer_texts` and `parse_tokenizer` refuse, and
    /// a vocabulary without one of the 2 x 256 single bytes.
    static Tokenizer open_directory(const std::filesystem::path& directory);
    explicit Tokenizer(TokenizerFiles files);

    /// All ids of `text`, without begin and end. Throws `Error`, code `invalid_argument`, naming
    /// the offset of a byte that is not UTF-8.
    std::vector<int32_t> tokens(std::string_view text) const;

    /// Begin, as many of `tokens` as there is room for, end, and padding up to `context` ids:
    /// transformers' `padding="max_length", truncation=True`. `context` is at least 2.
    std::vector<int32_t> framed(std::span<const int32_t> tokens, int context) const;

    int32_t begin_id() const { return files_.begin; }
    int32_t end_id() const { return files_.end; }
    int32_t padding_id() const { return files_.padding; }
    int32_t largest_id() const { return files_.largest_id; }
    size_t vocabulary_size() const { return files_.vocabulary.size(); }

private:
    struct NormalizedToken {
        std::u32string content;
        int32_t id;
    };
    void add_normalized(std::string_view text, std::vector<int32_t>& ids) const;
    void add_words(std::u32string_view text, std::vector<int32_t>& ids) const;
    void add_word(std::u32string_view word, std::vector<int32_t>& ids) const;

    TokenizerFiles files_;
    std::vector<NormalizedToken> normalized_; // the added tokens of lower-cased text
    BytePairs pairs_;
    std::array<int32_t, 256> byte_ids_{}, last_byte_ids_{};
};

} // namespace yeoul::loader
