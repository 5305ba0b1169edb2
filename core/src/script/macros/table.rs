//! `#table`, `@REPOS` and `@TRANSACTION`: how scripts work with rows.

mod each;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{
    Dynamic, Engine, EvalAltResult, EvalContext, Expression, FnPtr, ImmutableString, LexError, Map,
    NativeCallContext, ParseError, Position,
};

use crate::data::{Actor, Find, ID, ROWS_MAX, Row, Selector, Table, is_users};
use crate::error::{ErrorCode, Failure};
use crate::filter::Filter;
use crate::nearest::did_you_mean;
use crate::script::failure::raise;
use crate::script::memory::uncounted;
use crate::script::outside::{from_outside, is_outside, to_filter as to_json};
use crate::script::rows::{Rows, refused, to_row};
use crate::script::run::{CallUser, with_run};

/// Rows of `find` when nothing is asked for.
const LIMIT_DEFAULT: u64 = 10;
/// `#secure.table`.
const SECURE: &str = "secure";

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// What `#table` stands for.
#[derive(Debug, Clone)]
pub(crate) struct TableMacro {
    name: ImmutableString,
    /// Whether it is held to what `@USER` may do.
    is_secure: bool,
}

/// What `@REPOS` stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repos;

thread_local! {
    /// Tables that a script may name, while one is compiled to be saved.
    static KNOWN: RefCell<Option<BTreeSet<String>>> = const { RefCell::new(None) };
}

/// Compiles with the names of all tables at hand, where they are known.
pub(crate) fn with_known_tables<T>(tables: Option<&BTreeSet<String>>, compile: impl FnOnce() -> T) -> T {
    KNOWN.set(tables.cloned());
    let done = compile();
    KNOWN.set(None);
    done
}

/// Registers `#` and what can be done with a table.
pub(crate) fn register(engine: &mut Engine, rows: Option<Arc<Rows>>) {
    // Makes `#`, which Rhai reserves, a keyword; the next call puts the real grammar in place.
    engine
        .register_custom_syntax(["#", "$ident$"], false, |_, _| Ok(Dynamic::UNIT))
        .expect("`#` is free for custom syntax");
    engine.register_custom_syntax_with_state_raw("#", parse, false, evaluate);
    engine.register_type_with_name::<TableMacro>("#table").register_type_with_name::<Repos>("@REPOS");
    let table = |_: &mut Repos, name: &str| TableMacro { name: name.into(), is_secure: false };
    engine.register_indexer_get(table);
    register_reads(engine, rows.clone());
    register_writes(engine, rows);
}

fn parse(
    symbols: &[ImmutableString],
    _look_ahead: &str,
    _state: &mut Dynamic,
) -> Result<Option<ImmutableString>, ParseError> {
    match symbols {
        [_] => Ok(Some("$ident$".into())),
        [_, secure] if secure == SECURE => Ok(Some(".".into())),
        [_, _, _] => Ok(Some("$ident$".into())),
        [.., name] => check_known(name).map(|()| None),
        [] => Ok(None),
    }
}

/// Refuses a table that does not exist, where that can be known.
pub(crate) fn check_known(name: &str) -> Result<(), ParseError> {
    KNOWN.with_borrow(|known| {
        let Some(known) = known.as_ref().filter(|known| !known.contains(name) && !is_users(name)) else {
            return Ok(());
        };
        let known: Vec<_> = known.iter().map(|known| format!("#{known}")).collect();
        let hint = did_you_mean(&format!("#{name}"), known.iter().map(String::as_str));
        Err(LexError::ImproperSymbol("#".to_owned(), format!("there is no table {name}{hint}"))
            .into_err(Position::NONE))
    })
}

fn evaluate(_: &mut EvalContext, symbols: &[Expression], _: &Dynamic) -> Outcome<Dynamic> {
    let name = |index: usize| symbols.get(index).and_then(Expression::get_string_value).unwrap_or_default();
    let is_secure = symbols.len() > 1;
    let name = name(symbols.len().saturating_sub(1));
    Ok(Dynamic::from(TableMacro { name: name.into(), is_secure }))
}

/// `@REPOS.name`, known when the script is compiled.
pub(crate) fn table_of_repos(name: &str) -> Dynamic {
    Dynamic::from(TableMacro { name: name.into(), is_secure: false })
}

