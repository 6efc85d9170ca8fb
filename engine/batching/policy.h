// What to do next: which photo a decoding thread takes, which photos form the next batch, which
// album is refused, which photo is given up. No clock, no threads, no input or output: time comes
// in with each event, and decisions are fetched. The scheduler calls it under one mutex, the
// simulator on a virtual clock.
//
//     policy.admit(now, album, items)      an album arrived
//     policy.decoded(now, item, ok)        a decoding thread is done with it
//     policy.batch_done(now, stream)       a device stream is done with its oldest batch
//     policy.cancel(now, item)             its caller gave up
//     while ((d = policy.next(now)).kind != Decision::wait)
//         carry out d;                     after each event, and at d.until_ns at the latest
//
// Order of service, at both stages: by due time, which is arrival + latency target for interactive
// photos, arrival + `bulk_wait_ns` for bulk ones, and never later than the photo's own deadline.
// So nothing that arrives later than a photo's due time passes it: that is the bound on how long
// bulk waits, and nothing starves.
//
// A photo with a deadline is given up when even the smallest batch, at once, would be too late;
// before its decode also when lately photos with as little time left were decoded for nothing.
//
// admit() takes all the memory that an album needs until its last photo is answered. Nothing else
// allocates, so a machine without memory refuses new albums and serves those that it has.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <set>
#include <span>
#include <vector>

#include <yeoul/engine.h>

#include "engine/batching/batch_choice.h"
#include "engine/batching/cost_table.h"

namespace yeoul::batching {

struct PolicyConfig {
    int decode_workers = 1;
    int streams = 1;
    /// Steers the choice of batches; drops nothing. 0 takes the larger of 50 ms and 4 t(1).
    int64_t latency_target_ns = 0;
    /// Makes the latency target a deadline of every interactive photo that has no earlier one.
    bool drop_late = false;
    /// Bulk photos are due so long after they arrive.
    int64_t bulk_wait_ns = 2'000'000'000;
    size_t queue_bytes = size_t{512} << 20; // of albums admitted and not finished
    int64_t max_wait_ns = 10'000'000'000;   // estimated, of an album that is admitted
    /// Photos decoded or being decoded and not yet finished: the slots for their pixels. 0 takes
    /// four of the largest batch and one per worker. Bulk leaves one per worker to the others.
    int slots = 0;
    /// A stream is given its next batch so long before the one on it should end: what it takes to
    /// bring work to the device, so that it never waits for that. At most two batches in flight.
    int64_t lead_ns = 0;
    /// The device is the very cores that decode. Each would slow the other down more than it gains,
    /// so they take turns: nothing is decoded while a batch runs, and no batch is launched before
    /// the decoding threads are done; one that hangs is not waited for longer than the larger of
    /// the latency target and the largest batch's time.
    bool shared_cores = false;
    /// For measuring what fixed batches do: each runs in the largest bucket, padded, once it is
    /// full or its first photo is due. The latency target is then how long a photo waits for
    /// others.
    bool full_batches = false;
};

/// Never reused while the policy lives.
using ItemId = uint64_t;

struct ItemRequest {
    uint64_t tag = 0; // the caller's, handed back in decisions
    size_t bytes = 0;
    int64_t decode_ns = 0; // estimate, before the policy's own correction; 0: needs no decoding
};

struct AlbumRequest {
    Priority priority = Priority::interactive;
    int64_t deadline_ns = kNever; // of every photo; may be past or absurd
    std::span<const ItemRequest> items;
};

struct Admission {
    bool accepted = false;       // else `queue_full`: nothing of it is kept
    int64_t retry_after_ns = 0;  // of a refused one: when there may be room; kNever: at no time
    std::span<const ItemId> ids; // of an accepted one, in order; valid until the next call
};

struct Decision {
    enum Kind {
        wait,         // nothing to do before `until_ns` or the next event
        start_decode, // `item` on `worker`; answer with decoded()
        launch,       // `batch` in `bucket` on `stream`; answer with batch_done()
        answer,       // `item` with `code`: it is finished and forgotten
    };
    struct Item {
        ItemId id = 0;
        uint64_t tag = 0;
    };
    Kind kind = wait;
    int64_t until_ns = kNever;
    Item item;
    ErrorCode code = ErrorCode::cancelled;
    int worker = 0, stream = 0;
    int bucket = 0;              // index into the cost table
    std::span<const Item> batch; // valid until the next call
};

enum class Cancelled {
    answered, // next() will answer it; it costs nothing more
    decoding, // the caller may stop decoding it; after decoded() next() will answer it
    running,  // on the device: it finishes with its batch
    unknown,  // finished before, or never there
};

class Policy {
public:
    Policy(const PolicyConfig& config, CostTable table);

    /// All of the album or nothing. A photo that cannot meet its deadline any more is admitted and
    /// answered with `deadline_exceeded` by next(). Throws std::bad_alloc; nothing is changed then.
    Admission admit(int64_t now_ns, const AlbumRequest& album);
    /// Decoding ended. Without `ok` the photo is finished: the caller, who knows why, answers it.
    /// Returns whether the photo is still wanted: if not, next() answers it with `cancelled`.
    bool decoded(int64_t now_ns, ItemId id, bool ok);
    /// The stream's oldest batch ended: the caller answers its photos, which are forgotten here.
    /// How long it took says nothing when it did not end well.
    void batch_done(int64_t now_ns, int stream, bool ok = true);
    Cancelled cancel(int64_t now_ns, ItemId id);
    /// Refuse albums from here on (retry: never); what was admitted is served.
    void close() { closed_ = true; }
    /// close(), and `cancelled` for all that is neither being decoded nor on the device; what is
    /// being decoded is `cancelled` when that ends.
    void abort(int64_t now_ns);
    /// The device's clocks changed: batches take `ratio` times as long as the table says. Also
    /// found by batch_done() itself, when the mean of many batches is off by more than 5 %.
    void rescale(double ratio);

