#include "kernels/cpu/onednn.h"

#include "kernels/cpu/memory.h"

namespace yeoul::cpu {
namespace {

const char* status_name(dnnl_status_t status) {
    switch (status) {
    case dnnl_success:
        return "success";
    case dnnl_out_of_memory:
        return "out of memory";
    case dnnl_invalid_arguments:
        return "invalid arguments";
    case dnnl_unimplemented:
        return "unimplemented";
    case dnnl_iterator_ends:
        return "no implementation left";
    case dnnl_runtime_error:
        return "runtime error";
    case dnnl_not_required:
        return "not required";
    }
    return "unknown status";
}

} // namespace

void throw_onednn(const char* expression, const dnnl::error& error, const char* file, int line) {
    const std::string text = std::string("oneDNN: ") + expression +
                             " failed: " + status_name(error.status) + " (" + error.what() + "), " +
                             file + ":" + std::to_string(line);
    if (error.status == dnnl_out_of_memory)
        throw OutOfMemory(0, text);
    throw Error(error.status == dnnl_unimplemented ? ErrorCode::device : ErrorCode::internal, text);
}

dnnl::memory::data_type onednn_type(DType dtype) {
    switch (dtype) {
    case DType::f32:
        return dnnl::memory::data_type::f32;
    case DType::bf16:
        return dnnl::memory::data_type::bf16;
    case DType::i32:
        return dnnl::memory::data_type::s32;
    case DType::u8:
        return dnnl::memory::data_type::u8;
    case DType::f16:
        break;
    }
    throw Error(ErrorCode::device, "the CPU backend does not compute in " +
                                       std::string(name(dtype)) + "; take fp32, or bf16");
}

dnnl::memory::desc dense(const dnnl::memory::dims& extents, DType dtype) {
    dnnl::memory::dims strides(extents.size());
    dnnl::memory::dim stride = 1;
    for (size_t axis = extents.size(); axis-- > 0;) {
        strides[axis] = stride;
        stride *= extents[axis];
    }
    return YEOUL_ONEDNN(dnnl::memory::desc(extents, onednn_type(dtype), strides));
}

dnnl::primitive_attr user_scratchpad(const dnnl::post_ops& post_ops) {
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(post_ops);
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
}

Call::Call(const Onednn& onednn, dnnl::primitive primitive, const std::vector<Argument>& arguments)
    : primitive_(std::move(primitive)) {
    memories_.reserve(arguments.size());
    raw_.reserve(arguments.size());
    for (const Argument& argument : arguments) {
        if (argument.desc.get_size() == 0)
            continue;
        memories_.push_back(
            YEOUL_ONEDNN(dnnl::memory(argument.desc, onednn.engine, argument.data)));
        raw_.push_back({argument.kind, memories_.back().get()});
    }
}

void Call::operator()(dnnl_stream* stream) const {
    dnnl_status_t status = dnnl_primitive_execute(primitive_.get(), stream,
                                                  static_cast<int>(raw_.size()), raw_.data());
    if (status == dnnl_success)
        status = dnnl_stream_wait(stream);
    if (status != dnnl_success)
        throw_onednn("dnnl_primitive_execute", dnnl::error(status, "the primitive did not run"),
                     __FILE__, __LINE__);
}

void reorder_now(const Onednn& onednn, const dnnl::memory::desc& x_desc, const void* x,
                 const dnnl::memory::desc& y_desc, void* y) {
    const auto plan = YEOUL_ONEDNN(dnnl::reorder::primitive_desc(
        onednn.engine, x_desc, onednn.engine, y_desc, user_scratchpad()));
    const dnnl::memory::desc scratchpad_desc = plan.scratchpad_desc();
    const Buffer scratchpad(scratchpad_desc.get_size());
    const Call call(onednn, YEOUL_ONEDNN(dnnl::reorder(plan)),
                    {{DNNL_ARG_FROM, x_desc, const_cast<void*>(x)},
                     {DNNL_ARG_TO, y_desc, y},
                     {DNNL_ARG_SCRATCHPAD, scratchpad_desc, scratchpad.data()}});
    const dnnl::stream stream = YEOUL_ONEDNN(dnnl::stream(onednn.engine));
    call(stream.get());
}

} // namespace yeoul::cpu
