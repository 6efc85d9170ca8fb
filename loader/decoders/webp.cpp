// WebP by libwebp. Pillow shows frame 0 on the canvas of the file, black where the frame does not
// reach, without blending. Alpha is dropped, or laid on white.
#include "loader/decoders/alpha.h"
#include "loader/decoders/decoders.h"

#ifdef YEOUL_WITH_WEBP

#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>
#include <optional>
#include <vector>

#include "loader/exif.h"

namespace yeoul::loader {
namespace {

struct DemuxerDelete {
    void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};
using Demuxer = std::unique_ptr<WebPDemuxer, DemuxerDelete>;

struct FrameIterator : WebPIterator {
    FrameIterator() : WebPIterator{} {}
    ~FrameIterator() { WebPDemuxReleaseIterator(this); }
    FrameIterator(const FrameIterator&) = delete;
    FrameIterator& operator=(const FrameIterator&) = delete;
};

struct ChunkIterator : WebPChunkIterator {
    ChunkIterator() : WebPChunkIterator{} {}
    ~ChunkIterator() { WebPDemuxReleaseChunkIterator(this); }
    ChunkIterator(const ChunkIterator&) = delete;
    ChunkIterator& operator=(const ChunkIterator&) = delete;
    Bytes bytes() const { return {chunk.bytes, chunk.size}; }
};

constexpr size_t kRiffHeaderBytes = 8;

[[noreturn]] void throw_damaged(Bytes encoded) {
    const bool is_short = encoded.size() < kRiffHeaderBytes ||
                          read_le32(&encoded[4]) > encoded.size() - kRiffHeaderBytes;
    if (is_short)
        throw_bad("truncated WebP: the file is shorter than its header says; copy it again");
    throw_bad("damaged WebP; export it again");
}

int orientation(Bytes encoded) {
    const WebPData data{encoded.data(), encoded.size()};
    WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
    const Demuxer demuxer(WebPDemuxPartial(&data, &state));
    if (!demuxer)
        return 1;
    std::optional<int> found;
    {
        ChunkIterator exif;
        if (WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &exif))
            found = exif_orientation(exif.bytes());
    }
    ChunkIterator xmp;
    if (!found && WebPDemuxGetChunk(demuxer.get(), "XMP ", 1, &xmp))
        found = xmp_orientation(xmp.bytes());
    return found.value_or(1);
}

} // namespace

ImageHeader read_webp_header(Bytes encoded) {
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(encoded.data(), encoded.size(), &features) != VP8_STATUS_OK)
        throw_damaged(encoded);
    return {ImageFormat::webp, features.width, features.height, orientation(encoded)};
}

RowsResult decode_webp_rows(Bytes encoded, const ImageHeader& header, bool alpha_on_white,
                            RowSink& sink) {
    const WebPData data{encoded.data(), encoded.size()};
    const Demuxer demuxer(WebPDemux(&data));
    if (!demuxer)
        throw_damaged(encoded);
    if (WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH) != static_cast<uint32_t>(header.width) ||
        WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT) != static_cast<uint32_t>(header.height))
        throw_bad("WebP with two headers that disagree; the file is damaged, export it again");
    FrameIterator frame;
    if (!WebPDemuxGetFrame(demuxer.get(), 1, &frame) || !frame.complete)
        throw_damaged(encoded);

    const bool on_white =
        alpha_on_white && (WebPDemuxGetI(demuxer.get(), WEBP_FF_FORMAT_FLAGS) & ALPHA_FLAG) != 0;
    const size_t channels = on_white ? 4 : 3;
    std::vector<uint8_t> canvas(size_t(header.width) * header.height * channels);
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        throw Error(ErrorCode::internal, "libwebp at run time is another version than its headers");
    const size_t stride = size_t(header.width) * channels;
    const size_t offset = stride * frame.y_offset + size_t(frame.x_offset) * channels;
    config.output.colorspace = on_white ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = canvas.data() + offset;
    config.output.u.RGBA.stride = static_cast<int>(stride);
    config.output.u.RGBA.size = canvas.size() - offset;
    // The frame's own header may claim another size than the container: it must fit the canvas.
    if (WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &config.input) !=
            VP8_STATUS_OK ||
        config.input.width != frame.width || config.input.height != frame.height ||
        frame.x_offset + frame.width > header.width ||
        frame.y_offset + frame.height > header.height)
        throw_damaged(encoded);
    const VP8StatusCode status = WebPDecode(frame.fragment.bytes, frame.fragment.size, &config);
    if (status == VP8_STATUS_OUT_OF_MEMORY)
        throw OutOfMemory(canvas.size(), "a decoded photo");
    if (status != VP8_STATUS_OK)
        throw_damaged(encoded);
    if (on_white)
        flatten(canvas.data(), canvas.size() / channels);
    push_rows(canvas.data(), header.width, header.height, ImageFormat::webp, sink);
    return {};
}

std::string webp_version() {
    const int version = WebPGetDecoderVersion();
    return "libwebp " + std::to_string(version >> 16) + "." + std::to_string(version >> 8 & 255) +
           "." + std::to_string(version & 255);
}

} // namespace yeoul::loader

#else

namespace yeoul::loader {

ImageHeader read_webp_header(Bytes) {
    throw_unsupported("WebP is not decoded by this build; convert the photo to JPEG or PNG, or "
                      "build with -DYEOUL_WEBP=ON");
}
RowsResult decode_webp_rows(Bytes encoded, const ImageHeader&, bool, RowSink&) {
    read_webp_header(encoded);
    return {};
}
std::string webp_version() {
    return "";
}

} // namespace yeoul::loader

#endif
