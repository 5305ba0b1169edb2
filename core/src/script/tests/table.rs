//! What scripts do with tables, on SQLite.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DatabaseTransaction;
use serde_json::{Value as Json, json};

use crate::auth::Secret;
use crate::config::Config;
use crate::data::{ColumnSpec, Data, TableChange};
use crate::error::Failure;
use crate::metrics::Metrics;
use crate::run::{TestCall, Trigger, run_test};
use crate::script::*;
use crate::store::{self, Store};

/// An engine with the tables `message` and `room` in a folder of its own.
pub(super) struct Fixture {
    engine: Arc<ScriptEngine>,
    store: Store,
    data: Arc<Data>,
    folder: std::path::PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn column(name: &str, kind: &str) -> ColumnSpec {
    ColumnSpec { name: name.into(), kind: kind.into(), ..ColumnSpec::default() }
}

/// Edits tables; they are live when this returns.
async fn edit(
    store: &Store,
    data: &Data,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> crate::Result<()>,
) -> crate::Result<()> {
    store.edit(store::Concerns::Tables, work).await?;
    data.set(Arc::new(
        store.read_together(store::Concerns::Tables, async |on| data.tables_on(on).await).await?,
    ));
    Ok(())
}

pub(super) fn fixture() -> Fixture {
    let folder = std::env::temp_dir().join(format!("gatewright-test-{}", crate::id::new_id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = Config { data_dir: folder.clone(), ..Config::defaults() };
    let (store, data) = runtime.block_on(async {
        let store = Store::open(&config, &Metrics::new()).await.unwrap();
        let data = Data::open(store.clone()).await.unwrap();
        let room = TableChange {
            name: Some("room".into()),
            columns: Some(vec![ColumnSpec { unique: true, required: true, ..column("name", "string") }]),
            ..TableChange::default()
        };
        edit(&store, &data, async |on| data.create_table(on, room, None).await.map(drop)).await.unwrap();
        let message = TableChange {
            name: Some("message".into()),
            columns: Some(vec![
                ColumnSpec { required: true, ..column("text", "text") },
                ColumnSpec { default: Some(json!(0)), ..column("likes", "integer") },
                ColumnSpec { references: Some("room".into()), ..column("roomId", "uuid") },
                column("isPinned", "boolean"),
                column("extra", "json"),
                column("score", "float"),
                column("at", "datetime"),
            ]),
            access: Some(serde_json::from_value(json!({ "read": { "text": "@USER.id" } })).unwrap()),
            ..TableChange::default()
        };
        edit(&store, &data, async |on| data.create_table(on, message, None).await.map(drop)).await.unwrap();
        (store, data)
    });
    let engine =
        ScriptEngine::new(&config.scripts, Arc::new(Secret::from_bytes([7; 32])), Some(data.clone()));
    Fixture { engine: Arc::new(engine), store, data, folder, runtime }
}

impl Fixture {
    fn edit(&self, work: impl AsyncFnOnce(&DatabaseTransaction) -> crate::Result<()>) -> crate::Result<()> {
        self.runtime.block_on(edit(&self.store, &self.data, work))
    }

    fn run(&self, source: &str) -> Result<Json, Failure> {
        self.run_call(source, Duration::from_secs(60)).0
    }

    fn run_call(&self, source: &str, timeout: Duration) -> (Result<Json, Failure>, Json) {
        self.run_for(source, timeout, None)
    }

    pub(super) fn run_for(
        &self,
        source: &str,
        timeout: Duration,
        request: Option<Arc<HttpRequest>>,
    ) -> (Result<Json, Failure>, Json) {
        let (engine, source) = (self.engine.clone(), source.to_owned());
        spawn_script_thread("test".into(), move || {
            let script = engine
                .compile(&source, &Within::default())
                .unwrap_or_else(|error| panic!("{error}\n{source}"));
            let call = Call {
                origin: request.map_or_else(super::sandbox::of_socket, Origin::Route),
                event: "event".into(),
                request_id: crate::id::new_id(),
                arguments: Arguments::one(&json!({})),
                user: Some(CallUser::Given(Arc::new(json!({ "id": "u1", "name": "Ada", "role": "user" })))),
                timeout,
                test: None,
            };
            let output = engine.run(&script, &call, Arc::new(RecordedHost::new(None, Vec::new(), false)));
            let logs = serde_json::from_str(&output.logs).unwrap();
            (output.outcome.map(|payload| payload.to_value()), logs)
        })
        .unwrap()
        .join()
        .unwrap()
    }

    fn check(&self, source: &str, expected: Json) {
        assert_eq!(self.run(source), Ok(expected), "{source}");
    }

    fn fails(&self, source: &str, code: &str) -> String {
        let failure = self.run(source).expect_err(source);
        assert_eq!(failure.code.as_str(), code, "{source}: {failure}");
        failure.message.into_owned()
    }

    /// Puts hooks in place: the table, when and on what, the script.
    fn hook(&self, hooks: &[(&str, HookWhen, &[Operation], Json, &str)]) {
        let mut all = Hooks::new();
        for (index, (table, when, on, condition, source)) in hooks.iter().enumerate() {
            let name = format!("hook {index}");
            let handler = self.handler(source, &name);
            let changed = condition["_changed"].as_array().cloned().unwrap_or_default();
            let mut filter = condition.clone();
            filter.as_object_mut().map(|filter| filter.remove("_changed"));
            all.entry((*table).to_owned()).or_default().push(Arc::new(Hook {
                when: *when,
                on: on.to_vec(),
                condition: HookCondition {
                    filter: (!filter.is_null())
                        .then(|| self.data.table(table).unwrap().filter(&filter).unwrap()),
                    changed: changed.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
                },
                handler: Arc::new(handler),
            }));
        }
        self.engine.set_hooks(all);
    }

    fn handler(&self, source: &str, name: &str) -> Handler {
        let (engine, source, name) = (self.engine.clone(), source.to_owned(), name.to_owned());
        spawn_script_thread("compile".into(), move || {
            let from = HandlerSource {
                owner: crate::id::new_id(),
                script: "sourceCode",
                version: store::now(),
                gateway: "hooks",
                name: &name,
                source: &source,
                pack: None,
                schema: None,
                timeout: Duration::from_secs(5),
                durable: None,
            };
            Handler::new(&from, &Arc::default(), &engine, &Arc::new(Metrics::new()))
        })
        .unwrap()
        .join()
        .unwrap()
    }
}

#[test]
fn rows_come_and_go() {
    let fixture = fixture();
    fixture.check(
        r#"
        let m = #message.create(#{ data: #{ text: "é🦀", extra: #{ a: [1, ()] }, score: 1, at: "2026-01-31T13:00:00+01:00" } });
        let again = #message.findOne(#{ filter: #{ id: m.id } });
        if again != m { throw `${again} is not ${m}`; }
        [m.text, m.likes, m.roomId, m.extra, m.score, m.at, m.isPinned, m.createdAt == m.updatedAt]
        "#,
        json!(["é🦀", 0, null, { "a": [1, null] }, 1.0, "2026-01-31T12:00:00.000Z", null, true]),
    );
    fixture.check(
        r#"
        let rows = #message.createMany(#{ data: [#{ text: "a", likes: 2 }, #{ text: "b", likes: 1 }, #{ text: "c" }] });
        let found = #message.find(#{ filter: #{ likes: #{ _gte: 1 } }, sort: "-likes", fields: "text", meta: "*" });
        [rows.len(), found]
        "#,
        json!([3, { "data": [{ "text": "a" }, { "text": "b" }], "meta": { "totalCount": 4, "filterCount": 2 } }]),
    );
    fixture.check(
        r#"
        let a = #message.findOne(#{ filter: #{ text: "a" } });
        let one = #message.update(#{ id: a.id, data: #{ likes: #{ _inc: 5 } } });
        let seeds = #message.update(#{ filter: #{ id: #{ _eq: a.id } }, body: #{ isPinned: true } });
        let many = #message.update(#{ filter: #{ likes: #{ _lt: 2 } }, data: #{ likes: #{ _inc: 1 } } });
        [one.likes, seeds.likes, seeds.isPinned, many.data.len(), #message.count(), #message.count(#{ likes: 1 }), #message.exists(#{ text: "zz" })]
        "#,
        json!([7, 7, true, 3, 4, 2, false]),
    );
    fixture.check(
        r#"
        let a = #message.findOne(#{ filter: #{ text: "a" } });
        [#message.delete(#{ id: a.id }), #message.delete(#{ id: a.id }), #message.delete(#{ filter: #{ likes: #{ _gte: 0 } } }), @REPOS.message.count(), @REPOS["room"].count()]
        "#,
        json!([{ "deleted": 1 }, { "deleted": 0 }, { "deleted": 3 }, 0, 0]),
    );
}

#[test]
fn what_is_wrong_is_told() {
    let fixture = fixture();
    for (source, code, told) in [
        (r#"#nothing.find()"#, "RESOURCE_NOT_FOUND", "nothing"),
        (r#"#message.create(#{ data: #{} })"#, "VALIDATION_ERROR", "text: is required"),
        (r#"#message.create(#{ data: #{ text: 5 } })"#, "VALIDATION_ERROR", "text: takes text"),
        (
            r#"#message.create(#{ data: #{ text: "a", nope: 5 } })"#,
            "VALIDATION_ERROR",
            "known: id, text, likes",
        ),
        (r#"#message.create(#{ text: "a" })"#, "VALIDATION_ERROR", "known: data, body"),
        (
            r#"#message.create(#{ data: #{ text: "a", createdAt: "2026-01-01T00:00:00Z" } })"#,
            "VALIDATION_ERROR",
            "server",
        ),
        (r#"#message.find(#{ filter: #{ text: #{ _regex: "a" } } })"#, "VALIDATION_ERROR", "_starts_with"),
        (r#"#message.find(#{ filter: #{ "text; DROP TABLE gw_user": 1 } })"#, "VALIDATION_ERROR", "no field"),
        (r#"#message.find(#{ sort: "text; DROP TABLE gw_user" })"#, "VALIDATION_ERROR", "no field"),
        (r#"#message.find(#{ fields: "password" })"#, "VALIDATION_ERROR", "no field"),
        (r#"#message.find(#{ page: -1 })"#, "VALIDATION_ERROR", "page"),
        (r#"#message.find(#{ limit: 1001 })"#, "VALIDATION_ERROR", "limit"),
        (r#"#message.update(#{ id: "nope", data: #{ likes: 1 } })"#, "RESOURCE_NOT_FOUND", "nope"),
        (r#"#message.update(#{ data: #{ likes: 1 } })"#, "VALIDATION_ERROR", "id"),
        (
            r#"#message.create(#{ data: #{ text: "a", roomId: @HELPERS.uuid() } })"#,
            "VALIDATION_ERROR",
            "does not exist",
        ),
        (
            r#"#message.create(#{ data: #{ text: "a", likes: 9223372036854775807 } }); #message.update(#{ filter: #{ likes: #{ _gt: 5 } }, data: #{ likes: #{ _inc: 1 } } })"#,
            "VALIDATION_ERROR",
            "range",
        ),
        (
            r#"let m = #message.create(#{ data: #{ text: "b", likes: 9223372036854775807 } }); #message.update(#{ id: m.id, data: #{ likes: #{ _inc: 1 } } })"#,
            "VALIDATION_ERROR",
            "range",
        ),
        (
            r#"let r = #room.create(#{ data: #{ name: "x" } }); #room.create(#{ data: #{ name: "x" } })"#,
            "DUPLICATE_RESOURCE",
            "name",
        ),
        (
            r#"let r = #room.create(#{ data: #{ name: "y" } }); #message.create(#{ data: #{ text: "a", roomId: r.id } }); #room.delete(#{ id: r.id })"#,
            "DUPLICATE_RESOURCE",
            "refer",
        ),
        (r#"#room.create(#{ data: #{ name: "a\u0000b" } })"#, "VALIDATION_ERROR", "NUL"),
        (r#"for i in 0..300 { #room.count(); }"#, "SCRIPT_OUTPUT_LIMIT", "database"),
        (r#"#secure.message.create(#{ data: #{ text: "a" } })"#, "AUTHORIZATION_ERROR", "role"),
    ] {
        let message = fixture.fails(source, code);
        assert!(message.contains(told), "{source}: {message}");
    }
    let tables = ["message".to_owned()].into();
    let engine = fixture.engine.clone();
    let checked = spawn_script_thread("check".into(), move || {
        ["\n  #mesage.find()", "#message.find()", "@REPOS.x.find()", "#secure.messag.find()"].map(|source| {
            engine
                .check(source, &Within::default(), Some(&tables))
                .map(drop)
                .map_err(|error| (error.line, error.message))
        })
    });
    let [wrong, fine, repos, secure] = checked.unwrap().join().unwrap();
    let (line, message) = wrong.unwrap_err();
    assert_eq!((line, fine), (2, Ok(())));
    assert!(message.contains("did you mean #message?"), "{message}");
    assert!(repos.is_err() && secure.is_err());
}

#[test]
fn secure_reads_are_within_what_the_user_may() {
    let fixture = fixture();
    fixture.check(
        r#"
        #message.createMany(#{ data: [#{ text: @USER.id }, #{ text: "Bob" }] });
        let found = #secure.message.find(#{ meta: "*" });
        [found.data.len(), found.meta.totalCount, #secure.message.count(), #message.count()]
        "#,
        json!([1, 1, 1, 2]),
    );
}

#[test]
fn transactions_are_all_or_nothing() {
    let fixture = fixture();
    fixture.check(
        r#"
        let n = 5;
        let room = @TRANSACTION { n += 1; let r = #room.create(#{ data: #{ name: `${n}` } }); r.name };
        let caught = "";
        try {
            @TRANSACTION {
                #room.create(#{ data: #{ name: "lost" } });
                try { @TRANSACTION { #room.create(#{ data: #{ name: "inner" } }); @THROW.conflict("inner"); } } catch (e) { caught = e.message; }
                #room.create(#{ data: #{ name: "lost too" } });
                if #room.count() != 3 { throw "reads its own writes"; }
                try { #room.create(#{ data: #{ name: "6" } }); } catch (e) { caught += e.code; }
                #room.create(#{ data: #{ name: "also lost" } });
                throw "no";
            }
        } catch (e) { caught += e; }
        [room, n, caught, #room.count()]
        "#,
        json!(["6", 6, "innerDUPLICATE_RESOURCEno", 1]),
    );
    fixture.check(r#"fn f() { @TRANSACTION { #room.create(#{ data: #{ name: "kept" } }); return 7; } } [f(), #room.count()]"#, json!([7, 2]));
    let failure = fixture.run_call(
        r#"@TRANSACTION { #room.create(#{ data: #{ name: "timeout" } }); loop {} }"#,
        Duration::from_millis(300),
    );
    assert_eq!(failure.0.unwrap_err().code.as_str(), "SCRIPT_TIMEOUT");
    fixture.check("#room.count()", json!(2));
}

#[test]
fn hooks_run_around_writes() {
    use HookWhen::{After, Before};
    use Operation::{Create, Delete, Update};
    let fixture = fixture();
    fixture.hook(&[
        ("message", Before, &[Create, Update], json!({}), r#"if @DATA.text == "bad" { @THROW.validation("bad text"); } let d = @DATA; d.text = d.text.to_upper(); d"#),
        ("message", After, &[Update], json!({ "_changed": ["likes"], "likes": { "_gt": 1 } }), r#"@LOGS(`likes ${@OLD.likes} -> ${@DATA.likes}`); @SOCKET.broadcast("liked", @DATA.id);"#),
        ("message", Before, &[Delete], json!({}), r#"#room.create(#{ data: #{ name: "trace of " + @DATA.text } });"#),
        ("room", After, &[Create], json!(null), r#"@LOGS(@EVENT + " " + @DATA.name); if @DATA.name == "fails" { throw "after"; }"#),
    ]);
    let (result, logs) = fixture.run_call(
        r#"
        let m = #message.create(#{ data: #{ text: "a" } });
        let caught = "";
        try { #message.create(#{ data: #{ text: "bad" } }); } catch (e) { caught = e.message; }
        #message.update(#{ id: m.id, data: #{ likes: #{ _inc: 1 } } });
        let liked = #message.update(#{ id: m.id, data: #{ likes: #{ _inc: 1 } } });
        #message.update(#{ id: m.id, data: #{ isPinned: true } });
        @TRANSACTION { #room.create(#{ data: #{ name: "in" } }); @LOGS("end of block"); }
        try { @TRANSACTION { #room.create(#{ data: #{ name: "undone" } }); throw 1; } } catch {}
        #room.create(#{ data: #{ name: "fails" } });
        #message.delete(#{ id: m.id });
        [m.text, caught, liked.likes, #room.count()]
        "#,
        Duration::from_secs(60),
    );
    assert_eq!(result, Ok(json!(["A", "bad text", 2, 3])));
    assert_eq!(
        logs,
        json!(["likes 1 -> 2", "end of block", "create in", "create fails", "create trace of A"])
    );
}

#[test]
fn a_chain_of_hooks_is_cut() {
    let fixture = fixture();
    fixture.hook(&[(
        "message",
        HookWhen::After,
        &[Operation::Update],
        json!({}),
        "#message.update(#{ id: @DATA.id, data: #{ likes: #{ _inc: 1 } } });",
    )]);
    fixture.check(
        r#"
        let m = #message.create(#{ data: #{ text: "a" } });
        #message.update(#{ id: m.id, data: #{ likes: #{ _inc: 1 } } });
        #message.findOne(#{ filter: #{ id: m.id } }).likes
        "#,
        json!(9),
    );
}

#[test]
fn a_test_run_leaves_nothing_and_says_what_it_wrote() {
    let fixture = fixture();
    let test = |source: &str, is_live: bool| {
        let test = TestCall {
            clock_ms: None,
            waiting: Vec::new(),
            events: None,
            move_on: None,
            app: None,
            source: source.to_owned(),
            within: Within::default(),
            checked_by: None,
            trigger: Trigger::Socket { gateway: "/".into(), rooms: Vec::new() },
            event: "e".into(),
            payload: json!({}),
            user: None,
            timeout: Duration::from_secs(60),
            is_live,
            old: Json::Null,
            sockets: Vec::new(),
            rows: [("room".to_owned(), vec![json!({ "name": "there" }).as_object().unwrap().clone()])].into(),
            rows_of: vec!["room".to_owned()],
        };
        fixture.runtime.block_on(run_test(&fixture.engine, test)).unwrap()
    };
    let source = r#"
        #room.create(#{ data: #{ name: "new" } });
        @TRANSACTION { #room.update(#{ filter: #{ name: "there" }, data: #{ name: "changed" } }); }
        #room.delete(#{ filter: #{ name: "new" } });
        #room.count()
    "#;
    let outcome = test(source, false);
    assert_eq!(outcome.result, Ok(json!(1)));
    let writes: Vec<_> =
        outcome.writes.iter().map(|write| (write.operation, write.row["name"].clone())).collect();
    assert_eq!(writes, [("create", json!("new")), ("update", json!("changed")), ("delete", json!("new"))]);
    assert_eq!(outcome.rows["room"].len(), 1);
    fixture.check("#room.count()", json!(0));
}

#[test]
fn definitions_change_with_their_rows() {
    let fixture = fixture();
    fixture.check(
        r#"#room.create(#{ data: #{ name: "r" } }); for i in 0..3 { #message.create(#{ data: #{ text: `${i}`, likes: i, roomId: #room.findOne().id } }); } 1"#,
        json!(1),
    );
    let tables = fixture.data.tables();
    let message = tables["message"].id;
    let change =
        |change| fixture.edit(async |on| fixture.data.update_table(on, message, change).await.map(drop));
    let of = |rename: &[(&str, &str)], drop: &[&str], add: &[ColumnSpec], confirm: bool| TableChange {
        rename: rename.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
        drop: drop.iter().map(|name| (*name).to_owned()).collect(),
        add: add.to_vec(),
        confirm,
        ..TableChange::default()
    };
    let refused = change(of(&[], &["likes"], &[], false)).unwrap_err().to_string();
    assert!(refused.contains("likes (3 values)") && refused.contains("confirm"), "{refused}");
    change(of(
        &[("likes", "stars")],
        &[],
        &[ColumnSpec { default: Some(json!("new")), required: true, ..column("state", "string") }],
        false,
    ))
    .unwrap();
    fixture.check(
        r#"#message.find(#{ sort: "stars" }).data.map(|m| [m.stars, m.state])"#,
        json!([[0, "new"], [1, "new"], [2, "new"]]),
    );
    // The reference goes: SQLite rebuilds the table.
    change(of(&[], &["roomId", "score"], &[], true)).unwrap();
    fixture.check(
        r#"[#message.count(), "roomId" in #message.findOne(), #message.findOne().text]"#,
        json!([3, false, "0"]),
    );
    let mut columns: Vec<ColumnSpec> =
        fixture.data.tables()["message"].own_columns().iter().map(ColumnSpec::from).collect();
    columns.iter_mut().find(|column| column.name == "stars").unwrap().kind = "float".into();
    change(TableChange { columns: Some(columns), ..TableChange::default() }).unwrap();
    fixture.check(r#"#message.find(#{ sort: "-stars" }).data[0].stars"#, json!(2.0));
    change(TableChange { name: Some("post".into()), ..TableChange::default() }).unwrap();
    fixture.check("#post.count()", json!(3));
    let delete = |confirm| fixture.edit(async |on| fixture.data.delete_table(on, message, confirm).await);
    let lost = delete(false).unwrap_err().to_string();
    assert!(lost.contains("3 rows"), "{lost}");
    delete(true).unwrap();
    assert!(fixture.fails("#post.count()", "RESOURCE_NOT_FOUND").contains("post"));
}
