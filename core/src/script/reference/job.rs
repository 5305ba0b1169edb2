//! The calls of `@JOB`.

use super::Entry;

const fn call(signature: &'static str, gives: &'static str, about: &'static str) -> Entry {
    Entry::new("@JOB", signature, gives, about)
}

pub(super) const ENTRIES: [Entry; 6] = [
    call("id", "text", "The id of the job; of an event that is no job, its request id.").example("return @JOB.id;"),
    call("attempt", "a number", "Which attempt this is, from 1.")
        .example("if @JOB.attempt > 1 { @LOGS(\"once more\"); }"),
    call(
        "after(ms, gatewayPath, eventName, payload, options?)",
        "the id of the job",
        "Has the event handled later, by its handler and without a socket; `@USER` is who it is now. In a transaction, and \
         in a durable event, the job is part of it. `options` is `#{ key, unique, durable }`: jobs of one `key` run one after \
         the other; of one `unique` name one waits, and the later call replaces it; with `durable: false` it is kept in \
         memory only, and gone with the process.",
    )
    .errors("`RESOURCE_NOT_FOUND` where no such event is handled, `VALIDATION_ERROR` for an option that does not exist")
    .example("@JOB.after(10000, \"/lobby\", \"giveUpSeat\", #{ seat: 7 }, #{ unique: \"seat:7\" });"),
    call(
        "at(time, gatewayPath, eventName, payload, options?)",
        "the id of the job",
        "The same at a time: milliseconds since 1970, or text such as `2026-01-31T12:00:00Z`. One that is over is now.",
    )
    .errors("as `after`")
    .example("@JOB.at(\"2027-01-01T00:00:00Z\", \"/news\", \"greet\", #{});"),
    call("cancel(id)", "`true` where it waited", "Takes a job for later back that has not begun.")
        .example("let id = @JOB.after(1000, \"/news\", \"greet\", #{});\nreturn @JOB.cancel(id);"),
    call(
        "retry(ms)",
        "",
        "Ends the script, undoes what it wrote, and has the job tried again after so many milliseconds, up to its attempts. \
         In durable events and jobs only.",
    )
    .example("if @BODY.paymentIsPending == true { @JOB.retry(1000); }"),
];
