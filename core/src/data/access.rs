//! Who may do what with the rows of a table, and what becomes of it in a query.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::column::{Column, ColumnKind};
use super::table::{Row, Table};
use crate::auth::{ROLE_ADMIN, User};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::filter::{Field, Filter};

/// The rules of a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Access {
    /// Who may read which rows.
    pub read: Rule,
    /// Who may make rows, and which.
    pub create: Rule,
    /// Who may change which rows.
    pub update: Rule,
    /// Who may delete which rows.
    pub delete: Rule,
    /// The column that holds the id of a row's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_column: Option<String>,
}

/// One rule. An admin may always.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Rule {
    /// Admins alone.
    #[default]
    Admin,
    /// Whoever is signed in.
    User,
    /// The user whose id is in the owner column.
    Owner,
    /// Everyone.
    Public,
    /// Rows that meet a filter, which may name what of a user only an admin changes: `@USER.id` and
    /// `@USER.role`.
    Filter(Json),
}

/// What is done with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Action {
    Read,
    Create,
    Update,
    Delete,
}

/// Who does it.
#[derive(Debug, Clone)]
pub enum Actor {
    /// No rule applies: a script's own `#table`, an admin, an app key with the scope.
    Trusted,
    /// The fields of a user, as `@USER` has them.
    User(Map<String, Json>),
    /// Nobody is signed in.
    Anonymous,
}

/// Which rows an actor may do something with.
#[derive(Debug, Clone, PartialEq)]
pub enum Grant {
    /// All.
    All,
    /// Those that meet this filter.
    Where(Filter),
}

/// The rules of a table, parsed.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    read: ParsedRule,
    create: ParsedRule,
    update: ParsedRule,
    delete: ParsedRule,
}

