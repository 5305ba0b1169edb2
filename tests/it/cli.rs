//! The command line: help, configuration, users, packs, backups, and what a start says.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::support::api::make_gateway;
use super::support::database::{Data, Database, on_each_database};
use super::support::node::run_in_browser;
use super::support::place::{Done, Place, Running};
use super::support::polling::Polling;
use super::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Answer, Server, send, until};

fn login(url: &str, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password }).to_string();
    send(url, "POST", "/auth/login", &[("content-type", "application/json")], body.as_bytes())
}

fn scripts() -> String {
    format!("{}/scripts", env!("CARGO_MANIFEST_DIR"))
}

/// A server's data folder as an argument.
pub fn data_of(server: &Server) -> String {
    server.data.path().display().to_string()
}

#[test]
fn cli_help() {
    let place = Place::new();
    place.run(&["--help"]).check(
        0,
        &[
            "serve", "demo", "check", "test", "pack", "user", "token", "app-key", "config", "migrate",
            "backup", "types",
        ],
    );
    let check = |command: &str, mentions: &[&str]| {
        let mut args: Vec<_> = command.split(' ').collect();
        args.push("--help");
        let done = place.run(&args);
        done.check(0, mentions).check(0, &["Usage: gatewright"]);
        assert!(done.err.is_empty() && done.out.lines().count() > 5, "{command}: {}", done.all());
    };
    check("serve", &["--listen", "--data", "--database-url", "--pack", "--watch", "--config"]);
    check("demo", &["--listen"]);
    check("check", &["PATH"]);
    check("test", &["PATH"]);
    check("pack", &["list", "install", "uninstall", "export", "diff"]);
    check("pack list", &["--data"]);
    check("pack install", &["--dry-run", "--force", "--mount", "--data"]);
    check("pack uninstall", &["--force", "--data"]);
    check("pack diff", &["--data"]);
    check("pack export", &["--data"]);
    check("user", &["create", "passwd", "list"]);
    check("user create", &["--email", "--password", "--role", "--data"]);
    check("user passwd", &["--email", "--password", "--data"]);
    check("user list", &["--data"]);
    check("token", &["--user", "--ttl", "--data"]);
    check("types", &["--out", "--check", "--url", "--token", "--gateway", "--data"]);
    check("app-key", &["create", "list", "delete"]);
    check("app-key create", &["--name", "--scope", "socket:read", "--expires", "--data"]);
    check("config", &["--config"]);
    check("migrate", &["--data"]);
    check("backup", &["FILE", "--data"]);
    place.run(&["--version"]).check(0, &["gatewright"]);
    place.run(&["nonsense"]).check(2, &["nonsense"]);
    place.run(&["serve", "--nonsense"]).check(2, &["--nonsense"]);
    place.run(&["serve", "--listen", "nonsense"]).check(2, &["--listen", "nonsense"]);
    assert_eq!(
        std::fs::read_dir(place.0.path()).unwrap().count(),
        0,
        "help and mistakes leave nothing behind"
    );
}

#[test]
fn cli_config_layers() {
    let place = Place::new();
    let setting = |args: &[&str], env: &[(&str, &str)], key: &str| {
        let mut all = vec!["config"];
        all.extend(args);
        let done = place.run_with(&all, env);
        done.check(0, &[]);
        let line = done.out.lines().find(|line| line.starts_with(&format!("{key} "))).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{key} is not in\n{}", done.out))
    };
    let check = |args: &[&str], env: &[(&str, &str)], key: &str, value: &str, origin: &str| {
        let line = setting(args, env, key);
        assert!(line.contains(value) && line.contains(origin), "{line}: not {value} from {origin}");
    };
    let burst = "limits.burst";
    check(&[], &[], burst, "200", "default");
    check(&[], &[], "listen", "127.0.0.1:4000", "default");
    check(&[], &[], "data_dir", "gatewright-data", "default");
    place.write("gatewright.toml", "listen = \"127.0.0.1:1111\"\n[limits]\nburst = 300\n");
    check(&[], &[], burst, "300", "gatewright.toml");
    check(&[], &[("LIMITS__BURST", "400")], burst, "400", "GATEWRIGHT_LIMITS__BURST");
    check(&[], &[], "listen", "127.0.0.1:1111", "gatewright.toml");
    let env = [("LISTEN", "127.0.0.1:2222")];
    check(&[], &env, "listen", "127.0.0.1:2222", "GATEWRIGHT_LISTEN");
    check(&["--listen", "127.0.0.1:3333"], &env, "listen", "127.0.0.1:3333", "flag");
    check(&["--data", "there"], &[], "data_dir", "there", "flag");
    check(&["--pack", "a", "--pack", "b"], &[], "packs", "[\"a\", \"b\"]", "flag");
    check(&[], &[("PACKS", "a,b")], "packs", "a", "GATEWRIGHT_PACKS");
    place.write("other.toml", "[limits]\nburst = 500\n");
    check(&["--config", "other.toml"], &[], burst, "500", "other.toml");
    check(&["--config", "other.toml"], &[], "listen", "127.0.0.1:4000", "default");

    let url = "postgres://someone:hidden-word@127.0.0.1:1/none";
    let env = [("ADMIN_PASSWORD", "hidden-word too"), ("DATABASE_URL", url)];
    place.write("gatewright.toml", "admin_password = \"hidden-word\"\n");
    for env in [&env[..], &[]] {
        let done = place.run_with(&["config"], env);
        done.check(0, &["admin_password", "database_url"]);
        assert!(!done.all().contains("hidden-word"), "{}", done.all());
    }
    // Every documented setting is shown, whatever its section.
    let defaults = include_str!("../../core/src/config/config.default.toml").parse::<toml::Table>().unwrap();
    let shown = place.run(&["config"]).out;
    for key in keys_of(&defaults) {
        assert!(shown.lines().any(|line| line.starts_with(&format!("{key} "))), "{key} is not in\n{shown}");
    }
}

