//! The macros.

use super::{Entry, Place};

const fn value(signature: &'static str, gives: &'static str, about: &'static str) -> Entry {
    Entry::new("", signature, gives, about)
}

pub(super) const ENTRIES: [Entry; 24] = [
    value("@BODY", "the value as it was sent", "What the client sent with the event, or the body of a request; a missing one is `#{}`. Binary attachments are values with `len()`, `toText()` and `toBlob()` that go on as they are, in any size; a blob that a script makes, `toBlob()` too, has at most 10,000 bytes. In an admission and a connection script `#{ id, ip, headers, auth, query }`, in a disconnection script `#{ reason, rooms, connectedAt }`, in a hook the row.")
        .example("let name = @BODY.name;\nreturn `Hello, ${name}`;"),
    value("@DATA", "the row in a hook, else what `@BODY` gives", "The same as `@BODY`. In a hook it is the row: as it would be written in a `before` hook, as it is in an `after` hook, as it was when it is deleted.")
        .example("return #{ text: @DATA.text };"),
    value("@OLD", "the row before an update or a delete, else `()`", "The row before the write.").only(Place::Hook)
        .example("let changed = @OLD != () && @OLD.status != @DATA.status;"),
    value("@ARGS", "an array", "All data arguments of the event; the first is `@BODY`.")
        .example("return @ARGS.len();"),
    value("@EVENT", "text", "The event's name as the client sent it, `admission`, `connection`, `disconnection`, the method and path of a route, or what is done to a hook's row: `create`, `update` or `delete`.")
        .example("@LOGS(@EVENT);"),
    value("@GATEWAY", "text", "The path of the gateway; `routes` in a route; in a hook that of the script that wrote, or `data` for a request to `/data`.")
        .example("@SOCKET.emitToGateway(@GATEWAY, \"tick\", 1);"),
    value("@REQUEST_ID", "text", "The id of this run, as in the client's ack and in `GET /admin/logs`.")
        .example("return #{ id: @REQUEST_ID };"),
    value("@USER", "a map with `id`, `email`, `name`, `role`, … or `()` for a guest", "Who sent it, without secrets.")
        .example("if @USER == () { @THROW.unauthorized(\"Sign in first\"); }\nreturn @USER.name;"),
    value("@APP", "`#{ id, name, scopes }` or `()`", "The app key with which a program asked for a route, or that a socket showed in `auth.appToken`; `()` where there was none, and in hooks. A durable event and a job for later have it as it was when they were accepted.")
        .example("if @APP != () { @LOGS(\"asked by\", @APP.name); }"),
    value("@SOCKET", "`@SOCKET`", "The clients: see below.")
        .example("@SOCKET.broadcast(\"news\", @BODY);"),
    value("@THROW", "`@THROW`", "Ends the script with a code: see below.")
        .example("if @BODY.id == () { @THROW.badRequest(\"id is required\"); }"),
    value("@CACHE", "`@CACHE`", "Values that scripts share: see below.")
        .example("@CACHE.incr(\"visits\");"),
    value("@JOB", "`@JOB`", "Jobs for later, and the job that a script runs for: see below.")
        .example("return @JOB.attempt;"),
    value("@PACK", "`@PACK`", "The pack that the script belongs to: see below.")
        .example("let path = @PACK.path(\"/\");"),
    value("@HELPERS", "`@HELPERS`", "Useful things: see below.")
        .example("return @HELPERS.uuid();"),
    value("@PARAMS", "a map of texts, empty outside of routes", "The parameters of a route's path, decoded.")
        .example("let id = @PARAMS.id;"),
    value("@QUERY", "a map of texts, empty outside of routes", "The query of the request; of a name that comes more than once, the last.")
        .example("let page = if @QUERY.page == () { 1 } else { parse_int(@QUERY.page) };"),
    value("@REQ", "`#{ ip, headers, method, path }`, `#{}` outside of routes", "The request. Names of headers are in lower case; `authorization`, `cookie` and `x-app-token` are not there.")
        .example("@LOGS(@REQ.method, @REQ.path);"),
    value("@LOGS(value, …)", "", "Adds each value to the `logs` that the sender gets, and to the server's log at debug. At most 32 at once.")
        .errors("`SCRIPT_OUTPUT_LIMIT` past 64 KiB in one run")
        .example("@LOGS(\"user\", #{ id: 1 });"),
    value("@STATUS(code)", "", "Sets the status of the answer, 200 to 599.").only(Place::Route)
        .example("@STATUS(201);\nreturn #{ created: true };"),
    value("@HEADER(name, value)", "", "Sets a header of the answer; `set-cookie` is added. With a `content-type` that is not JSON, text goes out as it is.").only(Place::Route)
        .errors("`SCRIPT_OUTPUT_LIMIT` past 64 headers or 16 KiB")
        .example("@HEADER(\"content-type\", \"text/plain\");\nreturn \"hello\";"),
    value("@REPOS", "a table", "`@REPOS.message` and `@REPOS[name]` are `#message`; the second takes a name that is made at run time.")
        .example("let table = \"message\";\nreturn @REPOS[table].count();"),
    value("@TRANSACTION { … }", "the block's value", "Writes all of the block or nothing; what fails in it, and is not caught in it, undoes it.")
        .errors("`DATABASE_ERROR` when the database is lost")
        .example("@TRANSACTION {\n    let message = #message.create(#{ data: #{ text: \"one\" } });\n    #message.update(#{ id: message.id, data: #{ likes: #{ _inc: 1 } } });\n}"),
    value("@THROW404(message, details?)", "", "Ends the script with any HTTP status, here 404: as `@THROW.http(404, message, details)`.")
        .errors("the code of the status")
        .example("@THROW404(\"There is no such room\");"),
];
