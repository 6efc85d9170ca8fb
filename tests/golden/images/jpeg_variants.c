/* Writes the JPEG variants that Pillow cannot write; make_images.py compiles and calls it.
   jpeg_variants WIDTH HEIGHT grey|ycc|rgb|cmyk|ycck QUALITY FACTORS RESTART progressive=0|1
   arithmetic=0|1 < samples > file; FACTORS is one HxV per component, with commas. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

int main(int argc, char** argv) {
    if (argc != 9)
        return 2;
    struct jpeg_error_mgr errors;
    struct jpeg_compress_struct codec;
    memset(&codec, 0, sizeof codec);
    codec.err = jpeg_std_error(&errors);
    jpeg_create_compress(&codec);
    jpeg_stdio_dest(&codec, stdout);
    codec.image_width = (JDIMENSION)atoi(argv[1]);
    codec.image_height = (JDIMENSION)atoi(argv[2]);
    const char* space = argv[3];
    codec.input_components = !strcmp(space, "grey") ? 1 : strlen(space) == 3 ? 3 : 4;
    codec.in_color_space = codec.input_components == 1   ? JCS_GRAYSCALE
                           : codec.input_components == 3 ? JCS_RGB
                                                         : JCS_CMYK;
    jpeg_set_defaults(&codec);
    jpeg_set_colorspace(&codec, !strcmp(space, "grey")   ? JCS_GRAYSCALE
                                : !strcmp(space, "ycc")  ? JCS_YCbCr
                                : !strcmp(space, "rgb")  ? JCS_RGB
                                : !strcmp(space, "cmyk") ? JCS_CMYK
                                                         : JCS_YCCK);
    jpeg_set_quality(&codec, atoi(argv[4]), TRUE);
    const char* factors = argv[5];
    for (int i = 0; i < codec.num_components; ++i) {
        if (sscanf(factors, "%dx%d", &codec.comp_info[i].h_samp_factor,
                   &codec.comp_info[i].v_samp_factor) != 2)
            return 2;
        factors += strcspn(factors, ",") + 1;
    }
    codec.restart_interval = (unsigned)atoi(argv[6]);
    if (atoi(argv[7]))
        jpeg_simple_progression(&codec);
    codec.arith_code = atoi(argv[8]);
    jpeg_start_compress(&codec, TRUE);
    size_t stride = (size_t)codec.image_width * codec.input_components;
    JSAMPLE* row = malloc(stride);
    while (codec.next_scanline < codec.image_height) {
        if (fread(row, 1, stride, stdin) != stride)
            return 1;
        jpeg_write_scanlines(&codec, &row, 1);
    }
    jpeg_finish_compress(&codec);
    jpeg_destroy_compress(&codec);
    free(row);
    return 0;
}
