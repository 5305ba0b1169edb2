//! Finding what is defined by a part of its name, or of its scripts.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr};
use sea_orm::{Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{Catalog, Definition, Event, Gateway, Hook, Library, Route, Saved, Schedule, fields_as_json};
use crate::error::{Failure, Result};
use crate::store::{pack, table, user};

/// Characters that are looked for, at most.
const QUERY_CHARS_MAX: usize = 200;
/// Things of one kind, and lines of scripts, that are found at most.
const FOUND_MAX: usize = 20;
/// Characters of a line that is shown.
const LINE_CHARS_MAX: usize = 200;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// `gateway`, `event`, `route`, `hook`, `library`, `table`, `schedule`, `user` or `pack`.
    pub kind: &'static str,
    /// Its id; of a pack the name.
    pub id: String,
    /// What it is called, such as `/chat joinRoom`.
    pub name: String,
    /// Where in one of its scripts; none: it is called so.
    pub line: Option<HitLine>,
}

/// A line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HitLine {
    /// Such as `sourceCode`.
    pub script: &'static str,
    /// From 1.
    pub number: usize,
    /// What stands there, without the space around it.
    pub text: String,
}

/// What a search has found so far.
struct Search {
    query: String,
    named: Vec<Hit>,
    lines: Vec<Hit>,
}

impl Catalog {
    /// What has `query` in its name, whatever the case, by kind; then lines of scripts that have it. At most 20 of each.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for nothing to look for, or too much.
    pub async fn search(&self, query: &str) -> Result<Vec<Hit>> {
        let query = query.trim();
        if query.is_empty() || query.chars().count() > QUERY_CHARS_MAX || query.contains('\0') {
            return Err(Failure::invalid("q", format!("takes 1 to {QUERY_CHARS_MAX} characters")).into());
        }
        let mut search = Search { query: query.to_lowercase(), named: Vec::new(), lines: Vec::new() };
        let db = self.store().db();
        let (gateways, events) = (all::<Gateway>(db).await?, all::<Event>(db).await?);
        let paths: HashMap<_, _> =
            gateways.iter().map(|gateway| (Some(gateway.id), &*gateway.definition.path)).collect();
        search.definitions(
            "gateway",
            gateways.iter().map(|one| (one.id, one.definition.path.clone(), &one.definition)),
        );
        let named = events.iter().map(|one| {
            let path = paths.get(&one.place.gateway_id()).copied().unwrap_or_default();
            let name = format!("{path} {}", one.definition.event_name);
            (one.id, name, &one.definition)
        });
        search.definitions("event", named);
        macro_rules! find {
            ($kind:literal, $definition:ident, $name:expr) => {
                let rows = all::<$definition>(db).await?;
                let name: fn(&$definition) -> String = $name;
                search.definitions(
                    $kind,
                    rows.iter().map(|one| (one.id, name(&one.definition), &one.definition)),
                );
            };
        }
        find!("route", Route, |route| format!("{} {}", route.method, route.path));
        find!("hook", Hook, |hook| format!("{} {} of {}", hook.when, hook.on.join(", "), hook.table));
        find!("library", Library, |library| library.name.clone());
        for row in table::Entity::find().all(db).await? {
            search.name("table", row.id.to_string(), row.name);
        }
        find!("schedule", Schedule, |schedule| schedule.name.clone());
        for row in self.users_called(&search.query).await? {
            search.name("user", row.id.to_string(), row.email);
        }
        for row in pack::Entity::find().all(db).await? {
            search.name("pack", row.name.clone(), row.name);
        }
        let Search { mut named, lines, .. } = search;
        named.extend(lines);
        Ok(named)
    }

    /// There may be many users, so the database looks for them.
    async fn users_called(&self, query: &str) -> Result<Vec<user::Model>> {
        let like = format!("%{}%", query.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        let is_like = |column: user::Column| {
            Expr::expr(Func::lower(Expr::col((user::Entity, column)))).like(LikeExpr::new(&like).escape('\\'))
        };
        let called = Condition::any().add(is_like(user::Column::Email)).add(is_like(user::Column::Name));
        let users =
            user::Entity::find().filter(called).order_by_asc(user::Column::Email).limit(FOUND_MAX as u64);
        Ok(users.all(self.store().db()).await?)
    }
}

/// All of one kind.
async fn all<T: Definition>(on: &impl ConnectionTrait) -> Result<Vec<Saved<T>>> {
    Ok(T::Entity::find().all(on).await?.into_iter().map(T::of_row).collect())
}

impl Search {
    fn definitions<'a, T: Definition>(
        &mut self,
        kind: &'static str,
        all: impl Iterator<Item = (Uuid, String, &'a T)>,
    ) {
        let mut all: Vec<_> = all.collect();
        all.sort_by(|left, right| left.1.cmp(&right.1));
        for (id, name, definition) in all {
            self.scripts(kind, id, &name, definition);
            self.name(kind, id.to_string(), name);
        }
    }

    fn name(&mut self, kind: &'static str, id: String, name: String) {
        let is_full = self.named.iter().filter(|found| found.kind == kind).count() >= FOUND_MAX;
        // A user is called by a name too, which the database has looked at.
        if !is_full && (kind == "user" || name.to_lowercase().contains(&self.query)) {
            self.named.push(Hit { kind, id, name, line: None });
        }
    }

    fn scripts<T: Definition>(&mut self, kind: &'static str, id: Uuid, name: &str, definition: &T) {
        if T::SCRIPTS.is_empty() || self.lines.len() >= FOUND_MAX {
            return;
        }
        let fields = fields_as_json(definition);
        for script in T::SCRIPTS {
            let source = fields.get(*script).and_then(Json::as_str).unwrap_or_default();
            for (number, line) in source.lines().enumerate() {
                if self.lines.len() < FOUND_MAX && line.to_lowercase().contains(&self.query) {
                    let text = line.trim().chars().take(LINE_CHARS_MAX).collect();
                    let line = Some(HitLine { script, number: number + 1, text });
                    self.lines.push(Hit { kind, id: id.to_string(), name: name.to_owned(), line });
                }
            }
        }
    }
}
