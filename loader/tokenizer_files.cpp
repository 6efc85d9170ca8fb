#include "loader/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>
#include <system_error>
#include <unordered_set>

#include <yeoul/error.h>

#include "loader/json.h"
#include "loader/model_directory.h"
#include "loader/unicode_text.h"

namespace yeoul::loader {
namespace {

// Far above any published vocabulary.
constexpr int64_t kMaxId = 10'000'000;
constexpr size_t kMaxAddedTokens = 256;

// The two forms in which files state CLIP's way to cut text into words.
constexpr std::string_view kWords = R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
constexpr std::string_view kWordsAndSpecials =
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

/// The reading of one tokenizer: where it stands and what it has so far.
class Reader {
public:
    Reader(const TokenizerTexts& texts, const std::string& label) : texts_(texts), label_(label) {}

    TokenizerFiles read() {
        if (!texts_.tokenizer.empty())
            read_tokenizer_json();
        else
            read_vocabulary_and_merges();
        read_special_tokens();
        check_merges();
        for (const auto& [token, id] : files_.vocabulary)
            files_.largest_id = std::max(files_.largest_id, id);
        for (const AddedToken& token : files_.added)
            files_.largest_id = std::max(files_.largest_id, token.id);
        return std::move(files_);
    }

private:
    [[noreturn]] void refuse(const std::string& file, const std::string& what) const {
        throw Error(ErrorCode::model, label_ + ": " + file + ": " + what);
    }
    Json parse(const std::string& text, const std::string& file) const {
        Json json = parse_json(text, label_ + ": " + file);
        if (json.object() == nullptr)
            refuse(file, "is " + json.describe() + ", must be an object");
        return json;
    }

    void read_tokenizer_json() {
        const std::string file = "tokenizer.json";
        const Json json = parse(texts_.tokenizer, file);
        const Json* model = json.find("model");
        if (model == nullptr || model->object() == nullptr)
            refuse(file, "holds no model");
        expect(*model, file, "type", {"BPE"});
        expect(*model, file, "end_of_word_suffix", {"</w>"});
        check_pipeline(json, file);

        const Json* vocabulary = model->find("vocab");
        read_vocabulary(vocabulary, file);
        const Json* merges = model->find("merges");
        if (merges == nullptr || merges->array() == nullptr)
            refuse(file, "model.merges is missing or no list");
        for (const Json& merge : *merges->array())
            read_merge(merge, file);
        if (const Json* added = json.find("added_tokens"); added != nullptr && !added->is_null()) {
            if (added->array() == nullptr)
                refuse(file, "added_tokens is " + added->describe() + ", must be a list");
            for (const Json& token : *added->array()) {
                const Json* id = token.find("id");
                read_added_token(token, id == nullptr ? Json() : *id, file);
            }
        }
    }

    // Absent or null passes: what transformers makes itself need not be stated.
    void expect(const Json& json, const std::string& file, std::string_view key,
                std::initializer_list<std::string_view> known) const {
        const Json* value = json.find(key);
        if (value == nullptr || value->is_null())
            return;
        const std::string* text = value->string();
        if (text == nullptr || std::find(known.begin(), known.end(), *text) == known.end())
            refuse(file, std::string(key) + " is " + value->describe() +
                             ", but CLIP's tokenizer has \"" + std::string(*known.begin()) + "\"");
    }

    void check_pipeline(const Json& json, const std::string& file) const {
        const std::array<std::string_view, 3> normalizers{"NFC", "Replace", "Lowercase"};
        check_steps(json.find("normalizer"), "normalizers", normalizers, file);
        const std::array<std::string_view, 2> pre_tokenizers{"Split", "ByteLevel"};
        const Json* pre_tokenizer = json.find("pre_tokenizer");
        check_steps(pre_tokenizer, "pretokenizers", pre_tokenizers, file);
        if (pre_tokenizer == nullptr || pre_tokenizer->is_null())
            return;
        const Json& split = (*pre_tokenizer->find("pretokenizers")->array())[0];
        const Json* pattern = split.find("pattern");
        if (pattern == nullptr || pattern->object() == nullptr)
            refuse(file, "the pattern that cuts text into words is missing");
        expect(*pattern, file, "Regex", {kWords, kWordsAndSpecials});
    }

