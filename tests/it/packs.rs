//! Packs with all that they hold: tables, routes and hooks beside gateways; what an admin edits and
//! what rows would be lost; `/admin/packs`; and script tests of all of it.

use serde_json::{Value as Json, json};

use super::cli::data_of;
use super::support::database::{Database, on_each_database};
use super::support::place::{Done, Place};
use super::support::server::{Answer, Server, until};

/// A server, its admin, and a folder with the pack `shop` beside it.
struct Shop {
    server: Server,
    token: String,
    place: Place,
}

/// The pack: an author has books, a hook gives each a number of pages, and a route lists them.
const TABLES: &str = r#"
[[tables]]
name = "book"
access = { read = "public" }
columns = [
  { name = "title", type = "string", required = true },
  { name = "pages", type = "integer", default = 1 },
  { name = "authorId", type = "uuid", references = "author" },
]

[[tables]]
name = "author"
columns = [{ name = "name", type = "string", unique = true }]
"#;
const ROUTE: &str = r#"
[[routes]]
method = "get"
path = "/books/:id"
access = "public"
script = "book.rhai"
"#;
const HOOK: &str = r#"
[[hooks]]
table = "book"
when = "before"
on = ["create"]
condition = { title = { _starts_with = "T" } }
script = "count.rhai"
"#;
const GATEWAY: &str = r#"
[[gateways]]
path = "/shop"
requireAuth = false
[[gateways.events]]
name = "add"
script = "add.rhai"
"#;

impl Shop {
    fn on(database: Database) -> Self {
        let server = Server::start_on(database, &[], &[]);
        let (token, place) = (server.admin_token(), Place::beside(&server));
        let shop = Self { server, token, place };
        shop.has(&[TABLES, GATEWAY, ROUTE, HOOK]);
        shop.place.write("shop/book.rhai", "return #book.findOne(#{ filter: #{ id: @PARAMS.id } });");
        shop.place.write("shop/count.rhai", "return #{ pages: @DATA.title.len() };");
        shop.place.write(
            "shop/add.rhai",
            "let author = #author.create(#{ data: #{ name: @BODY.by } });\n\
            return #book.create(#{ data: #{ title: @BODY.title, authorId: author.id } });",
        );
        shop
    }

    /// Writes `pack.toml` of these parts.
    fn has(&self, parts: &[&str]) {
        self.place.write(
            "shop/pack.toml",
            &format!("name = \"shop\"\ndescription = \"Books\"\n{}", parts.concat()),
        );
    }

    fn pack(&self, args: &[&str]) -> Done {
        let data = data_of(&self.server);
        let all: Vec<_> = ["pack"].iter().chain(args).chain(&["--data", &data]).copied().collect();
        self.place.run(&all)
    }

    fn install(&self, flags: &[&str]) -> Done {
        self.pack(&[&["install", "shop"], flags].concat())
    }

    fn call(&self, method: &str, path: &str, body: Option<Json>) -> Answer {
        self.server.admin(&self.token, method, path, body.as_ref())
    }

    /// Runs a script whose writes stay.
    fn run(&self, script: &str, payload: Json) -> Json {
        let body = json!({ "kind": "script", "script": script, "payload": payload, "commit": true });
        self.call("POST", "/admin/test/run", Some(body)).json()
    }

    /// What the event of the pack does.
    fn add(&self, title: &str, by: &str) -> Json {
        self.add_with(title, by, true)
    }

    fn add_with(&self, title: &str, by: &str, commit: bool) -> Json {
        let body = json!({ "kind": "websocket_event", "gatewayPath": "/shop", "eventName": "add",
            "payload": { "title": title, "by": by }, "commit": commit });
        self.call("POST", "/admin/test/run", Some(body)).json()
    }

    /// Waits until the server has seen all of the pack, the hook being the last.
    fn until_live(&self) {
        self.until("the pack is live", || self.add_with("There", "Ada", false)["result"]["pages"] == 5);
    }

    fn packs(&self) -> Vec<Json> {
        self.call("GET", "/admin/packs", None).json()["data"].as_array().unwrap().clone()
    }

