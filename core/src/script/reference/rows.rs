//! The calls of a table.

use super::Entry;

const fn call(signature: &'static str, gives: &'static str, about: &'static str) -> Entry {
    Entry::new("#table", signature, gives, about)
}

const READS: &str = "`VALIDATION_ERROR` for an unknown field, operator or option, or for more than 16 MiB, `SCRIPT_OUTPUT_LIMIT` past 200 \
                     database calls in one run, `DATABASE_ERROR`";
const WRITES: &str = "`VALIDATION_ERROR` for what a column does not take, `DUPLICATE_RESOURCE` for a value that is taken, what a \
                      `before` hook throws, `AUTHORIZATION_ERROR` with `#secure`, `DATABASE_ERROR`";

pub(super) const ENTRIES: [Entry; 11] = [
    call("find(options?)", "`#{ data: [row, …] }`, with `meta` if asked for, and `truncated: true` when `limit: 0` was not enough", "A page of rows. Options: `filter`, `fields` (names with commas, or an array), `sort` (`\"-createdAt,name\"`), `limit` (10 by default; 0 is up to 1,000), `page` (from 1), `meta: \"*\"` (`totalCount`, `filterCount`).")
        .errors(READS)
        .example("let found = #message.find(#{ filter: #{ likes: #{ _gte: 3 } }, sort: \"-createdAt\", limit: 20 });\nreturn found.data.map(|message| message.text);"),
    call("findOne(options?)", "the row or `()`", "The first row. Options: `filter`, `fields`, `sort`, `page`; with `lock: true` nobody else changes it until the transaction ends.")
        .errors(READS)
        .example("let message = #message.findOne(#{ filter: #{ text: @BODY.text } });\nif message == () { return \"none\"; }"),
    call("count(filter?)", "a number", "How many rows meet a filter; without one, all.")
        .errors(READS)
        .example("return #message.count(#{ likes: #{ _gt: 0 } });"),
    call("exists(filter)", "true or false", "Whether a row meets a filter.")
        .errors(READS)
        .example("return #message.exists(#{ text: \"hi\" });"),
    call("each(options?, visit)", "how many rows it was called with", "Calls `visit` with each row that meets `filter`, in the order of `sort`, page by page; options: `filter`, `fields`, `sort`. Where `visit` gives back `false` it is the end, and what it throws comes out. A page goes on behind the last row of the one before: what is written meanwhile neither hides another row nor shows one twice. A row that is changed so that it stands before what was read already is not met any more.")
        .errors("what `visit` throws, `VALIDATION_ERROR` for an unknown field, operator or option, `SCRIPT_OUTPUT_LIMIT` past 200 database calls in one run (each 1,000 rows, or 16 MiB of them, are one), `DATABASE_ERROR`")
        .example("let likes = 0;\n#message.each(#{ filter: #{ likes: #{ _gt: 0 } } }, |message| likes += message.likes);\nreturn likes;"),
    call("rank(options)", "1, 2, … or `()`", "Where the row of `id` stands among those that meet `filter`, in the order in which `find` gives them for `sort`; `()` where it is not one of them. The database counts the rows before it, in an index where the fields have one: as many as the rank is.")
        .errors(READS)
        .example("let first = #message.findOne(#{ sort: \"-likes\" });\nif first != () { return #message.rank(#{ sort: \"-likes\", id: first.id }); }"),
    call("create(options)", "the row", "Makes a row of `#{ data: #{ … } }`; `id`, `createdAt` and `updatedAt` are set by the server.")
        .errors(WRITES)
        .example("let message = #message.create(#{ data: #{ text: \"hi\" } });\nreturn message.id;"),
    call("createMany(options)", "an array of rows", "Makes rows of `#{ data: [#{ … }, …] }`, at most 1,000: all or none.")
        .errors(WRITES)
        .example("let made = #message.createMany(#{ data: [#{ text: \"one\" }, #{ text: \"two\" }] });\nreturn made.len();"),
    call("update(options)", "the row with an `id`, `#{ data: [row, …] }` with a `filter`", "Changes the row of `#{ id, data }` or the rows of `#{ filter, data }`, at most 1,000. A number may change by `#{ _inc: 5 }`, or grow to `#{ _max: 5 }` or fall to `#{ _min: 5 }` unless it is more or less already, which no other write can come between.")
        .errors("`RESOURCE_NOT_FOUND` for an `id` that is not there, and as `create`")
        .example("#message.update(#{ filter: #{ text: \"hi\" }, data: #{ likes: #{ _inc: 1 } } });"),
    call("upsert(options)", "the row", "Changes the row that has the values which `data` has in the columns of `key`, or makes it: `#{ key: [\"a\", \"b\"], data: #{ … } }`. The columns of `key` are unique, alone or together, so that of many at once one makes the row and the others change it. Hooks run as for `create` or `update`, whichever it is. `#{ _inc: 5 }` and the like count from the column's default in a row that is made.")
        .errors("`VALIDATION_ERROR` where `key` is not unique, or a value of it is missing or `()`, and as `create`")
        .example("let room = #room.upsert(#{ key: \"name\", data: #{ name: \"lobby\" } });\nreturn room.id;"),
    call("delete(options)", "`#{ deleted: number }`", "Deletes the row of `#{ id }` or the rows of `#{ filter }`, at most 1,000 where hooks run.")
        .errors("what a `before` hook throws, `DUPLICATE_RESOURCE` for a row that others reference, `AUTHORIZATION_ERROR` with `#secure`, `DATABASE_ERROR`")
        .example("return #message.delete(#{ filter: #{ likes: 0 } }).deleted;"),
];
