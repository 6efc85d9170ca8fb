#include "banks.h"

#include <algorithm>
#include <bit>
#include <mutex>

#include "symbols.h"

namespace simt {
namespace detail {
namespace {

constexpr unsigned kBanks = 32, kBankBytes = 4;

struct Total {
    size_t bytes = 0;
    BankStats stats;
};
std::mutex g_mutex;
std::unordered_map<const void*, Total> g_totals;

void add(BankStats& sum, const BankStats& x) {
    sum.accesses += x.accesses;
    sum.wavefronts += x.wavefronts;
    sum.extra_wavefronts += x.extra_wavefronts;
}

// Different words of one bank come one after the other; the same word serves all who ask for it.
class Phase {
public:
    void add(const void* data, size_t bytes) {
        const auto first = reinterpret_cast<uintptr_t>(data) / kBankBytes;
        const size_t words = std::max<size_t>(bytes / kBankBytes, 1);
        for (size_t i = 0; i < words; ++i)
            add_word(first + i);
    }
    void close(BankStats& stats) {
        if (count_ == 0)
            return;
        unsigned load[kBanks] = {}, busiest = 0;
        for (size_t i = 0; i < count_; ++i)
            busiest = std::max(busiest, ++load[words_[i] % kBanks]);
        stats.wavefronts += busiest;
        stats.extra_wavefronts += busiest - 1;
        count_ = 0;
    }

private:
    void add_word(uintptr_t word) {
        if (std::find(words_, words_ + count_, word) == words_ + count_)
            words_[count_++] = word;
    }
    uintptr_t words_[64];
    size_t count_ = 0;
};

} // namespace

void BankCounter::count(const Access& access, const void* site) {
    Site& sum = sites_[site];
    sum.bytes = access.bytes;
    ++sum.stats.accesses;
    const unsigned lanes = access.bytes >= 16 ? 8 : access.bytes >= 8 ? 16 : 32;
    for (unsigned first = 0; first < 32; first += lanes) {
        Phase phase;
        for (unsigned lane = first; lane < first + lanes; ++lane)
            if (access.lanes >> lane & 1)
                phase.add(access.data[lane], access.bytes);
        phase.close(sum.stats);
    }
}

void BankCounter::add(unsigned warp, unsigned lane, const void* data, size_t bytes,
                      const void* site) {
    Progress& progress = progress_[{site, warp}];
    const uint64_t time = progress.times[lane]++;
    Access& access = progress.open[time];
    access.data[lane] = data;
    access.lanes |= 1U << lane;
    access.bytes = bytes;
    if (access.lanes == 0xffffffffU) {
        count(access, site);
        progress.open.erase(time);
    }
}

void BankCounter::add_matrices(const void* const* rows, int matrices, const void* site) {
    Site& sum = sites_[site];
    sum.bytes = 16;
    ++sum.stats.accesses;
    for (int matrix = 0; matrix < matrices; ++matrix) {
        Phase phase;
        for (int row = 0; row < 8; ++row)
            phase.add(rows[8 * matrix + row], 16);
        phase.close(sum.stats);
    }
}

void BankCounter::end_block() {
    for (auto& [place, progress] : progress_)
        for (auto& [time, access] : progress.open)
            count(access, place.site);
    progress_.clear();
}

void BankCounter::publish() {
    if (sites_.empty())
        return;
    const std::lock_guard lock(g_mutex);
    for (const auto& [site, sum] : sites_) {
        Total& total = g_totals[site];
        total.bytes = sum.bytes;
        detail::add(total.stats, sum.stats);
    }
    sites_.clear();
}

} // namespace detail

BankStats take_bank_stats() {
    BankStats sum;
    for (const BankSite& site : take_bank_sites())
        detail::add(sum, site.stats);
    return sum;
}

std::vector<BankSite> take_bank_sites() {
    std::vector<BankSite> sites;
    const std::lock_guard lock(detail::g_mutex);
    for (const auto& [site, total] : detail::g_totals)
        sites.push_back({detail::readable_address(site), total.bytes, total.stats});
    detail::g_totals.clear();
    std::sort(sites.begin(), sites.end(), [](const BankSite& a, const BankSite& b) {
        if (a.stats.extra_wavefronts != b.stats.extra_wavefronts)
            return a.stats.extra_wavefronts > b.stats.extra_wavefronts;
        return a.kernel < b.kernel;
    });
    return sites;
}

} // namespace simt
