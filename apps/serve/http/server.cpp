#include "apps/serve/http/server.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "apps/serve/http/connection.h"

namespace yeoul::serve {
namespace {

using boost::system::error_code;

constexpr auto kAcceptPause = std::chrono::milliseconds(100); // when descriptors are used up

tcp::endpoint resolve(const std::string& host, int port) {
    net::io_context context;
    tcp::resolver resolver(context);
    error_code error;
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
    if (error || found.empty())
        throw Error(ErrorCode::io, "the host '" + host + "' is no address of this machine: " +
                                       error.message() + "; try 127.0.0.1 or 0.0.0.0");
    return found.begin()->endpoint();
}

} // namespace

class HttpServer::Impl {
public:
    Impl(const ServerOptions& options, Application& application)
        : options_(options), application_(application), workers_(std::max(1, options.threads)) {
        listen();
        application.watch_transport([this] { return counts(); }); // from here on it is called
        accept();
        for (Worker& worker : workers_) {
            worker.loop.emptied = [this, &worker] { note_empty(worker); };
            worker.thread = std::thread([this, &worker] { run(worker); });
        }
    }

    ~Impl() {
        stop_accepting(); // an accept that waits holds a socket of another worker
        for (Worker& worker : workers_)
            worker.loop.context.stop();
        for (Worker& worker : workers_) {
            worker.thread.join();
            worker.loop.emptied = nullptr; // connections that are cut have nobody to tell
        }
    }

    int port() const { return port_; }
    std::string address() const {
        const bool v6 = options_.host.find(':') != std::string::npos;
        return "http://" + (v6 ? "[" + options_.host + "]" : options_.host) + ":" +
               std::to_string(port_);
    }
    ServerCounts counts() const {
        return {.connections = state_.connections,
                .buffered_bytes = state_.buffered_bytes,
                .accepted = state_.accepted,
                .refused_too_many = state_.refused_too_many};
    }

    void drain(std::optional<std::chrono::milliseconds> given) {
        const std::chrono::milliseconds grace = given.value_or(options_.transfer_grace);
        stop_accepting();
        for (Worker& worker : workers_)
            net::post(worker.loop.context, [this, &worker, grace] {
                worker.loop.draining = true;
                worker.loop.drain_grace = grace;
                for (Connection* connection : worker.loop.connections)
                    connection->drain();
                if (worker.loop.connections.empty())
                    note_empty(worker);
            });
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return empty_workers_ == workers_.size(); });
    }