#[derive(Debug, Clone)]
pub(super) enum ParsedRule {
    Admin,
    User,
    Public,
    /// Rows that meet a filter; the owner's are those too.
    Rows(Filter),
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Admin => serializer.serialize_str("admin"),
            Self::User => serializer.serialize_str("user"),
            Self::Owner => serializer.serialize_str("owner"),
            Self::Public => serializer.serialize_str("public"),
            Self::Filter(filter) => filter.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = Json::deserialize(deserializer)?;
        match rule.as_str() {
            Some("admin") => Ok(Self::Admin),
            Some("user") => Ok(Self::User),
            Some("owner") => Ok(Self::Owner),
            Some("public") => Ok(Self::Public),
            None if rule.is_object() => Ok(Self::Filter(rule)),
            _ => Err(serde::de::Error::custom("takes admin, user, owner, public or a filter")),
        }
    }
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Create, Self::Update, Self::Delete];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The action of this name.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`.
    pub fn parse(name: &str) -> Result<Self, Failure> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|action| action.as_str() == name);
        found.ok_or_else(|| Failure::invalid("action", format!("is one of {}", known())))
    }
}

impl Actor {
    /// The actor that a signed-in user is.
    pub fn of_user(user: &User) -> Self {
        serde_json::to_value(user).map_or(Self::Anonymous, |fields| Self::of_fields(&fields))
    }

    /// The actor with these fields of a user.
    pub fn of_fields(user: &Json) -> Self {
        match user {
            Json::Object(fields) if fields.get("role").and_then(Json::as_str) == Some(ROLE_ADMIN) => {
                Self::Trusted
            }
            Json::Object(fields) => Self::User(fields.clone()),
            _ => Self::Anonymous,
        }
    }
}

impl Access {
    /// These rules, ready to be asked of a table with these columns.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for what makes no sense for the table.
    pub(super) fn rules(&self, columns: &[Column], fields: &[Field]) -> Result<Rules> {
        if let Some(name) = &self.owner_column {
            let is_text = |kind| matches!(kind, ColumnKind::String | ColumnKind::Text | ColumnKind::Uuid);
            let own = &columns[1..columns.len() - 2];
            if !own.iter().any(|column| column.name == *name && is_text(column.kind)) {
                let message = format!("{name} is no column of type string, text or uuid of this table");
                return Err(Failure::invalid("access.ownerColumn", message).into());
            }
        }
        let parsed = |action, rule: &Rule| match rule {
            Rule::Admin => Ok(ParsedRule::Admin),
            Rule::User => Ok(ParsedRule::User),
            Rule::Public => Ok(ParsedRule::Public),
            Rule::Owner => match &self.owner_column {
                Some(column) => {
                    Filter::parse_rule(&json!({ column: "@USER.id" }), fields).map(ParsedRule::Rows)
                }
                None => {
                    let message = "is missing, and a rule is \"owner\"";
                    Err(Failure::invalid("access.ownerColumn", message).into())
                }
            },
            Rule::Filter(filter) => {
                let filter = Filter::parse_rule(filter, fields);
                filter.map(ParsedRule::Rows).map_err(|error| inside(action, error))
            }
        };
        Ok(Rules {
            read: parsed(Action::Read, &self.read)?,
            create: parsed(Action::Create, &self.create)?,
            update: parsed(Action::Update, &self.update)?,
            delete: parsed(Action::Delete, &self.delete)?,
        })
    }

    /// Sets the owner of a new row to who makes it. Only who is trusted names another.
    ///
    /// # Errors
    /// `AUTHORIZATION_ERROR`.
    pub fn own(&self, data: &mut Row, actor: &Actor, table: &Table) -> Result<(), Failure> {
        let Some(name) = &self.owner_column else { return Ok(()) };
        let id = match actor {
            Actor::Trusted => return Ok(()),
            Actor::User(user) => field_of(user, "id").cloned().unwrap_or_default(),
            Actor::Anonymous => Json::Null,
        };
        // What is no value of the column is refused as such, later.
        let value = |of: &Json| table.column(name).and_then(|column| column.value(of).ok());
        match data.get(name) {
            Some(named) if value(named) != value(&id) => Err(another_owner()),
            Some(_) => Ok(()),
            None if id.is_null() => Ok(()),
            None => {
                data.insert(name.clone(), id);
                Ok(())
            }
        }
    }

    /// Whether a change of these fields could give a row to another owner, which only who is trusted
    /// may do.
    pub fn may_change_owner(&self, data: &Row, actor: &Actor) -> bool {
        !matches!(actor, Actor::Trusted)
            && self.owner_column.as_ref().is_some_and(|column| data.contains_key(column))
    }

    /// Refuses to make the one row of the other when its owner is another then.
    ///
    /// # Errors
    /// `AUTHORIZATION_ERROR`.
    pub fn check_owner(&self, old: &Row, new: &Row) -> Result<(), Failure> {
        match &self.owner_column {
            Some(column) if old.get(column) != new.get(column) => Err(another_owner()),
            _ => Ok(()),
        }
    }
}

impl Rules {
    pub(super) fn of(&self, action: Action) -> &ParsedRule {
        match action {
            Action::Read => &self.read,
            Action::Create => &self.create,
            Action::Update => &self.update,
            Action::Delete => &self.delete,
        }
    }

    /// Which rows this actor may do this with.
    ///
    /// # Errors
    /// `AUTHENTICATION_ERROR` when nobody is signed in and someone has to be,
    /// `AUTHORIZATION_ERROR` when it is not for this user at all.
    pub(super) fn grant(&self, action: Action, actor: &Actor) -> Result<Grant, Failure> {
        let rule = self.of(action);
        let user = match (actor, rule) {
            (Actor::Trusted, _) | (_, ParsedRule::Public) => return Ok(Grant::All),
            (Actor::User(user), _) => Some(user),
            (Actor::Anonymous, ParsedRule::Rows(filter)) if !filter.names_user() => None,
            (Actor::Anonymous, _) => return Err(Failure::new(ErrorCode::Authentication, "Sign in first")),
        };
        match rule {
            ParsedRule::User | ParsedRule::Public => Ok(Grant::All),
            ParsedRule::Rows(filter) => Ok(Grant::Where(filter.for_user(user))),
            ParsedRule::Admin => {
                Err(Failure::new(ErrorCode::Authorization, "Your role may not do this with this table"))
            }
        }
    }
}

impl Grant {
    /// The filter of a query, if there is one.
    pub fn filter(&self) -> Option<&Filter> {
        match self {
            Self::All => None,
            Self::Where(filter) => Some(filter),
        }
    }

    /// Whether a row is among those of the grant.
    pub fn covers(&self, row: &Row) -> bool {
        self.filter().is_none_or(|filter| filter.matches(row))
    }
}

/// The same refusal, saying which rule it is about.
fn inside(action: Action, error: Error) -> Error {
    match error {
        Error::Refused(failure) => {
            let message = format!("access.{}: {}", action.as_str(), failure.message);
            Failure { message: message.into(), ..failure }.into()
        }
        other => other,
    }
}

fn another_owner() -> Failure {
    Failure::new(ErrorCode::Authorization, "Only an admin gives a row another owner")
}

/// What a user has in a field, unless it is empty.
fn field_of<'a>(user: &'a Map<String, Json>, field: &str) -> Option<&'a Json> {
    user.get(field).filter(|value| !value.is_null() && *value != "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> Actor {
        Actor::User(Map::from_iter([("id".to_owned(), json!(id))]))
    }

    /// A table with these rules.
    fn table(access: Json) -> Table {
        let columns = [("userId", "string"), ("role", "string"), ("isPublic", "boolean")];
        let columns = columns
            .map(|(name, kind)| serde_json::from_value(json!({ "name": name, "type": kind })).unwrap());
        let access = serde_json::from_value(access).unwrap();
        Table::new(uuid::Uuid::nil(), "thing", &columns, &[], access, true).unwrap()
    }

    #[test]
    fn grants() {
        let table = table(json!({
            "read": { "_or": [{ "isPublic": true }, { "userId": "@USER.id" }] },
            "create": "owner",
            "update": "user",
            "ownerColumn": "userId",
        }));
        let rows = |filter: Json| Grant::Where(table.filter(&filter).unwrap());
        let read = table.grant(Action::Read, &user("7")).unwrap();
        assert_eq!(read, rows(json!({ "_or": [{ "isPublic": true }, { "userId": "7" }] })));
        assert_eq!(table.grant(Action::Create, &user("7")).unwrap(), rows(json!({ "userId": "7" })));
        assert_eq!(table.grant(Action::Update, &user("7")).unwrap(), Grant::All);
        assert_eq!(table.grant(Action::Delete, &user("7")).unwrap_err().code, ErrorCode::Authorization);
        assert_eq!(table.grant(Action::Delete, &Actor::Trusted).unwrap(), Grant::All);
        let nobody = table.grant(Action::Read, &Actor::Anonymous);
        assert_eq!(nobody.unwrap_err().code, ErrorCode::Authentication);
    }

    #[test]
    fn a_user_without_what_a_rule_names_has_no_rows() {
        let table = table(json!({
            "read": { "_or": [{ "userId": "@USER.id" }, { "_not": { "role": "@USER.role" } }] },
            "update": "owner",
            "ownerColumn": "userId",
        }));
        for user in
            [json!({}), json!({ "id": "", "role": "", "name": "a" }), json!({ "id": null, "role": null })]
        {
            let user = Actor::of_fields(&user);
            for action in [Action::Read, Action::Update] {
                let granted = table.grant(action, &user).unwrap();
                assert_eq!(granted, Grant::Where(Filter::nothing()), "{user:?}");
            }
        }
    }

    #[test]
    fn rules_as_text() {
        assert!(serde_json::from_value::<Access>(json!({ "read": "nobody" })).is_err());
        assert!(serde_json::from_value::<Access>(json!({ "raed": "user" })).is_err());
        let access: Access = serde_json::from_value(json!({})).unwrap();
        assert_eq!(access.read, Rule::Admin);
    }
}