    // A sequence of steps of these types, or nothing.
    void check_steps(const Json* json, std::string_view key,
                     std::span<const std::string_view> types, const std::string& file) const {
        if (json == nullptr || json->is_null())
            return;
        const Json* steps = json->find(key);
        bool same =
            steps != nullptr && steps->array() != nullptr && steps->array()->size() == types.size();
        std::string wanted;
        for (size_t i = 0; i < types.size(); ++i) {
            wanted += (i ? ", " : "") + std::string(types[i]);
            if (!same)
                continue;
            const Json* type = (*steps->array())[i].find("type");
            same = type != nullptr && type->string() != nullptr && *type->string() == types[i];
        }
        if (!same)
            refuse(file, std::string(key) + " are not " + wanted +
                             ", so this is not CLIP's tokenizer; no other is supported");
    }

    void read_vocabulary_and_merges() {
        if (texts_.vocabulary.empty() || texts_.merges.empty())
            throw Error(ErrorCode::model,
                        label_ + ": there is neither tokenizer.json nor vocab.json with merges.txt;"
                                 " text needs one of them");
        const Json json = parse(texts_.vocabulary, "vocab.json");
        read_vocabulary(&json, "vocab.json");
        std::string_view rest = texts_.merges;
        for (int number = 1; !rest.empty(); ++number) {
            const size_t end = std::min(rest.find('\n'), rest.size());
            std::string_view line = rest.substr(0, end);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            if (line.ends_with('\r'))
                line.remove_suffix(1);
            if (line.starts_with("#version") || line.empty())
                continue;
            add_merge(line, "merges.txt", "line " + std::to_string(number));
        }
    }

    void read_vocabulary(const Json* json, const std::string& file) {
        if (json == nullptr || json->object() == nullptr || json->object()->empty())
            refuse(file, "the vocabulary is missing or empty");
        std::unordered_set<int32_t> seen;
        for (const auto& [token, id] : *json->object()) {
            const int32_t value = read_id(id, token, file);
            if (!seen.insert(value).second)
                refuse(file, "the id " + std::to_string(value) + " belongs to two tokens, one is " +
                                 in_quotes(token));
            files_.vocabulary.emplace(token, value);
        }
    }

    int32_t read_id(const Json& json, const std::string& token, const std::string& file) const {
        const int64_t* id = json.integer();
        if (id == nullptr || *id < 0 || *id > kMaxId)
            refuse(file, "the id of " + in_quotes(token) + " is " + json.describe() +
                             ", must be an integer from 0 to " + std::to_string(kMaxId));
        return static_cast<int32_t>(*id);
    }

    // "a b" or ["a", "b"]
    void read_merge(const Json& merge, const std::string& file) {
        const std::string where = "merge " + std::to_string(files_.merges.size() + 1);
        if (const std::string* text = merge.string())
            return add_merge(*text, file, where);
        const Json::Array* pair = merge.array();
        if (pair == nullptr || pair->size() != 2 || (*pair)[0].string() == nullptr ||
            (*pair)[1].string() == nullptr)
            refuse(file, where + " is " + merge.describe() + ", must be two tokens");
        files_.merges.emplace_back(*(*pair)[0].string(), *(*pair)[1].string());
    }
    void add_merge(std::string_view text, const std::string& file, const std::string& where) {
        const size_t space = text.find(' ');
        if (space == text.npos || space == 0 || space + 1 == text.size() ||
            text.find(' ', space + 1) != text.npos)
            refuse(file, where + " is " + in_quotes(text) +
                             ", must be two tokens with one space between them");
        files_.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    }
    void check_merges() const {
        for (const auto& [left, right] : files_.merges)
            for (const std::string& token : {left, right, left + right})
                if (!files_.vocabulary.contains(token))
                    throw Error(ErrorCode::model, label_ + ": the merge of " + in_quotes(left) +
                                                      " and " + in_quotes(right) + " needs " +
                                                      in_quotes(token) +
                                                      ", which is not in the vocabulary");
    }

    void read_added_token(const Json& json, const Json& id, const std::string& file) {
        const Json* content = json.find("content");
        if (content == nullptr || content->string() == nullptr)
            refuse(file, "an added token has no content");
        const std::string& text = *content->string();
        for (const char* key : {"single_word", "lstrip", "rstrip"})
            if (const Json* flag = json.find(key);
                flag != nullptr && flag->boolean() != nullptr && *flag->boolean())
                refuse(file, "the added token " + in_quotes(text) + " has " + key +
                                 ", which is not supported");
        const Json* normalized = json.find("normalized");
        add(text, read_id(id, text, file),
            normalized != nullptr && normalized->boolean() != nullptr && *normalized->boolean(),
            file);
    }