    /// Waits for a change that the command line made: it is no other than a neighbour's.
    fn until(&self, what: &str, check: impl Fn() -> bool) {
        until(what, || check().then_some(()));
    }
}

fn all_kinds_install_change_and_go(database: Database) {
    let shop = Shop::on(database);
    let all =
        ["+ table author", "+ table book", "+ /shop", "+ /shop add", "+ GET /books/{id}", "+ hook before"];
    shop.install(&["--dry-run"]).check(0, &all);
    assert_eq!(shop.add("x", "y")["success"], false, "a dry run writes nothing");
    let done = shop.install(&[]);
    done.check(0, &all);
    assert!(done.out.find("table author") < done.out.find("table book"), "what is referenced comes first");
    shop.install(&[]).check(0, &["nothing to change"]);

    shop.until_live();
    assert_eq!(shop.add("There", "Ada")["success"], true);
    let book = shop.add("Those", "Eve")["result"].clone();
    assert_eq!(book["pages"], 5, "the hook ran");
    assert_eq!(shop.add("Other", "Bob")["result"]["pages"], 1, "where its condition is met");
    let path = format!("/books/{}", book["id"].as_str().unwrap());
    let answer = shop.server.call("GET", &path, None, &[]);
    assert_eq!((answer.status, answer.json()["title"].clone()), (200, json!("Those")));

    // A new version: a column more, another script, the hook gone.
    shop.has(&[
        &TABLES.replace("\"pages\", type = \"integer\"", "\"pages\", type = \"float\""),
        GATEWAY,
        ROUTE,
    ]);
    shop.place.write("shop/book.rhai", "return #book.count();");
    let done = shop.install(&[]);
    done.check(0, &["~ table book", "~ GET /books/{id}", "- hook before create of book"]);
    assert!(!done.out.contains("author") && !done.out.contains("/shop"), "{}", done.out);
    shop.until("the new script", || shop.server.call("GET", &path, None, &[]).body == "3");
    shop.until("the hook is gone", || {
        shop.add("Time", &uuid::Uuid::new_v4().to_string())["result"]["pages"] == 1.0
    });

    // An export is the pack again.
    let out = shop.place.path("out").display().to_string();
    shop.pack(&["export", "shop", &out]).check(0, &[]);
    shop.pack(&["diff", &out]).check(0, &["nothing to change"]);
    shop.place.run(&["check", &out]).check(0, &["2 scripts checked"]);
    shop.place.run(&["test", &out]).check(1, &["there are no tests"]);

    // It goes, rows and all, only when that is said.
    shop.pack(&["uninstall", "shop"]).check(1, &["table book", "rows", "--force"]);
    shop.pack(&["uninstall", "shop", "--force"])
        .check(0, &["- table author", "- /shop", "- GET /books/{id}"]);
    shop.until("the route is gone", || shop.server.call("GET", &path, None, &[]).status == 404);
    shop.pack(&["uninstall", "shop"]).check(1, &["shop"]);
    assert!(
        shop.run("return #book.count();", json!({}))["error"]["message"].as_str().unwrap().contains("book")
    );
}