/// `@TRANSACTION { … }`: all of the block's writes or none. To leave it by `return` or `break` is
/// no failure.
pub(crate) fn transaction(
    rows: Option<&Arc<Rows>>,
    context: &mut EvalContext,
    block: &Expression,
) -> Outcome<Dynamic> {
    let rows = rows.ok_or_else(no_tables)?;
    let mark = uncounted(|| rows.begin())?;
    let value = context.eval_expression_tree(block);
    match &value {
        Err(error) if !matches!(**error, EvalAltResult::Return(..) | EvalAltResult::LoopBreak(..)) => {
            uncounted(|| rows.undo(mark));
        }
        _ => uncounted(|| rows.commit(context.engine(), mark))?,
    }
    value
}

fn register_reads(engine: &mut Engine, rows: Option<Arc<Rows>>) {
    let of = move || rows.clone().ok_or_else(no_tables);
    let (find, find_all, one, one_of_all) = (of.clone(), of.clone(), of.clone(), of.clone());
    let (count, count_all, exists) = (of.clone(), of.clone(), of.clone());
    let (each, each_of_all, rank) = (of.clone(), of.clone(), of);
    engine
        .register_fn("find", move |table: &mut TableMacro, options: Map| found(&*find()?, table, &options))
        .register_fn("find", move |table: &mut TableMacro| found(&*find_all()?, table, &Map::new()))
        .register_fn("findOne", move |table: &mut TableMacro, options: Map| first(&*one()?, table, &options))
        .register_fn("findOne", move |table: &mut TableMacro| first(&*one_of_all()?, table, &Map::new()))
        .register_fn("count", move |table: &mut TableMacro, filter: Dynamic| {
            counted(&*count()?, table, &filter)
        })
        .register_fn("count", move |table: &mut TableMacro| counted(&*count_all()?, table, &Dynamic::UNIT))
        .register_fn("exists", move |table: &mut TableMacro, filter: Dynamic| {
            Ok::<_, Box<EvalAltResult>>(counted(&*exists()?, table, &filter)? > 0)
        })
        .register_fn("rank", move |table: &mut TableMacro, options: Map| ranked(&*rank()?, table, &options))
        .register_fn(
            "each",
            move |context: NativeCallContext, table: &mut TableMacro, options: Map, visit: FnPtr| {
                each::each(&context, &*each()?, table, &options, &visit)
            },
        )
        .register_fn("each", move |context: NativeCallContext, table: &mut TableMacro, visit: FnPtr| {
            each::each(&context, &*each_of_all()?, table, &Map::new(), &visit)
        });
}

fn found(rows: &Rows, table: &TableMacro, options: &Map) -> Outcome<Map> {
    let (found, is_truncated) = uncounted(|| {
        let of = rows.table(&table.name)?;
        let find = read_find(&of, options, &["filter", "fields", "sort", "limit", "page", "meta"])?;
        let limit = find.limit as usize;
        let mut found = rows.find(&of, find, &table.actor())?;
        let is_truncated = found.rows.len() > limit;
        found.rows.truncate(limit);
        Ok::<_, Box<EvalAltResult>>((found, is_truncated))
    })?;
    let mut answer = Map::new();
    if is_truncated {
        answer.insert("truncated".into(), true.into());
    }
    if let Some((total, filtered)) = found.counts {
        let meta: Map = Map::from_iter([
            ("totalCount".into(), (total as i64).into()),
            ("filterCount".into(), (filtered as i64).into()),
        ]);
        answer.insert("meta".into(), meta.into());
    }
    answer.insert("data".into(), all(found.rows)?);
    Ok(answer)
}

fn first(rows: &Rows, table: &TableMacro, options: &Map) -> Outcome<Dynamic> {
    let found = uncounted(|| {
        let of = rows.table(&table.name)?;
        let mut find = read_find(&of, options, &["filter", "fields", "sort", "page", "lock"])?;
        find.limit = 1;
        find.locks = match option(options, "lock") {
            None => false,
            Some(locks) => locks.as_bool().map_err(|_| invalid("lock", "takes true or false"))?,
        };
        rows.find(&of, find, &table.actor())
    })?;
    one(found.rows)
}

fn counted(rows: &Rows, table: &TableMacro, filter: &Dynamic) -> Outcome<i64> {
    uncounted(|| {
        let of = rows.table(&table.name)?;
        let filter = if filter.is_unit() { None } else { Some(to_filter(&of, filter)?) };
        Ok(rows.count(&of, filter.as_ref(), &table.actor())? as i64)
    })
}

/// The rank of the row that is named, or `()`.
fn ranked(rows: &Rows, table: &TableMacro, options: &Map) -> Outcome<Dynamic> {
    let rank = uncounted(|| {
        let of = rows.table(&table.name)?;
        check_options(options, &["filter", "sort", "id"])?;
        let id = option(options, "id").ok_or_else(|| invalid("id", "is missing: whose rank is it?"))?;
        let filter = option(options, "filter").map(|filter| to_filter(&of, filter)).transpose()?;
        let sort = names(options, "sort")?.map(|names| names.join(","));
        rows.rank(&of, filter.as_ref(), sort.as_deref(), &id.to_string(), &table.actor())
    })?;
    Ok(rank.map_or(Dynamic::UNIT, |rank| (rank as i64).into()))
}