    void add(const std::string& content, int32_t id, bool normalized, const std::string& file) {
        const auto known = files_.vocabulary.find(content);
        if (known != files_.vocabulary.end() && known->second != id)
            refuse(file, "the added token " + in_quotes(content) + " has id " + std::to_string(id) +
                             ", but " + std::to_string(known->second) + " in the vocabulary");
        if (content.empty() || files_.added.size() == kMaxAddedTokens)
            refuse(file, content.empty()
                             ? "an added token is empty"
                             : "more than " + std::to_string(kMaxAddedTokens) + " added tokens");
        files_.added.push_back({content, id, normalized});
    }

    void read_special_tokens() {
        Json config, map;
        if (!texts_.config.empty())
            config = parse(texts_.config, "tokenizer_config.json");
        if (!texts_.special_tokens.empty())
            map = parse(texts_.special_tokens, "special_tokens_map.json");
        expect(config, "tokenizer_config.json", "padding_side", {"right"});
        if (const Json* decoder = config.find("added_tokens_decoder");
            decoder != nullptr && decoder->object() != nullptr) {
            files_.added.clear(); // it stands for the list of tokenizer.json
            for (const auto& [id, token] : *decoder->object())
                read_added_token(token, parse_json(id, label_ + ": added_tokens_decoder"),
                                 "tokenizer_config.json");
        }
        const size_t listed = files_.added.size();
        const auto read = [&](const char* key, const char* absent) {
            AddedToken token{.content = absent};
            for (const Json* json : {&config, &map}) // the map, where it has the key
                if (const Json* value = json->find(key))
                    token = named_token(*value, absent);
            return special(token, key, listed);
        };
        // In transformers' order: of several with one content the last one's flag holds.
        files_.begin = read("bos_token", "<|startoftext|>");
        files_.end = read("eos_token", "<|endoftext|>");
        files_.unknown = read("unk_token", "<|endoftext|>");
        files_.padding = read("pad_token", "<|endoftext|>");
    }

    // "<|endoftext|>" or {"content": "<|endoftext|>", "normalized": true}
    static AddedToken named_token(const Json& value, const char* absent) {
        const Json* content = value.object() != nullptr ? value.find("content") : &value;
        if (content == nullptr || content->string() == nullptr)
            return {.content = absent};
        const Json* normalized = value.find("normalized");
        return {.content = *content->string(),
                .normalized = normalized != nullptr && normalized->boolean() != nullptr &&
                              *normalized->boolean()};
    }

    // Its id; from here on the text is searched for it. What the first `listed` added tokens say of
    // it stands.
    int32_t special(const AddedToken& token, const std::string& key, size_t listed) {
        for (size_t i = 0; i < files_.added.size(); ++i)
            if (files_.added[i].content == token.content) {
                if (i >= listed)
                    files_.added[i].normalized = token.normalized;
                return files_.added[i].id;
            }
        const auto found = files_.vocabulary.find(token.content);
        if (found == files_.vocabulary.end())
            throw Error(ErrorCode::model, label_ + ": the " + key + " " + in_quotes(token.content) +
                                              " is not in the vocabulary");
        add(token.content, found->second, token.normalized, key);
        return found->second;
    }

    const TokenizerTexts& texts_;
    const std::string& label_;
    TokenizerFiles files_;
};

} // namespace

TokenizerTexts read_tokenizer_texts(const std::filesystem::path& directory) {
    require_model_directory(directory);
    const auto text = [&](const char* file) {
        std::error_code ignored; // unreadable is for the reader to say
        const auto path = directory / file;
        return std::filesystem::exists(path, ignored) ? read_text_file(path) : std::string();
    };
    return {.tokenizer = text("tokenizer.json"),
            .vocabulary = text("vocab.json"),
            .merges = text("merges.txt"),
            .config = text("tokenizer_config.json"),
            .special_tokens = text("special_tokens_map.json")};
}

TokenizerFiles parse_tokenizer(const TokenizerTexts& texts, const std::string& label) {
    return Reader(texts, label).read();
}

} // namespace yeoul::loader