fn values_are_not_lost_unasked(database: Database) {
    let shop = Shop::on(database);
    shop.install(&[]).check(0, &[]);
    shop.until_live();
    assert_eq!(shop.add("There", "Ada")["success"], true);

    // A column that holds values goes, or a table with rows, only when forced.
    let without_pages = TABLES.replace("  { name = \"pages\", type = \"integer\", default = 1 },\n", "");
    shop.place.write("shop/count.rhai", "");
    shop.has(&[&without_pages, GATEWAY, ROUTE, HOOK]);
    shop.install(&["--dry-run"]).check(0, &["! table book", "pages (1 values)"]);
    shop.install(&[]).check(1, &["table book", "pages (1 values)", "--force"]);
    assert_eq!(shop.run("return #book.findOne().pages;", json!({}))["result"], 5, "nothing has changed");
    shop.install(&["--force"]).check(0, &["~ table book"]);
    shop.until("the column is gone", || {
        shop.run("return \"pages\" in #book.findOne();", json!({}))["result"] == false
    });

    let (book, _author) = without_pages.split_at(without_pages.rfind("[[tables]]").unwrap());
    let book = book.replace("  { name = \"authorId\", type = \"uuid\", references = \"author\" },\n", "");
    let scripts = "return #book.count();";
    shop.place.write("shop/add.rhai", scripts);
    shop.has(&[&book, GATEWAY, ROUTE, HOOK]);
    shop.install(&[]).check(1, &["table author", "loses 1 rows"]);
    shop.install(&["--force"]).check(0, &["- table author"]);

    // What the rows do not allow is refused whatever is forced, and before anything is written.
    let wrong = book.replace(
        "{ name = \"title\"",
        "{ name = \"isbn\", type = \"string\", required = true },\n{ name = \"title\"",
    );
    shop.place.write("shop/add.rhai", "return 5;");
    shop.has(&[&wrong, GATEWAY, ROUTE, HOOK]);
    shop.install(&["--force"]).check(1, &["table book", "isbn"]);
    shop.has(&[&book, GATEWAY, ROUTE, HOOK]);
    shop.install(&["--dry-run"]).check(0, &["~ /shop add"]);
}