fn register_writes(engine: &mut Engine, rows: Option<Arc<Rows>>) {
    let of = move || rows.clone().ok_or_else(no_tables);
    let (for_create, for_many, for_update) = (of.clone(), of.clone(), of.clone());
    let (for_upsert, for_delete) = (of.clone(), of);
    engine
        .register_fn("create", move |context: NativeCallContext, table: &mut TableMacro, options: Map| {
            one(uncounted(|| {
                let rows = for_create()?;
                let data = read_data(&rows, table, &options, &[])?;
                rows.create(context.engine(), &table.name, vec![data], &table.actor())
            })?)
        })
        .register_fn("createMany", move |context: NativeCallContext, table: &mut TableMacro, options: Map| {
            all(uncounted(|| {
                let rows = for_many()?;
                let data = read_many(&rows, table, &options)?;
                rows.create(context.engine(), &table.name, data, &table.actor())
            })?)
        })
        .register_fn("update", move |context: NativeCallContext, table: &mut TableMacro, options: Map| {
            let (rows, is_one) = uncounted(|| {
                let rows = for_update()?;
                let data = read_data(&rows, table, &options, &["id", "filter"])?;
                let selector = read_selector(&*rows.table(&table.name)?, &options)?;
                let actor = table.actor();
                let rows = rows.update(context.engine(), &table.name, &selector, &data, &actor)?;
                Ok::<_, Box<EvalAltResult>>((rows, matches!(selector, Selector::Id(_))))
            })?;
            if is_one { one(rows) } else { Ok(Map::from_iter([("data".into(), all(rows)?)]).into()) }
        })
        .register_fn("upsert", move |context: NativeCallContext, table: &mut TableMacro, options: Map| {
            one(uncounted(|| {
                let rows = for_upsert()?;
                let data = read_data(&rows, table, &options, &["key"])?;
                let key = names(&options, "key")?.ok_or_else(|| {
                    invalid(
                        "key",
                        "is missing: name the unique columns, as in #{ key: [\"a\", \"b\"], data: #{ … } }",
                    )
                })?;
                rows.upsert(context.engine(), &table.name, &key, &data, &table.actor())
            })?)
        })
        .register_fn("delete", move |context: NativeCallContext, table: &mut TableMacro, options: Map| {
            let deleted = uncounted(|| {
                check_options(&options, &["id", "filter"])?;
                let rows = for_delete()?;
                let selector = read_selector(&*rows.table(&table.name)?, &options)?;
                rows.delete(context.engine(), &table.name, &selector, &table.actor())
            })?;
            let deleted = Dynamic::from(deleted as i64);
            Ok::<Map, Box<EvalAltResult>>(Map::from_iter([("deleted".into(), deleted)]))
        });
}

/// The first row as the script gets it.
fn one(rows: Vec<Row>) -> Outcome<Dynamic> {
    let row = rows.first().map_or(Ok(Dynamic::UNIT), rhai::serde::to_dynamic);
    uncounted(|| drop(rows));
    row.map(from_outside)
}

/// The rows as the script gets them.
fn all(rows: Vec<Row>) -> Outcome<Dynamic> {
    let given = rhai::serde::to_dynamic(&rows);
    uncounted(|| drop(rows));
    given.map(from_outside)
}

impl TableMacro {
    fn actor(&self) -> Actor {
        if !self.is_secure {
            return Actor::Trusted;
        }
        with_run(|run| match &run.user {
            None => Actor::Anonymous,
            Some(CallUser::Row(user)) => Actor::of_user(user),
            Some(CallUser::Given(user)) => Actor::of_fields(user),
        })
    }
}

fn read_find(table: &Table, options: &Map, known: &[&str]) -> Outcome<Find> {
    check_options(options, known)?;
    let limit = match whole(options, "limit")? {
        None => LIMIT_DEFAULT,
        Some(0) => ROWS_MAX,
        Some(limit) if (1..=ROWS_MAX as i64).contains(&limit) => limit as u64,
        Some(limit) => {
            return Err(invalid("limit", format!("{limit} is not 0 (as many as may be) to {ROWS_MAX}")));
        }
    };
    let page = match whole(options, "page")? {
        None => 1,
        Some(page) if (1..=crate::store::list::PAGE_MAX as i64).contains(&page) => page as u64,
        Some(page) => return Err(invalid("page", format!("{page} is not 1 or more"))),
    };
    let filter = option(options, "filter").map(|filter| to_filter(table, filter)).transpose()?;
    Ok(Find {
        filter,
        scope: None,
        // Who asks for all is told when there are more.
        looks_ahead: whole(options, "limit")? == Some(0),
        fields: names(options, "fields")?,
        sort: names(options, "sort")?.map(|names| names.join(",")),
        limit,
        page,
        with_counts: option(options, "meta").is_some(),
        locks: false,
    })
}