private:
    struct Worker {
        Loop loop;
        net::executor_work_guard<net::io_context::executor_type> work{loop.context.get_executor()};
        net::steady_timer sweeper{loop.context};
        bool sweeping = false; // `sweeper` runs
        bool empty = false;    // nobody was left after a drain; guarded by mutex_
        std::thread thread;
    };

    void listen() {
        error_code error;
        const tcp::endpoint endpoint = resolve(options_.host, options_.port);
        acceptor_.open(endpoint.protocol(), error);
        if (!error)
            acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
        if (!error)
            acceptor_.bind(endpoint, error);
        if (!error)
            acceptor_.listen(net::socket_base::max_listen_connections, error);
        if (error)
            throw Error(ErrorCode::io, "cannot listen on " + options_.host + ":" +
                                           std::to_string(options_.port) + ": " + error.message() +
                                           "; take another --host or --port");
        port_ = acceptor_.local_endpoint().port();
    }

    /// A handler that finds no memory loses its connection, not the server.
    void run(Worker& worker) {
        for (bool ended = false; !ended;) {
            try {
                if (!worker.sweeping)
                    sweep(worker);
                worker.loop.context.run();
                ended = true;
            } catch (const std::bad_alloc&) {
                std::this_thread::yield(); // to who may give some back
            }
        }
    }

    /// Travels with the handler that accepts, and notes when that is dropped without being called:
    /// also where asio finds no memory for the socket that came.
    class Accepting {
    public:
        explicit Accepting(bool& lost) : lost_(&lost) {}
        Accepting(Accepting&& other) noexcept : lost_(std::exchange(other.lost_, nullptr)) {}
        ~Accepting() {
            if (lost_ != nullptr)
                *lost_ = true;
        }
        void end() { lost_ = nullptr; }

    private:
        bool* lost_;
    };

    void accept() {
        try {
            wait_for_client();
        } catch (const std::bad_alloc&) { // noted by what went with the handler
        }
    }

    /// What comes is admitted after the next one is waited for, in the memory that this one just
    /// gave back; the last one before its end is told.
    void wait_for_client() {
        Worker& worker = workers_[next_++ % workers_.size()];
        acceptor_.async_accept(worker.loop.context,
                               [this, &worker, accepting = Accepting(accept_lost_)](
                                   const error_code& error, tcp::socket socket) mutable {
                                   accepting.end();
                                   const bool more = acceptor_.is_open();
                                   if (more)
                                       go_on(error);
                                   if (!error)
                                       admit(worker.loop, std::move(socket));
                                   if (!more)
                                       go_on(error);
                               });
    }

    void go_on(const error_code& error) {
        if (!acceptor_.is_open())
            return note_accepting_ended();
        if (!error)
            return accept();
        pause_.expires_after(kAcceptPause);
        pause_.async_wait([this](const error_code&) {
            if (acceptor_.is_open())
                accept();
            else
                note_accepting_ended();
        });
    }

    /// Returns when every connection that was accepted is with its worker.
    void stop_accepting() {
        net::post(workers_.front().loop.context, [this] {
            error_code ignored;
            acceptor_.close(ignored);
            pause_.cancel();
        });
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !accepting_; });
    }

    void note_accepting_ended() {
        {
            const std::lock_guard lock(mutex_);
            accepting_ = false;
        }
        changed_.notify_all();
    }

    void admit(Loop& loop, tcp::socket socket) {
        ++state_.accepted;
        const bool room = state_.connections < options_.max_connections;
        state_.refused_too_many += !room;
        ++state_.connections; // counted here, so that the next accept sees it
        try {
            net::post(loop.context, [this, &loop, room, socket = std::move(socket)]() mutable {
                begin(loop, std::move(socket), room);
            });
        } catch (const std::bad_alloc&) {
            --state_.connections;
        }
    }

    void begin(Loop& loop, tcp::socket socket, bool room) {
        std::shared_ptr<Connection> connection;
        try {
            connection = std::make_shared<Connection>(std::move(socket), options_, application_,
                                                      state_, loop);
        } catch (const std::bad_alloc&) {
            --state_.connections; // it was not there to do so
            return;
        }
        if (room)
            connection->start();
        else
            connection->start_refusing();
    }

    void note_empty(Worker& worker) {
        {
            const std::lock_guard lock(mutex_);
            empty_workers_ += !worker.empty;
            worker.empty = true;
        }
        changed_.notify_all();
    }

    /// One timer for all connections of a thread: a request costs none.
    void sweep(Worker& worker) {
        worker.sweeper.expires_after(options_.timeout_precision);
        worker.sweeper.async_wait([this, &worker](const error_code& error) {
            worker.sweeping = false;
            if (error)
                return;
            sweep(worker); // first: what follows may fail
            const Clock::time_point now = Clock::now();
            for (Connection* connection : worker.loop.connections)
                connection->sweep(now);
            if (&worker == &workers_.front() && std::exchange(accept_lost_, false))
                go_on({});
        });
        worker.sweeping = true;
    }

    const ServerOptions options_;
    Application& application_;
    ServerState state_;
    bool accept_lost_ = false; // nobody waits for clients; of the first thread
    std::deque<Worker> workers_;
    size_t next_ = 0;
    tcp::acceptor acceptor_{workers_.front().loop.context}; // and `pause_`: of the first thread
    net::steady_timer pause_{workers_.front().loop.context};
    int port_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool accepting_ = true; // guarded by mutex_, as is what follows
    size_t empty_workers_ = 0;
};

HttpServer::HttpServer(const ServerOptions& options, Application& application)
    : impl_(std::make_unique<Impl>(options, application)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const {
    return impl_->port();
}
std::string HttpServer::address() const {
    return impl_->address();
}
ServerCounts HttpServer::counts() const {
    return impl_->counts();
}
void HttpServer::drain(std::optional<std::chrono::milliseconds> grace) {
    impl_->drain(grace);
}

} // namespace yeoul::serve
