// GET and PUT /v1/labels: what photos are tagged with.
#include "apps/cli/json_text.h"
#include "apps/serve/service/context.h"
#include "apps/serve/service/photo_job.h"
#include "apps/serve/wire/labels_request.h"

namespace yeoul::serve {
namespace {

HttpReply labels_reply(const std::string& model, const Labels& labels) {
    return {.body = cli::JsonObject()
                        .text("model", model)
                        .raw("labels", cli::json_list(labels.names, json_string))
                        .raw("templates", cli::json_list(labels.templates, json_string))
                        .str()};
}

void get_labels(Context& context, Call call) {
    require_text(context);
    const std::shared_ptr<const Labels> labels = context.labels.labels();
    call.respond.send(
        labels_reply(context.options.model_name, labels ? *labels : Labels{.templates = {}}));
}

void put_labels(Context& context, Call call) {
    require_text(context);
    const std::vector<uint8_t>& body = call.request.body;
    Labels labels = parse_labels_request({reinterpret_cast<const char*>(body.data()), body.size()});
    if (!context.labels.reserve())
        throw HttpError(409, "busy", "other labels are being set; try again when they are");
    // The model's text side reads them, which takes its time.
    try {
        context.label_jobs.run([&context, respond = call.respond, labels = std::move(labels)] {
            try {
                context.labels.replace(*context.engine.load(), labels);
                respond.send(labels_reply(context.options.model_name, labels));
            } catch (const Error& error) {
                respond.send(reply_to_exception());
                note_lost_device(context, error.code(), error.what());
            } catch (...) {
                respond.send(reply_to_exception());
            }
        });
    } catch (...) {
        context.labels.give_up();
        throw;
    }
}

} // namespace

void require_text(const Context& context) {
    if (!context.engine.load()->has_text())
        throw HttpError(501, "not_supported",
                        "the server was started without labels; start it with --labels, or with "
                        "--text to set them later");
}

std::vector<Route> label_routes() {
    return {{"GET", "/v1/labels", get_labels}, {"PUT", "/v1/labels", put_labels}};
}

} // namespace yeoul::serve
