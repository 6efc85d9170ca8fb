// Any files as a tokenizer, and any text through it: an Error of code `model` for the files, one of
// `invalid_argument` for the text, or ids of the vocabulary. The input is the files and the text,
// separated by bytes of 0xff, which no UTF-8 holds.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <yeoul/error.h>

#include "loader/tokenizer.h"

namespace {

void require(bool holds) {
    if (!holds)
        std::abort();
}

std::string take_part(std::string_view& rest) {
    const size_t end = std::min(rest.find('\xff'), rest.size());
    std::string part(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
}

void encode(const yeoul::loader::Tokenizer& tokenizer, std::string_view text) {
    try {
        const auto ids = tokenizer.tokens(text);
        for (int32_t id : ids)
            require(id >= 0 && id <= tokenizer.largest_id());
        const auto framed = tokenizer.framed(ids, 77);
        require(framed.size() == 77 && framed[0] == tokenizer.begin_id());
    } catch (const yeoul::Error& error) {
        require(error.code() == yeoul::ErrorCode::invalid_argument);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace yeoul::loader;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    TokenizerTexts texts;
    texts.tokenizer = take_part(rest);
    texts.vocabulary = take_part(rest);
    texts.merges = take_part(rest);
    texts.config = take_part(rest);
    texts.special_tokens = take_part(rest);
    try {
        encode(Tokenizer(parse_tokenizer(texts, "fuzz")), rest);
    } catch (const yeoul::Error& error) {
        require(error.code() == yeoul::ErrorCode::model);
    }
    // Most inputs are no tokenizer: the same bytes as text for one that is.
    const Tokenizer whole(
        parse_tokenizer({.tokenizer = R"({"model": {"type": "BPE", "vocab": {"a": 0, "b</w>": 1,
            "ab</w>": 2, "<|startoftext|>": 3, "<|endoftext|>": 4}, "merges": ["a b</w>"]}})",
                         .vocabulary = {},
                         .merges = {},
                         .config = {},
                         .special_tokens = {}},
                        "whole"));
    encode(whole, {reinterpret_cast<const char*>(data), size});
    return 0;
}
