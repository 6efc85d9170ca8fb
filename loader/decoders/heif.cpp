// HEIC by libheif. Rotation and mirroring of the container belong to the picture and are applied by
// the library, so the header says orientation 1 and the size after them.
#include "loader/decoders/decoders.h"

#ifdef YEOUL_WITH_HEIF

#include <libheif/heif.h>

#include <algorithm>
#include <memory>

#include "loader/decoders/alpha.h"

namespace yeoul::loader {
namespace {

struct ContextFree {
    void operator()(heif_context* context) const { heif_context_free(context); }
};
struct HandleRelease {
    void operator()(heif_image_handle* handle) const { heif_image_handle_release(handle); }
};
struct ImageRelease {
    void operator()(heif_image* image) const { heif_image_release(image); }
};
using Context = std::unique_ptr<heif_context, ContextFree>;
using Handle = std::unique_ptr<heif_image_handle, HandleRelease>;
using Picture = std::unique_ptr<heif_image, ImageRelease>;

void check(const heif_error& error) {
    if (error.code == heif_error_Ok)
        return;
    const std::string text = error.message ? error.message : "no reason given";
    if (error.code == heif_error_Memory_allocation_error)
        throw OutOfMemory(0, "a HEIC decoder");
    if (error.code == heif_error_Unsupported_filetype ||
        error.code == heif_error_Unsupported_feature)
        throw_unsupported("HEIC variant that is not supported (" + text +
                          "); convert the photo to JPEG");
    throw_bad("truncated or damaged HEIC (" + text + "); copy it again");
}

struct OpenedHeif {
    Context context;
    Handle primary;
};

OpenedHeif open(Bytes encoded) {
    OpenedHeif heif;
    heif.context.reset(heif_context_alloc());
    if (!heif.context)
        throw OutOfMemory(0, "a HEIC decoder");
    // The photo is decoded on the caller's own thread.
    heif_context_set_max_decoding_threads(heif.context.get(), 0);
    check(heif_context_read_from_memory_without_copy(heif.context.get(), encoded.data(),
                                                     encoded.size(), nullptr));
    heif_image_handle* handle = nullptr;
    check(heif_context_get_primary_image_handle(heif.context.get(), &handle));
    heif.primary.reset(handle);
    return heif;
}

} // namespace

ImageHeader read_heif_header(Bytes encoded) {
    const OpenedHeif heif = open(encoded);
    const int width = heif_image_handle_get_width(heif.primary.get());
    const int height = heif_image_handle_get_height(heif.primary.get());
    if (width <= 0 || height <= 0)
        throw_bad("HEIC of " + std::to_string(width) + "x" + std::to_string(height) +
                  " pixels; the file is damaged, copy it again");
    return {ImageFormat::heif, width, height, 1};
}

RowsResult decode_heif_rows(Bytes encoded, const ImageHeader& header, const DecodeOptions& options,
                            RowSink& sink) {
    const OpenedHeif heif = open(encoded);
    check_size(ImageFormat::heif, heif_image_handle_get_ispe_width(heif.primary.get()),
               heif_image_handle_get_ispe_height(heif.primary.get()), options.max_pixels);
    const bool on_white =
        options.alpha_on_white && heif_image_handle_has_alpha_channel(heif.primary.get()) != 0;
    const size_t channels = on_white ? 4 : 3;
    heif_image* decoded = nullptr;
    check(heif_decode_image(heif.primary.get(), &decoded, heif_colorspace_RGB,
                            on_white ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB,
                            nullptr));
    const Picture picture(decoded);
    int stride = 0;
    uint8_t* plane = heif_image_get_plane(picture.get(), heif_channel_interleaved, &stride);
    if (!plane || heif_image_get_width(picture.get(), heif_channel_interleaved) != header.width ||
        heif_image_get_height(picture.get(), heif_channel_interleaved) != header.height)
        throw_bad("HEIC whose picture has another size than its header says; the file is damaged, "
                  "copy it again");
    const Region region = sink.begin(header.width, header.height, ImageFormat::heif);
    for (int y = region.top; y < region.bottom; ++y) {
        uint8_t* row = plane + size_t(stride) * y + region.left * channels;
        if (on_white)
            flatten(row, static_cast<size_t>(std::max(0, region.right - region.left)));
        sink.row(y, row);
    }
    return {};
}

std::string heif_version() {
    return std::string("libheif ") + heif_get_version();
}

} // namespace yeoul::loader

#else

namespace yeoul::loader {

ImageHeader read_heif_header(Bytes) {
    throw_unsupported("HEIC is not decoded by this build; convert the photo to JPEG, or install "
                      "libheif-dev and build with -DYEOUL_HEIF=ON");
}
RowsResult decode_heif_rows(Bytes encoded, const ImageHeader&, const DecodeOptions&, RowSink&) {
    read_heif_header(encoded);
    return {};
}
std::string heif_version() {
    return "";
}

} // namespace yeoul::loader

#endif