    Decision next(int64_t now_ns);

    const CostTable& table() const { return table_; }
    const PolicyConfig& config() const { return config_; } // with the defaults filled in
    int waiting() const { return static_cast<int>(waiting_[0].size() + waiting_[1].size()); }
    int ready() const { return static_cast<int>(ready_.size()); }
    int unfinished() const { return unfinished_; }
    size_t queued_bytes() const { return bytes_; }
    /// Until an album of this priority that arrives now is finished with waiting.
    int64_t estimated_wait_ns(int64_t now_ns, Priority priority) const;

private:
    static constexpr uint32_t kNoSlot = UINT32_MAX;

    enum class State : uint8_t { free, waiting, decoding, ready, running, ended };
    struct Key {
        int64_t at = 0;
        uint64_t sequence = 0;
        uint32_t slot = 0;
        friend bool operator<(const Key& a, const Key& b) {
            return a.at != b.at ? a.at < b.at : a.sequence < b.sequence;
        }
    };
    using Queue = std::pmr::set<Key>;
    struct Item {
        int64_t due = 0, deadline = kNever; // deadline: kNever without one
        int64_t decode_ns = 0, decode_start = 0, expiry = kNever;
        uint64_t tag = 0, sequence = 0;
        size_t bytes = 0;
        uint32_t generation = 0;
        uint32_t next = kNoSlot; // in the list of free or of ended ones
        int worker = -1;
        Priority priority = Priority::interactive;
        State state = State::free;
        ErrorCode code = ErrorCode::cancelled; // of an ended one
        bool cancelled = false;                // while it is decoded
        bool in_slot = false;
        // Taken at admission: its places in a queue and in `expiry_`, while it is not there.
        Queue::node_type queue_node, expiry_node;
    };
    /// Items one after the other, by Item::next.
    struct List {
        uint32_t first = kNoSlot, last = kNoSlot;
    };
    struct Running {
        std::vector<uint32_t> slots;
        int bucket = 0;
        int64_t start = 0, until = 0; // as expected
    };
    /// Its batches, the oldest first. They swap places so that their memory is used again.
    struct Stream {
        std::array<Running, 2> batches;
        int running = 0;
        /// When it comes to what is launched now.
        int64_t free_at(int64_t now) const {
            return running == 0 ? now : std::max(now, batches[running - 1].until);
        }
    };
    /// Photos not yet on the device, of one priority.
    struct Backlog {
        int64_t decode_ns = 0, photos = 0;
    };

    Item* find(ItemId id);
    ItemId id_of(uint32_t slot) const;
    void reserve(size_t items);
    Queue blank_keys(size_t count);
    void append(List& list, uint32_t slot);
    void prepend(List& list, uint32_t slot);
    uint32_t take_first(List& list);
    void release(uint32_t slot);
    void set_expiry(uint32_t slot);
    int64_t decode_estimate(const Item& item) const;
    int64_t device_free_ns(int64_t now) const;
    static Queue::node_type extract(Queue& queue, const Key& key);
    void enqueue(uint32_t slot, State state);
    void dequeue(uint32_t slot);
    void end(uint32_t slot, ErrorCode code);
    void learn_outcome(const Item& item, bool launched);
    void learn_decode(int64_t now, const Item& item);
    void learn_batch(int64_t now, const Running& batch);
    void count_arrival(int64_t now);
    double arrivals_per_ns(int64_t now) const;
    void expire(int64_t now);
    bool take_answer(Decision& decision);
    bool decode_next(int64_t now, Decision& decision);
    bool launch_next(int64_t now, Decision& decision);
    Stream* next_stream(int64_t now);
    bool batch_is_due(int64_t now) const;
    Choice choose(int64_t now, int64_t start) const;
    bool devices_turn(int64_t now);
    bool any_running() const;
    int64_t patience_ns() const;
    int young_decodes(int64_t now) const;
    void doubt_estimates(int64_t now, const Item& refused);
    Queue* next_to_decode(int64_t now);
    void set_defaults();

    PolicyConfig config_;
    CostTable table_;
    bool closed_ = false;

    std::pmr::unsynchronized_pool_resource nodes_;
    Queue waiting_[2] = {Queue(&nodes_), Queue(&nodes_)}; // by priority
    Queue ready_{&nodes_};
    Queue expiry_{&nodes_}; // of waiting and ready photos with a deadline: when it is out of reach
    std::vector<Item> items_;
    size_t free_ = 0; // items
    List free_items_;
    List ended_; // to be answered
    std::vector<int> idle_workers_;
    std::vector<Stream> streams_;
    Backlog backlog_[2];
    uint64_t sequence_ = 0;
    size_t bytes_ = 0;
    int unfinished_ = 0, in_slots_ = 0;
    std::vector<uint32_t> decoding_; // items

    double decode_margin_ns_ = 0; // time that a photo must have left to be worth decoding
    double decode_scale_ = 1;     // measured / estimated
    int64_t least_ns_ = 0;        // of the smallest batch, as the table first said
    double device_scale_ = 1;     // measured / table
    int device_samples_ = 0;
    int64_t window_start_ = 0; // of the count of arrivals at the device
    int window_count_ = 0, window_before_ = 0;

    std::vector<ItemId> admitted_;
    std::vector<Ready> queue_;  // for choose_batch
    std::vector<Key> in_order_; // the same photos
    std::vector<Decision::Item> batch_;
};

} // namespace yeoul::batching
