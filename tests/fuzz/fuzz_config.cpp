// Any text as config.json and as preprocessor_config.json: an Error of code `model`, or values that
// the engine can divide by.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <yeoul/error.h>

#include "loader/clip_text_config.h"
#include "loader/model_config.h"
#include "loader/preprocessor.h"

namespace {

void require(bool holds) {
    if (!holds)
        std::abort();
}

template <class Parse>
void expect_model_error_at_most(Parse&& parse) {
    try {
        parse();
    } catch (const yeoul::Error& error) {
        require(error.code() == yeoul::ErrorCode::model);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace yeoul::loader;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    expect_model_error_at_most([&] {
        const ClipVisionConfig clip = parse_model_config(text, "fuzz").clip_vision;
        require(clip.head_dim() > 0 &&
                clip.head_dim() * clip.num_attention_heads == clip.hidden_size);
        require(clip.tokens() > 1 && clip.layer_norm_eps > 0);
    });
    expect_model_error_at_most([&] {
        const ClipTextConfig clip = parse_clip_text_config(text, "fuzz");
        require(clip.head_dim() > 0 &&
                clip.head_dim() * clip.num_attention_heads == clip.hidden_size);
        require(clip.vocab_size > 0 && clip.max_position_embeddings > 1);
    });
    expect_model_error_at_most([&] {
        const Preprocessor preprocessor = parse_preprocessor(text, "fuzz");
        require(preprocessor.output_height() > 0 && preprocessor.output_width() > 0);
        for (double deviation : preprocessor.std)
            require(deviation > 0);
    });
    return 0;
}
