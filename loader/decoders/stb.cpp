#include "loader/decoders/stb.h"

#include <climits>
#include <cstdlib>

// Only what is needed: the GIF, PSD, HDR, PIC and TGA readers have a history of memory errors.
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#ifndef YEOUL_WITH_JPEG
#define STBI_ONLY_JPEG
#endif
#ifndef YEOUL_WITH_PNG
#define STBI_ONLY_PNG
#endif
// stb_image 2.27 does not clear its tables: a scan that names a Huffman table which the file never
// defined reads through what lay in memory before.
#define STBI_MALLOC(bytes) std::calloc(1, bytes)
#define STBI_REALLOC(data, bytes) std::realloc(data, bytes)
#define STBI_FREE(data) std::free(data)
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb_image.h>
#pragma GCC diagnostic pop

namespace yeoul::loader {

void StbFree::operator()(uint8_t* pixels) const {
    stbi_image_free(pixels);
}

StbPixels decode_with_stb(Bytes encoded, const ImageHeader& header, const char* what,
                          int channels) {
    if (encoded.size() > INT_MAX)
        throw_bad(std::string(what) + " file of " + std::to_string(encoded.size()) +
                  " bytes is above 2 GiB; convert it to JPEG");
    int width = 0, height = 0, in_file = 0;
    StbPixels pixels(stbi_load_from_memory(encoded.data(), static_cast<int>(encoded.size()), &width,
                                           &height, &in_file, channels));
    if (!pixels) {
        const std::string reason = stbi_failure_reason();
        if (reason == "outofmem")
            throw OutOfMemory(size_t(header.width) * header.height * channels, "a decoded photo");
        throw_bad(std::string("damaged ") + what + " (" + reason + "); export it again");
    }
    if (width != header.width || height != header.height)
        throw_bad(std::string(what) + " with two headers that disagree; the file is damaged, "
                                      "export it again");
    return pixels;
}

std::string stb_version() {
    return "stb_image " + std::to_string(STBI_VERSION);
}

} // namespace yeoul::loader
