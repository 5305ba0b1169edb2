//! The rows of the product's own tables, without relations: joins are written out where needed. What a
//! column means is said where the domain reads it.

#![expect(missing_docs, reason = "a column has the name of the field that it keeps")]

pub mod audit;

/// A Socket.IO namespace with its settings and scripts.
pub mod gateway {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_gateway`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_gateway")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub path: String,
        pub description: String,
        pub is_enabled: bool,
        pub require_auth: bool,
        pub connection_script: Option<String>,
        pub disconnection_script: Option<String>,
        pub script_timeout_ms: Option<i64>,
        /// An array of origins; none: the configured list.
        pub allowed_origins: Option<Json>,
        /// [`crate::catalog::GatewayLimits`].
        pub limits: Json,
        /// Other namespaces that lead here: an array of paths.
        pub aliases: Json,
        pub require_app_key: bool,
        pub admission_script: Option<String>,
        /// Whether any room hears who joins and leaves.
        pub presence: bool,
        /// An array of the patterns of those rooms; none: all.
        pub presence_rooms: Option<Json>,
        pub presence_debounce_ms: i64,
        /// JSON Schemas by the names of events.
        pub emits: Option<Json>,
        /// Whether its jobs wait.
        pub is_paused: bool,
        /// The pack that this row came from.
        pub pack: Option<String>,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A named message that a gateway accepts.
pub mod event {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_event`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_event")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub gateway_id: Uuid,
        pub event_name: String,
        pub description: String,
        pub is_enabled: bool,
        pub source_code: String,
        pub timeout_ms: Option<i64>,
        pub payload_schema: Option<Json>,
        pub result_schema: Option<Json>,
        pub delivery: String,
        pub order_by: String,
        pub retries: Option<i64>,
        pub on_dead: String,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// One saved version of a script; never changed or deleted while its owner lives.
pub mod revision {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_revision`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_revision")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// The gateway or event.
        pub owner_id: Uuid,
        /// `sourceCode`, `connectionScript`, `disconnectionScript` or `admissionScript`.
        pub script: String,
        /// Counts from 1 within the owner.
        pub number: i64,
        pub source: String,
        /// The user's e-mail, or what made it (`pack chat`).
        pub author: Option<String>,
        /// What the author says of it.
        pub message: Option<String>,
        pub created_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A person or program that signs in.
pub mod user {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_user`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_user")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Lower case.
        pub email: String,
        pub name: String,
        pub role: String,
        pub is_enabled: bool,
        pub password_hash: String,
        /// Whether it is still the password of the first start.
        pub has_first_password: bool,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What all tokens of one sign-in belong to; ending it ends them.
pub mod session {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_session`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_session")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub user_id: Uuid,
        /// The refresh token that counts; an older one that comes back ends the session.
        pub generation: i64,
        pub remember: bool,
        pub expires_at: TimeDateTimeWithTimeZone,
        pub revoked_at: Option<TimeDateTimeWithTimeZone>,
        pub created_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A key of a program that calls the HTTP API.
pub mod app_key {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_app_key`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_app_key")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        /// An array of scope names.
        pub scopes: Json,
        /// SHA-256 of the key, in hex.
        pub key_hash: String,
        pub expires_at: Option<TimeDateTimeWithTimeZone>,
        /// To the minute.
        pub last_used_at: Option<TimeDateTimeWithTimeZone>,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A table that an admin or a pack defined; its rows are in a table of its name.
pub mod table {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_table`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_table")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub description: String,
        /// An array of columns.
        pub columns: Json,
        /// An array of arrays of their names.
        pub unique: Json,
        /// Who may do what.
        pub access: Json,
        /// The pack that this row came from.
        pub pack: Option<String>,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A path of the HTTP API that a script serves.
pub mod route {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_route`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_route")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Upper case.
        pub method: String,
        /// With `{name}` for a parameter.
        pub path: String,
        pub description: String,
        pub is_enabled: bool,
        /// `public`, `user`, `admin` or `app`.
        pub access: String,
        pub source_code: String,
        pub timeout_ms: Option<i64>,
        /// The pack that this row came from.
        pub pack: Option<String>,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A script that runs around the writes of a table.
pub mod hook {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_hook`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_hook")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// The name of the table.
        pub table: String,
        /// `before` or `after`.
        pub when: String,
        /// An array of `create`, `update`, `delete`.
        pub on: Json,
        pub description: String,
        pub is_enabled: bool,
        /// A filter on the new row, with `_changed`.
        pub condition: Option<Json>,
        pub source_code: String,
        /// Lower runs earlier.
        pub priority: i64,
        /// The pack that this row came from.
        pub pack: Option<String>,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Functions and constants that scripts share.
pub mod library {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_library`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_library")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Unlike all others' of its pack.
        pub name: String,
        /// With its pack's before it: unlike all others'.
        pub full_name: String,
        pub description: String,
        pub source_code: String,
        /// The pack that this row came from.
        pub pack: Option<String>,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An event that the clock sends.
pub mod schedule {
    use sea_orm::ActiveValue;
    use sea_orm::entity::prelude::*;

    /// A row of `gw_schedule`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_schedule")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub description: String,
        /// Five or six fields.
        pub cron: String,
        pub timezone: String,
        pub gateway_path: String,
        pub event_name: String,
        pub payload: Json,
        /// `once` or `skip`.
        pub missed: String,
        pub is_enabled: bool,
        /// In milliseconds; none: to be found out, since it was saved.
        pub next_at: Option<i64>,
        /// The pack that this row came from.
        pub pack: Option<String>,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        /// One that is saved with the times that it had is due when it was: nothing is missed, or done twice.
        async fn before_save<C: ConnectionTrait>(mut self, db: &C, is_new: bool) -> Result<Self, DbErr> {
            let before = match self.id.try_as_ref() {
                Some(id) if !is_new => Entity::find_by_id(*id).one(db).await?,
                _ => None,
            };
            if before.is_some_and(|before| {
                self.cron.as_ref() == &before.cron
                    && self.timezone.as_ref() == &before.timezone
                    && self.is_enabled.as_ref() == &before.is_enabled
            }) {
                self.next_at = ActiveValue::NotSet;
            }
            Ok(self)
        }
    }
}

/// An installed pack, and what it looked like then.
pub mod pack {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_pack`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_pack")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub description: String,
        /// What was installed, to tell an admin's edits from the pack's.
        pub content: Json,
        /// The path that its gateways and routes were put under; empty: none.
        pub mount: String,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Numbers that grow with what changes: one row for each kind of change.
pub(super) mod change {
    use sea_orm::entity::prelude::*;

    /// A row of `gw_change`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "gw_change")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub number: i64,
    }

    /// None: see above.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