fn read_many(rows: &Rows, table: &TableMacro, options: &Map) -> Outcome<Vec<Row>> {
    check_options(options, &["data", "body"])?;
    let data = option(options, "data").or_else(|| option(options, "body"));
    let items = data.and_then(|data| data.as_array_ref().ok());
    let items =
        items.ok_or_else(|| invalid("data", "is missing: createMany takes #{ data: [#{ … }, …] }"))?;
    items.iter().map(|item| read_row(rows, table, item)).collect()
}

fn read_data(rows: &Rows, table: &TableMacro, options: &Map, others: &[&str]) -> Outcome<Row> {
    check_options(options, &[&["data", "body"], others].concat())?;
    let data = option(options, "data").or_else(|| option(options, "body"));
    let data = data.filter(|data| data.is_map());
    let data = data.ok_or_else(|| invalid("data", "is missing: a row is written #{ data: #{ … } }"))?;
    read_row(rows, table, data)
}

/// The data of a row. A map from outside is a value, never `_inc` and the like: where a column takes
/// no map, it is refused as what it is.
fn read_row(rows: &Rows, table: &TableMacro, data: &Dynamic) -> Outcome<Row> {
    let row = to_row("a row", data)?;
    if let Ok(values) = data.as_map_ref() {
        for (name, _) in values.iter().filter(|(_, value)| is_outside(value)) {
            if let Some(value) = row.get(name.as_str()) {
                rows.table(&table.name)?.check_value(name, value).map_err(refused)?;
            }
        }
    }
    Ok(row)
}

/// The row or the rows that are meant. A filter that names the id alone means that row.
fn read_selector(table: &Table, options: &Map) -> Outcome<Selector> {
    if let Some(id) = option(options, "id") {
        if option(options, "filter").is_some() {
            return Err(invalid("filter", "does not go with an id: put the id into the filter"));
        }
        return Ok(Selector::Id(id.to_string()));
    }
    let Some(filter) = option(options, "filter") else {
        return Err(invalid("id", "is missing: name the row by id, or rows by a filter"));
    };
    let filter = to_filter(table, filter)?;
    Ok(filter.as_id(ID).map_or(Selector::Filter(filter), |id| Selector::Id(id.to_string())))
}

fn to_filter(table: &Table, filter: &Dynamic) -> Outcome<Filter> {
    table.filter(&to_json(filter)?).map_err(refused)
}

/// A value that is given and not `()`.
fn option<'a>(options: &'a Map, name: &str) -> Option<&'a Dynamic> {
    options.get(name).filter(|value| !value.is_unit())
}

fn check_options(options: &Map, known: &[&str]) -> Outcome<()> {
    match options.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(raise(Failure::new(
            ErrorCode::Validation,
            format!("There is no option {name}; known: {}", known.join(", ")),
        ))),
    }
}

fn whole(options: &Map, name: &str) -> Outcome<Option<i64>> {
    let Some(value) = option(options, name) else { return Ok(None) };
    value.as_int().map(Some).map_err(|_| invalid(name, "takes an integer"))
}

/// Names with commas, or an array of names.
fn names(options: &Map, name: &str) -> Outcome<Option<Vec<String>>> {
    let Some(value) = option(options, name) else { return Ok(None) };
    let names = if let Ok(text) = value.as_immutable_string_ref() {
        text.split(',').map(|name| name.trim().to_owned()).collect()
    } else if let Ok(items) = value.as_array_ref() {
        let texts = items.iter().map(|item| item.clone().into_string());
        texts.collect::<Result<Vec<_>, _>>().map_err(|_| invalid(name, "takes names"))?
    } else {
        return Err(invalid(name, "takes names with commas, or an array of names"));
    };
    Ok(Some(names))
}

fn invalid(field: &str, message: impl std::fmt::Display) -> Box<EvalAltResult> {
    raise(Failure::invalid(field, message))
}

/// Where scripts are compiled alone there are no tables.
pub(crate) fn no_tables() -> Box<EvalAltResult> {
    raise(Failure::new(ErrorCode::Internal, "There are no tables here"))
}
