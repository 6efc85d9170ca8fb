#include "engine/batching/item_error.h"

#include <new>

namespace yeoul {

ItemError error_of(ErrorCode code, std::string_view message) noexcept {
    ItemError error{code, {}};
    try {
        error.message = message;
    } catch (const std::bad_alloc&) {
        error.message.clear();
    }
    return error;
}

Error no_memory_for_request() {
    return {ErrorCode::out_of_memory,
            "out of memory before the request was taken; try again later, or with fewer photos"};
}

ItemError describe_exception() noexcept {
    try {
        throw;
    } catch (const Error& error) {
        return error_of(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        return error_of(ErrorCode::out_of_memory, "out of memory; try again later");
    } catch (const std::exception& error) {
        return error_of(ErrorCode::internal, error.what());
    } catch (...) {
        return error_of(ErrorCode::internal, "something that is no std::exception was thrown");
    }
}

} // namespace yeoul
