//! The rules of a table in words: what they say, and why somebody may do something or not.

use serde_json::Value as Json;

use super::access::{Action, Actor, Grant, ParsedRule};
use super::table::{Row, Table};
use crate::error::{ErrorCode, Failure, Result};
use crate::store;

/// Why somebody may do something with rows, or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Whether they may: with the row that is asked about, or else with any row at all.
    pub allowed: bool,
    /// Why, as a sentence.
    pub reason: String,
    /// With which rows, as a filter; none: the rule does not look at rows.
    pub filter: Option<Json>,
    /// What the rule says to everybody.
    pub sentence: String,
}

/// What the rules of a table say.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RulesInWords {
    pub read: String,
    pub create: String,
    pub update: String,
    pub delete: String,
}

impl RulesInWords {
    pub(super) fn of(table: &Table) -> Self {
        let [read, create, update, delete] = Action::ALL.map(|action| table.rule_in_words(action));
        Self { read, create, update, delete }
    }
}

impl Table {
    /// What the rule of an action says: `Users may read rows whose ownerId is their own id.`
    pub fn rule_in_words(&self, action: Action) -> String {
        let verb = action.as_str();
        let rows = if action == Action::Create { "rows" } else { "every row" };
        let owner = self.access.owner_column.as_ref().filter(|_| action == Action::Create);
        let owner =
            owner.map_or_else(String::new, |column| format!(" {column} is set to the id of who does."));
        match self.rules.of(action) {
            ParsedRule::Admin => format!("Only admins may {verb} rows."),
            ParsedRule::User => format!("Whoever is signed in may {verb} {rows}.{owner}"),
            ParsedRule::Public => format!("Everyone may {verb} {rows}, signed in or not.{owner}"),
            ParsedRule::Rows(filter) if filter.is_all() => {
                format!("Everyone may {verb} {rows}, signed in or not.{owner}")
            }
            ParsedRule::Rows(filter) if filter.is_nothing() => format!("Only admins may {verb} rows."),
            ParsedRule::Rows(filter) if filter.names_user() => {
                format!("Users may {verb} rows whose {}.{owner}", filter.in_words())
            }
            ParsedRule::Rows(filter) => {
                format!("Everyone may {verb} rows whose {}, signed in or not.{owner}", filter.in_words())
            }
        }
    }

    /// Why this actor may do this, or not: with `row`, if one is given, or else with any row at all. What is created is
    /// the row as it would be made.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a row that is none of this table.
    pub fn explain(&self, action: Action, actor: &Actor, row: Option<&Row>) -> Result<Explained> {
        let sentence = self.rule_in_words(action);
        let told = |allowed: bool, reason: String, filter: Option<Json>| {
            Ok(Explained { allowed, reason, filter, sentence: sentence.clone() })
        };
        let grant = match self.grant(action, actor) {
            Err(failure) if failure.code == ErrorCode::Authentication => {
                return told(
                    false,
                    "Nobody is signed in, and the rule wants somebody who is.".to_owned(),
                    None,
                );
            }
            Err(_) => return told(false, "The rule is for admins alone.".to_owned(), None),
            Ok(grant) => grant,
        };
        let row = row.map(|row| self.row_in_question(action, actor, row)).transpose()?;
        let row = match row {
            Some(Err(refused)) => return told(false, format!("{}.", refused.message), None),
            Some(Ok(row)) => Some(row),
            None => None,
        };
        let filter = match &grant {
            Grant::All if matches!(actor, Actor::Trusted) => {
                return told(
                    true,
                    "No rule applies to admins, nor to app keys with the scope.".to_owned(),
                    None,
                );
            }
            Grant::All => return told(true, "The rule does not look at rows.".to_owned(), None),
            Grant::Where(filter) => filter,
        };
        let (words, json) = (filter.in_words(), Some(filter.as_json()));
        match row {
            _ if filter.is_nothing() => told(
                false,
                "The rule names what they do not have, so no row counts as theirs.".to_owned(),
                json,
            ),
            None => told(true, format!("With rows whose {words}."), json),
            Some(row) if grant.covers(&row) => told(true, format!("This is a row whose {words}."), json),
            Some(_) => told(false, format!("This is no row whose {words}."), json),
        }
    }

    /// The row in its normal form; the inner error: it may not be made.
    fn row_in_question(&self, action: Action, actor: &Actor, row: &Row) -> Result<Result<Row, Failure>> {
        let mut row = row.clone();
        if action == Action::Create {
            if let Err(refused) = self.access.own(&mut row, actor, self) {
                return Ok(Err(refused));
            }
            return self.new_row(&row, store::now()).map(Ok);
        }
        self.normal(&row).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(access: Json) -> Table {
        let columns = [("ownerId", "string"), ("status", "string")];
        let columns = columns
            .map(|(name, kind)| serde_json::from_value(json!({ "name": name, "type": kind })).unwrap());
        let access = serde_json::from_value(access).unwrap();
        Table::new(uuid::Uuid::nil(), "thing", &columns, &[], access, true).unwrap()
    }

    #[test]
    fn sentences() {
        let table = table(json!({
            "read": "owner",
            "create": "owner",
            "update": { "_or": [{ "ownerId": "@USER.id" }, { "status": "open" }] },
            "delete": { "status": { "_neq": "kept" } },
            "ownerColumn": "ownerId",
        }));
        for (action, expected) in [
            (Action::Read, "Users may read rows whose ownerId is their own id."),
            (
                Action::Create,
                "Users may create rows whose ownerId is their own id. ownerId is set to the id of who does.",
            ),
            (Action::Update, "Users may update rows whose ownerId is their own id or status is \"open\"."),
            (Action::Delete, "Everyone may delete rows whose status is not \"kept\", signed in or not."),
        ] {
            assert_eq!(table.rule_in_words(action), expected);
        }
    }

    #[test]
    fn reasons() {
        let table =
            table(json!({ "read": "owner", "create": "owner", "delete": "user", "ownerColumn": "ownerId" }));
        let user = Actor::of_fields(&json!({ "id": "7", "role": "user" }));
        let row = |row: Json| row.as_object().cloned();
        for (action, actor, row, allowed, mentions) in [
            (Action::Read, &user, None, true, "ownerId is \"7\""),
            (Action::Read, &user, row(json!({ "ownerId": "7" })), true, "This is a row"),
            (
                Action::Read,
                &user,
                row(json!({ "ownerId": "8" })),
                false,
                "This is no row whose ownerId is \"7\"",
            ),
            (Action::Create, &user, row(json!({})), true, "This is a row"),
            (Action::Create, &user, row(json!({ "ownerId": "8" })), false, "Only an admin"),
            (Action::Update, &user, None, false, "for admins alone"),
            (Action::Update, &Actor::Trusted, None, true, "No rule applies"),
            (Action::Delete, &user, None, true, "does not look at rows"),
            (Action::Delete, &Actor::Anonymous, None, false, "Nobody is signed in"),
            (Action::Read, &Actor::of_fields(&json!({})), None, false, "do not have"),
        ] {
            let explained = table.explain(action, actor, row.as_ref()).unwrap();
            assert_eq!(explained.allowed, allowed, "{action:?} {explained:?}");
            assert!(explained.reason.contains(mentions), "{action:?} {explained:?}");
        }
        assert!(table.explain(Action::Read, &user, row(json!({ "nothing": 1 })).as_ref()).is_err());
    }
}