fn an_admins_edits_are_not_overwritten(database: Database) {
    let shop = Shop::on(database);
    shop.install(&[]).check(0, &[]);
    shop.until_live();
    let row_of = |kind: &str| shop.call("GET", &format!("/admin/{kind}"), None).json()["data"][0].clone();
    let route = row_of("routes");
    assert_eq!((&route["pack"], &route["path"]), (&json!("shop"), &json!("/books/{id}")));
    let path = format!("/admin/routes/{}", route["id"].as_str().unwrap());
    let edit = json!({ "path": "/books/{book}", "description": "mine" });
    assert_eq!(shop.call("PATCH", &path, Some(edit)).status, 200);
    shop.install(&["--dry-run"]).check(0, &["! GET /books/{id}", "edited since"]);
    shop.install(&[]).check(1, &["GET /books/{id}", "--force"]);
    assert_eq!(row_of("routes")["description"], "mine");
    shop.install(&["--force"]).check(0, &["~ GET /books/{id}"]);
    shop.until("the pack's own", || row_of("routes")["description"] == "");
    assert_eq!(row_of("routes")["id"], route["id"], "it is the same route");

    // Moved elsewhere, it is still the pack's: it goes only when that is said.
    let edit = json!({ "path": "/mine/{id}" });
    assert_eq!(shop.call("PATCH", &path, Some(edit)).status, 200);
    shop.install(&[]).check(1, &["GET /mine/{id}"]);
    shop.install(&["--force"]).check(0, &["+ GET /books/{id}", "- GET /mine/{id}"]);

    // What is there and not the pack's is not taken over, unless it is as the pack wants it.
    let theirs = json!({ "method": "POST", "path": "/theirs", "sourceCode": "return 1;" });
    assert_eq!(shop.call("POST", "/admin/routes", Some(theirs)).status, 201);
    let wanted = "[[routes]]\nmethod = \"POST\"\npath = \"/theirs\"\nscript = \"theirs.rhai\"\n";
    shop.place.write("shop/theirs.rhai", "return 2;");
    shop.has(&[TABLES, GATEWAY, ROUTE, HOOK, wanted]);
    shop.install(&[]).check(1, &["POST /theirs", "not of this pack"]);
    shop.place.write("shop/theirs.rhai", "return 1;");
    shop.install(&[]).check(0, &["nothing to change"]);
    shop.has(&[TABLES, GATEWAY, ROUTE, HOOK]);
    shop.install(&[]).check(0, &["- POST /theirs"]);

    // What others need stays, whatever is forced.
    let column = json!({ "name": "authorId", "type": "uuid", "references": "author" });
    let prize = json!({ "name": "prize", "columns": [column] });
    let made = shop.call("POST", "/admin/tables", Some(prize));
    assert_eq!(made.status, 201, "{}", made.body);
    shop.pack(&["uninstall", "shop", "--force"]).check(1, &["table prize needs the table author"]);
    let prize = format!("/admin/tables/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(shop.call("DELETE", &prize, None).status, 204);
    let hook = json!({ "table": "book", "when": "after", "on": ["delete"], "sourceCode": "" });
    let made = shop.call("POST", "/admin/hooks", Some(hook));
    assert_eq!(made.status, 201, "{}", made.body);
    shop.pack(&["uninstall", "shop"]).check(1, &["hook after delete of book needs the table book"]);
    shop.install(&[]).check(0, &["nothing to change"]);
    let hook = format!("/admin/hooks/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(shop.call("DELETE", &hook, None).status, 204);
    shop.pack(&["uninstall", "shop"]).check(0, &["- table book"]);
}

on_each_database!(
    all_kinds_install_change_and_go,
    values_are_not_lost_unasked,
    an_admins_edits_are_not_overwritten,
    packs_in_the_admin_api,
);

#[test]
fn manifests_that_are_wrong() {
    let shop = Shop::on(Database::Sqlite);
    let check = |parts: &[&str], mentions: &[&str]| {
        shop.has(parts);
        for args in [vec!["check", "shop"], vec!["pack", "install", "shop", "--data", "other"]] {
            shop.place.run(&args).check(1, mentions);
        }
    };
    check(&[TABLES, TABLES], &["pack.toml", "table book", "twice"]);
    check(&[TABLES, &TABLES.replace("\"book\"", "\"Book\"")], &["table Book", "twice"]);
    check(&[TABLES, HOOK, HOOK], &["hook before create of book", "priorities"]);
    check(&[TABLES, ROUTE, &ROUTE.replace(":id", "{other}")], &["GET /books/{other}", "twice"]);
    check(
        &[&ROUTE.replace("book.rhai", "nothing.rhai")],
        &["there is no file nothing.rhai", "GET /books/{id}"],
    );
    check(&[&ROUTE.replace("get", "FETCH")], &["method", "GET"]);
    check(&[&ROUTE.replace("access", "acess")], &["acess", "access"]);
    check(&[&TABLES.replace("integer", "int")], &["table book", "pages", "integer"]);
    check(&[&TABLES.replace("public", "everyone")], &["pack.toml", "everyone"]);
    check(&[ROUTE], &["there is no table book"]);

    // What only the database can tell is told before anything is written.
    let install = |parts: &[&str], mentions: &[&str]| {
        shop.has(parts);
        shop.place.run(&["pack", "install", "shop", "--data", "other"]).check(1, mentions);
    };
    install(
        &[&TABLES.replace("references = \"author\"", "references = \"nobody\"")],
        &["table book", "nobody"],
    );
    let circle = TABLES.replace(
        "{ name = \"name\", type = \"string\", unique = true }",
        "{ name = \"bookId\", type = \"uuid\", references = \"book\" }",
    );
    install(&[&circle], &["table", "needs"]);
    install(&[TABLES, GATEWAY, ROUTE, &HOOK.replace("title =", "colour =")], &["hook before", "colour"]);
    install(&[TABLES, &HOOK.replace("\"book\"", "\"shelf\"")], &["hook before", "shelf"]);
    install(&[TABLES, &ROUTE.replace("/books", "/admin")], &["/admin"]);
    install(&[TABLES, &ROUTE.replace("\"public\"", "\"all\"")], &["access"]);
    shop.has(&[TABLES, GATEWAY, ROUTE, HOOK]);
    let plan = shop.place.run(&["pack", "install", "shop", "--dry-run", "--data", "other"]);
    plan.check(0, &["+ table author", "+ table book"]);
}

fn packs_in_the_admin_api(database: Database) {
    let shop = Shop::on(database);
    let chat = shop.packs().into_iter().find(|pack| pack["name"] == "chat").unwrap();
    assert_eq!(
        (&chat["isBuiltIn"], &chat["isInstalled"], &chat["installedAt"]),
        (&json!(true), &json!(false), &Json::Null)
    );
    assert!(chat["tables"].as_array().unwrap().contains(&json!("message")), "{chat}");
    assert_eq!(chat["gateways"], json!(["/chat"]));
    assert_eq!(chat["routes"], json!(["POST /orders/{id}/ship"]));

    let post = |body: Json| shop.call("POST", "/admin/packs", Some(body));
    let dry = post(json!({ "name": "chat", "mount": "/m", "dryRun": true }));
    assert_eq!(dry.status, 200, "{}", dry.body);
    let subjects = |answer: &Json| {
        let changes = answer["changes"].as_array().unwrap().iter();
        changes.map(|change| (change["action"].clone(), change["subject"].clone())).collect::<Vec<_>>()
    };
    assert!(subjects(&dry.json()).contains(&(json!("create"), json!("/m/chat joinRoom"))));
    assert_eq!(dry.json()["isInstalled"], false);
    assert_eq!(shop.call("GET", "/admin/packs/chat", None).json()["isInstalled"], false);

    let done = post(json!({ "name": "chat" }));
    assert_eq!(done.status, 201, "{}", done.body);
    assert!(subjects(&done.json()).contains(&(json!("create"), json!("table message"))));
    assert_eq!(done.json()["isInstalled"], true);
    super::support::polling::Polling::connect(&shop.server, "/chat", None);
    assert_eq!(
        post(json!({ "name": "chat" })).json()["changes"],
        json!([]),
        "a second time there is nothing to do"
    );
    assert!(shop.call("GET", "/admin/packs/chat", None).json()["installedAt"].is_string());

    // An edit is a conflict that says what it is about.
    let route = shop.call("GET", "/admin/routes", None).json()["data"][0].clone();
    let path = format!("/admin/routes/{}", route["id"].as_str().unwrap());
    shop.call("PATCH", &path, Some(json!({ "access": "public" })));
    let conflict = post(json!({ "name": "chat" }));
    assert_eq!((conflict.status, conflict.code().as_str()), (409, "DUPLICATE_RESOURCE"));
    assert_eq!(conflict.json()["error"]["details"]["conflicts"][0]["subject"], "POST /orders/{id}/ship");
    let change = post(json!({ "name": "chat", "dryRun": true })).json()["changes"][0].clone();
    assert_eq!((&change["action"], &change["kind"]), (&json!("conflict"), &json!("route")));
    assert!(change["before"].as_str().unwrap().contains("public"), "{change}");
    assert_eq!(post(json!({ "name": "chat", "force": true })).status, 201);

    for (body, status) in [
        (json!({ "name": "nothing" }), 404),
        (json!({ "name": shop.place.path("shop").display().to_string() }), 404),
        (json!({}), 400),
        (json!({ "name": "chat", "colour": 1 }), 400),
        (json!({ "name": "chat", "mount": "no path" }), 422),
    ] {
        let answer = post(body.clone());
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }

    // Those of the command line are listed too.
    shop.install(&[]).check(0, &[]);
    let listed = shop.packs().into_iter().find(|pack| pack["name"] == "shop").unwrap();
    assert_eq!(
        (&listed["isBuiltIn"], &listed["isInstalled"], &listed["hooks"][0]),
        (&json!(false), &json!(true), &json!("hook before create of book"))
    );

    shop.run("#message.create(#{ data: #{ roomId: \"7\", userId: \"u\", text: \"hi\" } });", json!({}));
    let refused = shop.call("DELETE", "/admin/packs/chat", None);
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("table message"), "{}", refused.body);
    assert_eq!(shop.call("DELETE", "/admin/packs/chat?force=true", None).status, 204);
    assert_eq!(shop.call("DELETE", "/admin/packs/chat", None).status, 404);
    assert_eq!(shop.call("GET", "/admin/packs/chat", None).json()["isInstalled"], false);
    assert_eq!(shop.call("GET", "/admin/packs/nothing", None).status, 404);
    assert!(
        super::support::polling::Polling::try_connect(&shop.server.url, "/chat", None).is_err(),
        "it is gone at once"
    );
}

/// Who edits the files means the files, but not the rows.
#[test]
fn a_watched_folder_keeps_rows() {
    let shop = Shop::on(Database::Sqlite);
    let folder = shop.place.path("").display().to_string();
    let server = Server::start_on(Database::Sqlite, &[], &["--watch", &folder]);
    let shop = Shop { token: server.admin_token(), server, place: shop.place };
    shop.until_live();
    assert_eq!(shop.add("There", "Ada")["success"], true);

    shop.place.write("shop/add.rhai", "return 1;");
    shop.place.write("shop/book.rhai", "return 1;");
    shop.has(&[GATEWAY, ROUTE]);
    shop.place.write("zoo/pack.toml", "name = \"zoo\"\n[[gateways]]\npath = \"/zoo\"\nrequireAuth = false\n");
    shop.until("the folder was read", || shop.packs().iter().any(|pack| pack["name"] == "zoo"));
    assert_eq!(shop.run("return #book.count();", json!({}))["result"], 1);
    // The command line says what it takes, and takes it.
    shop.install(&[]).check(1, &["table book (loses 1 rows)", "--force"]);
    shop.install(&["--force"]).check(0, &["- table book (loses 1 rows)"]);
}

#[test]
fn script_tests_of_all_kinds() {
    let shop = Shop::on(Database::Sqlite);
    let test = |text: &str| {
        shop.place.write("shop/tests/t.toml", &format!("[[tests]]\nname = \"t\"\n{text}\n"));
        shop.place.run(&["test", "shop"])
    };
    let author = "id = \"00000000-0000-7000-8000-000000000001\"";
    let rows = format!(
        "[tests.rows]\nauthor = [{{ {author}, name = \"Ada\" }}]\nbook = [{{ {author}, title = \"B\", authorId = \"00000000-0000-7000-8000-000000000001\" }}]\n"
    );
    let event = "event = \"add\"\npayload = { title = \"Those\", by = \"Eve\" }\n";
    test(&format!("{event}{rows}[tests.expect]\nrows.author = [{{ name = \"Ada\" }}, {{ name = \"Eve\", id = \"<any>\" }}]\nrows.book = [{{ pages = 1 }}, {{ pages = 5 }}]\nwrites = [{{ table = \"author\", operation = \"create\", row = {{ name = \"Eve\" }} }}, {{ table = \"book\", operation = \"create\", row = {{ pages = 5 }} }}]"))
        .check(0, &["1 passed"]);
    test(&format!("{event}{rows}[tests.expect]\nrows.book = [{{ pages = 1 }}, {{ pages = 6 }}]"))
        .check(1, &["rows of book", "6", "5"]);
    test(&format!("{event}[tests.expect]\nrows.book = []")).check(1, &["Those"]);
    test(&format!("{event}[tests.expect]\nwrites = []")).check(1, &["writes", "Eve"]);
    test(&format!("{event}rows.nothing = [{{ a = 1 }}]\n[tests.expect]")).check(1, &["nothing"]);
    test(&format!("{event}rows.author = [{{ colour = 1 }}]\n[tests.expect]")).check(1, &["colour", "name"]);
    test(&format!(
        "{event}rows.author = [{{ name = \"Eve\" }}]\n[tests.expect]\nerror = \"DUPLICATE_RESOURCE\""
    ))
    .check(0, &[]);

    let route = "kind = \"route\"\npath = \"/books/00000000-0000-7000-8000-000000000001\"\n";
    test(&format!("{route}{rows}[tests.expect]\nstatus = 200\nresult = {{ id = \"<any>\", title = \"B\", pages = 1, authorId = \"<any>\", createdAt = \"<any>\", updatedAt = \"<any>\" }}")).check(0, &[]);
    test(&format!("{route}[tests.expect]\nstatus = 404")).check(1, &["status", "404", "200"]);
    test("kind = \"route\"\npath = \"/nothing\"\n[tests.expect]").check(1, &["GET /nothing"]);
    shop.place.write(
        "shop/book.rhai",
        "@STATUS(201); @HEADER(\"x-id\", @PARAMS.id + @QUERY.q + @REQ.headers.h); return @BODY;",
    );
    test("kind = \"route\"\npath = \"/books/7\"\nquery = { q = \"8\" }\nheaders = { H = \"9\" }\npayload = 5\n[tests.expect]\nstatus = 201\nheaders = { x-id = \"789\" }\nresult = 5").check(0, &[]);
    test("kind = \"route\"\npath = \"/books/7\"\nquery = { q = \"8\" }\nheaders = { H = \"9\" }\n[tests.expect]\nheaders = { x-id = \"0\" }").check(1, &["789"]);

    let hook = "kind = \"hook\"\ntable = \"book\"\n";
    test(&format!("{hook}operation = \"create\"\nrow = {{ title = \"Title\" }}\n[tests.expect]\nresult = {{ pages = 5 }}")).check(0, &[]);
    test(&format!("{hook}operation = \"delete\"\n[tests.expect]")).check(1, &["no such hook"]);
    shop.place.write("shop/count.rhai", "return #{ was: @OLD.pages, event: @EVENT };");
    test(&format!("{hook}operation = \"create\"\nold = {{ pages = 4 }}\n[tests.expect]\nresult = {{ was = 4, event = \"create\" }}")).check(0, &[]);
    test("event = \"add\"\nscript = \"return #author.count();\"\nrows.author = [{ name = \"x\" }]\n[tests.expect]\nresult = 1").check(0, &[]);
}

/// What `check` says and what installing says are one: each of these packs is refused by both, for
/// the same reason.
#[test]
fn check_refuses_what_install_refuses() {
    let place = Place::new();
    let refuses = |pack: &str, manifest: &str, script: &str, mention: &str| {
        place.write(&format!("{pack}/pack.toml"), &format!("name = \"{pack}\"\n{manifest}\n"));
        place.write(&format!("{pack}/e.rhai"), script);
        place.run(&["check", pack]).check(1, &[mention]);
        place.run(&["pack", "install", pack, "--data", "data"]).check(1, &[mention]);
    };
    for (number, (gateway, event, script, mention)) in [
        (r#"path = "/a"; scriptTimeoutMs = 999999"#, r#"name = "e""#, "1", "scriptTimeoutMs"),
        (r#"path = "a b""#, r#"name = "e""#, "1", "path"),
        (r#"path = "/a"; allowedOrigins = ["nonsense"]"#, r#"name = "e""#, "1", "allowedOrigins"),
        (r#"path = "/a"; limits = { messageBytes = 999999999 }"#, r#"name = "e""#, "1", "messageBytes"),
        (r#"path = "/a""#, r#"name = "presence""#, "1", "reserved"),
        (r#"path = "/a""#, r#"name = "ws:all""#, "1", "reserved"),
        (r#"path = "/a""#, r#"name = "a*b""#, "1", "eventName"),
        (r#"path = "/a""#, r#"name = "a"; timeoutMs = 0"#, "1", "timeoutMs"),
        (r#"path = "/a""#, r#"name = "a"; payloadSchema = { type = "nonsense" }"#, "1", "payloadSchema"),
        (r#"path = "/a""#, r#"name = "a""#, r#"@SOCKET.broadcst("a", 1)"#, "did you mean broadcast?"),
        (r#"path = "/a""#, r#"name = "a""#, "#boook.find()", "did you mean #book?"),
        (r#"path = "/a"; conection = "e.rhai""#, r#"name = "a""#, "1", "did you mean connection?"),
    ]
    .into_iter()
    .enumerate()
    {
        let table = "[[tables]]\nname = \"book\"\n";
        let manifest = format!(
            "{table}[[gateways]]\n{}\n[[gateways.events]]\n{}\nscript = \"e.rhai\"",
            gateway.replace("; ", "\n"),
            event.replace("; ", "\n")
        );
        refuses(&format!("pack{number}"), &manifest, script, mention);
    }
    let book = "[[tables]]\nname = \"book\"\n";
    let hook = |rest: &str| {
        format!("{book}[[hooks]]\ntable = \"book\"\nscript = \"e.rhai\"\non = [\"create\"]\n{rest}")
    };
    let route = |rest: &str| format!("[[routes]]\nmethod = \"GET\"\nscript = \"e.rhai\"\n{rest}");
    for (number, (manifest, mention)) in [
        (format!("{book}access = {{ read = {{ nope = 1 }} }}"), "nope"),
        (format!("{book}access = {{ read = \"owner\" }}"), "ownerColumn"),
        ("[[tables]]\nname = \"gw_book\"".to_owned(), "gw_book"),
        (
            format!("{book}columns = [{{ name = \"a\", type = \"uuid\", references = \"nothing\" }}]"),
            "nothing",
        ),
        (route("path = \"/admin/mine\""), "/admin"),
        (route("path = \"/mine\"\naccess = \"anybody\""), "access"),
        (hook("when = \"around\""), "around"),
        (hook("when = \"after\"\ncondition = { nope = 1 }"), "nope"),
        (hook("when = \"after\"").replace("table = \"book\"", "table = \"nothing\""), "nothing"),
        ("[[gateway]]\npath = \"/a\"".to_owned(), "did you mean gateways?"),
    ]
    .into_iter()
    .enumerate()
    {
        refuses(&format!("other{number}"), &manifest, "return;", mention);
    }
    // All that is wrong is said at once.
    let manifest = "name = \"two\"\n[[gateways]]\npath = \"/a\"\n[[gateways.events]]\nname = \"event\"\nscript = \"a.rhai\"\n\
        [[routes]]\nmethod = \"GET\"\npath = \"/mine\"\naccess = \"anybody\"\nscript = \"b.rhai\"\n";
    place.write("two/pack.toml", manifest);
    place.write("two/a.rhai", "foo(1);");
    place.write("two/b.rhai", "bar(1);");
    place
        .run(&["check", "two"])
        .check(1, &["foo", "bar", "reserved", "access", "2 scripts checked, 4 errors"]);
}

/// Script tests run in the time of what they run, fail where there are none, and name what is near.
#[test]
fn script_tests_and_their_time() {
    let place = Place::new();
    place.write(
        "slow/pack.toml",
        "name = \"slow\"\n[[gateways]]\npath = \"/slow\"\nscriptTimeoutMs = 100\nconnection = \"sleep.rhai\"\n\
        [[gateways.events]]\nname = \"own\"\ntimeoutMs = 30000\nscript = \"sleep.rhai\"\n\
        [[gateways.events]]\nname = \"of-gateway\"\nscript = \"sleep.rhai\"\n\
        [[routes]]\nmethod = \"GET\"\npath = \"/slow\"\ntimeoutMs = 100\nscript = \"sleep.rhai\"\n",
    );
    place.write("slow/sleep.rhai", "@HELPERS.sleep(1000); return \"awake\";");
    place.run(&["test", "slow"]).check(1, &["there are no tests"]);
    place.write(
        "slow/tests/time.toml",
        "[[tests]]\nname = \"own\"\nevent = \"own\"\nexpect.result = \"awake\"\n\
        [[tests]]\nname = \"gateway\"\nevent = \"of-gateway\"\nexpect.error = \"SCRIPT_TIMEOUT\"\n\
        [[tests]]\nname = \"connection\"\nkind = \"connection\"\nexpect.error = \"SCRIPT_TIMEOUT\"\n\
        [[tests]]\nname = \"route\"\nkind = \"route\"\npath = \"/slow\"\nexpect.error = \"SCRIPT_TIMEOUT\"\n",
    );
    place.run(&["test", "slow"]).check(0, &["4 passed, 0 failed"]);
    place.write("slow/tests/wrong.toml", "[[tests]]\nname = \"x\"\nevnt = \"own\"\nexpect = {}\n");
    place.run(&["test", "slow"]).check(1, &["tests/wrong.toml", "did you mean event?"]);
    place.write("nothing/readme.toml", "");
    place.run(&["test", "nothing"]).check(1, &["there is no pack"]);
}
