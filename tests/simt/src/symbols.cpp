#include "symbols.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <vector>

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>

namespace simt::detail {
namespace {

struct Function {
    uintptr_t bytes;
    std::string name;
};

// A kernel is static, so the dynamic linker does not know it: this reads the file's own table.
class SymbolTable {
public:
    explicit SymbolTable(const std::string& file) {
        std::ifstream stream(file, std::ios::binary);
        const std::vector<char> image((std::istreambuf_iterator<char>(stream)),
                                      std::istreambuf_iterator<char>());
        if (image.size() < sizeof(Elf64_Ehdr))
            return;
        const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image.data());
        const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image.data() + header->e_shoff);
        for (int i = 0; i < header->e_shnum; ++i) {
            const Elf64_Shdr& section = sections[i];
            if (section.sh_type != SHT_SYMTAB)
                continue;
            const char* names = image.data() + sections[section.sh_link].sh_offset;
            const auto* symbols =
                reinterpret_cast<const Elf64_Sym*>(image.data() + section.sh_offset);
            for (size_t k = 0; k < section.sh_size / sizeof(Elf64_Sym); ++k)
                if (ELF64_ST_TYPE(symbols[k].st_info) == STT_FUNC && symbols[k].st_value != 0)
                    functions_.try_emplace(
                        symbols[k].st_value,
                        Function{symbols[k].st_size, names + symbols[k].st_name});
        }
        moved_ = header->e_type == ET_DYN;
    }

    // The function that holds the address, and the offset in it; null where there is none.
    const Function* find(uintptr_t address, uintptr_t base, uintptr_t& offset) const {
        const uintptr_t value = moved_ ? address - base : address;
        auto after = functions_.upper_bound(value);
        if (after == functions_.begin())
            return nullptr;
        const auto& [start, function] = *--after;
        offset = value - start;
        return offset <= function.bytes ? &function : nullptr;
    }

private:
    std::map<uintptr_t, Function> functions_;
    bool moved_ = false; // position-independent: addresses count from where it was loaded
};

// The program itself may be named by a path that no longer leads to it.
std::string readable_file(const char* name) {
    return std::ifstream(name).good() ? name : "/proc/self/exe";
}

const Function* find(const void* address, uintptr_t& offset) {
    static std::mutex mutex;
    static std::map<const void*, SymbolTable> tables; // by where the program or library lies
    Dl_info object{};
    if (dladdr(address, &object) == 0)
        return nullptr;
    const std::lock_guard lock(mutex);
    auto found = tables.find(object.dli_fbase);
    if (found == tables.end())
        found = tables.try_emplace(object.dli_fbase, readable_file(object.dli_fname)).first;
    return found->second.find(reinterpret_cast<uintptr_t>(address),
                              reinterpret_cast<uintptr_t>(object.dli_fbase), offset);
}

} // namespace

std::string symbol_of(const void* address) {
    uintptr_t offset = 0;
    const Function* function = find(address, offset);
    return function != nullptr ? function->name : std::string();
}

std::string readable(const std::string& symbol) {
    int status = 0;
    char* text = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
    const std::string result = status == 0 ? text : symbol;
    std::free(text);
    return result;
}

std::string readable_address(const void* address) {
    uintptr_t offset = 0;
    const Function* function = find(address, offset);
    char text[32];
    if (function == nullptr) {
        std::snprintf(text, sizeof text, "%p", address);
        return text;
    }
    std::snprintf(text, sizeof text, " +0x%zx", static_cast<size_t>(offset));
    return readable(function->name) + text;
}

} // namespace simt::detail
