//! `each`: all rows, one after the other, as many as the caps of the run let through.

use std::collections::HashSet;

use rhai::{Dynamic, FnPtr, Map, NativeCallContext};
use uuid::Uuid;

use super::{Outcome, TableMacro, read_find};
use crate::data::{Action, ID, ROWS_MAX, Row};
use crate::script::memory::uncounted;
use crate::script::outside::from_outside;
use crate::script::rows::{Rows, granted};

/// Calls `visit` with each row until it gives back `false`; with how many it was called.
///
/// Each part goes on behind the last row of the one before, so what is written meanwhile hides no other row.
/// A row that moves on in the order of `sort` is met again there, and left out.
pub(super) fn each(
    context: &NativeCallContext,
    rows: &Rows,
    table: &TableMacro,
    options: &Map,
    visit: &FnPtr,
) -> Outcome<i64> {
    let (table, find) = uncounted(|| {
        let of = rows.table(&table.name)?;
        let mut find = read_find(&of, options, &["filter", "fields", "sort"])?;
        find.limit = ROWS_MAX;
        find.scope = granted(&of, Action::Read, &table.actor())?.filter().cloned();
        Ok::<_, Box<rhai::EvalAltResult>>((of, find))
    })?;
    let mut visited = Visited { seen: find.sort.as_ref().map(|_| HashSet::new()), count: 0 };
    let mut last: Option<Row> = None;
    let done = loop {
        let part = match uncounted(|| rows.part(&table, &find, last.as_ref())) {
            Ok(part) => part,
            Err(error) => break Err(error),
        };
        let goes_on = part.rows.iter().try_fold(true, |goes_on, row| {
            Ok(goes_on && visited.visit(context, row, find.fields.as_deref(), visit)?)
        });
        let is_followed = part.is_followed;
        uncounted(|| {
            let mut rows = part.rows;
            last = rows.pop();
        });
        match goes_on {
            Ok(true) if is_followed => {}
            Ok(_) => break Ok(visited.count),
            Err(error) => break Err(error),
        }
    };
    uncounted(|| drop((table, find, visited, last)));
    done
}

/// The rows that were met.
struct Visited {
    /// Their ids, where one may come again.
    seen: Option<HashSet<Uuid>>,
    count: i64,
}

impl Visited {
    /// Shows a row to the script; whether it wants more.
    fn visit(
        &mut self,
        context: &NativeCallContext,
        row: &Row,
        fields: Option<&[String]>,
        visit: &FnPtr,
    ) -> Outcome<bool> {
        let id = row.get(ID).and_then(serde_json::Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
        if let (Some(seen), Some(id)) = (&mut self.seen, id)
            && !uncounted(|| seen.insert(id))
        {
            return Ok(true);
        }
        let mut given: Map = rhai::serde::to_dynamic(row)?.cast();
        if let Some(fields) = fields.filter(|fields| !fields.is_empty() && *fields != ["*"]) {
            given.retain(|name, _| fields.iter().any(|field| field == name.as_str()));
        }
        self.count += 1;
        let answer: Dynamic = visit.call_within_context(context, (from_outside(given.into()),))?;
        Ok(!matches!(answer.as_bool(), Ok(false)))
    }
}