/// The dotted keys of a table and of those in it.
fn keys_of(table: &toml::Table) -> Vec<String> {
    let keys = table.iter().flat_map(|(key, value)| match value.as_table() {
        None => vec![key.clone()],
        Some(section) => keys_of(section).into_iter().map(|inner| format!("{key}.{inner}")).collect(),
    });
    keys.collect()
}

#[test]
fn cli_config_refuses() {
    let place = Place::new();
    let unknown_in_file = |text: &str, key: &str, nearest: &str| {
        place.write("wrong.toml", text);
        for command in ["config", "migrate"] {
            place.run(&[command, "--config", "wrong.toml"]).check(1, &[key, nearest, "wrong.toml"]);
        }
        place
            .fails_to_serve(&["--config", "wrong.toml", "--listen", "127.0.0.1:0"], &[])
            .check(1, &[key, nearest]);
    };
    unknown_in_file("[limits]\nburts = 1\n", "limits.burts", "`limits.burst`");
    unknown_in_file("lisen = \"127.0.0.1:1\"\n", "lisen", "`listen`");
    unknown_in_file("[limit]\nburst = 1\n", "limit.burst", "`limits.burst`");
    place
        .run_with(&["config"], &[("LIMITS__BURTS", "1")])
        .check(1, &["GATEWRIGHT_LIMITS__BURTS", "`limits.burst`"]);
    place.run_with(&["config"], &[("LISTNE", "x")]).check(1, &["GATEWRIGHT_LISTNE", "`listen`"]);
    place.run(&["config", "--config", "absent.toml"]).check(1, &["absent.toml"]);
    place.fails_to_serve(&["--config", "absent.toml"], &[]).check(1, &["absent.toml"]);
    place.write("broken.toml", "listen = \n");
    place.run(&["config", "--config", "broken.toml"]).check(1, &["broken.toml"]);

    // The key, the value and what is allowed.
    let mut wrong = Vec::new();
    let mut bad = |name: &str, value: &str, mentions: &[&str]| {
        let done = place.fails_to_serve(&["--data", "d"], &[(name, value)]);
        let (key, all) = (name.to_lowercase().replace("__", "."), done.all());
        let says_all = (all.contains(&key) || all.contains(name)) && all.contains(value);
        if done.code != Some(1) || !says_all || !mentions.iter().all(|word| all.contains(word)) {
            wrong.push(format!("{name}={value}, without {value} or {mentions:?}: {}", all.trim()));
        }
    };
    bad("LIMITS__BURST", "many", &["integer"]);
    bad("LIMITS__BURST", "-1", &[]);
    bad("LIMITS__PACKET_BYTES", "7", &["1024"]);
    bad("LIMITS__MESSAGE_BYTES", "4000000000", &["4194304"]);
    bad("QUEUE__JOBS", "0", &["1 or more"]);
    bad("QUEUE__WORKERS", "100000", &["1024"]);
    bad("SCRIPTS__TIMEOUT_MS", "60000", &["30000"]);
    bad("SCRIPTS__CALL_DEPTH", "100000", &["256"]);
    bad("AUTH__REGISTER", "maybe", &["bool"]);
    bad("AUTH__ACCESS_TOKEN_MINUTES", "0", &["1 or more"]);
    bad("LOGS__FORMAT", "xml", &["pretty", "json", "auto"]);
    bad("ALLOWED_ORIGINS", "nonsense", &["://"]);
    bad("ADMIN_EMAIL", "nobody", &["e-mail"]);
    bad("LISTEN", "nonsense", &[]);
    bad("METRICS__LISTEN", "here", &[]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let scheme = place.fails_to_serve(&["--data", "d"], &[("DATABASE_URL", "mysql://u:hidden-word@h/n")]);
    scheme.check(1, &["database_url", "postgres://"]);
    assert!(!scheme.all().contains("hidden-word"), "{}", scheme.all());
    let short =
        place.fails_to_serve(&["--data", "d2", "--listen", "127.0.0.1:0"], &[("ADMIN_PASSWORD", "hid-wd")]);
    short.check(1, &["password"]);
    assert!(!short.all().contains("hid-wd"), "{}", short.all());
}

#[test]
fn cli_config_refuses_a_level_that_is_none() {
    let place = Place::new();
    let args = ["--data", "d", "--listen", "127.0.0.1:0"];
    for level in ["loud", "inof", "gatewright=loud"] {
        place.fails_to_serve(&args, &[("LOGS__LEVEL", level)]).check(1, &["logs.level", level]);
    }
}

#[test]
fn cli_first_admin() {
    let place = Place::new();
    let args = ["serve", "--listen", "127.0.0.1:0", "--data", "d"];
    let mut running = Running::spawn(place.command(&args, &[]));
    let (lines, url) = running.started();
    let line =
        lines.iter().find(|line| line.contains("admin@localhost")).unwrap_or_else(|| panic!("{lines:?}"));
    // One of the words is the password; all others are not.
    let mut words = line.split(' ').filter(|word| word.len() >= 16);
    let password = words.find(|word| login(&url, "admin@localhost", word).status == 200);
    let password = password.unwrap_or_else(|| panic!("no password in {line}")).to_owned();
    assert!(password.len() >= 16, "a made-up password of {} characters", password.len());
    let (code, errors) = running.stop();
    assert!(code == Some(0) && !errors.contains(&password), "{errors}");

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let files: Vec<_> = std::fs::read_dir(place.path("d")).unwrap().map(|entry| entry.unwrap()).collect();
        let secret = files.iter().find(|file| file.file_name().to_string_lossy().contains("secret"));
        let mode = secret
            .expect("the signing secret is in the data folder")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let mut running = Running::spawn(place.command(&args, &[("ADMIN_EMAIL", "late@example.com")]));
    let (lines, url) = running.started();
    assert_eq!(lines.len(), 1, "where there is an admin, the start says one line: {lines:?}");
    assert_eq!(login(&url, "admin@localhost", &password).status, 200);
    assert!(!running.stop().1.contains(&password));

    let env = [("ADMIN_EMAIL", "boss@example.com"), ("ADMIN_PASSWORD", "from the environment")];
    let args = ["serve", "--listen", "127.0.0.1:0", "--data", "d2"];
    let running = Running::spawn(place.command(&args, &env));
    let (lines, url) = running.started();
    assert_eq!(login(&url, "boss@example.com", "from the environment").status, 200);
    assert!(!lines.concat().contains("from the environment"), "{lines:?}");
}

#[test]
fn cli_users_and_tokens() {
    let server = Server::start();
    let (place, data) = (Place::beside(&server), data_of(&server));
    let run = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--data", &data]);
        place.run(&all)
    };
    let given =
        ["user", "create", "--email", "ada@example.com", "--password", "a password of hers", "--name", "Ada"];
    let done = run(&given);
    assert!(!done.check(0, &["ada@example.com"]).all().contains("a password of hers"), "{}", done.all());
    let signed_in = login(&server.url, "ada@example.com", "a password of hers");
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    let user = &signed_in.json()["user"];
    assert_eq!((&user["name"], &user["role"]), (&json!("Ada"), &json!("user")));
    run(&given).check(1, &["ada@example.com"]);
    run(&["user", "create", "--email", "b@example.com", "--password", "short"]).check(1, &["password"]);
    run(&["user", "create", "--email", "nobody"]).check(1, &["email"]);

    let done = run(&["user", "create", "--email", "eve@example.com", "--role", "admin"]);
    let made_up = |done: &Done, email: &str| {
        let mut words = done.out.split_whitespace();
        let found = words.find(|word| word.len() >= 16 && login(&server.url, email, word).status == 200);
        found.unwrap_or_else(|| panic!("no password in {}", done.out)).to_owned()
    };
    made_up(done.check(0, &["eve@example.com"]), "eve@example.com");

    let list = run(&["user", "list"]);
    list.check(0, &[ADMIN_EMAIL, "ada@example.com", "eve@example.com", "admin", "user"]);
    assert!(!list.all().contains("argon2"), "{}", list.all());

    let token = signed_in.json()["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(server.admin(&token, "GET", "/me", None).status, 200);
    run(&["user", "passwd", "--email", "ada@example.com", "--password", "another password"]).check(0, &[]);
    assert_eq!(login(&server.url, "ada@example.com", "another password").status, 200);
    assert_eq!(login(&server.url, "ada@example.com", "a password of hers").status, 401);
    until("the end of the session", || {
        (server.admin(&token, "GET", "/me", None).status == 401).then_some(())
    });
    run(&["user", "passwd", "--email", "nobody@example.com"]).check(1, &["nobody@example.com"]);

    let token = run(&["token", "--user", "ada@example.com"]);
    let me = server.admin(token.check(0, &[]).out.trim(), "GET", "/me", None);
    assert_eq!((me.status, &me.json()["email"]), (200, &json!("ada@example.com")), "{}", me.body);
    let token = run(&["token", "--user", ADMIN_EMAIL, "--ttl", "1h"]);
    assert_eq!(server.admin(token.out.trim(), "GET", "/admin/users", None).status, 200);
    run(&["token", "--user", "nobody@example.com"]).check(1, &["nobody@example.com"]);
    for ttl in ["15", "m", "0s", "-1m", "1w", ""] {
        run(&["token", "--user", ADMIN_EMAIL, &format!("--ttl={ttl}")]).check(2, &["--ttl"]);
    }
    // A token that has run out is refused.
    let token = run(&["token", "--user", ADMIN_EMAIL, "--ttl", "1s"]);
    until("the token's end", || {
        (server.admin(token.out.trim(), "GET", "/me", None).status == 401).then_some(())
    });
}

#[test]
fn cli_migrate_and_backup() {
    let place = Place::new();
    place.run(&["migrate", "--data", "new"]).check(0, &[]);
    assert!(place.path("new/gatewright.db").exists());
    place.run(&["migrate", "--data", "new"]).check(0, &[]);

    // A backup is for SQLite.
    let server = Server::start_on(Database::Sqlite, &[], &[]);
    let token = server.admin_token();
    make_gateway(&server, &token, json!({ "path": "/kept" }), &[("e", "return 5;")]);
    let data = data_of(&server);
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("gatewright.db").display().to_string();
    place.run(&["backup", &file, "--data", &data]).check(0, &["gatewright.db"]);
    place.run(&["backup", &file, "--data", &data]).check(1, &["gatewright.db"]);
    place.run(&["backup", &place.text("no/such/folder/f.db"), "--data", &data]).check(1, &[]);
    // What comes after the copy is not in it.
    make_gateway(&server, &token, json!({ "path": "/later" }), &[]);

    let restored = Server::start_in(Data::in_folder(copy), &[], &[]);
    let token = restored.admin_token();
    let paths = restored.admin(&token, "GET", "/admin/gateways?fields=path", None).json()["data"].clone();
    assert_eq!(paths, json!([{ "path": "/kept" }]));
    assert_eq!(Polling::connect(&restored, "/kept", None).run("e", &json!({}))["result"], 5);
}

#[test]
fn cli_database_url() {
    let place = Place::new();
    let secret =
        place.run(&["migrate", "--data", "d", "--database-url", "postgres://u:hidden-word@127.0.0.1:1/n"]);
    assert!(!secret.check(1, &[]).all().contains("hidden-word"), "{}", secret.all());
    // Like the file in the data folder, it is made where there is none.
    let url = format!("sqlite://{}", place.text("elsewhere.db"));
    place.run(&["migrate", "--data", "d", "--database-url", &url]).check(0, &[]);
    assert!(place.path("elsewhere.db").exists());
    assert!(!place.path("d/gatewright.db").exists());
}

#[test]
fn cli_check() {
    let place = Place::new();
    let chat = format!("{}/chat", scripts());
    place.run(&["check", &scripts()]).check(0, &[]);
    place.run(&["check", &chat, &format!("{chat}/connection.rhai")]).check(0, &[]);

    let line = "  @SOCKET.reply(\"a\", { ok: true });";
    place.write("one.rhai", &format!("let a = 1;\n{line}\n"));
    let done = place.run(&["check", "one.rhai"]);
    done.check(1, &["one.rhai", line.trim(), "^", "#{ ok: true }"]);
    // The caret stands under the column that the message is about.
    let all = done.all();
    let lines: Vec<_> = all.lines().collect();
    let at = lines.iter().position(|shown| shown.contains(line.trim())).unwrap();
    let caret = lines[at + 1].find('^').unwrap_or_else(|| panic!("no caret under the line\n{all}"));
    assert!(lines[at][caret..].starts_with("ok"), "{all}");

    place.write(
        "pack/pack.toml",
        "name = \"p\"\n[[gateways]]\npath = \"/p\"\nconnection = \"c.rhai\"\n\
        [[gateways.events]]\nname = \"e\"\nscript = \"events/e.rhai\"\n",
    );
    place.write("pack/c.rhai", "return 1;");
    place.run(&["check", "pack"]).check(1, &["events/e.rhai"]);
    place.write("pack/events/e.rhai", "let x = ;\n");
    place.run(&["check", "pack"]).check(1, &["events/e.rhai", "let x = ;", "^"]);
    place.run(&["check", "."]).check(1, &["events/e.rhai"]);
    place.write("pack/c.rhai", "fn (");
    place.run(&["check", "pack"]).check(1, &["events/e.rhai", "c.rhai"]);
    place.write("pack/c.rhai", "");
    place.write("pack/events/e.rhai", "// ünïcödé\nreturn \"ünï\" + ;");
    place.run(&["check", "pack"]).check(1, &["events/e.rhai", "ünï", "^"]);
    place.write("pack/events/e.rhai", "return @BODY;");
    place.run(&["check", "pack"]).check(0, &[]);
    place.write("pack/pack.toml", "name = \"p\"\ncolour = 1\n");
    place.run(&["check", "pack"]).check(1, &["pack.toml", "colour"]);
    place.run(&["check", "nowhere"]).check(1, &["nowhere"]);
    place.run(&["check", "pack/nowhere.rhai"]).check(1, &["nowhere.rhai"]);
    place.run(&["check"]).check(2, &["PATH"]);
}

#[test]
fn cli_test() {
    let place = Place::new();
    place.run(&["test", &scripts()]).check(0, &["chat"]);
    place.small_pack(
        "small",
        "@LOGS(\"l\"); @SOCKET.reply(\"r\", @BODY); return #{ n: @BODY.n, who: @USER.id };",
    );
    let test = |expected: &str| {
        let call = "[[tests]]\nname = \"adds\"\nevent = \"e\"\npayload = { n = 5 }\nuser = { id = \"u1\" }\n[tests.expect]\n";
        place.write("small/tests/e.toml", &format!("{call}{expected}\n"));
        place.run(&["test", "small"])
    };
    let emitted = "emitted = [{ method = \"reply\", args = [\"r\", { n = 5 }] }]";
    test(&format!("result = {{ n = 5, who = \"u1\" }}\nlogs = [\"l\"]\n{emitted}")).check(0, &["adds"]);
    let failed = test("result = { n = 6, who = \"u1\" }");
    failed.check(1, &["adds"]);
    let has = |sign: char, text: &str| {
        failed.all().lines().any(|line| line.trim_start().starts_with(sign) && line.contains(text))
    };
    assert!(has('-', "6") && has('+', "5"), "a diff of what was expected and what came\n{}", failed.all());
    test("logs = [\"other\"]").check(1, &["other"]);
    test("emitted = []").check(1, &["reply"]);
    test("error = \"VALIDATION_ERROR\"").check(1, &["VALIDATION_ERROR"]);
    place.write("small/e.rhai", "@THROW.notFound(\"gone\");");
    test("error = \"RESOURCE_NOT_FOUND\"\nmessage = \"gone\"").check(0, &[]);
    test("").check(1, &["RESOURCE_NOT_FOUND"]);
    test("error = \"VALIDATION_ERROR\"").check(1, &["VALIDATION_ERROR", "RESOURCE_NOT_FOUND"]);
    test("colour = 1").check(1, &["e.toml", "colour"]);
    place.write("small/tests/e.toml", "[[tests]]\nname = \"none\"\nevent = \"nobody\"\n[tests.expect]\n");
    place.run(&["test", "small"]).check(1, &["nobody"]);
    place.run(&["test", "nowhere"]).check(1, &["nowhere"]);
}

on_each_database!(cli_packs);

fn cli_packs(database: Database) {
    let (place, chat) = (Place::new(), format!("{}/chat", scripts()));
    let datas = ["a", "b", "c", "d"].map(|name| (name, Data::on(database)));
    let pack = |args: &[&str], name: &str| {
        let mut all = vec!["pack"];
        all.extend(args);
        let (_, data) = datas.iter().find(|(known, _)| *known == name).unwrap();
        place.run_on(data, &all)
    };
    pack(&["list"], "a").check(0, &["chat"]);
    let before = pack(&["list"], "a").out;
    pack(&["install", "chat", "--dry-run"], "a").check(0, &["/chat", "joinRoom"]);
    assert_eq!(pack(&["list"], "a").out, before, "a dry run changes nothing");
    pack(&["install", "chat"], "a").check(0, &["/chat", "message"]);
    assert_ne!(pack(&["list"], "a").out, before, "the list tells what is installed");
    let again = pack(&["install", "chat"], "a");
    again.check(0, &[]);
    assert!(!again.out.contains("joinRoom"), "a second time there is nothing to do\n{}", again.out);
    for same in [["diff", "chat"], ["diff", &chat]] {
        let done = pack(&same, "a");
        assert!(!done.check(0, &[]).out.contains("/chat"), "{}", done.out);
    }

    pack(&["export", "chat", &place.text("out")], "a").check(0, &[]);
    let diff = pack(&["diff", &place.text("out")], "a");
    assert!(!diff.check(0, &[]).out.contains("/chat"), "an export is what it was made from\n{}", diff.out);
    pack(&["export", "chat", &place.text("out")], "a").check(1, &["out"]);
    pack(&["export", "nothing", &place.text("out2")], "a").check(1, &["nothing"]);
    pack(&["install", &place.text("out")], "b").check(0, &["/chat"]);
    pack(&["export", "chat", &place.text("back")], "b").check(0, &[]);
    assert_eq!(folder(&place.path("out")), folder(&place.path("back")), "round trip");
    let diff = pack(&["diff", "chat"], "b");
    assert!(!diff.check(0, &[]).out.contains("/chat"), "and the same as the pack itself\n{}", diff.out);
    place.run(&["check", &place.text("out")]).check(0, &[]);
    let tested = place.run(&["test", &place.text("out")]);
    assert!(!tested.check(0, &["passed"]).out.contains("no tests"), "its tests go along\n{}", tested.out);

    pack(&["install", "chat", "--mount", "/engage"], "c")
        .check(0, &["/engage/chat", "POST /engage/orders/{id}/ship", "table message"]);
    pack(&["export", "chat", &place.text("mounted")], "c").check(0, &[]);
    assert_eq!(
        folder(&place.path("out")),
        folder(&place.path("mounted")),
        "with its own paths, in tests too"
    );
    place.write("root/pack.toml", "name = \"root\"\n[[gateways]]\npath = \"/\"\n");
    pack(&["install", "root", "--mount", "/engage"], "c").check(0, &["/engage"]);
    pack(&["install", "root"], "c").check(0, &[]);
    pack(&["install", "nowhere"], "c").check(1, &["nowhere", "chat"]);
    pack(&["install", "chat", "--mount", "no path"], "d").check(1, &["path"]);
}

#[test]
fn cli_pack_install_that_fails() {
    let place = Place::new();
    let install = || place.run(&["pack", "install", "two", "--data", "d"]);
    let manifest = |description: &str| {
        let gateways =
            "[[gateways]]\npath = \"/two\"\nconnection = \"c.rhai\"\n[[gateways]]\npath = \"/one\"\n";
        // The good one first.
        let (two, one) = gateways.split_at(gateways.rfind("[[").unwrap());
        place.write("two/pack.toml", &format!("name = \"two\"\n{one}description = \"{description}\"\n{two}"));
    };
    manifest("first");
    place.write("two/c.rhai", "let x = ;");
    install().check(1, &[]);
    // Nobody has edited anything since: the mended pack installs without --force.
    manifest("second");
    place.write("two/c.rhai", "return 1;");
    install().check(0, &[]);
}

/// All files of a folder with their text.
fn folder(path: &Path) -> Vec<(PathBuf, String)> {
    fn walk(root: &Path, path: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(path, path, &mut found);
    found.sort();
    found
}

/// The event of a gateway as the admin API has it.
fn event(server: &Server, token: &str, gateway: &str, name: &str) -> Option<Json> {
    let rows = |path: &str| server.admin(token, "GET", path, None).json()["data"].as_array().unwrap().clone();
    let gateway = rows("/admin/gateways?limit=1000").into_iter().find(|row| row["path"] == gateway)?;
    let events = rows(&format!("/admin/gateways/{}/events?limit=1000", gateway["id"].as_str().unwrap()));
    events.into_iter().find(|row| row["eventName"] == name)
}

#[test]
fn cli_pack_on_a_running_server() {
    let server = Server::start();
    let (place, data, token) = (Place::beside(&server), data_of(&server), server.admin_token());
    place.small_pack("small", "return 1;");
    place.run(&["pack", "install", "small", "--data", &data]).check(0, &["/small"]);
    let mut socket =
        until("the gateway of the pack", || Polling::try_connect(&server.url, "/small", None).ok());
    assert_eq!(socket.run("e", &json!({}))["result"], 1);
    place.small_pack("small", "return 2;");
    place.run(&["pack", "diff", "small", "--data", &data]).check(0, &["/small e", "return 1;", "return 2;"]);
    place.run(&["pack", "install", "small", "--data", &data]).check(0, &["/small e"]);
    until("the new script, on the open socket", || {
        (socket.run("e", &json!({}))["result"] == 2).then_some(())
    });

    // What an admin edits since stays, unless it is forced.
    let row = event(&server, &token, "/small", "e").unwrap();
    let path = format!("/admin/events/{}", row["id"].as_str().unwrap());
    let source = |server: &Server| event(server, &token, "/small", "e").unwrap()["sourceCode"].clone();
    let edit = json!({ "sourceCode": "return \"edited\";" });
    assert_eq!(server.admin(&token, "PATCH", &path, Some(&edit)).status, 200);
    let dry = place.run(&["pack", "install", "small", "--dry-run", "--data", &data]);
    assert!(dry.all().contains("/small") && dry.all().contains("--force"), "{}", dry.all());
    place.run(&["pack", "install", "small", "--data", &data]).check(1, &["/small", "--force"]);
    assert_eq!(source(&server), "return \"edited\";");
    place.run(&["pack", "install", "small", "--force", "--data", &data]).check(0, &["/small"]);
    assert_eq!(source(&server), "return 2;");
    until("the forced script", || (socket.run("e", &json!({}))["result"] == 2).then_some(()));

    // A gateway of somebody else is not taken over either.
    make_gateway(&server, &token, json!({ "path": "/mine" }), &[("e", "return \"mine\";")]);
    place.write("small/pack.toml", "name = \"small\"\n[[gateways]]\npath = \"/mine\"\n");
    place.run(&["pack", "install", "small", "--data", &data]).check(1, &["/mine"]);
    assert_eq!(event(&server, &token, "/mine", "e").unwrap()["sourceCode"], "return \"mine\";");
}

#[test]
fn cli_serve_pack() {
    let place = Place::new();
    place.small_pack("small", "return 1;");
    let folder = place.text("small");
    let flags = ["--pack", "chat", "--pack", folder.as_str()];
    let server = Server::start_with(&[], &flags);
    let token = server.admin_token();
    assert_eq!(Polling::connect(&server, "/small", None).run("e", &json!({}))["result"], 1);
    let joined = Polling::connect(&server, "/chat", None).run("joinRoom", &json!({ "roomId": "7" }));
    assert_eq!(joined["result"], json!({ "joined": "7" }));
    let (_, data, _) = server.stop();
    let server = Server::start_in(data, &[], &flags);
    let history = format!(
        "/admin/events/{}/revisions",
        event(&server, &token, "/small", "e").unwrap()["id"].as_str().unwrap()
    );
    let revisions = server.admin(&token, "GET", &history, None).json();
    assert_eq!(revisions["data"].as_array().unwrap().len(), 1, "the same pack again saves nothing");
    let both = format!("chat,{folder}");
    let by_variable = Server::start_with(&[("PACKS", &both)], &[]);
    for namespace in ["/chat", "/small"] {
        Polling::connect(&by_variable, namespace, None);
    }
    let nowhere = place.fails_to_serve(&["--data", "x", "--listen", "127.0.0.1:0", "--pack", "nowhere"], &[]);
    nowhere.check(1, &["nowhere"]);
}

#[test]
fn cli_serve_pack_after_an_edit() {
    let place = Place::new();
    place.small_pack("small", "return 1;");
    let folder = place.text("small");
    let server = Server::start_with(&[], &["--pack", &folder]);
    let token = server.admin_token();
    let path =
        format!("/admin/events/{}", event(&server, &token, "/small", "e").unwrap()["id"].as_str().unwrap());
    let edit = json!({ "sourceCode": "return \"edited\";" });
    assert_eq!(server.admin(&token, "PATCH", &path, Some(&edit)).status, 200);
    let (_, data, _) = server.stop();
    // An edit must neither be lost nor keep the server from starting again.
    let server = Server::start_in(data, &[], &["--pack", &folder]);
    assert_eq!(Polling::connect(&server, "/small", None).run("e", &json!({}))["result"], "edited");
}

#[test]
fn cli_serve_watch() {
    let place = Place::new();
    place.small_pack("watched/small", "return 1;");
    let server = Server::start_with(&[], &["--watch", &place.text("watched")]);
    let mut socket = until("the watched gateway", || Polling::try_connect(&server.url, "/small", None).ok());
    let result = |socket: &mut Polling| socket.run("e", &json!({}))["result"].clone();
    until("the first script", || (result(&mut socket) == 1).then_some(()));
    place.write("watched/small/e.rhai", "return 2;");
    until("the edited script", || (result(&mut socket) == 2).then_some(()));
    // What does not compile is not taken over, and the next edit is.
    place.write("watched/small/e.rhai", "return ;;; {{{");
    place.small_pack("watched/other", "return 1;");
    let manifest = std::fs::read_to_string(place.path("watched/other/pack.toml")).unwrap();
    let manifest = manifest.replace("\"small\"", "\"other\"").replace("/small", "/other");
    place.write("watched/other/pack.toml", &manifest);
    until("the pack that came later", || Polling::try_connect(&server.url, "/other", None).ok());
    assert_eq!(result(&mut socket), 2, "what does not compile leaves the old script");
    place.write("watched/small/e.rhai", "return 3;");
    until("the mended script", || (result(&mut socket) == 3).then_some(()));
}

#[test]
fn cli_listening() {
    let place = Place::new();
    let env = [("ADMIN_EMAIL", ADMIN_EMAIL), ("ADMIN_PASSWORD", ADMIN_PASSWORD)];
    let running = Running::spawn(place.command(&["serve", "--listen", "0.0.0.0:0", "--data", "d"], &env));
    running.started();
    let lines = running.until(|line| line.to_lowercase().contains("exposed"));
    assert!(lines.concat().contains("admin API"), "it says what is exposed: {lines:?}");
    drop(running);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = place.fails_to_serve(&["--listen", &address, "--data", "d"], &env);
    done.check(1, &[&address, "in use"]);
    assert!(!done.all().contains("panicked"), "{}", done.all());
    // The data folder cannot be made under a file.
    place.write("file", "");
    let done = place.fails_to_serve(&["--listen", "127.0.0.1:0", "--data", &place.text("file/d")], &env);
    done.check(1, &["file/d"]);
}

#[test]
fn cli_demo() {
    let place = Place::new();
    let admin = [("ADMIN_EMAIL", ADMIN_EMAIL), ("ADMIN_PASSWORD", ADMIN_PASSWORD)];
    let mut running = Running::spawn(place.command(&["demo", "--listen", "127.0.0.1:0"], &admin));
    let (lines, url) = running.started();
    assert!(lines.last().unwrap().contains(&format!("{url}/demo/chat")), "{lines:?}");
    check_link(&url, &running.until(|line| line.contains("/_/#code=")).pop().unwrap());
    let page = send(&url, "GET", "/demo/chat", &[], b"");
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    for attribute in ["src=\"", "href=\""] {
        let targets = page.body.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap());
        for target in targets.filter(|target| !target.starts_with('#') && !target.starts_with("data:")) {
            assert!(!target.contains("//"), "{target} is on another host");
            assert_eq!(send(&url, "GET", target, &[], b"").status, 200, "{target}");
        }
    }
    assert!(page.body.contains("/socket.io/socket.io.js"), "{}", page.body);
    let client = send(&url, "GET", "/socket.io/socket.io.js", &[], b"");
    assert!(client.headers["content-type"].to_str().unwrap().contains("javascript"));
    assert!(client.body.contains("socket.io") || client.body.contains("Socket.IO"));
    let mut guest = Polling::try_connect(&url, "/chat", None).unwrap();
    assert_eq!(guest.run("joinRoom", &json!({ "roomId": "7" }))["result"], json!({ "joined": "7" }));
    let index = send(&url, "GET", "/demo", &[], b"");
    for pack in ["chat", "engagefabric", "socket-service", "hubtel", "oneentry"] {
        let page = format!("/demo/{pack}");
        assert!(index.body.contains(&format!("href=\"{page}\"")), "{}", index.body);
        let policy = send(&url, "GET", &page, &[], b"").headers["content-security-policy"].clone();
        assert!(policy.to_str().unwrap().contains("script-src 'self';"), "{page}: {policy:?}");
        assert_eq!(send(&url, "GET", &format!("{page}.js"), &[], b"").status, 200);
    }
    assert_eq!(send(&url, "GET", "/demo/nothing", &[], b"").status, 404);
    for users in ["/demo/chat/users", "/demo/nothing/users"] {
        assert_eq!(send(&url, "POST", users, &[], b"").status, 404, "{users}");
    }
    for page in ["chat", "engagefabric", "socket_service", "hubtel", "oneentry"] {
        run_in_browser(&url, page);
    }
    assert_eq!(running.stop().0, Some(0));
    assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 0, "a demo leaves nothing behind");
}

/// The link of a demo signs in as the admin, once.
fn check_link(url: &str, line: &str) {
    let (_, code) = line.split_once(&format!("{url}/_/#code=")).unwrap_or_else(|| panic!("{line}"));
    let exchange = |code: &str| {
        let body = json!({ "code": code }).to_string();
        send(url, "POST", "/auth/exchange", &[("content-type", "application/json")], body.as_bytes())
    };
    let wrong = exchange("wrong");
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "AUTHENTICATION_ERROR"), "{}", wrong.body);
    let signed_in = exchange(code);
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    assert!(signed_in.headers.contains_key("set-cookie"));
    let token = format!("Bearer {}", signed_in.json()["accessToken"].as_str().unwrap());
    let stats = send(url, "GET", "/admin/stats", &[("authorization", &token)], b"");
    assert_eq!(stats.status, 200, "{}", stats.body);
    assert_eq!(exchange(code).status, 401, "it counts once");
}
